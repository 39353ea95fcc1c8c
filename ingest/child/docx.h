/* docx.h - between docx.c (the archive, styles, the order of things), docx_body.c (the text) and
 * docx_numbers.c (the numbers before paragraphs). */
#ifndef DOCENT_INGEST_DOCX_H
#define DOCENT_INGEST_DOCX_H

#include <libxml/xmlreader.h>

#include "ingest/child/child.h"

#define DOCX_NAME 80 /* bytes of a style's id, NUL included */

struct docx_style {
    char id[DOCX_NAME], based[DOCX_NAME];
    int level; /* heading level 1..6; 0: none of its own */
    int title;
    char num_id[16]; /* list that numbers its paragraphs; "" none of its own */
    int ilvl; /* level in it, -1 unsaid */
    int vanish; /* 1 hidden, 0 shown, -1 as the style it is based on */
};

struct docx_styles {
    struct docx_style *list;
    size_t n, cap;
};

/* Walks styles.xml. 0, ERR_FORMAT, ERR_NOMEM. */
int docx_styles_read(struct docx_styles *s, xmlTextReaderPtr r, struct err *e);
/* What a style comes to with those it is based on. */
int docx_style_level(const struct docx_styles *s, const char *id);
int docx_style_title(const struct docx_styles *s, const char *id);
int docx_style_hidden(const struct docx_styles *s, const char *id);

/* The list of a style's paragraphs, "" when there is none; *owner is the style that says so. */
const char *docx_style_list(const struct docx_styles *s, const char *id, const char **owner,
                            int *ilvl);

struct docx_numbers;
int docx_numbers_open(struct docx_numbers **out, struct err *e);
void docx_numbers_free(struct docx_numbers *n); /* NULL is fine */
/* Walks numbering.xml. 0, ERR_FORMAT. Lists that do not fit are left out. */
int docx_numbers_read(struct docx_numbers *n, xmlTextReaderPtr r, struct err *e);
/* Counts one paragraph of list num_id and writes its label ("4.2", "(a)", "-" for bullets). ilvl -1:
 * the level is that of style, or the first. Returns 0 when there is no such list. n may be NULL. */
int docx_numbers_next(struct docx_numbers *n, const char *num_id, int ilvl, const char *style,
                      char *out, size_t cap);

/* Walks document.xml, footnotes.xml or endnotes.xml and hands its blocks over. */
int docx_body(xmlTextReaderPtr r, const struct docx_styles *styles, struct docx_numbers *numbers,
              struct blocks *out, struct emit *em, struct err *e);

/* The next node: 1, 0 at the end, or -1 with e set: no XML, a DOCTYPE, too deep. */
int docx_next(xmlTextReaderPtr r, struct err *e);
int docx_is(xmlTextReaderPtr r, const char *local_name);
/* A whole number, -1 for anything else or beyond a million: no attribute read here is larger. */
int docx_whole(const char *text);
/* The attribute of this local name, cut to cap-1 bytes; 0 when there is none. */
int docx_attr(xmlTextReaderPtr r, const char *local_name, char *out, size_t cap);
/* An on/off element: 1 unless its val says 0, false or off. */
int docx_on(xmlTextReaderPtr r);

#endif
