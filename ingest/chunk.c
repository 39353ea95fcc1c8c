/* chunk.c - pages into chunks of about target_tokens.
 * A page falls into stretches between headings, running headers and footers; a stretch into atoms:
 * paragraphs that fit, table rows, sentences of longer paragraphs, and pieces of sentences that are
 * too long. Atoms are counted once each and packed in a row; a chunk is counted once more as a
 * whole. So every byte is counted two or three times, whatever its surroundings.
 * The section of a chunk is the path of headings above it, kept from page to page. The line of a
 * heading is in no chunk, unless nothing stands under it: then it is a chunk itself. */
#include <string.h>

#include <unicode/uchar.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/ingest.h"

#define TARGET 200
#define TAIL 5 /* a last chunk below a fifth of the target goes to the one before it */
#define LEVELS 6
#define JOINT " > "
#define HEADING_MOST 160 /* bytes of one heading in a path */

struct atom {
    uint32_t start, end; /* bytes of the page's text, no blanks at its ends */
    uint32_t tokens;
};

struct open_heading {
    uint32_t page, start, end;
    int level;
    int used; /* a chunk has it in its section */
    char text[HEADING_MOST + 1];
};

struct chunker {
    const struct extracted *x;
    uint32_t target, most, tail;
    count_fn *count;
    void *count_arg;
    struct arena *a; /* what the caller keeps */
    struct arena tmp; /* atoms' scratch, reset for each stretch */
    struct chunk *out;
    size_t n_out, cap_out;
    size_t stretch_out; /* n_out when the present stretch began */
    struct atom *atoms;
    size_t n_atoms, cap_atoms;
    struct open_heading path[LEVELS];
    int depth;
    const char *section; /* of path; NULL: to be built */
    struct err *e;
};

static int no_memory(struct chunker *c)
{
    return err_set(c->e, ERR_NOMEM, "no memory for the chunks of a document");
}

/* ---- counting ---- */

/* Without a model: a word is a token for each five letters begun, a character of a script without
 * spaces is one, and so is a sign. About what WordPiece makes of English and Chinese. */
static uint32_t estimate(void *arg, const char *text, size_t n)
{
    uint32_t tokens = 0, letters = 0;

    (void)arg;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_next(text + i, n - i, &cp);
        if (cp >= 0x2E80 && u_isalpha((UChar32)cp)) {
            tokens++;
            letters = 0;
        } else if (cp < 0x80 ? (cp >= '0' && cp <= '9') || (cp | 32) - 'a' < 26u
                             : u_isalnum((UChar32)cp)) {
            tokens += letters++ % 5 == 0;
        } else {
            tokens += !(cp == ' ' || cp == '\n' || cp == '\t' || cp == '\r');
            letters = 0;
        }
    }
    return tokens;
}

static uint32_t count(const struct chunker *c, const char *text, size_t n)
{
    return n ? c->count(c->count_arg, text, n) : 0;
}

static int is_blank(char ch)
{
    return ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r' || ch == '\f';
}

static void trim(const char *t, uint32_t *start, uint32_t *end)
{
    while (*start < *end && is_blank(t[*start]))
        (*start)++;
    while (*end > *start && is_blank(t[*end - 1]))
        (*end)--;
}

/* A row of stars or a lone bullet is no text. */
static int has_words(const char *t, uint32_t start, uint32_t end)
{
    for (uint32_t i = start; i < end;) {
        uint32_t cp;
        i += (uint32_t)utf8_next(t + i, end - i, &cp);
        if (u_isalnum((UChar32)cp))
            return 1;
    }
    return 0;
}

/* ---- headings ---- */

static const char *section(struct chunker *c)
{
    char path[LIM_SECTION];
    size_t n = 0;

    if (c->section)
        return c->section;
    for (int i = 0; i < c->depth; i++) {
        const char *text = c->path[i].text;
        size_t joint = n ? strlen(JOINT) : 0, len = strlen(text);
        if (n + joint + len >= sizeof path)
            break;
        memcpy(path + n, JOINT, joint);
        memcpy(path + n + joint, text, len);
        n += joint + len;
    }
    c->section = n ? arena_strndup(c->a, path, n) : "";
    return c->section;
}

