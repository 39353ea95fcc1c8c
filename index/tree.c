/* tree.c - lookups and scans in LMDB's B-trees (see tree.h). Each page's header is checked when it is entered and each node when
 * it is looked at, a few comparisons beside the cache miss that the page costs anyway. */
#include "index/tree_impl.h"

#include <string.h>

static uint16_t u16_at(const unsigned char *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t u32_at(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

uint64_t tree_u64(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

int tree_damaged(struct err *e, uint64_t page, const char *why)
{
    return err_set(e, ERR_CORRUPT, "page %llu of data.mdb is damaged: %s", (unsigned long long)page, why);
}

/* ---- meta pages and roots ---- */

/* MDB_db: u32 pad, u16 flags, u16 depth, branch, leaf and overflow pages, entries, root */
static int read_root(const unsigned char *p, struct tree *t)
{
    t->flags = u16_at(p + 4);
    t->depth = u16_at(p + 6);
    t->branch_pages = tree_u64(p + 8);
    t->leaf_pages = tree_u64(p + 16);
    t->overflow_pages = tree_u64(p + 24);
    t->entries = tree_u64(p + 32);
    t->root = tree_u64(p + 40);
    return t->depth <= TREE_DEPTH && (t->root == TREE_EMPTY) == (t->depth == 0);
}

/* Page header of 16 bytes, then u32 magic, u32 version, address, map size, two MDB_db, last page, commit */
int tree_meta(const unsigned char *meta, unsigned slot, uint64_t *commit, uint64_t *n_pages, uint32_t *page_bytes,
              struct err *e)
{
    if (u32_at(meta + 16) != 0xBEEFC0DE)
        return err_set(e, ERR_CORRUPT, "a meta page of data.mdb is not one of LMDB");
    if (u32_at(meta + 20) != 1)
        return err_set(e, ERR_VERSION, "data.mdb has LMDB's format %u, this docent reads 1", u32_at(meta + 20));
    *page_bytes = u32_at(meta + META_DBS); /* the pad of the first MDB_db holds the page size */
    *n_pages = tree_u64(meta + META_DBS + 2 * DB_BYTES) + 1;
    *commit = tree_u64(meta + META_DBS + 2 * DB_BYTES + 8);
    if (tree_u64(meta) != slot || (*commit && (*commit & 1) != slot)) /* an older state would pass for the newest */
        return err_set(e, ERR_CORRUPT, "data.mdb: meta page %u is that of another place", slot);
    if (*page_bytes < 512 || *page_bytes > 32768 || (*page_bytes & (*page_bytes - 1)))
        return err_set(e, ERR_CORRUPT, "data.mdb: page size %u in a meta page", *page_bytes);
    if (*n_pages < 2 || *n_pages > (uint64_t)1 << 47)
        return err_set(e, ERR_CORRUPT, "data.mdb: impossible length in a meta page");
    return 0;
}

int tree_view(const unsigned char *base, uint32_t page_bytes, uint64_t commit, struct tree_view *v,
              struct err *e)
{
    unsigned char meta[TREE_META_BYTES];
    uint64_t shown;
    uint32_t bytes;
    int rc;

    memset(v, 0, sizeof *v);
    v->base = base;
    v->page_bytes = page_bytes;
    memcpy(meta, base + (commit & 1) * page_bytes, sizeof meta);
    rc = tree_meta(meta, commit & 1, &shown, &v->n_pages, &bytes, e);
    if (rc)
        return rc;
    if (shown != commit)
        return err_set(e, ERR_BUSY, "commit %llu was overtaken", (unsigned long long)commit);
    if (bytes != page_bytes || !read_root(meta + META_DBS, &v->unused) ||
        !read_root(meta + META_DBS + DB_BYTES, &v->tables))
        return err_set(e, ERR_CORRUPT, "a meta page of data.mdb is damaged");
    return 0;
}

int tree_find(const struct tree_view *v, const char *table, struct tree *out, struct err *e)
{
    struct tree_bytes value;
    int rc = tree_get(v, &v->tables, table, strlen(table), &value, e);

    if (rc == ERR_NOTFOUND)
        return err_set(e, ERR_CORRUPT, "data.mdb has no table %s", table);
    if (rc)
        return rc;
    if (value.n != DB_BYTES || !read_root(value.p, out))
        return err_set(e, ERR_CORRUPT, "the root of table %s in data.mdb is damaged", table);
    return 0;
}

/* ---- pages and nodes ---- */

int tree_page(const struct tree_view *v, uint64_t n, unsigned kind, const unsigned char **out,
              struct err *e)
{
    const unsigned char *p;
    uint32_t lower, upper;

    if (n < 2 || n >= v->n_pages)
        return tree_damaged(e, n, "there is no such page");
    p = v->base + n * v->page_bytes;
    if (tree_u64(p) != n)
        return tree_damaged(e, n, "it bears another number");
    if ((u16_at(p + 10) & PAGE_KINDS) != kind)
        return tree_damaged(e, n, "it is of another kind");
    lower = u16_at(p + 12);
    upper = u16_at(p + 14);
    if (kind != PAGE_LONG &&
        (lower < PAGE_HEADER || lower % 2 || lower > upper || upper > v->page_bytes))
        return tree_damaged(e, n, "its free space is impossible");
    *out = p;
    return 0;
}

uint32_t tree_nodes(const unsigned char *page)
{
    return (uint32_t)(u16_at(page + 12) - PAGE_HEADER) / 2;
}

/* u16 low, u16 high size (or child page), u16 flags, u16 key bytes, key, value */
int tree_node(const struct tree_view *v, const unsigned char *page, uint32_t i, struct node *out,
              struct err *e)
{
    int leaf = (u16_at(page + 10) & PAGE_KINDS) == PAGE_LEAF;
    uint32_t off = u16_at(page + PAGE_HEADER + 2 * i);
    const unsigned char *n = page + off;
    size_t room;

    if (off < u16_at(page + 14) || off + NODE_HEADER > v->page_bytes)
        return tree_damaged(e, tree_u64(page), "a node lies outside the page");
    room = v->page_bytes - off - NODE_HEADER;
    out->key.p = n + NODE_HEADER;
    out->key.n = u16_at(n + 6);
    if (out->key.n > room)
        return tree_damaged(e, tree_u64(page), "a key is longer than the page");
    room -= out->key.n;
    out->flags = u16_at(n + 4);
    if (!leaf) {
        out->child = (uint64_t)u16_at(n) | (uint64_t)u16_at(n + 2) << 16 | (uint64_t)out->flags << 32;
        out->bytes = NODE_HEADER + out->key.n;
        return 0;
    }
    out->value.p = out->key.p + out->key.n;
    out->value.n = (size_t)u16_at(n) | (size_t)u16_at(n + 2) << 16;
    out->bytes = NODE_HEADER + out->key.n + (out->flags & NODE_LONG ? 8 : out->value.n);
    if (out->flags & ~(unsigned)(NODE_LONG | NODE_TABLE) || (out->flags & NODE_LONG ? 8 : out->value.n) > room)
        return tree_damaged(e, tree_u64(page), "a value is longer than the page");
    return 0;
}

/* A value too long for its leaf lies in pages of its own, which begin with one header. */
int tree_long(const struct tree_view *v, struct node *n, uint64_t *first, uint32_t *pages, struct err *e)
{
    const unsigned char *p;
    int rc;

    *first = tree_u64(n->value.p);
    rc = tree_page(v, *first, PAGE_LONG, &p, e);
    if (rc)
        return rc;
    *pages = u32_at(p + 12);
    if (*pages == 0 || *pages > v->n_pages - *first ||
        n->value.n > (uint64_t)*pages * v->page_bytes - PAGE_HEADER)
        return tree_damaged(e, *first, "a long value does not fit its pages");
    n->value.p = p + PAGE_HEADER;
    return 0;
}

static int value_of(const struct tree_view *v, struct node *n, struct tree_bytes *value, struct err *e)
{
    uint64_t first;
    uint32_t pages;
    int rc = n->flags & NODE_LONG ? tree_long(v, n, &first, &pages, e) : 0;

    *value = n->value;
    return rc;
}

int tree_order(const struct tree_bytes *a, const void *key, size_t n_key)
{
    size_t n = a->n < n_key ? a->n : n_key;
    int d = n ? memcmp(a->p, key, n) : 0;

    return d ? d : a->n < n_key ? -1 : a->n > n_key;
}

int tree_order_numbers(const struct tree_bytes *a, const struct tree_bytes *b)
{
    uint64_t x, y;

    if (a->n != 8 || b->n != 8)
        return tree_order(a, b->p, b->n);
    x = tree_u64(a->p);
    y = tree_u64(b->p);
    return x < y ? -1 : x > y;
}

/* ---- descent ---- */

/* The number of nodes with a key below the wanted one (equal: 1 also those with that very key). The first key of a
 * branch page is not stored: it is below everything. */
static int count_below(const struct tree_view *v, const unsigned char *page, const void *key, size_t n_key,
                       int branch, uint32_t *out, struct err *e)
{
    uint32_t lo = branch ? 1 : 0;
    uint32_t hi = tree_nodes(page);

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct node n;
        int d;
        int rc = tree_node(v, page, mid, &n, e);
        if (rc)
            return rc;
        d = tree_order(&n.key, key, n_key);
        if (d < 0 || (branch && d == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    *out = lo;
    return 0;
}

void tree_cursor(struct tree_cursor *c, const struct tree_view *v, const struct tree *t)
{
    memset(c, 0, sizeof *c);
    c->v = v;
    c->t = t;
}

/* From the root, or from the child that the branch at `level` stands on, down to a leaf. */
static int descend(struct tree_cursor *c, uint32_t level, const void *key, size_t n_key, struct err *e)
{
    uint64_t page = c->t->root;
    int rc = 0;

    if (level) {
        struct node n;
        rc = tree_node(c->v, c->page[level - 1], c->at[level - 1], &n, e);
        page = rc ? 0 : n.child;
    }
    for (; !rc; level++) {
        int branch = level + 1 < c->t->depth;
        rc = tree_page(c->v, page, branch ? PAGE_BRANCH : PAGE_LEAF, &c->page[level], e);
        if (!rc && branch && tree_nodes(c->page[level]) == 0)
            rc = tree_damaged(e, page, "a branch without children");
        c->at[level] = 0;
        if (!rc && n_key)
            rc = count_below(c->v, c->page[level], key, n_key, branch, &c->at[level], e);
        if (rc || !branch)
            break;
        if (n_key) {
            c->at[level]--; /* the last child whose keys begin at or below the wanted one */
        }
        struct node n;
        rc = tree_node(c->v, c->page[level], c->at[level], &n, e);
        page = rc ? 0 : n.child;
    }
    return rc;
}

int tree_get(const struct tree_view *v, const struct tree *t, const void *key, size_t n_key,
             struct tree_bytes *value, struct err *e)
{
    struct tree_cursor c;
    struct node n;
    uint32_t leaf = t->depth - 1;
    int rc;

    if (t->root == TREE_EMPTY || n_key == 0)
        return ERR_NOTFOUND;
    tree_cursor(&c, v, t);
    rc = descend(&c, 0, key, n_key, e);
    if (rc)
        return rc;
    if (c.at[leaf] >= tree_nodes(c.page[leaf]))
        return ERR_NOTFOUND;
    rc = tree_node(v, c.page[leaf], c.at[leaf], &n, e);
    if (rc)
        return rc;
    return tree_order(&n.key, key, n_key) ? ERR_NOTFOUND : value_of(v, &n, value, e);
}

int tree_seek(struct tree_cursor *c, const void *key, size_t n_key, struct err *e)
{
    int rc = c->t->root == TREE_EMPTY ? 0 : descend(c, 0, key, n_key, e);

    c->last.p = NULL;
    c->placed = !rc;
    return rc;
}

/* Behind the last record of a leaf: to the first of the next leaf. */
static int next_leaf(struct tree_cursor *c, struct err *e)
{
    uint32_t level = c->t->depth - 1;

    while (level && c->at[level - 1] + 1 >= tree_nodes(c->page[level - 1]))
        level--;
    if (!level)
        return ERR_NOTFOUND;
    c->at[level - 1]++;
    return descend(c, level, NULL, 0, e);
}

int tree_next(struct tree_cursor *c, struct tree_bytes *key, struct tree_bytes *value, struct err *e)
{
    struct node n;
    uint32_t leaf = c->t->depth - 1;
    int rc = 0;

    if (!c->placed || c->t->root == TREE_EMPTY)
        return ERR_NOTFOUND;
    while (!rc && c->at[leaf] >= tree_nodes(c->page[leaf]))
        rc = next_leaf(c, e);
    if (!rc)
        rc = tree_node(c->v, c->page[leaf], c->at[leaf], &n, e);
    if (!rc && c->last.p && /* else a page that leads back would never end */
        (c->numbers ? tree_order_numbers(&n.key, &c->last) : tree_order(&n.key, c->last.p, c->last.n)) <= 0)
        rc = tree_damaged(e, tree_u64(c->page[leaf]), "its keys do not ascend");
    if (!rc)
        rc = value_of(c->v, &n, value, e);
    if (rc) {
        c->placed = 0;
        return rc;
    }
    *key = n.key;
    c->last = n.key;
    c->at[leaf]++;
    return 0;
}
