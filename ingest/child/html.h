/* html.h - HTML that stands in another text: what markdown.c needs of html.c. */
#ifndef DOCENT_INGEST_HTML_H
#define DOCENT_INGEST_HTML_H

#include "ingest/child/child.h"

/* Hands over the blocks of n bytes of UTF-8 HTML (changed on the way: NUL becomes a blank).
 * whole: 1 for a page, whose title, language and style sheets count; 0 for a piece of one. */
int html_blocks(char *text, size_t n, struct blocks *out, struct emit *em, int whole,
                struct err *e);

#endif