static int add_chunk(struct chunker *c, uint32_t page, uint32_t start, uint32_t end,
                     uint32_t tokens)
{
    const char *s = section(c);

    if (!s)
        return no_memory(c);
    if (c->n_out == c->cap_out) {
        size_t cap = c->cap_out ? c->cap_out * 2 : 256;
        struct chunk *grown = mem_again(c->out, cap, sizeof *grown);
        if (!grown)
            return no_memory(c);
        c->out = grown;
        c->cap_out = cap;
    }
    c->out[c->n_out++] = (struct chunk){page, start, end, s, tokens};
    for (int i = 0; i < c->depth; i++)
        c->path[i].used = 1;
    return 0;
}

/* Pops the headings of this level and below it. One with nothing under it becomes a chunk. */
static int close_headings(struct chunker *c, int level)
{
    while (c->depth > 0 && c->path[c->depth - 1].level >= level) {
        struct open_heading h = c->path[--c->depth];
        const char *t = c->x->pages[h.page].text;
        c->section = NULL;
        if (!h.used && has_words(t, h.start, h.end)) {
            uint32_t tokens = count(c, t + h.start, h.end - h.start);
            int rc;
            while (tokens > c->most) { /* a "heading" longer than the model's window */
                h.end = (uint32_t)utf8_floor(t, h.start + (h.end - h.start) / 2);
                tokens = count(c, t + h.start, h.end - h.start);
            }
            rc = add_chunk(c, h.page, h.start, h.end, tokens);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static int open_heading(struct chunker *c, uint32_t page, const struct heading *h)
{
    const char *t = c->x->pages[page].text;
    int level = h->level < 1 ? 1 : h->level > LEVELS ? LEVELS : h->level;
    struct open_heading *o;
    size_t n = 0;
    int rc = close_headings(c, level);

    if (rc)
        return rc;
    o = &c->path[c->depth++]; /* levels in it ascend strictly, so there are at most LEVELS */
    o->page = page;
    o->start = h->start;
    o->end = h->end;
    trim(t, &o->start, &o->end);
    o->level = level;
    o->used = 0;
    for (uint32_t i = o->start; i < o->end && n < HEADING_MOST; i++) {
        char ch = is_blank(t[i]) ? ' ' : t[i];
        if (ch != ' ' || n == 0 || o->text[n - 1] != ' ')
            o->text[n++] = ch;
    }
    if (n == HEADING_MOST) {
        n -= 3; /* the cut may be inside a character: back to its border */
        o->text[n] = '\0';
        n = utf8_floor(o->text, n);
    }
    o->text[n] = '\0';
    c->section = NULL;
    return 0;
}

/* ---- atoms ---- */

static int add_atom(struct chunker *c, uint32_t start, uint32_t end, uint32_t tokens)
{
    if (start >= end)
        return 0;
    if (c->n_atoms == c->cap_atoms) {
        size_t cap = c->cap_atoms ? c->cap_atoms * 2 : 256;
        struct atom *grown = mem_again(c->atoms, cap, sizeof *grown);
        if (!grown)
            return no_memory(c);
        c->atoms = grown;
        c->cap_atoms = cap;
    }
    c->atoms[c->n_atoms++] = (struct atom){start, end, tokens};
    return 0;
}

/* A sentence over the limit: pieces of about the target, at blanks where there are some. */
static int add_pieces(struct chunker *c, const char *t, uint32_t start, uint32_t end,
                      uint32_t tokens)
{
    uint32_t per_piece = (uint32_t)((uint64_t)(end - start) * c->target / (tokens ? tokens : 1));
    int rc = 0;

    if (per_piece < 8)
        per_piece = 8;
    while (!rc && start < end) {
        uint32_t cut = end - start > per_piece ? start + per_piece : end, back, from, to, k;
        if (cut < end) {
            for (back = cut; back > start + per_piece / 2 && !is_blank(t[back]); back--)
                ;
            cut = is_blank(t[back]) ? back : start + (uint32_t)utf8_floor(t + start, cut - start);
        }
        from = start;
        to = cut;
        trim(t, &from, &to);
        k = count(c, t + from, to - from);
        while (k > c->most && to - from > 4) { /* denser than the rest of it */
            to = from + (uint32_t)utf8_floor(t + from, (to - from) / 2);
            cut = to;
            k = count(c, t + from, to - from);
        }
        rc = add_atom(c, from, to, k);
        start = cut > start ? cut : end;
    }
    return rc;
}

static int add_sized(struct chunker *c, const char *t, uint32_t start, uint32_t end)
{
    uint32_t tokens;

    trim(t, &start, &end);
    if (start == end)
        return 0;
    tokens = count(c, t + start, end - start);
    if (tokens > c->most)
        return add_pieces(c, t, start, end, tokens);
    return add_atom(c, start, end, tokens);
}

static int add_rows(struct chunker *c, const char *t, uint32_t start, uint32_t end)
{
    int rc = 0;

    while (!rc && start < end) {
        const char *nl = memchr(t + start, '\n', end - start);
        uint32_t to = nl ? (uint32_t)(nl - t) : end;
        rc = add_sized(c, t, start, to);
        start = to + 1;
    }
    return rc;
}

static int add_paragraph(struct chunker *c, const char *t, uint32_t start, uint32_t end, int table)
{
    uint32_t tokens, *ends, n, from = 0;
    int rc;

    trim(t, &start, &end);
    if (start == end)
        return 0;
    tokens = count(c, t + start, end - start);
    if (tokens <= c->target)
        return add_atom(c, start, end, tokens);
    if (table)
        return add_rows(c, t, start, end);
    rc = sentences(t + start, end - start, &c->tmp, &ends, &n, c->e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        rc = add_sized(c, t, start + from, start + ends[i]);
        from = ends[i];
    }
    return rc;
}

/* The end of the paragraph at start: an empty line, or the border of a table. */
static uint32_t paragraph_end(const char *t, uint32_t start, uint32_t end)
{
    uint32_t i = start;

    while (i < end) {
        const char *nl = memchr(t + i, '\n', end - i);
        uint32_t k;
        if (!nl)
            return end;
        k = (uint32_t)(nl - t) + 1;
        while (k < end && (t[k] == ' ' || t[k] == '\t' || t[k] == '\r'))
            k++;
        if (k >= end || t[k] == '\n')
            return (uint32_t)(nl - t);
        i = k;
    }
    return end;
}

static int add_text(struct chunker *c, const char *t, uint32_t start, uint32_t end, int table)
{
    int rc = 0;

    while (!rc) {
        uint32_t stop;
        while (start < end && is_blank(t[start]))
            start++;
        if (start >= end)
            break;
        stop = paragraph_end(t, start, end);
        rc = add_paragraph(c, t, start, stop, table);
        start = stop;
    }
    return rc;
}

/* ---- packing ---- */

/* Gives the atoms [from,to) out as one chunk; drops atoms from its end while it is over the limit
 * (tokens of joined text are not quite a sum). Returns in *to what was used. */
static int pack(struct chunker *c, uint32_t page, size_t from, size_t *to)
{
    const char *t = c->x->pages[page].text;

    for (;;) {
        uint32_t start = c->atoms[from].start, end = c->atoms[*to - 1].end;
        uint32_t tokens = *to - from == 1 ? c->atoms[from].tokens
                                          : count(c, t + start, end - start);
        if (tokens > c->most && *to - from > 1) {
            (*to)--;
            continue;
        }
        if (!has_words(t, start, end))
            return 0;
        return add_chunk(c, page, start, end, tokens);
    }
}

/* A tail too short to stand alone joins the chunk before it in the same stretch. */
static void join_tail(struct chunker *c, const char *t)
{
    struct chunk *last, *prev;
    uint32_t tokens;

    if (c->n_out < c->stretch_out + 2)
        return;
    last = &c->out[c->n_out - 1];
    prev = last - 1;
    if (last->n_tokens >= c->tail || last->n_tokens + prev->n_tokens > c->most)
        return;
    tokens = count(c, t + prev->start, last->end - prev->start);
    if (tokens > c->most)
        return;
    prev->end = last->end;
    prev->n_tokens = tokens;
    c->n_out--;
}

/* Packs the stretch's atoms. An atom goes into the present chunk while the sum stays within the
 * target; a chunk that is still short may exceed it by a quarter rather than stay short. */
static int pack_stretch(struct chunker *c, uint32_t page)
{
    size_t from = 0;
    int rc = 0;

    c->stretch_out = c->n_out;
    while (!rc && from < c->n_atoms) {
        uint32_t sum = c->atoms[from].tokens;
        size_t to = from + 1;
        for (; to < c->n_atoms; to++) {
            uint32_t more = sum + c->atoms[to].tokens;
            uint32_t room = sum < c->tail ? c->most
                            : sum < c->target / 2 ? c->target + c->target / 4 : c->target;
            if (more > room || more > c->most)
                break;
            sum = more;
        }
        rc = pack(c, page, from, &to);
        from = to;
    }
    if (!rc)
        join_tail(c, c->x->pages[page].text);
    c->n_atoms = 0;
    arena_reset(&c->tmp);
    return rc;
}

/* ---- a page ---- */

static int is_furniture(const struct mark *m)
{
    return m->kind == MARK_HEADER || m->kind == MARK_FOOTER;
}

/* The text [start,end) between two headings, less furniture, tables apart. */
static int chunk_stretch(struct chunker *c, uint32_t page, uint32_t start, uint32_t end)
{
    const struct page *p = &c->x->pages[page];
    int rc = 0;

    for (uint32_t i = 0; !rc && i < p->n_marks; i++) {
        const struct mark *m = &p->marks[i];
        uint32_t ms = m->start > start ? m->start : start, me = m->end < end ? m->end : end;
        if (ms >= me)
            continue;
        rc = add_text(c, p->text, start, ms, 0);
        if (!rc && is_furniture(m))
            rc = pack_stretch(c, page); /* a chunk is one run of bytes: none goes across */
        else if (!rc)
            rc = add_text(c, p->text, ms, me, 1);
        start = me;
    }
    if (!rc)
        rc = add_text(c, p->text, start, end, 0);
    return rc ? rc : pack_stretch(c, page);
}

static int in_furniture(const struct page *p, const struct heading *h)
{
    for (uint32_t i = 0; i < p->n_marks; i++)
        if (is_furniture(&p->marks[i]) && h->start < p->marks[i].end &&
            h->end > p->marks[i].start)
            return 1;
    return 0;
}

static int chunk_page(struct chunker *c, uint32_t page)
{
    const struct page *p = &c->x->pages[page];
    uint32_t at = 0;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < p->n_heads; i++) {
        const struct heading *h = &p->heads[i];
        if (h->start < at || h->end > p->n_text || h->end <= h->start || in_furniture(p, h))
            continue;
        rc = chunk_stretch(c, page, at, h->start);
        if (!rc)
            rc = open_heading(c, page, h);
        at = h->end;
    }
    return rc ? rc : chunk_stretch(c, page, at, p->n_text);
}

int chunk_pages(const struct extracted *x, const struct chunk_opts *o, struct arena *a,
                struct chunk **out, uint32_t *n_out, struct err *e)
{
    struct chunker *c = mem_take(1, sizeof *c);
    int rc = 0;

    *out = NULL;
    *n_out = 0;
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory for the chunks of a document");
    c->x = x;
    c->a = a;
    c->e = e;
    c->target = o->target_tokens ? o->target_tokens : TARGET;
    c->most = o->max_tokens ? o->max_tokens : c->target * 2;
    if (c->most < 8)
        c->most = 8;
    if (c->target > c->most)
        c->target = c->most;
    c->tail = c->target / TAIL;
    c->count = o->count ? o->count : estimate;
    c->count_arg = o->count_arg;
    arena_init(&c->tmp, 16 * LIM_PAGE_TEXT); /* a page of one-word sentences: 4 bytes each */
    for (uint32_t i = 0; !rc && i < x->n_pages; i++)
        rc = x->pages[i].n_text ? chunk_page(c, i) : 0;
    if (!rc)
        rc = close_headings(c, 0);
    if (!rc && c->n_out > UINT32_MAX)
        rc = err_set(e, ERR_LIMIT, "too many chunks");
    if (!rc && c->n_out) {
        *out = arena_take(a, c->n_out, sizeof **out);
        if (!*out) {
            rc = no_memory(c);
        } else {
            memcpy(*out, c->out, c->n_out * sizeof **out);
            *n_out = (uint32_t)c->n_out;
        }
    }
    mem_give(c->out);
    mem_give(c->atoms);
    arena_free(&c->tmp);
    mem_give(c);
    return rc;
}
