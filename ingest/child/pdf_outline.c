/* pdf_outline.c - the outline (bookmarks) of a PDF: its own list of headings.
 * Part of docent-extract: GPL-2.0-or-later, because it links poppler. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

#define MOST_ENTRIES 20000
#define MOST_DEPTH 6

struct entry {
    uint32_t page;
    uint8_t level;
    uint64_t key;
};

struct outline {
    struct entry *entry; /* by page and key */
    uint32_t n;
    uint32_t cap;
};

/* Letters and digits alone: outline and page differ in spaces, dots and case. Numbers in front are
 * taken away too when bare is set, as outlines often leave them out. 0 for less than three letters.
 */
static uint64_t key_of(const char *s, size_t n, int bare)
{
    char low[512];
    size_t k = 0;
    int letters = 0;

    for (size_t i = 0; i < n && k < sizeof low; i++) {
        unsigned char c = (unsigned char)s[i];
        int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
        letters += letter;
        if (letter || (c >= '0' && c <= '9' && (letters || !bare)))
            low[k++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return letters >= 3 && k < sizeof low ? hash_xxh3(low, k) | 1 : 0;
}

static uint32_t page_of(PopplerDocument *doc, const PopplerAction *act)
{
    const PopplerDest *d;
    PopplerDest *named = NULL;
    int page;

    if (!act || act->type != POPPLER_ACTION_GOTO_DEST || !act->goto_dest.dest)
        return 0;
    d = act->goto_dest.dest;
    if (d->type == POPPLER_DEST_NAMED && d->named_dest)
        d = named = poppler_document_find_dest(doc, d->named_dest);
    page = d ? d->page_num : 0;
    if (named)
        poppler_dest_free(named);
    return page > 0 ? (uint32_t)page : 0;
}

static void add(struct outline *o, uint32_t page, int level, const char *title)
{
    size_t n = title ? strlen(title) : 0;

    for (int bare = 0; bare < 2 && n < 512 && page; bare++) {
        uint64_t key = key_of(title, n, bare);
        if (key && o->n < o->cap)
            o->entry[o->n++] = (struct entry){page, (uint8_t)level, key};
    }
}

static void walk(struct outline *o, PopplerDocument *doc, PopplerIndexIter *it, int level)
{
    do {
        PopplerAction *act = poppler_index_iter_get_action(it);
        PopplerIndexIter *below;
        if (act) {
            add(o, page_of(doc, act), level, act->any.title);
            poppler_action_free(act);
        }
        below = level < MOST_DEPTH ? poppler_index_iter_get_child(it) : NULL;
        if (below) {
            walk(o, doc, below, level + 1);
            poppler_index_iter_free(below);
        }
    } while (o->n < o->cap && poppler_index_iter_next(it));
}

static int by_page(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->page != y->page)
        return x->page < y->page ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->level - y->level;
}

struct outline *outline_read(PopplerDocument *doc, struct arena *a)
{
    PopplerIndexIter *it = poppler_index_iter_new(doc);
    struct outline *o = it ? arena_zero(a, 1, sizeof *o) : NULL;

    if (o) {
        o->cap = MOST_ENTRIES;
        o->entry = arena_take(a, o->cap, sizeof *o->entry);
    }
    if (o && o->entry) {
        walk(o, doc, it, 1);
        qsort(o->entry, o->n, sizeof *o->entry, by_page);
    } else {
        o = NULL;
    }
    if (it)
        poppler_index_iter_free(it);
    return o && o->n ? o : NULL;
}

int outline_level(const struct outline *o, uint32_t page, const char *text, size_t n)
{
    for (int bare = 0; bare < 2; bare++) {
        struct entry want = {page, 0, key_of(text, n, bare)};
        uint32_t lo = 0, hi = o->n;
        if (!want.key)
            continue;
        while (lo < hi) {
            uint32_t mid = lo + (hi - lo) / 2;
            if (by_page(&o->entry[mid], &want) < 0)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (lo < o->n && o->entry[lo].page == page && o->entry[lo].key == want.key)
            return o->entry[lo].level;
    }
    return 0;
}
