/* emit.h - where the parsers' pages go: frames on a pipe, or JSON lines for people (see child.h). */
#ifndef DOCENT_INGEST_CHILD_EMIT_H
#define DOCENT_INGEST_CHILD_EMIT_H

#include "ingest/child/child.h"

int emit_open(struct emit **out, int fd, int json, struct err *e);
/* After the parser: rc and e are what it returned. Sends status and end frame. */
int emit_end(struct emit *em, int rc, const struct err *e);
int emit_png(struct emit *em, const unsigned char *png, size_t n);

#endif
