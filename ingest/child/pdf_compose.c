/* pdf_compose.c - ordered lines to the text of a page with a box a word.
 * Part of docent-extract: GPL-2.0-or-later, because it links poppler.
 * Ligatures are spelled out, Arabic forms and CJK compatibility characters become the plain ones,
 * the rest is NFC; controls, soft hyphens, bidi controls, tags and private use go away. */
#include <ctype.h>
#include <string.h>

#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

/* ---- words seen so far ---- */

#define SEEN_SLOTS (1u << 18)
#define SEEN_MOST (SEEN_SLOTS * 3 / 4) /* then the set stays as it is */

struct seen {
    uint64_t *slot; /* 0: free */
    uint32_t n;
};

int seen_open(struct seen **out, struct err *e)
{
    struct seen *s = mem_take(1, sizeof *s);

    *out = s;
    if (s)
        s->slot = mem_take(SEEN_SLOTS, sizeof *s->slot);
    return s && s->slot ? 0 : err_set(e, ERR_NOMEM, "words of the document");
}

/* Lower case, without what stands around a word. */
static uint64_t word_hash(const char *s, size_t n)
{
    char low[64];
    size_t k = 0;

    while (n && !isalnum((unsigned char)s[0]) && (unsigned char)s[0] < 0x80) {
        s++;
        n--;
    }
    while (n && !isalnum((unsigned char)s[n - 1]) && (unsigned char)s[n - 1] < 0x80)
        n--;
    if (n == 0 || n > sizeof low)
        return 0;
    for (; k < n; k++)
        low[k] = (char)tolower((unsigned char)s[k]);
    return hash_xxh3(low, n) | 1;
}

static int seen_find(const struct seen *s, uint64_t h, uint32_t *at)
{
    for (*at = (uint32_t)h & (SEEN_SLOTS - 1); s->slot[*at]; *at = (*at + 1) & (SEEN_SLOTS - 1))
        if (s->slot[*at] == h)
            return 1;
    return 0;
}

static void seen_add(struct seen *s, const char *word, size_t n)
{
    uint64_t h = word_hash(word, n);
    uint32_t at;

    if (h && s->n < SEEN_MOST && !seen_find(s, h, &at)) {
        s->slot[at] = h;
        s->n++;
    }
}

static int seen_has(const struct seen *s, const char *word, size_t n)
{
    uint64_t h = word_hash(word, n);
    uint32_t at;

    return h && seen_find(s, h, &at);
}

/* ---- spelling ---- */

/* Characters that only say how another one looks. */
static int is_form(uint32_t cp)
{
    return (cp >= 0xFB00 && cp <= 0xFDFF) || (cp >= 0xFE70 && cp <= 0xFEFC) ||
           (cp >= 0x2E80 && cp <= 0x2FDF) || (cp >= 0xF900 && cp <= 0xFAFF);
}

