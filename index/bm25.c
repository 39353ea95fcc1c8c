/* bm25.c - BM25 in one shard: Lucene's idf ln(1 + (N - df + 0.5) / (df + 0.5)), k1 0.9, b 0.4.
 * score = sum over the query's terms, in their order, of weight * tf / (tf + k1 * (1 - b + b * len / mean)), all in
 * fp32: one rounding order, so a chunk's score is the same in any shard, segment or program run.
 * Term at a time into an array of fp32 sums, in windows of 65,536 chunk ids (256 KiB, which stays in L2).
 * Block-max skipping was left out: hits carry the number of all matches, which a skipping search cannot
 * know. 100,000 chunks that nearly all match ten words take 1.2 ms. */
#include <math.h>
#include <stdlib.h>

#include "index/shard_view.h"
#include "index/stem.h"

#define K1 0.9
#define B 0.4
#define WINDOW 65536u

/* Adds the query's terms in one language that no language before had; counts are those of this language. */
static int parse_in(const char *query, const char *lang, struct arena *a, struct bm25_query *q,
                    struct err *e)
{
    struct term_at *at;
    uint32_t n, before = q->n_term;
    int rc = analyze(query, strlen(query), lang, 1, a, &at, &n, e);

    for (uint32_t i = 0; !rc && i < n; i++) {
        uint32_t k = 0;

        while (k < q->n_term &&
               (q->term[k].n != at[i].n || memcmp(q->term[k].term, at[i].term, at[i].n) != 0))
            k++;
        if (k < before || k == LIM_QUERY_TERMS)
            continue; /* known, or behind the first 256 distinct terms, which decide */
        if (k == q->n_term) {
            q->term[k].term = at[i].term;
            q->term[k].n = at[i].n;
            q->n_term++;
        }
        q->term[k].count++;
    }
    return rc;
}

int bm25_parse(const char *query, uint64_t langs, struct arena *a, struct bm25_query *q,
               struct err *e)
{
    int rc;

    memset(q, 0, sizeof *q);
    q->term = arena_zero(a, LIM_QUERY_TERMS, sizeof *q->term);
    if (!q->term)
        return err_set(e, ERR_NOMEM, "query of %d terms", LIM_QUERY_TERMS);
    rc = parse_in(query, "", a, q, e);
    for (unsigned i = 1; !rc && stem_code(i); i++) {
        if (langs >> i & 1)
            rc = parse_in(query, stem_code(i), a, q, e);
    }
    return rc;
}

int bm25_stats(const struct shard_view *v, struct bm25_query *q, struct err *e)
{
    q->n += v->post.m.n;
    q->len += v->post.m.len;
    for (uint32_t i = 0; i < q->n_term; i++) {
        uint64_t all = 0, removed = 0;

        for (uint32_t s = 0; s < v->post.m.n_seg; s++) {
            struct list l;
            int rc = post_view_find(&v->post, s, q->term[i].term, q->term[i].n, &l, e);
            if (rc == ERR_NOTFOUND)
                continue;
            if (rc)
                return rc;
            all += l.n;
            removed += l.removed;
        }
        if (removed > all)
            return err_set(e, ERR_CORRUPT, "postings: \"%s\" was removed from more chunks than had it",
                           q->term[i].term);
        q->term[i].df += all - removed;
    }
    return 0;
}

void bm25_weigh(struct bm25_query *q)
{
    for (uint32_t i = 0; i < q->n_term; i++) {
        struct bm25_term *t = &q->term[i];
        double n = (double)q->n, df = (double)t->df;

        t->idf = t->df ? (float)log(1.0 + (n - df + 0.5) / (df + 0.5)) : 0.0f;
        t->weight = t->idf * (float)t->count;
    }
}

/* The length part of the formula for every length of the shard; len is at most len_most. */
static const float *norms(const struct shard_view *v, const struct bm25_query *q, struct arena *a,
                          struct err *e)
{
    uint32_t n = (uint32_t)v->post.len_most + 1;
    float *norm = arena_take(a, n, sizeof *norm);
    double mean = q->n && q->len ? (double)q->len / (double)q->n : 1.0;

    if (!norm) {
        err_set(e, ERR_NOMEM, "search");
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        norm[i] = (float)(K1 * (1.0 - B + B * i / mean));
    return norm;
}

/* The lists of a term that have postings at or behind a chunk id, read in step with the windows. */
struct cursor {
    struct list_reader r;
    uint32_t term; /* of the query */
    uint32_t at; /* in the block at hand */
};

/* Readers of every list of the query, grouped by term; within a term the segments go by chunk id. */
static int cursors_open(const struct shard_view *v, const struct bm25_query *q, struct arena *a,
                        struct cursor **out, uint32_t *n_out, struct err *e)
{
    uint32_t n = 0, most = v->post.m.n_seg * q->n_term;
    struct list *lists = arena_take(a, most + 1, sizeof *lists);
    uint32_t *which = arena_take(a, most + 1, sizeof *which);
    struct cursor *c;
    int rc;

