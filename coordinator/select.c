/* select.c - which sentences of the first passages answer the question.
 *
 * score = .6 cosine + .4 BM25 with idf over the candidate sentences (min-max each) + the passage's fused score. Measured on
 * squad (retrieved five passages, n = 100): .730 of first sentences and .860 of the first three hold the answer, against
 * .640/.790 for BM25 alone; the passage score is worth .02/.03. Corpus idf and answer-type rules gained nothing.
 * A sentence comes with its neighbours: .917 of such windows hold the answer where the sentence alone has .810. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "coordinator/query_impl.h"
#include "ingest/ingest.h"

#define LOOK_AT 5 /* passages */
#define MOST_SENTENCES 400 /* candidates for BM25; costs microseconds each */
#define MOST_EMBEDDED 40 /* best by BM25 and passage: about 25 ms each on two cores without batching */
#define LEAST_BYTES 8 /* shorter ones are page numbers and bullets */
#define K1 0.9f
#define B 0.4f
#define DENSE_SHARE 0.6f
#define LEAST_DENSE 0.2f /* a model that cannot read the question (MiniLM and Chinese: about .1) is not worth its time */

struct cand {
    struct sentence s;
    const char *text;
    uint32_t n;
    struct term_at *terms;
    uint32_t n_terms;
    float passage; /* fused score of its passage, the first passage's is 1 */
    float quick; /* BM25' + passage: decides who is embedded */
    int embedded;
};

static int is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static int add_passage(struct cand *all, uint32_t *n, const struct passage *p, uint32_t which,
                       float score, struct arena *a, struct err *e)
{
    const char *text = p->chunk.text;
    uint32_t *ends = NULL;
    uint32_t n_ends = 0;
    uint32_t first = *n;
    uint32_t at = 0;
    int rc = sentences(text, p->chunk.n_text, a, &ends, &n_ends, e);

    for (uint32_t i = 0; i < n_ends && !rc && *n < MOST_SENTENCES; i++) {
        uint32_t start = at;
        uint32_t end = ends[i];
        at = end;
        while (start < end && is_blank(text[start]))
            start++;
        while (end > start && is_blank(text[end - 1]))
            end--;
        if (end - start < LEAST_BYTES)
            continue;
        all[*n] = (struct cand){.s = {.passage = which, .start = start, .end = end},
                                .text = text + start, .n = end - start, .passage = score};
        rc = analyze(text + start, end - start, p->doc.lang, 0, a, &all[*n].terms, &all[*n].n_terms,
                     e);
        ++*n;
    }
    for (uint32_t i = first; i < *n; i++) {
        all[i].s.from = i > first ? all[i - 1].s.start : all[i].s.start;
        all[i].s.to = i + 1 < *n ? all[i + 1].s.end : all[i].s.end;
    }
    return rc;
}

static int same_term(const struct term_at *x, const struct term_at *y)
{
    return x->n == y->n && !memcmp(x->term, y->term, x->n);
}

static uint32_t count_term(const struct cand *c, const struct term_at *t)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < c->n_terms; i++)
        k += (uint32_t)same_term(&c->terms[i], t);
    return k;
}

static int seen_before(const struct term_at *t, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (same_term(&t[k], &t[i]))
            return 1;
    return 0;
}

static int local_bm25(struct cand *all, uint32_t n, const char *question, struct arena *a,
                      struct err *e)
{
    struct term_at *q = NULL;
    uint32_t n_q = 0;
    double mean = 0;
    int rc = analyze(question, strlen(question), "", 1, a, &q, &n_q, e);

    for (uint32_t i = 0; i < n; i++)
        mean += all[i].n_terms;
    mean = n && mean > 0 ? mean / n : 1;
    for (uint32_t t = 0; t < n_q && !rc; t++) {
        uint32_t df = 0;
        float idf;
        if (seen_before(q, t))
            continue;
        for (uint32_t i = 0; i < n; i++)
            df += count_term(&all[i], &q[t]) > 0;
        idf = logf(1.0f + ((float)n - (float)df + 0.5f) / ((float)df + 0.5f));
        for (uint32_t i = 0; i < n && df; i++) {
            float tf = (float)count_term(&all[i], &q[t]);
            all[i].s.bm25 +=
                idf * tf / (tf + K1 * (1 - B + B * (float)all[i].n_terms / (float)mean));
        }
    }
    return rc;
}

static int by_quick(const void *x, const void *y)
{
    const struct cand *const *p = x;
    const struct cand *const *q = y;

    if ((*p)->quick != (*q)->quick)
        return (*p)->quick < (*q)->quick ? 1 : -1;
    return *p < *q ? -1 : *p > *q; /* same array: reading order */
}

static float least_of(float a, float b)
{
    return a < b ? a : b;
}

static float most_of(float a, float b)
{
    return a > b ? a : b;
}

/* Cosines of the most promising sentences; the others get the lowest of them. */
static int cosines(struct embedder *emb, const float *vec, struct cand *all, uint32_t n,
                   struct arena *a, struct err *e)
{
    uint32_t dim = embedder_info(emb)->dim;
    uint32_t k = n < MOST_EMBEDDED ? n : MOST_EMBEDDED;
    struct cand **order = arena_take(a, n, sizeof *order);
    struct embed_text *texts = arena_take(a, k, sizeof *texts);
    float *vectors = arena_take(a, k, dim * sizeof *vectors);
    float least = 1;
    int rc;