static int is_dropped(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0xAD || cp == 0xFEFF || cp == 0xFFFD ||
           (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || (cp >= 0xFE00 && cp <= 0xFE0F) ||
           (cp >= 0xE0000 && cp <= 0xE0FFF) || (cp >= 0xE000 && cp <= 0xF8FF) || cp >= 0xF0000;
}

/* NFC, and NFKC where compat. A word that ICU cannot take stays as it is. */
static size_t normalize(char *s, size_t n, size_t cap, int compat)
{
    UErrorCode st = U_ZERO_ERROR;
    const UNormalizer2 *norm = compat ? unorm2_getNFKCInstance(&st) : unorm2_getNFCInstance(&st);
    UChar in[512], to[2048];
    int32_t n_in = 0, n_to, n_out = 0;

    u_strFromUTF8(in, 512, &n_in, s, (int32_t)n, &st);
    n_to = unorm2_normalize(norm, in, n_in, to, 2048, &st);
    if (U_FAILURE(st))
        return n;
    u_strToUTF8(s, (int32_t)cap, &n_out, to, n_to, &st);
    return U_FAILURE(st) ? n : (size_t)n_out;
}

#define WORD_CAP 2048
#define WORD_PART 400 /* bytes normalised at once */

/* The text of a word, n bytes in out. A white space character that poppler takes for a letter
 * splits nothing: it is dropped with the controls. */
static size_t spell(const struct pdf_page *p, const struct word *w, uint32_t from, uint32_t to,
                    char out[WORD_CAP])
{
    size_t n = 0;
    int plain = 1;
    int compat = 0;

    for (uint32_t i = from; i < to && n + 4 <= WORD_PART; i++) {
        const struct glyph *g = &p->glyph[w->first + i];
        uint32_t cp;
        utf8_next(p->text + g->at, g->n, &cp);
        if (cp == 0xF0B7 || cp == 0xF0A7) /* the bullets of symbol fonts */
            cp = 0x2022;
        if (is_dropped(cp) || cp == 0xA0 || cp == 0x3000)
            continue;
        plain &= cp < 0xC0;
        compat |= is_form(cp);
        n += utf8_put(out + n, cp);
    }
    return plain ? n : normalize(out, n, WORD_CAP, compat);
}

/* ---- composing ---- */

struct composer {
    const struct pdf_page *p;
    struct seen *seen;
    struct buf text;
    struct page *out;
    uint32_t cap_boxes;
    int glue; /* the next word is the rest of a word cut at a line end */
    int full;
};

static float ratio(float v, float of)
{
    float r = v / of;

    return r > 0 ? (r < 1 ? r : 1) : 0;
}

static void put_text(struct composer *c, const struct word *w, const char *s, size_t n)
{
    struct word_box *b = &c->out->boxes[c->out->n_boxes];

    if (c->out->n_boxes == c->cap_boxes) {
        c->full = 1;
        return;
    }
    b->start = (uint32_t)c->text.len;
    buf_add(&c->text, s, n);
    b->end = (uint32_t)c->text.len;
    b->x0 = ratio(w->x0, c->p->width);
    b->y0 = ratio(w->y0, c->p->height);
    b->x1 = ratio(w->x1, c->p->width);
    b->y1 = ratio(w->y1, c->p->height);
    c->out->n_boxes++;
}

/* Dots that lead the eye from a title to its page number. */
static int is_leader(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] != '.' && s[i] != '_')
            return 0;
    return n >= 4;
}

/* Words may be longer than what spell() takes at once (a URL of 2,000 characters): in parts. */
static void put_word(struct composer *c, const struct word *w)
{
    char s[WORD_CAP];
    uint32_t part = WORD_PART / 4;

    for (uint32_t from = 0; from < w->n && !c->full; from += part) {
        size_t n = spell(c->p, w, from, from + part < w->n ? from + part : w->n, s);
        if (n && !is_leader(s, n))
            put_text(c, w, s, n);
    }
}

static int letter_at(const struct pdf_page *p, const struct word *w, uint32_t i)
{
    unsigned char c = (unsigned char)p->text[p->glyph[w->first + i].at];

    return isalpha(c) || c >= 0xC3;
}

enum cut { CUT_NONE, CUT_DROP, CUT_KEEP };

/* What becomes of the hyphen at the end of word a, when b begins the next line. The document itself
 * is the dictionary: "long-" "term" keeps it where "long-term" was seen, or both halves as words
 * and no "longterm". */
static enum cut hyphen(const struct composer *c, const struct word *a, const struct word *b)
{
    const struct pdf_page *p = c->p;
    const struct glyph *g = &p->glyph[a->first + a->n - 1];
    char first[WORD_CAP], second[WORD_CAP], both[256];
    size_t n1, n2;
    uint32_t cp;

    utf8_next(p->text + g->at, g->n, &cp);
    if (cp != '-' && cp != 0x2010 && cp != 0xAD)
        return CUT_NONE;
    if (a->n < 2 || !letter_at(p, a, a->n - 2) ||
        !islower((unsigned char)p->text[p->glyph[b->first].at]))
        return CUT_NONE;
    if (cp == 0xAD)
        return CUT_DROP;
    n1 = spell(p, a, 0, a->n < 100 ? a->n - 1 : 99, first);
    n2 = spell(p, b, 0, b->n < 100 ? b->n : 99, second);
    if (n1 + n2 + 1 > sizeof both || memchr(first, '-', n1) || memchr(second, '-', n2))
        return CUT_KEEP;
    memcpy(both, first, n1);
    memcpy(both + n1, second, n2);
    if (seen_has(c->seen, both, n1 + n2))
        return CUT_DROP;
    both[n1] = '-';
    memcpy(both + n1 + 1, second, n2);
    if (seen_has(c->seen, both, n1 + n2 + 1))
        return CUT_KEEP;
    return seen_has(c->seen, first, n1) && seen_has(c->seen, second, n2) ? CUT_KEEP : CUT_DROP;
}

