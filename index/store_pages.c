/* store_pages.c - looks over the pages of data.mdb before LMDB follows them: LMDB 0.9 trusts page numbers, offsets and sizes
 * in its B-trees, and a damaged one makes it read outside the map, loop, or abort. Records have checksums; this is for what
 * stands around them. After this walk every page that LMDB can reach is where it says it is, is reached once, and holds nodes that
 * lie inside it in the order of their keys (docs/formats.md has the layout).
 * Cost: branch and leaf pages and the first page of each overflow run are read once; 9 MB take 2 ms. Above ORDER_MOST keys of leaf
 * pages are not compared. A file that is damaged after this walk is out of scope.
 * The caller holds a read transaction on the commit that is looked at, so that no writer reuses its pages meanwhile. */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "index/store.h"
#include "index/tree.h"

#define PAGE_HEAD 16
#define NODE_HEAD 8
#define DB_BYTES 48
#define KEY_MOST 511
#define DEPTH_MOST 32 /* of LMDB's cursors */
#define NO_PAGE UINT64_MAX
#define ORDER_MOST GIB

enum page_flag { BRANCH = 1, LEAF = 2, OVERFLOW = 4 };
enum node_flag { BIG = 1, SUBDB = 2 };
enum db_kind { FREE_DB, MAIN_DB, TABLE_DB };

struct db { /* MDB_db */
    uint32_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct key {
    const unsigned char *p; /* NULL: no bound */
    size_t n;
};

struct walk {
    const unsigned char *map;
    uint64_t pages; /* last page number + 1 */
    uint32_t psize;
    unsigned char *seen; /* a bit a page: reached, or free */
    int in_order; /* compare keys of leaf pages too */
    int strict; /* compare the counts in the roots of tables with what is there */
    unsigned tables; /* bits of enum table */
    enum db_kind kind;
    const char *name;
    struct db found; /* counted on the way */
    struct err *e;
};

static uint16_t u16_at(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)u16_at(p) | (uint32_t)u16_at(p + 2) << 16;
}

static uint64_t u64_at(const unsigned char *p)
{
    return (uint64_t)u32_at(p) | (uint64_t)u32_at(p + 4) << 32;
}

static int bad(struct walk *w, uint64_t page, const char *why)
{
    return err_set(w->e, ERR_CORRUPT, "data.mdb is damaged: table %s, page %llu: %s", w->name,
                   (unsigned long long)page, why);
}

static int mark(struct walk *w, uint64_t page, uint64_t n)
{
    if (page < 2 || page >= w->pages || n > w->pages - page)
        return bad(w, page, "lies outside the file");
    for (uint64_t i = page; i < page + n; i++) {
        unsigned char bit = (unsigned char)(1u << (i & 7));
        if (w->seen[i >> 3] & bit)
            return bad(w, i, "is used twice");
        w->seen[i >> 3] |= bit;
    }
    return 0;
}

static struct db db_of(const unsigned char *p)
{
    return (struct db){.flags = u16_at(p + 4), .depth = u16_at(p + 6), .branches = u64_at(p + 8),
                       .leaves = u64_at(p + 16), .overflows = u64_at(p + 24),
                       .entries = u64_at(p + 32), .root = u64_at(p + 40)};
}