    if (!order || !texts || !vectors)
        return err_set(e, ERR_NOMEM, "%u sentences", n);
    for (uint32_t i = 0; i < n; i++)
        order[i] = &all[i];
    qsort(order, n, sizeof *order, by_quick);
    for (uint32_t i = 0; i < k; i++)
        texts[i] = (struct embed_text){order[i]->text, order[i]->n};
    rc = embedder_embed(emb, texts, k, a, vectors, NULL, e);
    for (uint32_t i = 0; i < k && !rc; i++) {
        double dot = 0;
        for (uint32_t d = 0; d < dim; d++)
            dot += (double)vec[d] * (double)vectors[(size_t)i * dim + d];
        order[i]->s.cosine = (float)dot;
        order[i]->embedded = 1;
        least = least_of(least, (float)dot);
    }
    for (uint32_t i = 0; i < n; i++)
        if (!all[i].embedded)
            all[i].s.cosine = least;
    return rc;
}

static void score(struct cand *all, uint32_t n, float dense_share)
{
    float lo_b = INFINITY, hi_b = 0, lo_c = INFINITY, hi_c = -INFINITY;

    for (uint32_t i = 0; i < n; i++) {
        lo_b = least_of(lo_b, all[i].s.bm25);
        hi_b = most_of(hi_b, all[i].s.bm25);
        lo_c = least_of(lo_c, all[i].s.cosine);
        hi_c = most_of(hi_c, all[i].s.cosine);
    }
    for (uint32_t i = 0; i < n; i++) {
        float b = hi_b > lo_b ? (all[i].s.bm25 - lo_b) / (hi_b - lo_b) : 0;
        float c = hi_c > lo_c ? (all[i].s.cosine - lo_c) / (hi_c - lo_c) : 0;
        all[i].quick = b + all[i].passage;
        all[i].s.score = dense_share * c + (1 - dense_share) * b + all[i].passage;
    }
}

static int by_score(const void *x, const void *y)
{
    const struct sentence *p = &((const struct cand *)x)->s;
    const struct sentence *q = &((const struct cand *)y)->s;

    if (p->score != q->score)
        return p->score < q->score ? 1 : -1;
    if (p->passage != q->passage)
        return p->passage < q->passage ? -1 : 1;
    return (p->start > q->start) - (p->start < q->start);
}

static int overlaps(const struct sentence *x, const struct sentence *y)
{
    return x->passage == y->passage && x->from < y->to && y->from < x->to;
}

/* Best first. A sentence inside a window that was taken is shown already; of a window that would overlap, only what is
 * free is taken. The same text (boilerplate of several files) is told once. */
static uint32_t take(struct cand *all, uint32_t n, uint32_t most, const struct results *r,
                     struct sentence *out)
{
    uint32_t taken = 0;

    qsort(all, n, sizeof *all, by_score);
    for (uint32_t i = 0; i < n && taken < most; i++) {
        struct sentence c = all[i].s;
        int shown = 0;
        for (uint32_t k = 0; k < taken; k++) {
            const char *x = r->at[out[k].passage].chunk.text + out[k].start;
            const char *y = r->at[c.passage].chunk.text + c.start;
            shown |= c.passage == out[k].passage && c.start >= out[k].from && c.end <= out[k].to;
            shown |= c.end - c.start == out[k].end - out[k].start && !memcmp(x, y, c.end - c.start);
            if (overlaps(&c, &out[k]) && c.start >= out[k].to)
                c.from = out[k].to > c.from ? c.start : c.from;
            else if (overlaps(&c, &out[k]) && c.end <= out[k].from)
                c.to = c.end;
        }
        if (!shown)
            out[taken++] = c;
    }
    return taken;
}

int select_sentences(struct embedder *emb, const char *question, const float *vec,
                     const struct results *r, uint32_t most, struct arena *a,
                     struct sentence **out, uint32_t *n, struct err *e)
{
    struct cand *all = arena_take(a, MOST_SENTENCES, sizeof *all);
    uint32_t looked = r->n < LOOK_AT ? r->n : LOOK_AT;
    uint32_t n_all = 0;
    float top = r->n && r->at[0].hit.score > 0 ? r->at[0].hit.score : 1;
    int rc = 0;

    *n = 0;
    *out = arena_take(a, most ? most : 1, sizeof **out);
    if (!all || !*out)
        return err_set(e, ERR_NOMEM, "sentences");
    for (uint32_t i = 0; i < looked && !rc; i++)
        rc = add_passage(all, &n_all, &r->at[i], i, r->at[i].hit.score / top, a, e);
    if (!rc && n_all)
        rc = local_bm25(all, n_all, question, a, e);
    if (rc || !n_all)
        return rc;
    score(all, n_all, 0);
    if (emb && vec && r->dense_weight >= LEAST_DENSE) {
        rc = cosines(emb, vec, all, n_all, a, e);
        score(all, n_all, r->dense_weight < DENSE_SHARE ? r->dense_weight : DENSE_SHARE);
    }
    if (!rc)
        *n = take(all, n_all, most, r, *out);
    return rc;
}
