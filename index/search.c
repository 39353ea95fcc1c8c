/* search.c - searching all shards of a snapshot and joining their lists.
 * Steps of both searches: gather (BM25: df, N, lengths of all shards) -> each shard its k best -> document
 * ids of those -> one list in the total order of hit_before(). */
#include <math.h>
#include <roaring/roaring.h>
#include <stdlib.h>

#include "index/shard_view.h"
#include "index/snapshot_impl.h"

int hit_before(const struct hit *a, const struct hit *b)
{
    int c;

    if (a->score != b->score)
        return a->score > b->score;
    c = memcmp(a->doc, b->doc, sizeof a->doc);
    return c ? c < 0 : a->ord < b->ord;
}

static int by_rank(const void *a, const void *b)
{
    return hit_before(a, b) ? -1 : hit_before(b, a);
}

static int filter_set(const struct search_filter *f)
{
    return f && (f->collection || f->path_glob || f->type || f->lang || f->after_ms ||
                 f->before_ms);
}

/* The filter's chunks of one shard. *only: NULL without a filter. */
static int filter_open(struct snapshot *s, uint32_t shard, const struct search_filter *f,
                       struct cid_set *set, const struct cid_set **only, struct err *e)
{
    struct roaring_bitmap_s *b = NULL;
    uint32_t n;
    int rc;

    memset(set, 0, sizeof *set);
    *only = NULL;
    if (!filter_set(f))
        return 0;
    rc = filter_load(s->txn[shard], f, &b, e);
    if (rc || !b)
        return rc;
    n = roaring_bitmap_is_empty(b) ? 0 : roaring_bitmap_maximum(b) + 1;
    rc = cid_set_from(set, b, n, e);
    roaring_bitmap_free(b);
    *only = set;
    return rc;
}

/* ---- joining ---- */

struct join {
    struct hit *at;
    size_t n, cap;
    uint32_t k;
    struct arena *a;
};

/* Document ids for a shard's candidates, and the k best of what came so far. */
static int join_shard(struct join *j, struct snapshot *s, uint32_t shard, struct top *t,
                      struct err *e)
{
    top_prune(t);
    if (t->failed)
        return err_set(e, ERR_NOMEM, "search");
    if (j->n + t->n > j->cap) {
        size_t cap = 2 * (j->n + t->n);
        struct hit *grown = arena_take(j->a, cap, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "%zu hits", cap);
        if (j->n)
            memcpy(grown, j->at, j->n * sizeof *grown);
        j->at = grown;
        j->cap = cap;
    }
    for (size_t i = 0; i < t->n; i++) {
        struct hit *h = &j->at[j->n];
        struct chunk_row row;
        int rc = chunk_row_get(s->txn[shard], t->at[i].cid, &row, e);

        if (rc == ERR_NOTFOUND)
            rc = err_set(e, ERR_CORRUPT, "shard %u: chunk %u is found by search but not stored",
                         shard, t->at[i].cid);
        if (rc)
            return rc;
        memset(h, 0, sizeof *h);
        h->score = t->at[i].score;
        memcpy(h->doc, row.doc, sizeof h->doc);
        h->ord = row.ord;
        h->page = row.page;
        j->n++;
    }
    if (j->n) /* at is NULL without hits */
        qsort(j->at, j->n, sizeof *j->at, by_rank);
    if (j->n > j->k)
        j->n = j->k;
    return 0;
}

static int k_check(uint32_t k, struct err *e)
{
    return k > LIM_K ? err_set(e, ERR_INVALID, "%u hits asked for, at most %d", k, LIM_K) : 0;
}

/* ---- BM25 ---- */

static int query_open(struct snapshot *s, const char *query, struct arena *a, struct bm25_query *q,
                      struct err *e)
{
    uint64_t langs = 0;
    int rc;

    if (strlen(query) > LIM_QUERY_BYTES)
        return err_set(e, ERR_LIMIT, "a query of %zu bytes, at most %zu", strlen(query),
                       LIM_QUERY_BYTES);
    rc = snapshot_views(s, e);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < s->n_shards; i++)
        langs |= s->view[i]->post.m.langs;
    rc = bm25_parse(query, langs, a, q, e);
    for (uint32_t i = 0; !rc && i < s->n_shards; i++)
        rc = bm25_stats(s->view[i], q, e);
    if (!rc)
        bm25_weigh(q);
    return rc;
}

int search_bm25(struct snapshot *s, const char *query, const struct search_filter *f, uint32_t k,
                struct arena *a, struct hits *out, struct err *e)
{
    struct join j = { .k = k, .a = a };
    struct bm25_query q;
    int rc = k_check(k, e);

    memset(out, 0, sizeof *out);
    if (!rc)
        rc = query_open(s, query, a, &q, e);
    for (uint32_t i = 0; !rc && k && i < s->n_shards; i++) {
        const struct cid_set *only;
        struct cid_set set;
        struct top t;

        top_open(&t, k, 0, a);
        rc = filter_open(s, i, f, &set, &only, e);
        if (!rc)
            rc = bm25_shard(s->view[i], &q, only, a, &t, &out->matched, e);
        if (!rc)
            rc = join_shard(&j, s, i, &t, e);
        cid_set_free(&set);
    }
    out->at = j.at;
    out->n = (uint32_t)j.n;
    return rc ? err_wrap(e, "word search") : 0;
}

