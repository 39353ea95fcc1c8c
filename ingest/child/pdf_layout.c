/* pdf_layout.c - characters to lines, lines to paragraphs, headings and table rows, and those to an emitted page.
 * Part of docent-extract: GPL-2.0-or-later. Poppler gives characters in reading order (its own column analysis) with '\n' behind each
 * line of a block; here cells on one baseline become a row, lines become paragraphs, and words cut by a hyphen become whole. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

float sizes_body(const struct sizes *s)
{
    int best = 20; /* 10 pt until something is known */

    for (int i = 1; i < SIZES; i++)
        if (s->count[i] > s->count[best])
            best = i;
    return (float)best / 2;
}

static void count_size(struct sizes *s, float size)
{
    int i = (int)(size * 2 + 0.5F);

    if (i > 0 && i < SIZES)
        s->count[i]++;
}

static int blank(const struct pdf_page *p, const struct glyph *g)
{
    return g->n == 1 && isspace((unsigned char)p->text[g->at]);
}

/* ---- lines ---- */

static void grow(struct line *l, const struct glyph *g)
{
    l->x0 = g->x0 < l->x0 ? g->x0 : l->x0;
    l->y0 = g->y0 < l->y0 ? g->y0 : l->y0;
    l->x1 = g->x1 > l->x1 ? g->x1 : l->x1;
    l->y1 = g->y1 > l->y1 ? g->y1 : l->y1;
}

/* The line of glyphs first..end-1; 0 when nothing of it is visible. */
static int measure(struct pdf_page *p, uint32_t first, uint32_t end, struct line *l, struct sizes *s)
{
    uint32_t n = 0;
    uint32_t bold = 0;
    float sum = 0;

    memset(l, 0, sizeof *l);
    while (first < end && (blank(p, &p->glyph[first]) || p->glyph[first].hidden))
        first++;
    while (end > first && (blank(p, &p->glyph[end - 1]) || p->glyph[end - 1].hidden))
        end--;
    if (first == end)
        return 0;
    l->first = first;
    l->n = end - first;
    l->x0 = l->y0 = 1e9F;
    l->x1 = l->y1 = -1e9F;
    for (uint32_t i = first; i < end; i++) {
        const struct glyph *g = &p->glyph[i];
        if (blank(p, g) || g->hidden)
            continue;
        grow(l, g);
        n++;
        bold += g->bold;
        sum += g->size;
        count_size(s, g->size);
    }
    l->size = sum / (float)n;
    l->bold = bold * 10 >= n * 8;
    return 1;
}

/* Same baseline, to the right of the line before: the next cell of a row. */
static int same_row(const struct line *a, const struct line *b)
{
    float h = (a->y1 - a->y0 + b->y1 - b->y0) / 2;

    return fabsf((a->y0 + a->y1) / 2 - (b->y0 + b->y1) / 2) < 0.35F * h && b->x0 >= a->x1 - 1;
}

static int ends_sentence(const struct pdf_page *p, const struct line *l)
{
    const struct glyph *g = &p->glyph[l->first + l->n - 1];
    char c = p->text[g->at + g->n - 1];

    if (g->n == 3 && !memcmp(p->text + g->at, "\xE3\x80\x82", 3)) /* ideographic full stop */
        return 1;
    return c == '.' || c == '!' || c == '?' || c == ':' || c == ';';
}

static int starts_lower(const struct pdf_page *p, const struct line *l)
{
    return islower((unsigned char)p->text[p->glyph[l->first].at]) != 0;
}

/* A paragraph ends where the lines stand apart, the type changes, or a new column or block begins after a full stop. */
static int paragraph_gap(const struct pdf_page *p, const struct line *a, const struct line *b)
{
    float step = b->y0 - a->y0;
    float size = a->size > b->size ? a->size : b->size;

    if (fabsf(a->size - b->size) > 0.15F * size || a->bold != b->bold)
        return 1;
    if (step < -size) /* the next column */
        return ends_sentence(p, a) || !starts_lower(p, b);
    if (step > 1.75F * size)
        return 1;
    if (b->x0 > a->x0 + 1.5F * size && ends_sentence(p, a) && b->x0 < a->x1) /* first-line indent */
        return 1;
    return a->x1 < b->x1 - 0.25F * (b->x1 - b->x0) && ends_sentence(p, a);
}