/* Never more than a cell's two spaces, also where a word between came to nothing. */
static void put_space(struct composer *c, enum space space)
{
    size_t n = c->text.len;

    while (n && c->text.data[n - 1] == ' ')
        n--;
    if (!n || c->text.data[n - 1] == '\n')
        return;
    if (c->text.len - n < (size_t)space)
        buf_str(&c->text, c->text.len - n == 0 && space == SPACE_CELL ? "  " : " ");
}

/* The line's words; the last one without its hyphen when it goes on in the next line. */
static void put_line(struct composer *c, struct line *l, const struct line *next)
{
    const struct pdf_page *p = c->p;
    const struct word *word = p->word;
    enum cut cut = CUT_NONE;
    struct word last;
    int glued = c->glue;

    /* A row of cells is not cut; a justified line of prose may have a gap as wide, but ends at the
     * margin. */
    if (next && !next->gap && (!l->row || l->x1 > l->right - 2 * l->size) &&
        (!next->row || next->x0 < next->left + 2 * l->size))
        cut =
            hyphen(c, &word[p->place[l->first + l->n - 1].word], &word[p->place[next->first].word]);
    for (uint32_t i = 0; i < l->n && !c->full; i++) {
        const struct place *q = &p->place[l->first + i];
        if (i == 1 && glued) /* the cut word is whole: its line ends here, not in its middle */
            buf_char(&c->text, '\n');
        else if (c->text.len > l->start && q->space)
            put_space(c, q->space);
        last = word[q->word];
        if (i + 1 == l->n && cut == CUT_DROP)
            last.n--;
        put_word(c, &last);
    }
    c->glue = cut != CUT_NONE;
    while (c->text.len > l->start && c->text.data[c->text.len - 1] == ' ')
        c->text.len--;
    l->end = (uint32_t)c->text.len;
}

static void learn(struct composer *c)
{
    const struct pdf_page *p = c->p;
    char s[WORD_CAP];

    for (uint32_t i = 0; i < p->n_lines; i++)
        for (uint32_t k = 0; k + 1 < p->line[i].n; k++) { /* not the last: it may be cut */
            const struct word *w = &p->word[p->place[p->line[i].first + k].word];
            if (w->n < 64)
                seen_add(c->seen, s, spell(p, w, 0, w->n, s));
        }
}

int pdf_compose(struct pdf_page *p, struct seen *seen, struct arena *a, struct page *out,
                struct err *e)
{
    struct composer c = {.p = p, .seen = seen, .out = out};
    size_t most = (size_t)p->n_words + p->n_glyphs / (WORD_PART / 4) + 1;

    memset(out, 0, sizeof *out);
    out->number = p->number;
    out->width = p->width;
    out->height = p->height;
    c.cap_boxes = most < LIM_PAGE_WORDS ? (uint32_t)most : LIM_PAGE_WORDS;
    out->boxes = arena_take(a, (size_t)c.cap_boxes + 1, sizeof *out->boxes);
    if (!out->boxes)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    buf_init(&c.text, LIM_PAGE_TEXT);
    learn(&c);
    for (uint32_t i = 0; i < p->n_lines && !c.full; i++) {
        struct line *l = &p->line[i];
        size_t before = c.text.len;
        if (before && !c.glue)
            buf_str(&c.text, l->gap ? "\n\n" : "\n");
        l->start = (uint32_t)c.text.len;
        put_line(&c, l, i + 1 < p->n_lines ? l + 1 : NULL);
        if (l->end == l->start && !c.glue) { /* nothing of it could be spelled */
            c.text.len = before;
            l->start = l->end = (uint32_t)before;
            if (i + 1 < p->n_lines)
                l[1].gap |= l->gap;
        }
    }
    if (c.full || c.text.failed) {
        buf_free(&c.text);
        return err_set(e, ERR_LIMIT, "page %u has more text than docent takes from one page",
                       p->number);
    }
    while (c.text.len &&
           (c.text.data[c.text.len - 1] == '\n' || c.text.data[c.text.len - 1] == ' '))
        c.text.len--;
    out->n_text = (uint32_t)c.text.len;
    out->text = arena_strndup(a, c.text.data ? c.text.data : "", c.text.len);
    buf_free(&c.text);
    return out->text ? 0 : err_set(e, ERR_NOMEM, "page %u", p->number);
}
