/* cite.c - a citation: where a quote stands, its exact bytes, and the rectangles to highlight.
 * The quote is copied from the page's text, never composed: bytes [start, end) are the quote by construction. */
#include <string.h>

#include "coordinator/query_impl.h"
#include "ingest/ingest.h"

/* Two words share a line when the middle of one lies within the height of the other, and the second starts right of
 * the first (a new column or line starts left of it). */
static int same_line(const struct rect *line, const struct word_box *w)
{
    float mid = (w->y0 + w->y1) / 2;
    float line_mid = (line->y0 + line->y1) / 2;

    return ((mid >= line->y0 && mid <= line->y1) || (line_mid >= w->y0 && line_mid <= w->y1)) &&
           w->x0 >= line->x0;
}

static void join(struct rect *line, const struct word_box *w)
{
    line->x0 = w->x0 < line->x0 ? w->x0 : line->x0;
    line->y0 = w->y0 < line->y0 ? w->y0 : line->y0;
    line->x1 = w->x1 > line->x1 ? w->x1 : line->x1;
    line->y1 = w->y1 > line->y1 ? w->y1 : line->y1;
}

uint32_t cite_lines(const struct word_box *w, uint32_t n, uint32_t start, uint32_t end,
                    struct rect *out)
{
    uint32_t lines = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (w[i].end <= start || w[i].start >= end)
            continue;
        if (lines && same_line(&out[lines - 1], &w[i]))
            join(&out[lines - 1], &w[i]);
        else
            out[lines++] = (struct rect){w[i].x0, w[i].y0, w[i].x1, w[i].y1};
    }
    return lines;
}

static int add_boxes(struct snapshot *s, struct arena *a, struct citation *c, struct err *e)
{
    struct page_view page;
    struct word_box *words = NULL;
    struct rect *lines;
    uint32_t n = 0;
    int rc = snapshot_page(s, c->doc, c->page, a, &page, e);

    if (rc || !page.n_boxes)
        return rc;
    rc = boxes_unpack(page.boxes, page.n_boxes, a, &words, &n, e);
    if (rc)
        return err_wrap(e, "word boxes of page %u of %s", c->page, c->path);
    lines = arena_take(a, n ? n : 1, sizeof *lines);
    if (!lines)
        return err_set(e, ERR_NOMEM, "%u boxes", n);
    c->n_boxes = cite_lines(words, n, c->start, c->end, lines);
    c->boxes = &lines->x0; /* four floats a line */
    return 0;
}

int cite(struct snapshot *s, const struct passage *p, uint32_t from, uint32_t to, struct arena *a,
         struct citation *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if (from > to || to > p->chunk.n_text)
        return err_set(e, ERR_INVALID, "a quote of bytes %u to %u of a passage of %u", from, to,
                       p->chunk.n_text);
    out->path = p->doc.n_paths ? p->doc.paths[0] : "";
    memcpy(out->doc, p->hit.doc, DOC_ID_BYTES);
    out->paged = p->doc.paged;
    out->page = p->chunk.page;
    out->start = p->chunk.start + from;
    out->end = p->chunk.start + to;
    out->section = p->chunk.section ? p->chunk.section : "";
    out->quote = arena_strndup(a, p->chunk.text + from, to - from);
    out->mark_end = to - from;
    out->score = p->hit.score;
    if (!out->quote)
        return err_set(e, ERR_NOMEM, "a quote of %u bytes", to - from);
    return add_boxes(s, a, out, e);
}
