/* pdf_page.h - one PDF page between poppler and the emitter: characters with boxes, grouped to lines. Inside pdf*.c only. */
#ifndef DOCENT_INGEST_CHILD_PDF_PAGE_H
#define DOCENT_INGEST_CHILD_PDF_PAGE_H

#include <poppler.h>

#include "ingest/child/child.h"

struct glyph { /* one character of poppler's text */
    uint32_t at; /* byte in text */
    uint8_t n; /* its bytes */
    uint8_t bold, hidden, white;
    float size; /* points */
    float x0, y0, x1, y1; /* points, origin top left */
};

struct line {
    uint32_t first, n; /* glyphs, without the line end */
    float x0, y0, x1, y1;
    float size; /* of most of its characters */
    uint8_t bold; /* most characters are */
    uint8_t heading; /* 0, or level */
    uint8_t row; /* joins the line before it on the same baseline: a table cell */
    uint8_t gap; /* an empty line goes before it */
};

struct pdf_page {
    uint32_t number;
    float width, height;
    const char *text; /* poppler's, borrowed */
    struct glyph *glyph; /* [n_glyphs] */
    uint32_t n_glyphs;
    struct line *line; /* [n_lines] */
    uint32_t n_lines;
    uint32_t white; /* glyphs drawn in white or nearly so */
};

/* Counts of characters by size in half points, over the document so far: the body's size is the commonest. */
#define SIZES 200
struct sizes {
    uint32_t count[SIZES];
};
float sizes_body(const struct sizes *s);

/* pdf_hidden.c: marks glyphs that a reader does not see. Returns how many runs, adds characters to *chars. */
uint64_t pdf_mark_hidden(PopplerPage *pp, struct pdf_page *p, uint64_t *chars);

/* pdf_layout.c */
int pdf_lines(struct pdf_page *p, struct arena *a, struct sizes *s, struct err *e); /* glyphs -> lines */
void pdf_headings(struct pdf_page *p, float body);
/* Lines -> text, boxes, headings of an emitted page. */
int pdf_compose(const struct pdf_page *p, struct arena *a, struct page *out, struct err *e);

#endif
