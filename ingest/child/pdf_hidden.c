/* pdf_hidden.c - text that is in the file but that no reader sees: off the page, too small to read, or drawn so that nothing shows
 * (white on white, invisible render mode, covered). Part of docent-extract: GPL-2.0-or-later.
 * Poppler's text says nothing of render mode or of what lies beneath, so the page is drawn small and looked at: where a
 * word stands, ink must show. */
#include <math.h>
#include <string.h>

#include "ingest/child/pdf_page.h"

#define TINY 1.0F /* points: below this nobody reads it */
#define DPI 48.0 /* a 9 pt word is 6 pixels high: enough for ink to show, a tenth of the cost of 150 dpi */
#define MOST_PIXELS 4e6
#define CONTRAST 10 /* of 255: anti-aliased light grey on white still differs by 20 and more */

static cairo_surface_t *draw(PopplerPage *pp, const struct pdf_page *p)
{
    double scale = DPI / 72.0;
    cairo_surface_t *s;
    cairo_t *cr;

    if ((double)p->width * p->height * scale * scale > MOST_PIXELS)
        return NULL;
    s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(p->width * scale) + 1,
                                   (int)ceil(p->height * scale) + 1);
    if (cairo_surface_status(s) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(s);
        return NULL;
    }
    cr = cairo_create(s);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_scale(cr, scale, scale);
    poppler_page_render(pp, cr);
    cairo_destroy(cr);
    cairo_surface_flush(s);
    return s;
}

/* Difference of the darkest and the lightest pixel, of the colour that differs most, below a rectangle. */
static int contrast(cairo_surface_t *s, float x0, float y0, float x1, float y1)
{
    const unsigned char *px = cairo_image_surface_get_data(s);
    int stride = cairo_image_surface_get_stride(s);
    int w = cairo_image_surface_get_width(s);
    int h = cairo_image_surface_get_height(s);
    double k = DPI / 72.0;
    int left = (int)floor(x0 * k), right = (int)ceil(x1 * k);
    int top = (int)floor(y0 * k), bottom = (int)ceil(y1 * k);
    unsigned char lo[3] = {255, 255, 255};
    unsigned char hi[3] = {0, 0, 0};
    int most = 0;

    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > w ? w : right;
    bottom = bottom > h ? h : bottom;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            const unsigned char *c = px + (size_t)y * (size_t)stride + 4 * (size_t)x;
            for (int i = 0; i < 3; i++) {
                lo[i] = c[i] < lo[i] ? c[i] : lo[i];
                hi[i] = c[i] > hi[i] ? c[i] : hi[i];
            }
        }
    for (int i = 0; i < 3; i++)
        if (hi[i] - lo[i] > most)
            most = hi[i] - lo[i];
    return right > left && bottom > top ? most : 255;
}

static int is_space(const struct pdf_page *p, uint32_t i)
{
    const struct glyph *g = &p->glyph[i];
    char c = p->text[g->at];

    return g->n == 1 && (c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r');
}

static int off_page(const struct pdf_page *p, const struct glyph *g)
{
    return g->x1 <= 0 || g->y1 <= 0 || g->x0 >= p->width || g->y0 >= p->height;
}

/* One word, glyphs i..j-1. 1: no reader sees it. */
static int word_hidden(const struct pdf_page *p, cairo_surface_t *s, uint32_t i, uint32_t j)
{
    const struct glyph *g = &p->glyph[i];
    float x0 = g->x0, y0 = g->y0, x1 = g->x1, y1 = g->y1;

    if (off_page(p, g) || (g->size > 0 && g->size < TINY))
        return 1;
    if (!s)
        return 0;
    for (uint32_t k = i + 1; k < j; k++) {
        x0 = p->glyph[k].x0 < x0 ? p->glyph[k].x0 : x0;
        y0 = p->glyph[k].y0 < y0 ? p->glyph[k].y0 : y0;
        x1 = p->glyph[k].x1 > x1 ? p->glyph[k].x1 : x1;
        y1 = p->glyph[k].y1 > y1 ? p->glyph[k].y1 : y1;
    }
    if (x1 - x0 < 1 || y1 - y0 < 1)
        return 0; /* no box to look at: believe it */
    return contrast(s, x0, y0, x1, y1) < CONTRAST;
}

uint64_t pdf_mark_hidden(PopplerPage *pp, struct pdf_page *p, uint64_t *chars)
{
    cairo_surface_t *s = p->n_glyphs ? draw(pp, p) : NULL;
    uint64_t spans = 0;
    int running = 0;
    uint32_t i = 0;

    while (i < p->n_glyphs) {
        uint32_t j = i;
        int hidden;
        if (is_space(p, i)) {
            i++;
            continue;
        }
        while (j < p->n_glyphs && !is_space(p, j))
            j++;
        hidden = word_hidden(p, s, i, j);
        if (hidden) {
            spans += !running;
            *chars += j - i;
            for (uint32_t k = i; k < j; k++)
                p->glyph[k].hidden = 1;
        }
        running = hidden;
        i = j;
    }
    if (s)
        cairo_surface_destroy(s);
    return spans;
}
