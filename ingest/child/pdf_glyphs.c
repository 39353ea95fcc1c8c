/* pdf_glyphs.c - a page as poppler gives it: characters with boxes, fonts and colours, grouped to
 * words. Part of docent-extract: GPL-2.0-or-later, because it links poppler. Text, boxes and
 * attributes come from one analysis of the page that poppler keeps: the second and third call cost
 * 2 % of the first (252 pages: 0.85 s, 0.016 s, 0.018 s). */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

/* Poppler wraps words written from right to left into these, but has no boxes for them. */
static int bidi_control(uint32_t cp)
{
    return (cp >= 0x202A && cp <= 0x202E) || cp == 0x200E || cp == 0x200F;
}

static int right_to_left(uint32_t cp)
{
    return (cp >= 0x0590 && cp <= 0x08FF) || (cp >= 0xFB1D && cp <= 0xFDFF) ||
           (cp >= 0xFE70 && cp <= 0xFEFE);
}

static int blank(const struct pdf_page *p, const struct glyph *g)
{
    return g->n == 1 && isspace((unsigned char)p->text[g->at]);
}

static int bold_name(const char *font)
{
    static const char *const names[] = {"Bold",  "bold",     "BOLD", "Black",
                                        "Heavy", "Semibold", "Demi"};

    for (size_t i = 0; font && i < sizeof names / sizeof names[0]; i++)
        if (strstr(font, names[i]))
            return 1;
    return 0;
}

/* Poppler's attributes are runs of characters of one font, size and colour. */
static void paint(struct pdf_page *p, PopplerPage *pp)
{
    GList *runs = poppler_page_get_text_attributes(pp);

    for (GList *r = runs; r; r = r->next) {
        const PopplerTextAttributes *t = r->data;
        uint8_t bold = (uint8_t)bold_name(t->font_name);
        float size = t->font_size > 0 && t->font_size < 1e4 ? (float)t->font_size : 0;
        for (int i = t->start_index; i >= 0 && i <= t->end_index && (uint32_t)i < p->n_glyphs;
             i++) {
            struct glyph *g = &p->glyph[i];
            g->size = size;
            g->bold = bold;
            g->rgb[0] = (uint8_t)(t->color.red >> 8);
            g->rgb[1] = (uint8_t)(t->color.green >> 8);
            g->rgb[2] = (uint8_t)(t->color.blue >> 8);
        }
    }
    poppler_page_free_text_attributes(runs);
}

static float finite_or_0(double v)
{
    return v > -1e6 && v < 1e6 ? (float)v : 0;
}

static void place(struct pdf_page *p, PopplerPage *pp)
{
    PopplerRectangle *rects = NULL;
    guint n = 0;

    if (poppler_page_get_text_layout(pp, &rects, &n))
        for (guint i = 0; i < n && i < p->n_glyphs; i++) {
            struct glyph *g = &p->glyph[i];
            g->x0 = finite_or_0(fmin(rects[i].x1, rects[i].x2));
            g->y0 = finite_or_0(fmin(rects[i].y1, rects[i].y2));
            g->x1 = finite_or_0(fmax(rects[i].x1, rects[i].x2));
            g->y1 = finite_or_0(fmax(rects[i].y1, rects[i].y2));
        }
    g_free(rects);
}

static void end_word(struct pdf_page *p, struct word *w)
{
    const struct glyph *g = &p->glyph[w->first];
    uint32_t bold = 0;
    uint32_t rtl = 0;
    float size = 0;

    w->x0 = w->y0 = 1e9F;
    w->x1 = w->y1 = -1e9F;
    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t cp;
        utf8_next(p->text + g[i].at, g[i].n, &cp);
        w->x0 = fminf(w->x0, g[i].x0);
        w->y0 = fminf(w->y0, g[i].y0);
        w->x1 = fmaxf(w->x1, g[i].x1);
        w->y1 = fmaxf(w->y1, g[i].y1);
        size += g[i].size;
        bold += g[i].bold;
        rtl += (uint32_t)right_to_left(cp);
    }
    w->size = size / (float)w->n;
    if (w->size <= 0)
        w->size = fmaxf(w->y1 - w->y0, 1);
    memcpy(w->rgb, g->rgb, 3);
    w->bold = bold * 2 > w->n;
    w->rtl = rtl * 2 > w->n;
    w->upright = w->n < 2 || fabsf(g[w->n - 1].y0 - g[0].y0) <= fabsf(g[w->n - 1].x0 - g[0].x0) + 1;
}

/* Poppler puts no blank between the cells of a table: "6,539" and "18,795" come as one run. */
static int breaks(const struct glyph *a, const struct glyph *b)
{
    return b->turn || b->x0 - a->x1 > 0.25F * b->size || b->x0 < a->x0 - 2 * b->size;
}

/* A word goes on over one blank-free run of a line. One-letter words of a line written downwards
 * look upright by themselves: they take after their line. */
static int group(struct pdf_page *p, struct arena *a, struct err *e)
{
    uint32_t line = 0;
    uint32_t first_of_line = 0;
    uint32_t i = 0;

    p->word = arena_take(a, (size_t)p->n_glyphs + 1, sizeof *p->word);
    if (!p->word)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    while (i <= p->n_glyphs) {
        struct word *w = &p->word[p->n_words];
        char c = i < p->n_glyphs ? p->text[p->glyph[i].at] : '\n';
        if (c == '\n' || c == '\f') {
            uint32_t across = 0;
            for (uint32_t k = first_of_line; k < p->n_words; k++)
                across += p->word[k].upright;
            for (uint32_t k = first_of_line; k < p->n_words; k++)
                p->word[k].upright = across * 2 >= p->n_words - first_of_line;
            first_of_line = p->n_words;
            line++;
        }
        if (i == p->n_glyphs || blank(p, &p->glyph[i])) {
            i++;
            continue;
        }
        memset(w, 0, sizeof *w);
        w->first = i;
        w->line = line;
        do
            i++;
        while (i < p->n_glyphs && !blank(p, &p->glyph[i]) &&
               !breaks(&p->glyph[i - 1], &p->glyph[i]));
        w->n = i - w->first;
        end_word(p, w);
        p->n_words++;
    }
    return 0;
}

int pdf_glyphs(struct pdf_page *p, PopplerPage *pp, const char *text, struct arena *a,
               struct err *e)
{
    size_t n = strlen(text);
    uint32_t k = 0;
    double w, h;

    poppler_page_get_size(pp, &w, &h);
    p->width = w > 0 && w < 1e5 ? (float)w : 612;
    p->height = h > 0 && h < 1e5 ? (float)h : 792;
    p->text = text;
    if (n > LIM_PAGE_TEXT)
        return err_set(e, ERR_LIMIT, "page %u has %zu bytes of text", p->number, n);
    p->glyph = arena_zero(a, n + 1, sizeof *p->glyph);
    if (!p->glyph)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_next(text + i, n - i, &cp);
        if (bidi_control(cp)) {
            p->glyph[k].turn = 1;
        } else {
            p->glyph[k].at = (uint32_t)i;
            p->glyph[k].n = (uint8_t)len;
            k++;
        }
        i += len;
    }
    p->n_glyphs = k;
    if (k) {
        place(p, pp);
        paint(p, pp);
    }
    return group(p, a, e);
}