int pdf_lines(struct pdf_page *p, struct arena *a, struct sizes *s, struct err *e)
{
    uint32_t most = 1;
    uint32_t at = 0;

    for (uint32_t i = 0; i < p->n_glyphs; i++)
        most += p->text[p->glyph[i].at] == '\n' || p->text[p->glyph[i].at] == '\f';
    p->line = arena_take(a, most, sizeof *p->line);
    if (!p->line)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    for (uint32_t i = 0; i <= p->n_glyphs; i++) {
        int end = i == p->n_glyphs || p->text[p->glyph[i].at] == '\n' || p->text[p->glyph[i].at] == '\f';
        struct line *l = &p->line[p->n_lines];
        if (!end)
            continue;
        if (measure(p, at, i, l, s)) {
            if (p->n_lines) {
                l->row = (uint8_t)same_row(&l[-1], l);
                l->gap = (uint8_t)(!l->row && paragraph_gap(p, &l[-1], l));
            }
            p->n_lines++;
        }
        at = i + 1;
    }
    return 0;
}

/* ---- headings ---- */

static int numbered(const char *s, size_t n)
{
    size_t i = 0;

    if (n > 5 && (!strncasecmp(s, "item ", 5) || !strncasecmp(s, "part ", 5)))
        return 1;
    while (i < n && (isdigit((unsigned char)s[i]) || s[i] == '.'))
        i++;
    return i > 0 && i < n && i < 8 && s[i] == ' ' && isdigit((unsigned char)s[0]) &&
           (i + 1 < n && isupper((unsigned char)s[i + 1]));
}

/* Letters against digits: a bold row of a table is no heading. */
static int wordy(const char *s, size_t n)
{
    size_t letters = 0;
    size_t digits = 0;

    for (size_t i = 0; i < n; i++) {
        letters += isalpha((unsigned char)s[i]) || (unsigned char)s[i] >= 0x80;
        digits += isdigit((unsigned char)s[i]) || s[i] == '$' || s[i] == '%';
    }
    return letters >= 3 && letters > 2 * digits;
}

static int heading_level(const struct pdf_page *p, const struct line *l, float body)
{
    const struct glyph *g = &p->glyph[l->first];
    const char *s = p->text + g[0].at;
    size_t n = g[l->n - 1].at + g[l->n - 1].n - g[0].at;
    float ratio = l->size / body;

    if (n > 160 || !wordy(s, n))
        return 0;
    if (ratio > 1.6F)
        return 1;
    if (ratio > 1.3F)
        return 2;
    if (ratio > 1.12F)
        return 3;
    if (!l->bold || n > 120 || ratio < 0.95F || s[n - 1] == ',' || s[n - 1] == ';')
        return 0;
    if (numbered(s, n))
        return 3;
    return s[n - 1] == '.' ? 0 : 4;
}

/* A line is a heading when it stands alone: a gap before, and a gap or its own continuation behind; no cells beside it. */
void pdf_headings(struct pdf_page *p, float body)
{
    for (uint32_t i = 0; i < p->n_lines; i++) {
        struct line *l = &p->line[i];
        const struct line *next = i + 1 < p->n_lines ? l + 1 : NULL;
        int joined = i && !l->gap && !l->row && l[-1].heading;
        if (l->row || (next && next->row) || (i && !l->gap && !joined))
            continue;
        if (next && !next->gap && !next->row && fabsf(next->size - l->size) < 0.05F * l->size && i + 2 < p->n_lines &&
            !p->line[i + 2].gap && l->size < 1.3F * body)
            continue; /* three lines and more of the same type are a paragraph */
        l->heading = (uint8_t)heading_level(p, l, body);
        if (joined && l->heading != l[-1].heading)
            l->heading = 0;
    }
}