int search_terms(struct snapshot *s, const char *query, struct arena *a, struct query_term **terms,
                 uint32_t *n, struct err *e)
{
    struct bm25_query q;
    int rc = query_open(s, query, a, &q, e);

    *terms = NULL;
    *n = 0;
    if (rc)
        return rc;
    *terms = arena_take(a, q.n_term + 1, sizeof **terms);
    if (!*terms)
        return err_set(e, ERR_NOMEM, "query of %u terms", q.n_term);
    for (uint32_t i = 0; i < q.n_term; i++)
        (*terms)[i] = (struct query_term){ q.term[i].term, q.term[i].count, q.term[i].df,
                                           q.term[i].idf };
    *n = q.n_term;
    return 0;
}

/* ---- dense ---- */

static int query_vector_check(const struct snapshot *s, const float *query, uint32_t dim,
                              struct err *e)
{
    if (!s->dim)
        return err_set(e, ERR_INVALID, "this library has no vectors");
    if (dim != s->dim)
        return err_set(e, ERR_INVALID, "a query vector of dimension %u, the library has %u", dim,
                       s->dim);
    for (uint32_t i = 0; i < dim; i++) {
        if (!(fabsf(query[i]) <= 1e15f))
            return err_set(e, ERR_INVALID, "component %u of the query vector is not a number", i);
    }
    return 0;
}

int search_dense(struct snapshot *s, const float *query, uint32_t dim,
                 const struct search_filter *f, uint32_t k, struct arena *a, struct hits *out,
                 struct err *e)
{
    struct join j = { .k = k, .a = a };
    int rc = k_check(k, e);

    memset(out, 0, sizeof *out);
    if (!rc)
        rc = query_vector_check(s, query, dim, e);
    if (!rc)
        rc = snapshot_views(s, e);
    for (uint32_t i = 0; !rc && k && i < s->n_shards; i++) {
        const struct cid_set *only;
        struct cid_set set;
        struct top t;

        top_open(&t, k, 0, a);
        rc = filter_open(s, i, f, &set, &only, e);
        if (!rc)
            rc = dense_shard(s->view[i], query, only, a, &t, &out->matched, e);
        if (!rc)
            rc = join_shard(&j, s, i, &t, e);
        cid_set_free(&set);
    }
    out->at = j.at;
    out->n = (uint32_t)j.n;
    return rc ? err_wrap(e, "vector search") : 0;
}

/* ---- scores of given chunks ---- */

struct wanted { /* a hit's chunk in one shard */
    uint32_t cid, at;
};

static int by_wanted(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;

    return x->cid < y->cid ? -1 : x->cid > y->cid;
}

/* Which of the hits lie in this shard, by growing chunk id; marks them in found. */
static int wanted_in(struct snapshot *s, uint32_t shard, const struct hit *of, uint32_t n,
                     unsigned char *found, struct wanted *w, uint32_t *n_w, struct err *e)
{
    *n_w = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t cid;
        int rc;

        if (found[i])
            continue;
        rc = chunk_row_find(s->txn[shard], of[i].doc, of[i].ord, &cid, NULL);
        if (rc == ERR_NOTFOUND)
            continue;
        if (rc)
            return err_set(e, rc, "shard %u: a chunk's place cannot be read", shard);
        found[i] = 1;
        w[(*n_w)++] = (struct wanted){ cid, i };
    }
    qsort(w, *n_w, sizeof *w, by_wanted);
    return 0;
}

/* One of q and vec is set. */
static int scores_of(struct snapshot *s, const struct bm25_query *q, const float *vec,
                     const struct hit *of, uint32_t n, struct arena *a, float *scores,
                     struct err *e)
{
    unsigned char *found = arena_zero(a, n + 1, 1);
    struct wanted *w = arena_take(a, n + 1, sizeof *w);
    uint32_t *cid = arena_take(a, n + 1, sizeof *cid), n_w;
    float *part = arena_take(a, n + 1, sizeof *part);
    int rc = 0;

    if (!found || !w || !cid || !part)
        return err_set(e, ERR_NOMEM, "scores of %u chunks", n);
    for (uint32_t sh = 0; !rc && sh < s->n_shards; sh++) {
        rc = wanted_in(s, sh, of, n, found, w, &n_w, e);
        for (uint32_t i = 0; i < n_w; i++)
            cid[i] = w[i].cid;
        if (!rc && n_w && q)
            rc = bm25_of(s->view[sh], q, cid, n_w, part, a, e);
        else if (!rc && n_w)
            rc = dense_of(s->view[sh], vec, cid, n_w, part, e);
        for (uint32_t i = 0; !rc && i < n_w; i++)
            scores[w[i].at] = part[i];
    }
    for (uint32_t i = 0; !rc && i < n; i++) {
        if (!found[i])
            rc = err_set(e, ERR_NOTFOUND, "hit %u is not in this version of the library", i);
    }
    return rc;
}

int search_bm25_of(struct snapshot *s, const char *query, const struct hit *of, uint32_t n,
                   struct arena *a, float *scores, struct err *e)
{
    struct bm25_query q;
    int rc = query_open(s, query, a, &q, e);

    return rc ? rc : scores_of(s, &q, NULL, of, n, a, scores, e);
}

int search_dense_of(struct snapshot *s, const float *query, uint32_t dim, const struct hit *of,
                    uint32_t n, struct arena *a, float *scores, struct err *e)
{
    int rc = query_vector_check(s, query, dim, e);

    if (!rc)
        rc = snapshot_views(s, e);
    return rc ? rc : scores_of(s, NULL, query, of, n, a, scores, e);
}
