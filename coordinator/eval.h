/* eval.h - measuring a library and its answers against judged questions.
 * Nothing here prints; progress comes by callback. The same input gives the same figures, except the milliseconds. */
#ifndef DOCENT_COORDINATOR_EVAL_H
#define DOCENT_COORDINATOR_EVAL_H

#include <jansson.h>
#include <signal.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/engine.h"
#include "coordinator/query.h"

#define EVAL_BM25 1
#define EVAL_DENSE 2
#define EVAL_HYBRID 4
#define EVAL_ALL (EVAL_BM25 | EVAL_DENSE | EVAL_HYBRID)

struct eval_opts {
    const char *path; /* retrieval: a BEIR folder; answers: a JSON or JSONL file */
    int modes; /* EVAL_*, 0: all; retrieval only */
    uint32_t limit; /* the first so many questions, 0: all */
    int half; /* 1: every second question from the first, 2: the others, 0: all (development and report) */
    enum answer_mode answer_mode;
    int known; /* answers: 1: search only in the document that the question names */
    int no_answers; /* answers: 1: page hits only, nothing is answered */
    int lines; /* answers: 1: one object a question under "each" */
    const char *extract_program; /* for the proof of citations; NULL: beside this program */
    const volatile sig_atomic_t *stop;
    /* what: "index", "search" or "ask"; total may be 0 */
    void (*on_progress)(void *arg, const char *what, uint64_t done, uint64_t total);
    void *arg;
};

/* DIR/corpus.jsonl (_id, title, text), queries.jsonl (_id, text), qrels.tsv (query-id, corpus-id, score; with a header).
 * Builds a library in a temporary folder and removes it: each entry is one document of one chunk, the text whole (the
 * embedder reads as much as its window holds), title in front. Uses en's models; en->lib is not touched.
 * Rankings are 200 deep. *out: {"queries","documents","modes":{...}} */
int eval_retrieval(struct engine *en, const struct eval_opts *o, json_t **out, struct err *e);

/* Questions against the library of en. Fields of a question: "question"; "answers" (list or string) or "answer";
 * optional the document ("doc_name", "document" or "doc": matched with the file names) and its pages
 * ("evidence":[{"evidence_page_num"}] from 0, or "pages"/"page" from 1); "unanswerable": true, or an empty list of answers.
 * EM and F1 are of the answer's first line, "contains" of all its text, "quotes_contain" of its quotes too; an abstention counts 0.
 * *out: {"questions","em","f1","contains","page_hit@1", ... ,"citations","citations_proven","abstained", ...} */
int eval_answers(struct engine *en, const struct eval_opts *o, json_t **out, struct err *e);

#endif
