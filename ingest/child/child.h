/* child.h - the inside of docent-extract: parsers, and the emitter they write to.
 * main.c      arguments, limits, sandbox, one parser     emit.c     pages -> frames on the pipe
 * sandbox.c   Landlock, seccomp, rlimits                  pdf.c, pdf_layout.c, pdf_hidden.c  poppler
 * html.c docx.c markdown.c text.c
 * A parser reads an open descriptor, emits pages in order, and returns a status. It never prints and never opens a
 * file by name. One thread. */
#ifndef DOCENT_INGEST_CHILD_H
#define DOCENT_INGEST_CHILD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "ingest/ingest.h"

struct emit; /* where pages go: a pipe, or an array in tests */

/* Sends one page (numbers ascending from 1). 0, or ERR_LIMIT/ERR_IO: the parser stops at once and returns that. */
int emit_page(struct emit *em, const struct page *p);
void emit_title(struct emit *em, const char *title, size_t n); /* the last call wins */
void emit_lang(struct emit *em, const char *lang);
void emit_hidden(struct emit *em, uint64_t spans, uint64_t chars); /* adds */
void emit_bad_page(struct emit *em); /* adds one */
/* The status of the whole document, with a sentence. EXTRACT_OK is the default. */
void emit_status(struct emit *em, enum extract_status s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* For formats without pages: collects blocks and cuts them into parts of about LIM_PART_TEXT bytes, never inside a block
 * that fits. Headings keep their level. All NUL, control characters but \n and \t, bidi controls, tag
 * characters and soft hyphens are removed here; text is made valid UTF-8 and NFC. */
struct blocks;
int blocks_open(struct blocks **out, struct emit *em, struct err *e);
int blocks_paragraph(struct blocks *b, const char *text, size_t n); /* an empty line follows */
int blocks_heading(struct blocks *b, int level, const char *text, size_t n);
int blocks_table_row(struct blocks *b, const char *text, size_t n); /* cells joined by " | "; rows stand together */
int blocks_code(struct blocks *b, const char *text, size_t n); /* line breaks kept */
int blocks_end(struct blocks *b); /* sends the last part; b is gone */
/* How a parser ends: blocks_end() (b may be NULL), unless rc is a failure; that gets a sentence if it has none. */
int blocks_close(struct blocks *b, int rc, struct emit *em, struct err *e);

/* Each parses the whole of fd (size bytes, regular file, offset 0). Returns 0 when the status says it all. */
int parse_pdf(int fd, uint64_t size, struct emit *em, struct err *e);
int parse_html(int fd, uint64_t size, struct emit *em, struct err *e);
int parse_docx(int fd, uint64_t size, struct emit *em, struct err *e);
int parse_markdown(int fd, uint64_t size, struct emit *em, struct err *e);
int parse_text(int fd, uint64_t size, struct emit *em, struct err *e);

/* Reads all of fd into b and turns it into valid UTF-8: BOM, declared charset (may be NULL), valid UTF-8 as it is, else ICU
 * detection. text.c; used by html and markdown too. */
int text_to_utf8(int fd, uint64_t size, const char *declared, struct buf *b, struct err *e);

#endif
