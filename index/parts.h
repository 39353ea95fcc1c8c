/* parts.h - what documents.c, compact.c and verify.c ask of the two search structures of a shard.
 * postings.c (with terms, length codes) and vectors.c implement it; neither knows documents. Rows are chunk ids
 * (u32, dense, never reused in a shard). Inside index only. */
#ifndef DOCENT_INDEX_PARTS_H
#define DOCENT_INDEX_PARTS_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "index/store.h"

/* The text of one chunk, field by field, as BM25 sees it. */
struct part_text {
    uint32_t cid;
    const char *body, *title, *section;
    uint32_t n_body, n_title, n_section;
    const char *lang;
};

/* All four: inside a write transaction; a batch state lives from begin to the flush before the commit, so that
 * postings of many chunks of a batch are grouped by term and written once. */
struct postings_batch;
int postings_begin(struct txn *t, struct postings_batch **out, struct err *e);
int postings_add(struct postings_batch *b, const struct part_text *c, struct err *e);
/* The same text that was added: counters (N, sum of lengths, df) go down exactly; the dead row itself stays in its block until
 * postings_merge() and is masked by the tombstones (T_TOMB). */
int postings_remove(struct postings_batch *b, const struct part_text *c, struct err *e);
uint64_t postings_batch_bytes(const struct postings_batch *b);
int postings_flush(struct postings_batch *b, struct err *e); /* writes; b is gone either way */
void postings_drop(struct postings_batch *b);

int vectors_add(struct txn *t, uint32_t cid, const float *vec, uint32_t dim, struct err *e);
/* The stored row of from (int8 + scale, bit-equal) becomes the row of to as well. */
int vectors_copy(struct txn *t, uint32_t from, uint32_t to, uint32_t dim, struct err *e);
int vectors_remove(struct txn *t, uint32_t cid, struct err *e); /* 0 also when it has none */
int vectors_has(struct txn *t, uint32_t cid);

/* Seals delta segments and merges; rows for which dead(arg, cid) is 1 disappear. In the given write transaction. */
typedef int dead_fn(void *arg, uint32_t cid);
int postings_merge(struct txn *t, dead_fn *dead, void *arg, struct err *e);
int vectors_merge(struct txn *t, dead_fn *dead, void *arg, struct err *e);

/* Calls fn for every stored row / posting of every live and dead chunk; problems in the structure itself are
 * reported through bad(). */
typedef void part_bad_fn(void *arg, const char *what);
typedef void part_row_fn(void *arg, uint32_t cid);
typedef void part_posting_fn(void *arg, const char *term, uint32_t n_term, uint32_t cid, uint32_t tf);
int vectors_verify(struct txn *t, uint32_t dim, part_row_fn *row, part_bad_fn *bad, void *arg,
                   uint64_t *n, struct err *e);
int postings_verify(struct txn *t, part_posting_fn *posting, part_bad_fn *bad, void *arg,
                    uint64_t *n, struct err *e);

/* Distinct terms (a term counts once a segment until postings_merge()), live postings, live chunks, the sum of their lengths. */
int postings_stat(struct txn *t, uint64_t *terms, uint64_t *postings, uint64_t *n, uint64_t *len,
                  struct err *e);

/* ---- what the search side asks of documents.c, filters.c (all by chunk id, inside a read transaction) ---- */

struct chunk_row {
    uint8_t doc[16];
    uint32_t ord, page, start, end, n_tokens;
    const char *section; /* points into the record */
    uint32_t n_section;
};
int chunk_row_get(struct txn *t, uint32_t cid, struct chunk_row *out, struct err *e);
/* The chunk id of (doc, ord); ERR_NOTFOUND. */
int chunk_row_find(struct txn *t, const uint8_t doc[16], uint32_t ord, uint32_t *cid, struct err *e);

/* Tombstones: chunk ids that are deleted but still have rows in segments (T_TOMB, key hi16, CRoaring portable
 * serialisation of the low 16 bits). */
int tomb_set(struct txn *t, uint32_t cid, struct err *e);
int tomb_set_run(struct txn *t, uint32_t first, uint32_t n, struct err *e);
int tomb_clear_all(struct txn *t, struct err *e);

struct roaring_bitmap_s;
void bitmap_free(struct roaring_bitmap_s *b); /* NULL is fine */
int tomb_load(struct txn *t, struct roaring_bitmap_s **out, struct err *e); /* bitmap_free() */
struct search_filter;
/* Live chunk ids that pass the filter; NULL when the filter is NULL or has nothing set. */
int filter_load(struct txn *t, const struct search_filter *f, struct roaring_bitmap_s **out,
                struct err *e);

/* ---- what snapshot.c asks of the search side: per-snapshot, per-shard caches (block pointers, length codes, decoded tombs) ---- */

struct shard_view;
int shard_view_open(struct txn *t, uint32_t dim, struct shard_view **out, struct err *e);
void shard_view_close(struct shard_view *v); /* NULL is fine */
/* Adds rows, term entries (a term counts once a segment), postings and dead rows. */
void shard_view_stat(const struct shard_view *v, uint64_t *vectors, uint64_t *terms,
                     uint64_t *postings, uint64_t *dead);

#endif
