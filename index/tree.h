/* tree.h - reads LMDB's B-trees with every offset checked, so that a damaged page is an error and not a crash.
 * LMDB 0.9 trusts the page numbers, offsets and sizes in its pages: a damaged one makes it read outside the map, loop, or abort.
 * So reads of docent go through this file, over a mapping of its own, under a read transaction of LMDB that keeps the
 * pages of the commit from reuse. Writes are LMDB's, after store_pages.c has seen every page.
 * Knows the file's layout (LMDB 0.9, 64 bit, little endian; docs/formats.md), not LMDB's header. Threads: a view is read only.
 * Inside index only. */
#ifndef DOCENT_INDEX_TREE_H
#define DOCENT_INDEX_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct tree { /* one table, as its root record says */
    uint64_t root; /* page; TREE_EMPTY: no record */
    uint64_t branch_pages, leaf_pages, overflow_pages, entries;
    uint32_t depth; /* 0: empty; 1: the root is a leaf */
    uint32_t flags; /* of LMDB: 8 for `unused`, else 0 */
};
#define TREE_EMPTY UINT64_MAX

struct tree_view { /* one commit of a mapped file */
    const unsigned char *base;
    uint32_t page_bytes;
    uint64_t n_pages; /* in the file as of this commit; none behind is looked at */
    struct tree unused, tables; /* lists of reusable pages, and the names of tables */
};

struct tree_bytes {
    const unsigned char *p;
    size_t n;
};

/* Where a meta page says how long the file must be, and of which commit it is. meta: the first 152 bytes of page slot,
 * 0 or 1. */
#define TREE_META_BYTES 152
int tree_meta(const unsigned char *meta, unsigned slot, uint64_t *commit, uint64_t *n_pages, uint32_t *page_bytes,
              struct err *e);
/* The state of commit in the mapping; ERR_BUSY when neither meta page shows that commit any more. */
int tree_view(const unsigned char *base, uint32_t page_bytes, uint64_t commit, struct tree_view *v,
              struct err *e);
/* ERR_CORRUPT also when there is no such table. */
int tree_find(const struct tree_view *v, const char *table, struct tree *out, struct err *e);
/* ERR_NOTFOUND without a message. */
int tree_get(const struct tree_view *v, const struct tree *t, const void *key, size_t n_key,
             struct tree_bytes *value, struct err *e);

#define TREE_DEPTH 16 /* 4096-byte pages and keys of 20 bytes: 10^12 records need 7 */
struct tree_cursor {
    const struct tree_view *v;
    const struct tree *t;
    const unsigned char *page[TREE_DEPTH]; /* root first */
    uint32_t at[TREE_DEPTH];
    int placed; /* page and at stand on a record, or behind the last of a leaf */
    struct tree_bytes last; /* the key handed out before; keys must ascend */
    int numbers; /* keys are u64 in the machine's order: only in `unused`, which can be walked but not sought in */
};
void tree_cursor(struct tree_cursor *c, const struct tree_view *v, const struct tree *t);
/* The next tree_next() gives the first record with a key >= key. n_key 0: the first of all. */
int tree_seek(struct tree_cursor *c, const void *key, size_t n_key, struct err *e);
/* ERR_NOTFOUND at the end, without a message. After ERR_CORRUPT the cursor cannot go on. */
int tree_next(struct tree_cursor *c, struct tree_bytes *key, struct tree_bytes *value, struct err *e);

#endif
