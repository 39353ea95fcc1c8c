/* metrics.c - ranking and answer measures (see metrics.h). */
#include "coordinator/metrics.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>

#include "base/utf8.h"

#define NDCG_CUT 10
#define MRR_CUT 10
#define RECALL_CUT 100

/* ---- ranking ---- */

static int larger_first(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;

    return (y > x) - (y < x);
}

static double discount(size_t i) /* of rank i + 1 */
{
    return log2((double)i + 2.0);
}

static double dcg(const int *gains, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n && i < NDCG_CUT; i++)
        if (gains[i] > 0)
            sum += gains[i] / discount(i);
    return sum;
}

int metrics_rank(const int *gains, size_t n, const int *judged, size_t n_judged, struct arena *tmp,
                 struct rank_scores *out, struct err *e)
{
    struct arena_mark m = arena_mark(tmp);
    int *ideal = arena_take(tmp, n_judged ? n_judged : 1, sizeof *ideal);
    size_t relevant = 0;
    size_t found = 0;
    size_t found100 = 0;
    double precisions = 0;
    double best;

    memset(out, 0, sizeof *out);
    if (!ideal)
        return err_set(e, ERR_NOMEM, "%zu judgements", n_judged);
    for (size_t i = 0; i < n_judged; i++) {
        ideal[i] = judged[i];
        relevant += judged[i] > 0;
    }
    qsort(ideal, n_judged, sizeof *ideal, larger_first);
    best = dcg(ideal, n_judged);
    arena_rewind(tmp, m);
    if (!relevant)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (gains[i] <= 0)
            continue;
        if (!found && i < MRR_CUT)
            out->mrr10 = 1.0 / (double)(i + 1);
        found++;
        found100 += i < RECALL_CUT;
        precisions += (double)found / (double)(i + 1);
    }
    out->ndcg10 = dcg(gains, n) / best;
    out->map = precisions / (double)relevant;
    out->recall100 = (double)found100 / (double)relevant;
    return 0;
}

void metrics_sum(struct rank_scores *sum, const struct rank_scores *one)
{
    sum->ndcg10 += one->ndcg10;
    sum->map += one->map;
    sum->mrr10 += one->mrr10;
    sum->recall100 += one->recall100;
}

void metrics_mean(struct rank_scores *sum, size_t queries)
{
    double n = queries ? (double)queries : 1.0;

    sum->ndcg10 /= n;
    sum->map /= n;
    sum->mrr10 /= n;
    sum->recall100 /= n;
}

/* ---- answers ---- */

struct words {
    char **at; /* NUL-terminated, [n] */
    size_t n;
};

static int is_ideograph(UChar32 c)
{
    return u_hasBinaryProperty(c, UCHAR_IDEOGRAPHIC) || (c >= 0x3041 && c <= 0x30FF) ||
           (c >= 0xAC00 && c <= 0xD7A3);
}

static int is_article(const char *w)
{
    return !strcmp(w, "a") || !strcmp(w, "an") || !strcmp(w, "the");
}

/* Punctuation vanishes without leaving a border ("U.S." -> "us"), as in the SQuAD script. */
static int is_dropped(UChar32 c)
{
    return u_ispunct(c) || (c < 0x80 && strchr("$+<=>^`|~", (int)c) && c);
}

static int words_of(const char *text, struct arena *a, struct words *out, struct err *e)
{
    size_t n = strlen(text);
    /* Every token is at least one byte of text; each writes its bytes and a NUL. Folding can lengthen a
     * code point to at most 4 bytes from 1. */
    char *to = arena_take(a, 6 * n + 2, 1);
    size_t len = 0;
    size_t begin = 0;

    out->n = 0;
    out->at = arena_take(a, n + 1, sizeof *out->at);
    if (!to || !out->at)
        return err_set(e, ERR_NOMEM, "an answer of %zu bytes", n);
    for (size_t i = 0; i <= n;) {
        uint32_t cp = ' ';
        int alone;

        i += i < n ? utf8_next(text + i, n - i, &cp) : 1;
        if (cp >= 0xFF01 && cp <= 0xFF5E)
            cp -= 0xFEE0; /* full-width forms */
        if (is_dropped((UChar32)cp))
            continue;
        alone = is_ideograph((UChar32)cp);
        if ((alone || u_isUWhiteSpace((UChar32)cp)) && len > begin) {
            to[len++] = '\0';
            if (!is_article(to + begin))
                out->at[out->n++] = to + begin;
            begin = len;
        }
        if (u_isUWhiteSpace((UChar32)cp))
            continue;
        len += utf8_put(to + len, (uint32_t)u_foldCase((UChar32)cp, U_FOLD_CASE_DEFAULT));
        if (alone) {
            to[len++] = '\0';
            out->at[out->n++] = to + begin;
            begin = len;
        }
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int same_run(char **a, char **b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]))
            return 0;
    return 1;
}

static int contains(const struct words *said, const struct words *gold)
{
    for (size_t i = 0; gold->n && i + gold->n <= said->n; i++)
        if (same_run(said->at + i, gold->at, gold->n))
            return 1;
    return 0;
}

/* Sorts both. */
static double f1_of(struct words *x, struct words *y)
{
    size_t i = 0;
    size_t j = 0;
    size_t common = 0;

    if (!x->n || !y->n)
        return x->n == y->n;
    qsort(x->at, x->n, sizeof *x->at, by_text);
    qsort(y->at, y->n, sizeof *y->at, by_text);
    while (i < x->n && j < y->n) {
        int c = strcmp(x->at[i], y->at[j]);
        common += c == 0;
        i += c <= 0;
        j += c >= 0;
    }
    return 2.0 * (double)common / (double)(x->n + y->n);
}

int metrics_text(const char *const *golds, size_t n, const char *said, struct arena *tmp,
                 struct text_scores *out, struct err *e)
{
    struct arena_mark m = arena_mark(tmp);
    int rc = 0;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < (n ? n : 1) && !rc; i++) {
        struct words s;
        struct words g;
        rc = words_of(said, tmp, &s, e);
        if (!rc)
            rc = words_of(n ? golds[i] : "", tmp, &g, e);
        if (!rc) {
            double f1;
            out->contains |= contains(&s, &g);
            out->em |= s.n == g.n && same_run(s.at, g.at, s.n);
            f1 = f1_of(&s, &g);
            out->f1 = f1 > out->f1 ? f1 : out->f1;
        }
        arena_rewind(tmp, m);
    }
    return rc;
}

static int smaller_first(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double metrics_percentile(double *values, size_t n, double p)
{
    size_t rank;

    if (!n)
        return 0;
    qsort(values, n, sizeof *values, smaller_first);
    rank = (size_t)ceil(p / 100.0 * (double)n);
    return values[rank ? (rank <= n ? rank - 1 : n - 1) : 0];
}
