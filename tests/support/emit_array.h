/* emit_array.h - an emitter that keeps pages in memory: what the parser tests look at. */
#ifndef DOCENT_EMIT_ARRAY_H
#define DOCENT_EMIT_ARRAY_H

#include "ingest/child/child.h"

struct emit {
    struct arena a;
    struct page *pages; /* [n], in a */
    uint32_t n, cap;
    char title[512], lang[8], reason[256];
    enum extract_status status;
    uint64_t hidden_spans, hidden_chars;
    uint32_t bad_pages;
    uint32_t fail_at; /* emit_page number fail_at gives ERR_IO; 0: never */
};

struct emit *emit_array_open(void);
void emit_array_close(struct emit *em);
/* Pages' texts in a row, as one string in the emitter's arena. */
const char *emit_array_text(struct emit *em);

typedef int parse_fn(int fd, uint64_t size, struct emit *em, struct err *e);
/* Runs a parser over n bytes (in a file without name). */
int emit_array_parse(struct emit *em, parse_fn *parse, const void *bytes, size_t n, struct err *e);

#endif
