/* style.h - just enough CSS to know what a page hides: inline styles, the hidden attribute, and the
 * rules of <style> whose selector is one element, class or id. One thread. */
#ifndef DOCENT_INGEST_STYLE_H
#define DOCENT_INGEST_STYLE_H

#include <libxml/tree.h>

#include "base/err.h"

struct style;

int style_open(struct style **out, struct err *e);
/* Notes the rules of a style sheet that hide something; the rest of it is passed over. */
void style_rules(struct style *s, const char *css);
/* 1: a reader does not see n, by itself (what its parents say was asked before). */
int style_hides(const struct style *s, xmlNode *n);
/* The same for a tag as text, "<span style='display:none'>"; only its own attributes count. */
int style_tag_hides(const char *tag);
void style_free(struct style *s); /* NULL is fine */

#endif
