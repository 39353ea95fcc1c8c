/* query_impl.h - the steps of query.c, one section a file. Inside the coordinator's query files and their tests only.
 * All memory is taken from the request's arena. Threads: the one that owns the engine. */
#ifndef DOCENT_COORDINATOR_QUERY_IMPL_H
#define DOCENT_COORDINATOR_QUERY_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "coordinator/query.h"

/* ---- fuse.c: two lists to one, then evidence by page ---- */

struct candidate {
    struct hit hit; /* score is the fused score */
    float bm25, cosine; /* raw */
    uint32_t in_bm25, in_dense; /* rank from 1, 0: not in that list */
    const struct doc_view *doc; /* read before fusion where a document has several candidates; else NULL */
    uint32_t also; /* ord + 1 of the page's second chunk, 0: none */
    int follower; /* 1: a better chunk of the same page of a paged document stands before it */
};

/* What is known of a query before its lists are joined. */
struct fuse_query {
    float unknown_share; /* of its tokens, those the embedder cannot read: 0..1 */
    float bm25_share; /* the best candidate's BM25 over idf_sum of the results; may pass 1 */
};

/* The union of both lists (words first, then what only dense has); raw scores of the list that has the row. */
int fuse_join(const struct hits *words, const struct hits *dense, struct arena *a,
              struct candidate **out, uint32_t *n, struct err *e);
/* How much the dense side counts, 0..1. */
float fuse_weight(const struct fuse_query *q);
/* hit.score = w * cosine' + (1 - w) * bm25', each min-max over the candidates; sorts, best first. */
void fuse_scores(struct candidate *c, uint32_t n, float w);
/* Adds PAGE_NEXT times the second chunk's score to the first chunk of each page of a paged document, marks the others as
 * followers, sorts again. */
void fuse_pages(struct candidate *c, uint32_t n);

/* ---- evidence.c: is there anything to answer from? ---- */

/* Fills out->top_cosine and out->top_bm25_share from the first passages. */
#define EVIDENCE_LOOK 3 /* the passage that answers is among the first three in 93 to 98 % of the questions */
/* content_bm25: BM25 of the first EVIDENCE_LOOK passages for the question's content words; idf_sum is of the same words. */
void evidence_of(struct results *out, const float *content_bm25);
/* The value of the gate and its threshold for what was really searched (with or without vectors). */
void evidence_gate(const struct results *r, float *evidence, float *threshold);

/* ---- select.c: which sentences answer ---- */

struct sentence {
    uint32_t passage; /* index into results.at */
    uint32_t start, end; /* bytes of the passage's text, without blanks at the ends */
    uint32_t from, to; /* the same with the sentence before and the one after */
    float bm25, cosine, score;
};

/* Up to most sentences of the first passages, best first; windows (from..to) never overlap. emb may be NULL.
 * vec: the question's unit vector, NULL without emb. */
int select_sentences(struct embedder *emb, const char *question, const float *vec,
                     const struct results *r, uint32_t most, struct arena *a,
                     struct sentence **out, uint32_t *n, struct err *e);

/* ---- cite.c: sentences as citations ---- */

/* One citation of text bytes [from, to) of passage p, with its boxes. */
int cite(struct snapshot *s, const struct passage *p, uint32_t from, uint32_t to, struct arena *a,
         struct citation *out, struct err *e);

struct rect {
    float x0, y0, x1, y1;
};
struct word_box;
/* Word boxes of bytes [start, end) as one rectangle a line. Returns the number written to out (at most n). */
uint32_t cite_lines(const struct word_box *w, uint32_t n, uint32_t start, uint32_t end,
                    struct rect *out);

/* ---- prompt.c ---- */

/* Token ids of a completion prompt: one example, the quotes as data, the question. */
int prompt_build(const struct generator *g, const char *question, const struct citation *c,
                 uint32_t n, struct arena *a, int32_t **ids, size_t *n_ids, struct err *e);

/* ---- attribute.c: generated text against quotes ---- */

struct support {
    uint32_t citation; /* index of the quote that carries the sentence */
    float coverage; /* share of the sentence's content terms that the quote has */
    float cosine; /* 0 without an embedder */
    int proven; /* 1: may be shown */
    const char *why; /* static; what is missing when not proven */
};

/* The best of the n quotes for one generated sentence. question: what need not be said again ("" if nothing).
 * strict: every content term must stand in one sentence of the quote, in the same order. */
int attribute(struct embedder *emb, const char *question, const char *said, size_t n_said,
              const struct citation *c, uint32_t n, int strict, struct arena *a,
              struct support *out, struct err *e);

/* ---- answer.c: the text of a reply ---- */

int answer_extract(struct answer *out, const struct sentence *s, uint32_t n, struct arena *a,
                   struct err *e);
/* generated: proven text with its [n] marks, put in front of the evidence. */
int answer_generated(struct answer *out, const char *generated, const struct sentence *s,
                     uint32_t n, struct arena *a, struct err *e);
int answer_abstain(struct answer *out, struct arena *a, struct err *e);
/* Blanks and line breaks as single blanks, bad bytes out. NULL: out of memory. */
char *answer_plain(const char *s, size_t n, struct arena *a);

/* ---- stopwords.c ---- */

int stopword(const char *w, size_t n); /* 1: an English word without content ("which", "of"), in any case */
int word_listed(const char *w, size_t n, const char *const *list, size_t k);

/* ---- rewrite.c: a follow-up question that stands alone ---- */

/* The question itself when it needs no history. */
int rewrite(const char *question, const struct turn *history, uint32_t n, struct arena *a,
            const char **out, struct err *e);

/* ---- retrieve.c ---- */

struct search { /* one retrieval on its way */
    struct engine *en;
    const struct query *q;
    struct arena *a;
    struct results *out;
    struct snapshot *s;
    uint32_t k;
    float *vec; /* [dim] of the question, NULL: words only */
    struct fuse_query about;
    const char *content; /* the question without words like "how" and "the" */
    struct candidate *c;
    uint32_t n_c;
    double t; /* start of the running step */
};

/* All steps into s->out; the caller has set en, q, a, out and t. The snapshot stays with s, for what is quoted from the hits, until
 * retrieve_end() (also after an error). */
int retrieve(struct search *s, struct err *e);
void retrieve_end(struct search *s);

#endif
