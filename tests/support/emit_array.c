/* emit_array.c - pages kept in memory (see emit_array.h). */
#include "tests/support/emit_array.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/utf8.h"

struct emit *emit_array_open(void)
{
    struct emit *em = calloc(1, sizeof *em);

    if (!em)
        abort();
    arena_init(&em->a, (size_t)1 << 32);
    return em;
}

void emit_array_close(struct emit *em)
{
    arena_free(&em->a);
    free(em->pages);
    free(em);
}

static void *copy_of(struct arena *a, const void *p, size_t n, size_t size)
{
    void *to = arena_take(a, n + 1, size);

    if (!to)
        abort();
    memset(to, 0, (n + 1) * size);
    if (n)
        memcpy(to, p, n * size);
    return to;
}

int emit_page(struct emit *em, const struct page *p)
{
    struct page *to;

    if (em->fail_at && p->number == em->fail_at)
        return ERR_IO;
    if (em->n && p->number <= em->pages[em->n - 1].number)
        abort(); /* a parser's mistake */
    if (em->n == em->cap) {
        em->cap = em->cap ? em->cap * 2 : 16;
        em->pages = realloc(em->pages, em->cap * sizeof *em->pages);
        if (!em->pages)
            abort();
    }
    to = &em->pages[em->n++];
    *to = *p;
    to->text = copy_of(&em->a, p->text, p->n_text, 1);
    to->boxes = copy_of(&em->a, p->boxes, p->n_boxes, sizeof *p->boxes);
    to->heads = copy_of(&em->a, p->heads, p->n_heads, sizeof *p->heads);
    to->marks = copy_of(&em->a, p->marks, p->n_marks, sizeof *p->marks);
    if (utf8_valid(to->text, to->n_text) != to->n_text || memchr(to->text, 0, to->n_text))
        abort();
    for (uint32_t i = 0; i < to->n_heads; i++)
        if (to->heads[i].start >= to->heads[i].end || to->heads[i].end > to->n_text)
            abort();
    for (uint32_t i = 0; i < to->n_marks; i++)
        if (to->marks[i].start >= to->marks[i].end || to->marks[i].end > to->n_text)
            abort();
    return 0;
}

void emit_title(struct emit *em, const char *title, size_t n)
{
    snprintf(em->title, sizeof em->title, "%.*s", (int)(n < 511 ? n : 511), title);
}

void emit_lang(struct emit *em, const char *lang)
{
    snprintf(em->lang, sizeof em->lang, "%s", lang);
}

void emit_hidden(struct emit *em, uint64_t spans, uint64_t chars)
{
    em->hidden_spans += spans;
    em->hidden_chars += chars;
}

void emit_bad_page(struct emit *em)
{
    em->bad_pages++;
}

void emit_status(struct emit *em, enum extract_status s, const char *fmt, ...)
{
    va_list ap;

    em->status = s;
    va_start(ap, fmt);
    vsnprintf(em->reason, sizeof em->reason, fmt, ap);
    va_end(ap);
}

const char *emit_array_text(struct emit *em)
{
    size_t n = 0;
    char *all;

    for (uint32_t i = 0; i < em->n; i++)
        n += em->pages[i].n_text;
    all = copy_of(&em->a, NULL, 0, n + 1);
    n = 0;
    for (uint32_t i = 0; i < em->n; i++) {
        memcpy(all + n, em->pages[i].text, em->pages[i].n_text);
        n += em->pages[i].n_text;
    }
    return all;
}

int emit_array_parse(struct emit *em, parse_fn *parse, const void *bytes, size_t n, struct err *e)
{
    int fd = memfd_create("document", MFD_CLOEXEC);
    int rc;

    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET))
        abort();
    rc = parse(fd, n, em, e);
    close(fd);
    return rc;
}
