/* metrics.h - the numbers by which retrieval and answers are judged.
 * Ranking measures follow trec_eval 9.0.7 to the digit; EM and F1 follow the SQuAD script, with one token a character
 * for Chinese, Japanese and Korean text. Pure functions, any thread. */
#ifndef DOCENT_COORDINATOR_METRICS_H
#define DOCENT_COORDINATOR_METRICS_H

#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

struct rank_scores {
    double ndcg10, map, mrr10, recall100;
};

/* One query. gains[i] is the judged relevance of the i-th document of the ranking (0: not judged, or judged 0; negative
 * counts as 0), judged the relevances of all judged documents of the query, in any order, also of those that were not found.
 * A query without a relevant document scores 0 everywhere. ERR_NOMEM from tmp. */
int metrics_rank(const int *gains, size_t n, const int *judged, size_t n_judged, struct arena *tmp,
                 struct rank_scores *out, struct err *e);

/* Adds one query's scores to a sum, and divides the sum by the number of queries. */
void metrics_sum(struct rank_scores *sum, const struct rank_scores *one);
void metrics_mean(struct rank_scores *sum, size_t queries);

/* Text answers. Normalised as the SQuAD script does: lower case, no punctuation, no articles (a, an, the), single blanks. */
struct text_scores {
    int em; /* 1: the same after normalisation */
    double f1; /* of the bags of tokens */
    int contains; /* 1: said contains gold as a run of whole tokens */
};
/* The best of every measure over the n golds. No gold: em and f1 are 1 when said is empty (SQuAD 2). */
int metrics_text(const char *const *golds, size_t n, const char *said, struct arena *tmp,
                 struct text_scores *out, struct err *e);

/* The p-th percentile (0..100) by nearest rank; sorts values. 0 for n = 0. */
double metrics_percentile(double *values, size_t n, double p);

#endif
