/* pdf_page.h - one PDF page between poppler and the emitter. Inside pdf*.c only.
 *   pdf_glyphs.c  poppler -> characters and words      pdf_hidden.c   words that nobody sees
 *   pdf_order.c   words -> lines in reading order      pdf_layout.c   paragraphs, headings, title
 *   pdf_compose.c lines -> text with boxes             pdf_outline.c  the document's own headings
 *   pdf_forms.c   what was filled into form fields */
#ifndef DOCENT_INGEST_CHILD_PDF_PAGE_H
#define DOCENT_INGEST_CHILD_PDF_PAGE_H

#include <poppler.h>

#include "ingest/child/child.h"

struct glyph { /* one character of poppler's text */
    uint32_t at; /* byte in text */
    uint8_t n; /* its bytes */
    uint8_t bold;
    uint8_t turn; /* the direction of writing changes before it: a new word */
    uint8_t rgb[3];
    float size; /* points */
    float x0, y0, x1, y1; /* points, origin top left */
};

struct word {
    uint32_t first, n; /* glyphs */
    uint32_t line; /* poppler's line */
    float x0, y0, x1, y1;
    float size;
    uint8_t rgb[3]; /* of its first character */
    uint8_t bold, rtl, hidden;
    uint8_t upright; /* 0: written downwards or upwards */
};

enum space { SPACE_NONE, SPACE_WORD, SPACE_CELL }; /* what stands before a word of a line */
struct place {
    uint32_t word;
    uint8_t space;
};

struct line {
    uint32_t first, n; /* places */
    uint32_t column; /* lines of one column follow each other */
    float left, right; /* of that column */
    float x0, y0, x1, y1;
    float size; /* of most of its characters */
    uint8_t bold; /* most of its characters are */
    uint8_t row; /* cells stand in it: a table */
    uint8_t gap; /* an empty line goes before it */
    uint8_t heading; /* 0, or level */
    uint32_t start, end; /* bytes of the composed text */
};

struct pdf_page {
    uint32_t number;
    float width, height;
    const char *text; /* poppler's, borrowed */
    struct glyph *glyph;
    uint32_t n_glyphs;
    struct word *word;
    uint32_t n_words;
    struct place *place; /* [n_words] at most: those in lines */
    struct line *line;
    uint32_t n_lines;
};

/* Counts of characters by size in half points, over the document so far: the commonest is the
 * body's. */
#define SIZES 200
struct sizes {
    uint32_t count[SIZES];
};
float sizes_body(const struct sizes *s);
void sizes_add(struct sizes *s, const struct pdf_page *p);

/* Words that occurred in the document so far (hashes): evidence for hyphens at line ends. Lives as long as
 * the process, which ends by _exit(). */
struct seen;
int seen_open(struct seen **out, struct err *e);

struct outline;

int pdf_glyphs(struct pdf_page *p, PopplerPage *pp, const char *text, struct arena *a,
               struct err *e);

/* Marks words that a reader does not see. Returns how many runs of them, adds characters to *chars.
 */
uint64_t pdf_mark_hidden(PopplerPage *pp, struct pdf_page *p, uint64_t *chars);

int pdf_order(struct pdf_page *p, struct arena *a, struct err *e);

void pdf_paragraphs(struct pdf_page *p);
/* Text and boxes; the lines learn where they stand in the text. */
int pdf_compose(struct pdf_page *p, struct seen *s, struct arena *a, struct page *out,
                struct err *e);
/* Headings of the composed page. outline may be NULL. */
int pdf_headings(struct pdf_page *p, const struct outline *o, float body, struct arena *a,
                 struct page *out, struct err *e);
/* The largest text of the page, at most three lines; "" when nothing stands out. */
void pdf_title(const struct pdf_page *p, const struct page *out, float body, char *title,
               size_t cap);

/* The outline (bookmarks) of a document, NULL when it has none. Lives in a. */
struct outline *outline_read(PopplerDocument *doc, struct arena *a);
/* Level 1..6 of a heading with this text on this page, 0: the outline has none such. */
int outline_level(const struct outline *o, uint32_t page, const char *text, size_t n);

/* Appends values of form fields and free text notes to the page. */
int pdf_forms(PopplerPage *pp, const struct pdf_page *p, struct arena *a, struct page *out,
              struct err *e);

#endif