    if (!lists || !which)
        return err_set(e, ERR_NOMEM, "search");
    for (uint32_t i = 0; i < q->n_term; i++) {
        for (uint32_t s = 0; q->term[i].df && s < v->post.m.n_seg; s++) {
            rc = post_view_find(&v->post, s, q->term[i].term, q->term[i].n, &lists[n], e);
            if (rc == ERR_NOTFOUND || (!rc && !lists[n].n))
                continue;
            if (rc)
                return rc;
            which[n++] = i << 16 | s; /* at most 256 terms; segments far below 65,536 */
        }
    }
    c = arena_take(a, n + 1, sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "search in %u lists", n);
    for (uint32_t i = 0; i < n; i++) {
        struct post_seg *seg = &v->post.seg[which[i] & 0xffff];

        c[i].term = which[i] >> 16;
        c[i].at = 0;
        rc = list_open(&c[i].r, &lists[i], &seg->d, post_view_value, seg, e);
        if (!rc)
            rc = list_next(&c[i].r, 0, e);
        if (rc)
            return rc;
    }
    *out = c;
    *n_out = n;
    return 0;
}

/* Adds the term's share to sums[cid - from] for its postings below end. */
static int add_up(struct cursor *c, const struct post_view *v, const float *norm, float weight,
                  uint32_t from, uint64_t end, float *sums, struct err *e)
{
    while (c->r.n) {
        uint32_t i = c->at, n = c->r.n;
        int rc;

        while (i < n && c->r.cid[i] < end) {
            float tf = (float)c->r.tf[i];
            sums[c->r.cid[i] - from] += weight * tf / (tf + norm[v->len[c->r.cid[i]]]);
            i++;
        }
        c->at = i;
        if (i < n)
            return 0;
        c->at = 0;
        rc = list_next(&c->r, 0, e);
        if (rc)
            return rc;
    }
    return 0;
}

static void take_window(const struct shard_view *v, const struct cid_set *only, const float *sums,
                        uint32_t from, uint32_t n, struct top *t, uint64_t *matched)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!(sums[i] > 0) || cid_in(&v->dead, from + i) || (only && !cid_in(only, from + i)))
            continue;
        ++*matched;
        top_push(t, sums[i], from + i);
    }
}

int bm25_shard(const struct shard_view *v, const struct bm25_query *q, const struct cid_set *only,
               struct arena *a, struct top *t, uint64_t *matched, struct err *e)
{
    uint32_t most = v->post.m.next_cid, n_cursor = 0;
    const float *norm = norms(v, q, a, e);
    struct cursor *c;
    float *sums;
    int rc;

    if (!norm)
        return ERR_NOMEM;
    if (!most || !q->n_term)
        return 0;
    sums = arena_take(a, most < WINDOW ? most : WINDOW, sizeof *sums);
    if (!sums)
        return err_set(e, ERR_NOMEM, "search in %u chunks", most);
    rc = cursors_open(v, q, a, &c, &n_cursor, e);
    for (uint64_t from = 0; !rc && n_cursor && from < most; from += WINDOW) {
        uint32_t n = most - from < WINDOW ? (uint32_t)(most - from) : WINDOW;

        memset(sums, 0, n * sizeof *sums);
        for (uint32_t i = 0; !rc && i < n_cursor; i++)
            rc = add_up(&c[i], &v->post, norm, q->term[c[i].term].weight, (uint32_t)from, from + n,
                        sums, e);
        if (!rc)
            take_window(v, only, sums, (uint32_t)from, n, t, matched);
    }
    return rc ? rc : t->failed ? err_set(e, ERR_NOMEM, "search in %u chunks", most) : 0;
}

int bm25_of(const struct shard_view *v, const struct bm25_query *q, const uint32_t *cid, uint32_t n,
            float *scores, struct arena *a, struct err *e)
{
    const float *norm = norms(v, q, a, e);
    struct list_reader *r = arena_take(a, 1, sizeof *r);

    if (!norm || !r)
        return err_set(e, ERR_NOMEM, "search");
    memset(scores, 0, n * sizeof *scores);
    for (uint32_t i = 0; i < q->n_term; i++) {
        uint32_t k = 0;

        for (uint32_t s = 0; k < n && q->term[i].df && s < v->post.m.n_seg; s++) {
            struct post_seg *seg = &v->post.seg[s];
            struct list l;
            int rc = post_view_find(&v->post, s, q->term[i].term, q->term[i].n, &l, e);

            if (rc == ERR_NOTFOUND)
                continue;
            if (!rc)
                rc = list_open(r, &l, &seg->d, post_view_value, seg, e);
            while (!rc && k < n) {
                uint32_t p = 0;

                rc = list_next(r, cid[k], e);
                if (rc || !r->n)
                    break;
                while (k < n && cid[k] <= r->cid[r->n - 1]) {
                    while (r->cid[p] < cid[k])
                        p++;
                    if (r->cid[p] == cid[k]) {
                        float tf = (float)r->tf[p];
                        scores[k] += q->term[i].weight * tf / (tf + norm[v->post.len[cid[k]]]);
                    }
                    k++;
                }
            }
            if (rc)
                return rc;
        }
    }
    return 0;
}
