/* tree_impl.h - pages and nodes of LMDB's file, for tree.c and tree_check.c only. */
#ifndef DOCENT_INDEX_TREE_IMPL_H
#define DOCENT_INDEX_TREE_IMPL_H

#include "index/tree.h"

#define PAGE_HEADER 16 /* u64 number, u16 pad, u16 flags, u16 lower + u16 upper (or u32 pages) */
#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define PAGE_LONG 0x04
#define PAGE_KINDS 0x6F /* with meta (8), fixed-size keys (0x20) and sub-pages (0x40), which docent has none of */
#define NODE_HEADER 8
#define NODE_LONG 0x01 /* the value is the number of its first page */
#define NODE_TABLE 0x02
#define DB_BYTES 48
#define META_DBS 40

struct node {
    struct tree_bytes key;
    struct tree_bytes value; /* of a leaf; a long one once tree_long() has found it */
    uint64_t child; /* of a branch */
    uint32_t flags;
    size_t bytes; /* of the node in its page */
};

uint64_t tree_u64(const unsigned char *p);
int tree_damaged(struct err *e, uint64_t page, const char *why);
int tree_page(const struct tree_view *v, uint64_t n, unsigned kind, const unsigned char **out,
              struct err *e);
uint32_t tree_nodes(const unsigned char *page);
int tree_node(const struct tree_view *v, const unsigned char *page, uint32_t i, struct node *out,
              struct err *e);
int tree_long(const struct tree_view *v, struct node *n, uint64_t *first, uint32_t *pages,
              struct err *e);
int tree_order(const struct tree_bytes *a, const void *key, size_t n_key);
int tree_order_numbers(const struct tree_bytes *a, const struct tree_bytes *b);

#endif
