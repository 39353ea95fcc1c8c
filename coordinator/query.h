/* query.h - one question, from text to proven answer. The flow is query.c. */
#ifndef DOCENT_COORDINATOR_QUERY_H
#define DOCENT_COORDINATOR_QUERY_H

#include "base/err.h"
#include "base/mem.h"
#include "coordinator/engine.h"
#include "index/index.h"

enum search_mode { SEARCH_HYBRID, SEARCH_DENSE, SEARCH_BM25 };
enum answer_mode { ANSWER_AUTO, ANSWER_EXTRACT, ANSWER_GENERATE };
const char *search_mode_name(enum search_mode m);
const char *answer_mode_name(enum answer_mode m);

/* Milliseconds of named steps, in order of first use. */
struct steps {
    struct {
        const char *name; /* static */
        double ms;
    } at[24];
    uint32_t n;
};
void steps_add(struct steps *s, const char *name, double ms);

struct query {
    const char *text; /* UTF-8 */
    uint32_t k; /* 0: 10 */
    enum search_mode mode;
    struct search_filter filter;
    int no_text; /* 1: hits and scores only; chunk and doc of the passages stay empty (evaluation) */
};

/* A passage that came back, with how its score came about. */
struct passage {
    struct hit hit; /* score is the fused score */
    float bm25, cosine; /* raw; cosine is 0 without an embedder */
    uint32_t in_bm25, in_dense; /* rank in each list from 1, 0: not in it */
    uint32_t also; /* another chunk of the same page that counted as evidence: its ord + 1; 0: none */
    struct chunk_view chunk;
    struct doc_view doc;
};

struct results {
    enum search_mode mode; /* what was really done (bm25 when there is no embedder) */
    struct passage *at; /* [n], best first, in the arena */
    uint32_t n;
    float dense_weight; /* what the fusion used for this query */
    float idf_sum; /* sum of idf over the query's distinct terms */
    float top_cosine, top_bm25_share; /* evidence: the first passages' best cosine, best BM25 / idf_sum */
    const struct query_term *terms;
    uint32_t n_terms;
    struct steps steps;
    uint64_t index_version;
};

/* Retrieval: check -> analyse and embed -> BM25 and dense -> fuse -> load the passages. Everything lives in a. */
int query_search(struct engine *en, const struct query *q, struct arena *a, struct results *out,
                 struct err *e);

struct citation {
    uint32_t n; /* from 1, as in the answer's [n] */
    const char *path; /* first path of the document */
    uint8_t doc[DOC_ID_BYTES];
    int paged;
    uint32_t page; /* number, from 1 */
    uint32_t start, end; /* bytes of the page's text */
    const char *quote; /* exactly those bytes */
    uint32_t mark_start, mark_end; /* bytes of the quote: the sentence that answers, to highlight */
    const char *section;
    float *boxes; /* [n_boxes][4] x0 y0 x1 y1, 0..1 of the page, one a line of the quote; may be 0 */
    uint32_t n_boxes;
    float score;
};

struct answer {
    const char *text; /* with [n] marks; the abstention sentence when abstained */
    int abstained;
    enum answer_mode mode; /* what was done: extract or generate */
    struct citation *citations;
    uint32_t n_citations;
    struct citation *nearest; /* when abstained: the closest passages, "not an answer" */
    uint32_t n_nearest;
    float evidence, threshold; /* the gate */
    uint32_t dropped; /* generated sentences without proof */
    struct results results;
    const char *asked; /* the question as it was searched: rewritten with the history of a chat */
    uint32_t prompt_tokens, new_tokens;
    struct steps steps;
};

struct turn { /* one earlier exchange of a chat */
    const char *question;
    const char *answer;
};

struct ask {
    struct query query; /* k: passages to look at; 0: 10 */
    enum answer_mode mode;
    const struct turn *history; /* oldest first, may be NULL */
    uint32_t n_history;
    /* Called with text of the answer as it becomes final (proven), may be NULL. Non-zero stops. */
    int (*on_text)(void *arg, const char *text, size_t n);
    void *arg;
};

/* The whole journey; the flow is the body of this function. */
int query_ask(struct engine *en, const struct ask *q, struct arena *a, struct answer *out,
              struct err *e);

#endif