/* The order of LMDB: by bytes, the shorter first; the free list by its 8-byte number. */
static int compare(const struct walk *w, struct key a, struct key b)
{
    int c;

    if (w->kind == FREE_DB) {
        uint64_t x = u64_at(a.p);
        uint64_t y = u64_at(b.p);
        return x < y ? -1 : x > y;
    }
    c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* ---- leaf nodes ---- */

/* A free-list record: a count and that many page numbers, descending. */
static int check_free(struct walk *w, uint64_t page, const unsigned char *p, uint64_t n)
{
    uint64_t count = n >= 8 ? u64_at(p) : 0;
    int rc = 0;

    if (n < 8 || count > n / 8 - 1)
        return bad(w, page, "a free list that is shorter than it says");
    for (uint64_t i = 1; i <= count && !rc; i++)
        rc = mark(w, u64_at(p + 8 * i), 1);
    return rc;
}

static int check_overflow(struct walk *w, uint64_t page, uint64_t at, uint64_t n)
{
    const unsigned char *p;
    uint64_t run;

    if (at < 2 || at >= w->pages)
        return bad(w, page, "points outside the file");
    p = w->map + at * w->psize;
    run = u32_at(p + 12);
    if (u64_at(p) != at || u16_at(p + 10) != OVERFLOW || run < (PAGE_HEAD - 1 + n) / w->psize + 1)
        return bad(w, at, "is not the long record that its table expects");
    w->found.overflows += run;
    return mark(w, at, run);
}

static int walk_db(struct walk *w, struct db db, enum db_kind kind, const char *name);

/* A record of the main tree is a table. The walk's own state is put aside for it. */
static int check_table(struct walk *w, uint64_t page, struct key k, const unsigned char *p, uint64_t n)
{
    struct db found = w->found;
    int rc = n == DB_BYTES ? 0 : bad(w, page, "a table's root has another size");
    int tb = 0;

    while (tb < T_COUNT && (strlen(table_name((enum table)tb)) != k.n || memcmp(table_name((enum table)tb), k.p, k.n) != 0))
        tb++;
    if (!rc && tb == T_COUNT)
        rc = bad(w, page, "names a table that docent does not have");
    if (rc)
        return rc;
    w->tables |= 1u << tb;
    rc = walk_db(w, db_of(p), TABLE_DB, table_name((enum table)tb));
    w->kind = MAIN_DB;
    w->name = "main";
    w->found = found;
    return rc;
}

static int check_leaf_node(struct walk *w, uint64_t page, const unsigned char *node, size_t left, size_t *size)
{
    size_t n_key = u16_at(node + 6);
    uint64_t n = u32_at(node);
    unsigned flags = u16_at(node + 4);
    uint64_t inside = flags & BIG ? 8 : n;
    const unsigned char *p = node + NODE_HEAD + n_key;
    int rc = 0;

    if (flags != (w->kind == MAIN_DB ? SUBDB : 0) && (flags != BIG || w->kind == MAIN_DB))
        return bad(w, page, "a record of an unknown kind");
    if (inside > left || NODE_HEAD + n_key + inside > left)
        return bad(w, page, "a record reaches over its page's end");
    *size = NODE_HEAD + n_key + (size_t)inside;
    w->found.entries++;
    if (flags & BIG) {
        uint64_t at = u64_at(p);
        rc = check_overflow(w, page, at, n);
        p = rc ? p : w->map + at * w->psize + PAGE_HEAD;
    }
    if (!rc && w->kind == FREE_DB)
        rc = check_free(w, page, p, n);
    if (!rc && w->kind == MAIN_DB)
        rc = check_table(w, page, (struct key){node + NODE_HEAD, n_key}, p, n);
    return rc;
}

/* ---- pages ---- */

/* Node i of the page: inside it, its key of an allowed size. */
static int node_at(struct walk *w, uint64_t page, const unsigned char *p, uint32_t i, int branch,
                   const unsigned char **node, struct key *k)
{
    uint32_t at = u16_at(p + PAGE_HEAD + 2 * i);
    size_t n_key;

    if (at < u16_at(p + 14) || at + NODE_HEAD > w->psize || at & 1)
        return bad(w, page, "a record's place lies outside its page");
    *node = p + at;
    n_key = u16_at(*node + 6);
    if (n_key > KEY_MOST || at + NODE_HEAD + n_key > w->psize || (!n_key && !(branch && i == 0)) ||
        (w->kind == FREE_DB && n_key != 8 && !(branch && i == 0)))
        return bad(w, page, "a key of an impossible size");
    *k = (struct key){*node + NODE_HEAD, n_key};
    return 0;
}

/* low <= every key < high. */
static int walk_page(struct walk *w, uint64_t page, uint32_t level, uint32_t depth, struct key low,
                     struct key high)
{
    const unsigned char *p;
    int branch = level < depth;
    uint32_t lower, upper, n;
    size_t used = 0;
    struct key last = low;
    int rc = mark(w, page, 1);

    if (rc)
        return rc;
    p = w->map + page * w->psize;
    lower = u16_at(p + 12);
    upper = u16_at(p + 14);
    if (u64_at(p) != page)
        return bad(w, page, "bears another page's number");
    if (u16_at(p + 10) != (branch ? BRANCH : LEAF))
        return bad(w, page, "is not of the kind that its place in the tree asks for");
    if (lower < PAGE_HEAD || lower & 1 || lower > upper || upper > w->psize)
        return bad(w, page, "impossible bounds");
    n = (lower - PAGE_HEAD) / 2;
    if (n < (branch ? 2u : 1u))
        return bad(w, page, "is empty");
    *(branch ? &w->found.branches : &w->found.leaves) += 1;
    for (uint32_t i = 0; i < n; i++) {
        const unsigned char *node;
        struct key k;
        size_t size = 0;
        rc = node_at(w, page, p, i, branch, &node, &k);
        if (rc)
            return rc;
        if ((branch && i > 0) || (!branch && w->in_order)) {
            int c = last.p ? compare(w, last, k) : -1;
            if (c > 0 || (c == 0 && i > 0) || (high.p && compare(w, k, high) >= 0))
                return bad(w, page, "its keys are out of order");
            last = k;
        }
        if (branch)
            size = NODE_HEAD + k.n;
        else
            rc = check_leaf_node(w, page, node, (size_t)(p + w->psize - node), &size);
        if (rc)
            return rc;
        used += (size + 1) & ~(size_t)1;
    }
    if (used != w->psize - upper)
        return bad(w, page, "its records and its free room do not add up");
    for (uint32_t i = 0; i < n && branch; i++) {
        const unsigned char *node, *next;
        struct key k = {0};
        struct key to = {0};
        uint64_t child;
        node_at(w, page, p, i, branch, &node, &k);
        if (i + 1 < n)
            node_at(w, page, p, i + 1, branch, &next, &to);
        child = (uint64_t)u32_at(node) | (uint64_t)u16_at(node + 4) << 32;
        rc = walk_page(w, child, level + 1, depth, i ? k : low, i + 1 < n ? to : high);
        if (rc)
            return rc;
    }
    return 0;
}

static int walk_db(struct walk *w, struct db db, enum db_kind kind, const char *name)
{
    const struct key none = {0};
    struct db *f = &w->found;
    int rc = 0;

    w->kind = kind;
    w->name = name;
    memset(f, 0, sizeof *f);
    if (db.flags != (kind == FREE_DB ? 8 : 0)) /* MDB_INTEGERKEY */
        return bad(w, db.root, "unknown flags");
    if ((db.root == NO_PAGE) != (db.depth == 0) || db.depth > DEPTH_MOST)
        return bad(w, db.root, "impossible depth");
    if (db.root != NO_PAGE)
        rc = walk_page(w, db.root, 1, db.depth, none, none);
    /* LMDB does not steer by these counts: wrong ones are for verify to say, not a reason to refuse a library. */
    if (!rc && w->strict && (f->entries != db.entries || f->branches != db.branches || f->leaves != db.leaves ||
                             f->overflows != db.overflows))
        return bad(w, db.root, "its root counts other pages or records than there are");
    return rc;
}

/* ---- the file ---- */

static struct db db_from(const struct tree *t)
{
    return (struct db){.flags = t->flags, .depth = t->depth, .branches = t->branch_pages, .leaves = t->leaf_pages,
                       .overflows = t->overflow_pages, .entries = t->entries, .root = t->root};
}

int store_pages_check(const struct tree_view *v, uint64_t n_map, int strict, struct err *e)
{
    struct walk w = {.e = e, .name = "main", .strict = strict, .map = v->base, .pages = v->n_pages,
                     .psize = v->page_bytes, .in_order = n_map <= ORDER_MOST};
    int rc;

    if (w.pages < 2 || w.pages > n_map / w.psize)
        return bad(&w, w.pages, "the meta page counts more pages than there are");
    w.seen = mem_take((size_t)(w.pages / 8 + 1), 1);
    if (!w.seen)
        return err_set(e, ERR_NOMEM, "look over %llu pages", (unsigned long long)w.pages);
    rc = walk_db(&w, db_from(&v->tables), MAIN_DB, "main");
    if (!rc && v->tables.root != NO_PAGE && w.tables != (1u << T_COUNT) - 1)
        rc = bad(&w, v->tables.root, "a table is missing");
    if (!rc)
        rc = walk_db(&w, db_from(&v->unused), FREE_DB, "free");
    mem_give(w.seen);
    return rc;
}
