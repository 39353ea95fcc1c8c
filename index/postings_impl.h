/* postings_impl.h - the inside of the inverted index, shared by postings*.c, terms.c and bm25.c.
 *
 * A shard's postings are a row of immutable segments, each with the postings of a range of chunk ids; ranges
 * grow from segment to segment. A flush appends one segment and merges the newest ones when eight of a size
 * have gathered, so a hot term's list is never rewritten per insert. A removal is a segment entry too: it
 * counts, per term, postings that are dead but still stored; df = postings - removed, exact at any time.
 *
 *   T_META "post"            manifest: counters and the list of segments (postings.c)
 *   T_TERM (seg, block)      sorted terms, prefix compressed, with counts and short lists inside (terms.c)
 *   T_POST (seg, value)      longer lists, in blocks of 128 postings that never straddle two values
 *   T_DL (cid >> 13)         u16 lengths of 8,192 chunks
 *
 * A list: n postings, each varint((gap - 1) << 1 | (tf > 1)) and, when the bit is set, varint(tf - 2); gaps start from
 * chunk id -1. A list of more than 128 has in front of each block of 128 varint(last cid - last cid of the block
 * before), varint(bytes of the block), so that readers can step over blocks. */
#ifndef DOCENT_INDEX_POSTINGS_IMPL_H
#define DOCENT_INDEX_POSTINGS_IMPL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "index/parts.h"
#include "index/store.h"

#define POST_BLOCK 128
#define POST_VALUE 32744 /* payload that fills 8 pages with LMDB's and the store's headers */
#define TERM_BLOCK 16360 /* the same for 4 pages */
#define TERM_RESTART 16 /* every 16th term is stored whole */
#define TERM_BYTES 255
#define LIST_INLINE 64 /* lists of up to this many bytes stand in the term block */
#define DL_BITS 13
#define DL_BLOCK (1u << DL_BITS)
#define SEGMENT_RECORD 52
#define FIELD_WEIGHT 2 /* of title and section against the body: see tests/bench/LOG.md */

struct segment {
    uint32_t id;
    uint32_t first, last; /* chunk ids; first > last: removals only */
    uint32_t term_blocks, post_values;
    uint64_t terms, postings, removed;
    uint64_t bytes;
};

struct manifest {
    uint64_t n; /* live chunks */
    uint64_t len; /* sum of their lengths */
    uint32_t next_seg, n_seg;
    uint32_t next_cid; /* above every id ever added */
    uint64_t langs; /* stem_bit of every language ever added: a query is stemmed by each */
    struct segment *seg; /* [n_seg], oldest first; mem_take */
};
int manifest_load(struct txn *t, struct manifest *m, struct err *e); /* empty when there is none */
int manifest_save(struct txn *t, const struct manifest *m, struct err *e);
void manifest_free(struct manifest *m);
struct segment *manifest_room(struct manifest *m); /* one more at the end, zeroed; NULL: no memory */

static inline void seg_key(unsigned char k[8], uint32_t seg, uint32_t part)
{
    be32(k, seg);
    be32(k + 4, part);
}

/* ---- lists ---- */

struct list { /* a term's entry in one segment */
    uint32_t n, removed;
    const unsigned char *bytes; /* inline lists: [n_bytes], else NULL */
    uint32_t n_bytes;
    uint32_t value, off; /* where the list begins in T_POST */
};

/* Where a segment's T_POST values are. Returns 0 or an error; *n 0 is never given. */
typedef int post_value_fn(void *arg, uint32_t value, const unsigned char **p, uint32_t *n,
                          struct err *e);

struct list_reader {
    struct list l;
    const struct segment *seg;
    post_value_fn *value_at;
    void *arg;
    const unsigned char *p, *end;
    uint32_t value;
    uint32_t left; /* postings not decoded yet */
    uint64_t prev; /* last id + 1 */
    uint32_t cid[POST_BLOCK], tf[POST_BLOCK]; /* the block at hand */
    uint32_t n; /* in it */
};
/* Reads a list block by block: after 0, r->n postings (0: the end). Ids grow and lie inside the segment, else
 * ERR_CORRUPT. from: blocks whose last id is smaller are stepped over. */
int list_open(struct list_reader *r, const struct list *l, const struct segment *seg,
              post_value_fn *value_at, void *arg, struct err *e);
int list_next(struct list_reader *r, uint32_t from, struct err *e);

/* ---- term blocks ---- */

struct term_block { /* a payload of T_TERM, checked on the outside only */
    const unsigned char *p;
    uint32_t n; /* bytes of entries */
    uint32_t n_restarts;
    const unsigned char *restarts; /* u32 little-endian, unaligned */
};
int term_block_open(struct term_block *b, const void *p, size_t n);
/* The first term, which is stored whole. */
const unsigned char *term_block_first(const struct term_block *b, uint32_t *n);

struct term_reader {
    const struct term_block *b;
    const unsigned char *p, *end;
    unsigned char term[TERM_BYTES + 1];
    uint32_t n_term;
    struct list l;
};
void term_reader_at(struct term_reader *r, const struct term_block *b, uint32_t restart);
/* 0, ERR_NOTFOUND behind the last, ERR_CORRUPT. */
int term_reader_next(struct term_reader *r);
/* The entry of term; 0, ERR_NOTFOUND, ERR_CORRUPT. */
int term_block_find(const struct term_block *b, const char *term, uint32_t n, struct list *out);
/* Bytes a and b as memcmp with lengths. */
int term_order(const unsigned char *a, uint32_t n, const unsigned char *b, uint32_t m);

/* ---- writing a segment: terms in order, each term's postings by growing id ---- */

struct seg_writer;
int seg_writer_open(struct seg_writer **out, struct txn *t, uint32_t id, struct err *e);
int seg_writer_term(struct seg_writer *w, const unsigned char *term, uint32_t n, struct err *e);
int seg_writer_posting(struct seg_writer *w, uint32_t cid, uint32_t tf, struct err *e);
/* Ends the term; one with neither postings nor removals leaves no entry. */
int seg_writer_end(struct seg_writer *w, uint32_t removed, struct err *e);
/* Writes what is left and describes the segment. */
int seg_writer_close(struct seg_writer *w, struct segment *out, struct err *e);
void seg_writer_drop(struct seg_writer *w); /* NULL is fine */

/* Joins m->seg[from..n_seg) into one, in place of them. dead may be NULL. */
int segments_join(struct txn *t, struct manifest *m, uint32_t from, dead_fn *dead, void *arg,
                  struct err *e);
/* Joins the newest segments when eight of a size have gathered. */
int segments_tidy(struct txn *t, struct manifest *m, struct err *e);

#endif