/* ---- composing ---- */

struct composer {
    const struct pdf_page *p;
    struct buf text;
    struct page *out;
    uint32_t cap_boxes;
    int open; /* a word is being put together */
    int bad;
};

static float ratio_of(float v, float of)
{
    return of > 0 ? v / of : 0;
}

static void box_open(struct composer *c, const struct glyph *g)
{
    struct word_box *w = &c->out->boxes[c->out->n_boxes];

    if (c->out->n_boxes == c->cap_boxes) {
        c->bad = 1;
        return;
    }
    w->start = (uint32_t)c->text.len;
    w->end = w->start;
    w->x0 = ratio_of(g->x0, c->p->width);
    w->y0 = ratio_of(g->y0, c->p->height);
    w->x1 = ratio_of(g->x1, c->p->width);
    w->y1 = ratio_of(g->y1, c->p->height);
    c->out->n_boxes++;
    c->open = 1;
}

static void box_grow(struct composer *c, const struct glyph *g)
{
    struct word_box *w = &c->out->boxes[c->out->n_boxes - 1];
    float x0 = ratio_of(g->x0, c->p->width), x1 = ratio_of(g->x1, c->p->width);
    float y0 = ratio_of(g->y0, c->p->height), y1 = ratio_of(g->y1, c->p->height);

    w->x0 = x0 < w->x0 ? x0 : w->x0;
    w->x1 = x1 > w->x1 ? x1 : w->x1;
    w->y0 = y0 < w->y0 ? y0 : w->y0;
    w->y1 = y1 > w->y1 ? y1 : w->y1;
}

/* What a character becomes: ligatures are spelled out, controls, soft hyphens, bidi controls, tags and private use dropped.
 * Returns bytes in out. */
static size_t spell(uint32_t cp, char out[8])
{
    static const char *const ligatures[] = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};

    if (cp >= 0xFB00 && cp <= 0xFB06) {
        size_t n = strlen(ligatures[cp - 0xFB00]);
        memcpy(out, ligatures[cp - 0xFB00], n);
        return n;
    }
    if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0xAD || cp == 0xFEFF || cp == 0xFFFD ||
        (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2060 && cp <= 0x206F) ||
        (cp >= 0xE0000 && cp <= 0xE0FFF) || (cp >= 0xE000 && cp <= 0xF8FF))
        return 0;
    if (cp == 0xA0 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x202F || cp == 0x3000)
        cp = ' ';
    return utf8_put(out, cp);
}

static void put_line(struct composer *c, const struct line *l, int drop_last)
{
    uint32_t n = l->n - (uint32_t)drop_last;
    const struct glyph *last = NULL;

    for (uint32_t i = 0; i < n; i++) {
        const struct glyph *g = &c->p->glyph[l->first + i];
        uint32_t cp;
        char s[8];
        size_t k;
        utf8_next(c->p->text + g->at, g->n, &cp);
        k = cp == '\t' ? (s[0] = ' ', 1) : spell(cp, s);
        if (g->hidden || !k)
            continue;
        if (k == 1 && s[0] == ' ') {
            c->open = 0;
            if (c->text.len && c->text.data[c->text.len - 1] != ' ' && c->text.data[c->text.len - 1] != '\n')
                buf_char(&c->text, ' ');
            continue;
        }
        if (c->open && last && g->x0 - last->x1 > 0.25F * g->size) { /* poppler puts no blank between table cells */
            buf_str(&c->text, g->x0 - last->x1 > g->size ? "  " : " ");
            c->open = 0;
        }
        last = g;
        if (!c->open)
            box_open(c, g);
        else
            box_grow(c, g);
        buf_add(&c->text, s, k);
        if (c->out->n_boxes)
            c->out->boxes[c->out->n_boxes - 1].end = (uint32_t)c->text.len;
    }
    c->open = 0;
}

