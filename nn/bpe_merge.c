/* bpe_merge.c - the merges of one piece by rank, with a heap (see bpe_impl.h).
 * Symbols are a linked list over an array; a heap entry whose symbols have changed since is stale
 * and thrown away when it comes up. Each merge adds at most two entries, so a piece of n bytes
 * costs n log n even when it is one word of megabytes. */
#include <string.h>

#include "nn/bpe_impl.h"

struct bpe_symbol {
    int32_t id; /* -1: merged into its left neighbour */
    uint32_t start, end;
    int32_t prev, next; /* -1: none */
};

struct bpe_pair {
    uint32_t rank;
    int32_t at; /* the left symbol */
    int32_t left, right; /* ids when it was entered */
    int32_t id; /* the merged token */
};

static int before(const struct bpe_pair *a, const struct bpe_pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_put(struct bpe_pair *heap, size_t *n, struct bpe_pair p)
{
    size_t i = (*n)++;

    while (i && before(&p, &heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = p;
}

static struct bpe_pair heap_get(struct bpe_pair *heap, size_t *n)
{
    struct bpe_pair top = heap[0];
    struct bpe_pair last = heap[--*n];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= *n)
            break;
        if (child + 1 < *n && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

static void consider(const struct bpe *b, struct bpe_work *w, size_t *n_heap, int32_t at)
{
    const struct bpe_symbol *s = w->symbols;
    const struct bpe_merge *m;

    if (at < 0 || s[at].next < 0)
        return;
    m = bpe_find_merge(b, s[at].id, s[s[at].next].id);
    if (m)
        heap_put(w->heap, n_heap,
                 (struct bpe_pair){m->rank, at, s[at].id, s[s[at].next].id, m->id});
}

static int work_room(struct bpe_work *w, size_t n, struct arena *a)
{
    size_t cap = w->cap ? w->cap : 64;

    if (n <= w->cap)
        return 0;
    while (cap < n)
        cap *= 2;
    w->symbols = arena_take(a, cap, sizeof *w->symbols);
    w->heap = arena_take(a, cap, 3 * sizeof *w->heap); /* n - 1 pairs and two a merge */
    w->cap = w->symbols && w->heap ? cap : 0;
    return w->cap ? 0 : ERR_LIMIT;
}

int bpe_piece(const struct bpe *b, const char *s, size_t n, struct bpe_work *w, struct arena *a,
              struct token *out, size_t *n_out)
{
    struct bpe_symbol *sym;
    size_t count = 0;
    size_t n_heap = 0;

    *n_out = 0;
    if (n > INT32_MAX || work_room(w, n, a))
        return ERR_LIMIT;
    sym = w->symbols;
    for (size_t i = 0; i < n; i++) {
        int32_t id = b->byte_id[(unsigned char)s[i]];
        if (id < 0)
            id = b->unk;
        if (id < 0)
            continue; /* no such byte and no unknown token: the reference leaves it out too */
        sym[count] = (struct bpe_symbol){id, (uint32_t)i, (uint32_t)i + 1, (int32_t)count - 1,
                                         (int32_t)count + 1};
        count++;
    }
    if (!count)
        return 0;
    sym[count - 1].next = -1;
    for (size_t i = 0; i + 1 < count; i++)
        consider(b, w, &n_heap, (int32_t)i);
    while (n_heap) {
        struct bpe_pair p = heap_get(w->heap, &n_heap);
        struct bpe_symbol *l = &sym[p.at];
        struct bpe_symbol *r;
        if (l->id != p.left || l->next < 0 || sym[l->next].id != p.right)
            continue;
        r = &sym[l->next];
        l->id = p.id;
        l->end = r->end;
        l->next = r->next;
        r->id = -1;
        if (l->next >= 0)
            sym[l->next].prev = p.at;
        consider(b, w, &n_heap, l->prev);
        consider(b, w, &n_heap, p.at);
    }
    for (int32_t i = 0; i >= 0; i = sym[i].next)
        out[(*n_out)++] = (struct token){sym[i].id, sym[i].start, sym[i].end};
    return 0;
}
