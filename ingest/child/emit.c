/* emit.c - pages to frames (see emit.h). Part of docent-extract: GPL-2.0-or-later, because it links
 * poppler. */
#include "ingest/child/emit.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/extract_wire.h"

struct emit {
    int fd;
    int json;
    uint32_t last_page;
    uint64_t text_bytes; /* of all pages */
    uint64_t hidden_spans, hidden_chars;
    enum extract_status status;
    char reason[256];
    struct buf b; /* one frame */
};

int emit_open(struct emit **out, int fd, int json, struct err *e)
{
    struct emit *em = mem_take(1, sizeof *em);

    *out = em;
    if (!em)
        return err_set(e, ERR_NOMEM, "output");
    em->fd = fd;
    em->json = json;
    buf_init(&em->b, LIM_FRAME);
    return 0;
}

static int send_bytes(struct emit *em, enum frame_type type, const void *payload, size_t n)
{
    unsigned char head[FRAME_HEAD] = {(unsigned char)type};

    if (n > LIM_FRAME)
        return ERR_LIMIT;
    for (int i = 0; i < 4; i++)
        head[1 + i] = (unsigned char)(n >> 8 * i);
    if (file_write_all(em->fd, head, sizeof head) || file_write_all(em->fd, payload, n))
        return ERR_IO;
    return 0;
}

static int send_json(struct emit *em, json_t *o)
{
    char *line = json_line(o);
    int why;

    json_decref(o);
    if (!line)
        return ERR_NOMEM;
    why = file_write_all(em->fd, line, strlen(line));
    if (!why)
        why = file_write_all(em->fd, "\n", 1);
    mem_give(line);
    return why ? ERR_IO : 0;
}

static json_t *page_json(const struct page *p)
{
    json_t *o = json_object();
    json_t *heads = json_array();
    json_t *boxes = json_array();

    json_object_set_new(o, "page", json_integer(p->number));
    json_object_set_new(o, "width", json_real(p->width));
    json_object_set_new(o, "height", json_real(p->height));
    json_object_set_new(o, "text", json_text(p->text, p->n_text));
    for (uint32_t i = 0; i < p->n_heads; i++)
        json_array_append_new(heads, json_pack("[i,i,i]", (int)p->heads[i].start,
                                               (int)p->heads[i].end, (int)p->heads[i].level));
    for (uint32_t i = 0; i < p->n_boxes; i++)
        json_array_append_new(boxes, json_pack("[i,i,f,f,f,f]", (int)p->boxes[i].start,
                                               (int)p->boxes[i].end, (double)p->boxes[i].x0,
                                               (double)p->boxes[i].y0, (double)p->boxes[i].x1,
                                               (double)p->boxes[i].y1));
    json_object_set_new(o, "heads", heads);
    json_object_set_new(o, "boxes", boxes);
    return o;
}

int emit_page(struct emit *em, const struct page *p)
{
    int rc;

    if (p->number <= em->last_page || p->number > LIM_DOC_PAGES || p->n_text > LIM_PAGE_TEXT ||
        p->n_boxes > LIM_PAGE_WORDS || em->text_bytes + p->n_text > LIM_DOC_TEXT)
        return ERR_LIMIT;
    em->last_page = p->number;
    em->text_bytes += p->n_text;
    if (em->json)
        return send_json(em, page_json(p));
    buf_clear(&em->b);
    rc = wire_put_page(&em->b, p);
    return rc ? rc : send_bytes(em, FRAME_PAGE, em->b.data, em->b.len);
}

void emit_title(struct emit *em, const char *title, size_t n)
{
    if (n > LIM_TITLE)
        n = utf8_floor(title, LIM_TITLE);
    if (em->json)
        send_json(em, json_pack("{s:o}", "title", json_text(title, n)));
    else
        send_bytes(em, FRAME_TITLE, title, n);
}

void emit_lang(struct emit *em, const char *lang)
{
    if (em->json)
        send_json(em, json_pack("{s:o}", "lang", json_text(lang, strlen(lang))));
    else
        send_bytes(em, FRAME_LANG, lang, strlen(lang));
}

void emit_hidden(struct emit *em, uint64_t spans, uint64_t chars)
{
    em->hidden_spans += spans;
    em->hidden_chars += chars;
    if (em->json || !spans)
        return;
    buf_clear(&em->b);
    buf_u64le(&em->b, spans);
    buf_u64le(&em->b, chars);
    if (!em->b.failed)
        send_bytes(em, FRAME_HIDDEN, em->b.data, em->b.len);
}

void emit_bad_page(struct emit *em)
{
    if (em->json)
        send_json(em, json_pack("{s:b}", "bad_page", 1));
    else
        send_bytes(em, FRAME_BAD_PAGE, "", 0);
}

void emit_status(struct emit *em, enum extract_status s, const char *fmt, ...)
{
    va_list ap;

    em->status = s;
    va_start(ap, fmt);
    vsnprintf(em->reason, sizeof em->reason, fmt, ap);
    va_end(ap);
    utf8_printable(em->reason);
}

int emit_png(struct emit *em, const unsigned char *png, size_t n)
{
    return send_bytes(em, FRAME_PNG, png, n);
}

/* The parser's error as a status, where it has not set one. */
static void status_of(struct emit *em, int rc, const struct err *e)
{
    if (!rc || em->status != EXTRACT_OK)
        return;
    if (rc == ERR_NOMEM)
        emit_status(em, EXTRACT_MEMORY, "out of memory: %s", e->msg);
    else if (rc == ERR_LIMIT)
        emit_status(em, EXTRACT_TOO_LARGE, "%s",
                    e->msg[0] ? e->msg : "more text than docent takes from one file");
    else if (rc == ERR_UNSUPPORTED)
        emit_status(em, EXTRACT_UNSUPPORTED, "%s", e->msg);
    else
        emit_status(em, EXTRACT_DAMAGED, "%s", e->msg[0] ? e->msg : err_text(rc));
}

int emit_end(struct emit *em, int rc, const struct err *e)
{
    struct rusage use;
    uint64_t peak;
    int out = 0;

    status_of(em, rc, e);
    getrusage(RUSAGE_SELF, &use);
    peak = (uint64_t)use.ru_maxrss * 1024;
    if (em->json)
        return send_json(em,
                         json_pack("{s:s,s:s,s:I,s:I,s:I}", "status",
                                   extract_status_name(em->status), "reason", em->reason,
                                   "hidden_spans", (json_int_t)em->hidden_spans, "hidden_chars",
                                   (json_int_t)em->hidden_chars, "peak_bytes", (json_int_t)peak));
    buf_clear(&em->b);
    buf_u8(&em->b, (uint8_t)em->status);
    buf_str(&em->b, em->reason);
    if (!out && !em->b.failed)
        out = send_bytes(em, FRAME_STATUS, em->b.data, em->b.len);
    buf_clear(&em->b);
    buf_u64le(&em->b, peak);
    if (!out && !em->b.failed)
        out = send_bytes(em, FRAME_END, em->b.data, em->b.len);
    return out;
}