/* The hyphen at the end of a: 1 when the word goes on in b ("exam-" "ple"), 2 when the hyphen belongs to it ("well-" "known"
 * cannot be told from "exam-" "ple" without a dictionary: a hyphen elsewhere in the same word, or a digit, keeps it). */
static int hyphen(const struct pdf_page *p, const struct line *a, const struct line *b)
{
    const struct glyph *g = &p->glyph[a->first + a->n - 1];
    const struct glyph *before = a->n > 1 ? g - 1 : NULL;
    int soft = g->n == 2 && !memcmp(p->text + g->at, "\xC2\xAD", 2);
    int hard = (g->n == 1 && p->text[g->at] == '-') || (g->n == 3 && !memcmp(p->text + g->at, "\xE2\x80\x90", 3));

    if (!soft && !hard)
        return 0;
    if (!before || !isalpha((unsigned char)p->text[before->at]) || !starts_lower(p, b))
        return soft ? 1 : 0;
    for (uint32_t i = a->n - 1; hard && i-- > 0;) {
        const struct glyph *q = &p->glyph[a->first + i];
        if (blank(p, q))
            break;
        if (p->text[q->at] == '-')
            return 2;
    }
    return 1;
}

static int wide_gap(const struct line *a, const struct line *b)
{
    return b->x0 - a->x1 > 0.6F * a->size;
}

int pdf_compose(const struct pdf_page *p, struct arena *a, struct page *out, struct err *e)
{
    struct composer c = {.p = p, .out = out};
    int glue = 0; /* the line before ended in a hyphen that is resolved */

    memset(out, 0, sizeof *out);
    out->number = p->number;
    out->width = p->width;
    out->height = p->height;
    c.cap_boxes = p->n_glyphs + 1 < LIM_PAGE_WORDS ? p->n_glyphs + 1 : LIM_PAGE_WORDS;
    out->boxes = arena_take(a, c.cap_boxes + 1, sizeof *out->boxes);
    out->heads = arena_take(a, (size_t)p->n_lines + 1, sizeof *out->heads);
    if (!out->boxes || !out->heads)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    buf_init(&c.text, LIM_PAGE_TEXT);
    for (uint32_t i = 0; i < p->n_lines && !c.bad; i++) {
        const struct line *l = &p->line[i];
        const struct line *next = i + 1 < p->n_lines ? l + 1 : NULL;
        int cut = next && !next->row && !next->gap ? hyphen(p, l, next) : 0;
        uint32_t start;
        while (c.text.len && c.text.data[c.text.len - 1] == ' ')
            c.text.len--;
        if (c.text.len && !glue) {
            if (l->row)
                buf_str(&c.text, wide_gap(l - 1, l) ? "  " : " ");
            else
                buf_str(&c.text, l->gap ? "\n\n" : "\n");
        }
        start = (uint32_t)c.text.len;
        put_line(&c, l, cut == 1);
        while (c.text.len > start && c.text.data[c.text.len - 1] == ' ')
            c.text.len--;
        glue = cut != 0;
        if (l->heading && c.text.len > start) {
            struct heading *h = &out->heads[out->n_heads];
            if (out->n_heads && !l->gap && h[-1].level == l->heading && i && l[-1].heading) {
                h[-1].end = (uint32_t)c.text.len; /* a heading of two lines */
            } else {
                *h = (struct heading){start, (uint32_t)c.text.len, l->heading};
                out->n_heads++;
            }
        }
    }
    while (c.text.len && c.text.data[c.text.len - 1] == ' ')
        c.text.len--;
    if (c.bad || c.text.failed) {
        buf_free(&c.text);
        return err_set(e, ERR_LIMIT, "page %u has more text than docent takes from one page", p->number);
    }
    out->n_text = (uint32_t)c.text.len;
    out->text = arena_strndup(a, c.text.data ? c.text.data : "", c.text.len);
    buf_free(&c.text);
    return out->text ? 0 : err_set(e, ERR_NOMEM, "page %u", p->number);
}
