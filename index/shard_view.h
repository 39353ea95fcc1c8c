/* shard_view.h - what one snapshot keeps in memory of one shard for searching: pointers to the blocks of postings
 * and vectors, chunk lengths, the set of dead rows. Made once a snapshot; inside index only.
 * Threads: any number may search one view; blocks are checked on first use behind atomic flags. */
#ifndef DOCENT_INDEX_SHARD_VIEW_H
#define DOCENT_INDEX_SHARD_VIEW_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "index/index.h"
#include "index/parts.h"
#include "index/postings_impl.h"

/* ---- a set of chunk ids as plain bits ---- */

struct cid_set {
    uint64_t *bits;
    uint32_t n; /* ids below n may be in it */
};
static inline int cid_in(const struct cid_set *s, uint32_t cid)
{
    return cid < s->n && (s->bits[cid >> 6] >> (cid & 63) & 1);
}

/* ---- postings ---- */

struct post_seg {
    struct segment d;
    struct term_block *block; /* [d.term_blocks] */
    const unsigned char **value; /* [d.post_values] */
    uint32_t *n_value;
    atomic_uchar *checked; /* [d.post_values] */
};

struct post_view {
    struct manifest m;
    struct post_seg *seg; /* [m.n_seg] */
    uint16_t *len; /* [m.next_cid], 0 where there is no chunk */
    uint16_t len_most;
};
int post_view_open(struct txn *t, struct post_view *v, struct err *e);
void post_view_close(struct post_view *v);
/* The list of term in segment s; 0, ERR_NOTFOUND, ERR_CORRUPT. */
int post_view_find(const struct post_view *v, uint32_t s, const char *term, uint32_t n,
                   struct list *out, struct err *e);
/* For list_open: arg is a struct post_seg. */
int post_view_value(void *arg, uint32_t value, const unsigned char **p, uint32_t *n, struct err *e);

/* ---- vectors ---- */

struct vec_rows { /* a sealed block, or one row not sealed yet */
    const int8_t *row; /* [n, stride] */
    const unsigned char *scale; /* float [n], unaligned */
    const unsigned char *cid; /* u32 little-endian [n], unaligned */
    uint32_t n, stride;
    float norm_most; /* the longest row */
    uint32_t block; /* its key */
    int sealed;
    const void *payload;
    size_t bytes;
};

struct vec_view {
    uint32_t dim, per_block; /* chunk ids of a block */
    struct vec_rows *rows; /* [n], by growing block */
    uint32_t n, cap;
    uint64_t n_rows;
    atomic_uchar *checked; /* [n] */
};
static inline float vec_scale(const struct vec_rows *r, uint32_t i)
{
    float f;

    memcpy(&f, r->scale + 4 * (size_t)i, 4);
    return f;
}
static inline uint32_t vec_cid(const struct vec_rows *r, uint32_t i)
{
    uint32_t c; /* files are little-endian, and so is every machine docent runs on */

    memcpy(&c, r->cid + 4 * (size_t)i, 4);
    return c;
}
int vec_view_open(struct txn *t, uint32_t dim, struct vec_view *v, struct err *e);
void vec_view_close(struct vec_view *v);
/* Proves the checksum of rows[i] the first time. */
int vec_view_check(const struct vec_view *v, uint32_t i, struct err *e);

/* ---- both ---- */

struct shard_view {
    struct txn *t;
    struct post_view post;
    struct vec_view vec;
    struct cid_set dead;
};
/* Bits of a roaring bitmap for ids below n; NULL bitmap: none. mem_take'n. */
int cid_set_from(struct cid_set *s, const struct roaring_bitmap_s *b, uint32_t n, struct err *e);
void cid_set_free(struct cid_set *s);

/* ---- the k best, ties at the border kept until the total order decides ---- */

struct candidate {
    float score;
    uint32_t cid;
};
struct top {
    struct candidate *at;
    size_t n, cap;
    uint32_t k;
    float slack; /* kept below the k-th best too: scores are right within slack / 2 */
    float least; /* scores below it cannot be among the k best */
    struct arena *a;
    int failed;
};
void top_open(struct top *t, uint32_t k, float slack, struct arena *a); /* k > 0 */
void top_prune(struct top *t); /* keeps the k best and all within slack of the k-th */
void top_push_slow(struct top *t, float score, uint32_t cid);
static inline void top_push(struct top *t, float score, uint32_t cid)
{
    if (score >= t->least)
        top_push_slow(t, score, cid);
}

/* ---- searching one shard: stats and search can run apart (a cluster sums the stats in between) ---- */

struct bm25_term {
    const char *term;
    uint32_t n, count;
    uint64_t df;
    float idf, weight; /* weight: idf times count */
};
struct bm25_query {
    struct bm25_term *term;
    uint32_t n_term;
    uint64_t n, len; /* live chunks and the sum of their lengths, all shards */
};
/* The terms of a query, each once, in the order of their first occurrence; then what the stemmers of the other
 * languages in langs (manifest.langs of all shards) make of its words, so that a text is found
 * whatever language it was stored under. */
int bm25_parse(const char *query, uint64_t langs, struct arena *a, struct bm25_query *q,
               struct err *e);
int bm25_stats(const struct shard_view *v, struct bm25_query *q, struct err *e); /* adds this shard's */
void bm25_weigh(struct bm25_query *q); /* once, after all shards' stats */
/* only: chunk ids that may be hits, NULL: all. Adds to t and *matched. */
int bm25_shard(const struct shard_view *v, const struct bm25_query *q, const struct cid_set *only,
               struct arena *a, struct top *t, uint64_t *matched, struct err *e);
/* scores[i] of the given chunks, by growing id. */
int bm25_of(const struct shard_view *v, const struct bm25_query *q, const uint32_t *cid, uint32_t n,
            float *scores, struct arena *a, struct err *e);

int dense_shard(const struct shard_view *v, const float *query, const struct cid_set *only,
                struct arena *a, struct top *t, uint64_t *matched, struct err *e);
int dense_of(const struct shard_view *v, const float *query, const uint32_t *cid, uint32_t n,
             float *scores, struct err *e);

#endif
