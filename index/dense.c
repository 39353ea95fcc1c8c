/* dense.c - exact inner products in one shard, in two passes.
 * First int8 x int8 over all rows (memory bound: 38 MB for 100,000 rows of 384), then fp32 x int8 for the rows that can
 * still be among the k best. The first pass is off by at most eps = |query - its int8 form| * longest row (Cauchy),
 * so rows within 2 eps of the k-th are kept and the result is that of scoring every row in fp32: it does
 * not depend on blocks, segments or shards. */
#include <math.h>
#include <stdlib.h>

#include "index/row.h"
#include "index/shard_view.h"
#include "index/vectors_impl.h"

struct int8_query {
    int8_t *q; /* [dim] */
    float scale;
    float rest; /* length of query - scale * q */
    float length;
};

static int quantise(struct int8_query *o, const float *query, uint32_t dim, struct arena *a,
                    struct err *e)
{
    double rest = 0, length = 0;

    o->q = arena_take(a, dim, 1);
    if (!o->q)
        return err_set(e, ERR_NOMEM, "query vector of dimension %u", dim);
    o->scale = row_quantise(o->q, query, dim);
    for (uint32_t i = 0; i < dim; i++) {
        double d = (double)query[i] - (double)o->scale * o->q[i];
        rest += d * d;
        length += (double)query[i] * query[i];
    }
    o->rest = (float)sqrt(rest);
    o->length = (float)sqrt(length);
    return 0;
}

static int passes(const struct shard_view *v, const struct cid_set *only, uint32_t cid)
{
    return !cid_in(&v->dead, cid) && (!only || cid_in(only, cid));
}

static void near_push(struct top *near, const struct vec_rows *r, uint32_t i, float query_scale,
                      int32_t dot)
{
    top_push(near, vec_scale(r, i) * query_scale * (float)dot, vec_cid(r, i));
}

/* The first pass over one block: all its rows at once, or under a filter those that pass. */
static void scan_rows(const struct shard_view *v, const struct vec_rows *r,
                      const struct int8_query *q, const struct cid_set *only, struct top *near,
                      uint64_t *matched)
{
    int32_t dots[VEC_BLOCK_MOST];

    if (!only)
        row_scan()->dots(q->q, r->row, r->stride, r->n, v->vec.dim, dots);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!passes(v, only, vec_cid(r, i)))
            continue;
        ++*matched;
        near_push(near, r, i, q->scale,
                  only ? row_dot(q->q, r->row + (size_t)i * r->stride, v->vec.dim) : dots[i]);
    }
}

static float score_of(const struct vec_view *v, const struct vec_rows *r, uint32_t i,
                      const float *query)
{
    return vec_scale(r, i) *
           row_score(query, r->row + (size_t)i * r->stride, v->dim);
}

/* The row of cid: 1 when there is one. */
static int row_of(const struct vec_view *v, uint32_t cid, uint32_t *which, uint32_t *at)
{
    uint32_t block = cid / v->per_block, low = 0, high = v->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (v->rows[mid].block < block)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < v->n && v->rows[low].block == block; low++) {
        for (uint32_t i = 0; i < v->rows[low].n; i++) {
            if (vec_cid(&v->rows[low], i) == cid) {
                *which = low;
                *at = i;
                return 1;
            }
        }
    }
    return 0;
}

int dense_shard(const struct shard_view *v, const float *query, const struct cid_set *only,
                struct arena *a, struct top *t, uint64_t *matched, struct err *e)
{
    struct int8_query q = { 0 };
    struct top near;
    float longest = 0, eps;
    int rc;

    if (!v->vec.n)
        return 0;
    rc = quantise(&q, query, v->vec.dim, a, e);
    for (uint32_t i = 0; i < v->vec.n; i++)
        longest = v->vec.rows[i].norm_most > longest ? v->vec.rows[i].norm_most : longest;
    /* the second term is for the rounding of both passes, n * 2^-24 at worst */
    eps = longest * (q.rest * 1.001f + q.length * (1e-5f + 1.3e-7f * (float)v->vec.dim));
    top_open(&near, t->k, 2 * eps, a);
    for (uint32_t i = 0; !rc && i < v->vec.n; i++) {
        rc = vec_view_check(&v->vec, i, e);
        if (!rc)
            scan_rows(v, &v->vec.rows[i], &q, only, &near, matched);
    }
    if (rc)
        return rc;
    top_prune(&near);
    for (size_t i = 0; i < near.n; i++) {
        uint32_t which = 0, at = 0;
        if (row_of(&v->vec, near.at[i].cid, &which, &at))
            top_push(t, score_of(&v->vec, &v->vec.rows[which], at, query), near.at[i].cid);
    }
    if (near.failed || t->failed)
        return err_set(e, ERR_NOMEM, "dense search in %llu rows", (unsigned long long)v->vec.n_rows);
    return 0;
}

int dense_of(const struct shard_view *v, const float *query, const uint32_t *cid, uint32_t n,
             float *scores, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t which, at;
        int rc;

        scores[i] = 0;
        if (!row_of(&v->vec, cid[i], &which, &at))
            continue;
        rc = vec_view_check(&v->vec, which, e);
        if (rc)
            return rc;
        scores[i] = score_of(&v->vec, &v->vec.rows[which], at, query);
    }
    return 0;
}
