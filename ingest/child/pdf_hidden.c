/* pdf_hidden.c - text that is in the file but that no reader sees: off the page, too small to read,
 * or drawn so that nothing shows (white on white, invisible render mode, covered). Part of
 * docent-extract: GPL-2.0-or-later. Poppler's text says nothing of render mode or of what lies
 * beneath, so the page is drawn small and looked at: where a word stands, ink must show. */
#include <math.h>
#include <stdlib.h>

#include "ingest/child/pdf_page.h"

#define TINY 1.0F /* points: below this nobody reads it */
#define DPI                                                                                        \
    48.0 /* a 9 pt word is 6 pixels high: enough for ink to show, a tenth of the cost of 150 dpi   \
          */
#define MOST_PIXELS 4e6
#define GROUND 0.15 /* letters cover at most about half of their box */
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

struct look {
    int contrast; /* darkest against lightest pixel, of the colour that differs most */
    double other; /* share of pixels that differ from the colour of the letters: the ground they
                     stand on */
};

/* The pixels below a rectangle; 0 when there are none. */
static int look_at(cairo_surface_t *s, const struct word *word, struct look *l)
{
    const unsigned char *px = cairo_image_surface_get_data(s);
    size_t stride = (size_t)cairo_image_surface_get_stride(s);
    double k = DPI / 72.0;
    int left = (int)fmax(floor(word->x0 * k), 0);
    int top = (int)fmax(floor(word->y0 * k), 0);
    int right = (int)fmin(ceil(word->x1 * k), cairo_image_surface_get_width(s));
    int bottom = (int)fmin(ceil(word->y1 * k), cairo_image_surface_get_height(s));
    unsigned char lo[3] = {255, 255, 255};
    unsigned char hi[3] = {0, 0, 0};
    size_t other = 0;

    if (right <= left || bottom <= top)
        return 0;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            const unsigned char *c = px + (size_t)y * stride + 4 * (size_t)x; /* B G R */
            int differs = 0;
            for (int i = 0; i < 3; i++) {
                lo[i] = c[i] < lo[i] ? c[i] : lo[i];
                hi[i] = c[i] > hi[i] ? c[i] : hi[i];
                differs |= abs(c[i] - word->rgb[2 - i]) >= CONTRAST;
            }
            other += (size_t)differs;
        }
    l->contrast = 0;
    for (int i = 0; i < 3; i++)
        if (hi[i] - lo[i] > l->contrast)
            l->contrast = hi[i] - lo[i];
    l->other = (double)other / ((double)(right - left) * (bottom - top));
    return 1;
}

/* 1: no reader sees the word. A thin rule across white letters on white gives contrast but no
 * ground. */
static int word_hidden(const struct pdf_page *p, cairo_surface_t *s, const struct word *w)
{
    struct look l;

    if (w->x1 <= 0 || w->y1 <= 0 || w->x0 >= p->width || w->y0 >= p->height)
        return 1;
    if (w->size < TINY && w->y1 - w->y0 < TINY && w->x1 - w->x0 < TINY * (float)w->n)
        return 1;
    if (!s || w->x1 - w->x0 < 1 || w->y1 - w->y0 < 1 || !look_at(s, w, &l))
        return 0; /* nothing to look at: believe it */
    return l.contrast < CONTRAST || l.other < GROUND;
}

uint64_t pdf_mark_hidden(PopplerPage *pp, struct pdf_page *p, uint64_t *chars)
{
    cairo_surface_t *s = p->n_words ? draw(pp, p) : NULL;
    uint64_t spans = 0;
    int running = 0;

    for (uint32_t i = 0; i < p->n_words; i++) {
        struct word *w = &p->word[i];
        w->hidden = (uint8_t)word_hidden(p, s, w);
        spans += w->hidden && !running;
        *chars += w->hidden ? w->n : 0;
        running = w->hidden;
    }
    if (s)
        cairo_surface_destroy(s);
    return spans;
}
