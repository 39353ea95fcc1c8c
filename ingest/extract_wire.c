/* extract_wire.c - pages as bytes and back (see extract_wire.h). */
#include "ingest/extract_wire.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"

static void put_float(struct buf *b, float f)
{
    uint32_t v;

    memcpy(&v, &f, sizeof v);
    buf_u32le(b, v);
}

static float get_float(struct rd *r)
{
    uint32_t v = rd_u32le(r);
    float f;

    memcpy(&f, &v, sizeof f);
    return f;
}

int wire_put_page(struct buf *b, const struct page *p)
{
    buf_u32le(b, p->number);
    put_float(b, p->width);
    put_float(b, p->height);
    buf_u32le(b, p->n_text);
    buf_add(b, p->text ? p->text : "", p->n_text);
    buf_u32le(b, p->n_boxes);
    for (uint32_t i = 0; i < p->n_boxes; i++) {
        const struct word_box *w = &p->boxes[i];
        buf_u32le(b, w->start);
        buf_u32le(b, w->end);
        put_float(b, w->x0);
        put_float(b, w->y0);
        put_float(b, w->x1);
        put_float(b, w->y1);
    }
    buf_u32le(b, p->n_heads);
    for (uint32_t i = 0; i < p->n_heads; i++) {
        buf_u32le(b, p->heads[i].start);
        buf_u32le(b, p->heads[i].end);
        buf_u8(b, p->heads[i].level);
    }
    buf_u32le(b, p->n_marks);
    for (uint32_t i = 0; i < p->n_marks; i++) {
        buf_u32le(b, p->marks[i].start);
        buf_u32le(b, p->marks[i].end);
        buf_u8(b, p->marks[i].kind);
    }
    return b->failed;
}

static float clamp(float f)
{
    if (!(f > 0)) /* NaN too */
        return 0;
    return f < 1 ? f : 1;
}

/* A count of items of at least size bytes each. */
static int get_count(struct rd *r, size_t size, uint32_t most, uint32_t *n)
{
    *n = rd_u32le(r);
    return !r->failed && *n <= most && *n <= r->left / size;
}

/* start <= end <= n_text, starts ascending, both on borders of characters. */
static int span_ok(const struct page *p, uint32_t start, uint32_t end, uint32_t before)
{
    return start >= before && start <= end && end <= p->n_text &&
           utf8_floor(p->text, start) == start && utf8_floor(p->text, end) == end;
}

static int get_boxes(struct rd *r, struct arena *a, struct page *p)
{
    uint32_t before = 0;

    if (!get_count(r, 24, LIM_PAGE_WORDS, &p->n_boxes))
        return 0;
    p->boxes = arena_take(a, p->n_boxes, sizeof *p->boxes);
    if (!p->boxes)
        return 0;
    for (uint32_t i = 0; i < p->n_boxes; i++) {
        struct word_box *w = &p->boxes[i];
        float t;
        w->start = rd_u32le(r);
        w->end = rd_u32le(r);
        w->x0 = clamp(get_float(r));
        w->y0 = clamp(get_float(r));
        w->x1 = clamp(get_float(r));
        w->y1 = clamp(get_float(r));
        if (!span_ok(p, w->start, w->end, before))
            return 0;
        before = w->start;
        if (w->x0 > w->x1) {
            t = w->x0;
            w->x0 = w->x1;
            w->x1 = t;
        }
        if (w->y0 > w->y1) {
            t = w->y0;
            w->y0 = w->y1;
            w->y1 = t;
        }
    }
    return 1;
}

static int get_heads(struct rd *r, struct arena *a, struct page *p)
{
    uint32_t before = 0;

    if (!get_count(r, 9, LIM_PAGE_WORDS, &p->n_heads))
        return 0;
    p->heads = arena_take(a, p->n_heads, sizeof *p->heads);
    if (!p->heads)
        return 0;
    for (uint32_t i = 0; i < p->n_heads; i++) {
        struct heading *h = &p->heads[i];
        h->start = rd_u32le(r);
        h->end = rd_u32le(r);
        h->level = rd_u8(r);
        if (!span_ok(p, h->start, h->end, before) || h->level < 1 || h->level > 6)
            return 0;
        before = h->end;
    }
    return 1;
}

static int get_marks(struct rd *r, struct arena *a, struct page *p)
{
    uint32_t before = 0;

    if (!get_count(r, 9, LIM_PAGE_WORDS, &p->n_marks))
        return 0;
    p->marks = arena_take(a, p->n_marks, sizeof *p->marks);
    if (!p->marks)
        return 0;
    for (uint32_t i = 0; i < p->n_marks; i++) {
        struct mark *m = &p->marks[i];
        m->start = rd_u32le(r);
        m->end = rd_u32le(r);
        m->kind = rd_u8(r);
        if (!span_ok(p, m->start, m->end, before) || m->kind < MARK_HEADER || m->kind > MARK_TABLE)
            return 0;
        before = m->start;
    }
    return 1;
}

int wire_get_page(const void *payload, size_t n, struct arena *a, struct page *p, struct err *e)
{
    struct rd r = rd_of(payload, n);
    const void *text;

    memset(p, 0, sizeof *p);
    p->number = rd_u32le(&r);
    p->width = get_float(&r);
    p->height = get_float(&r);
    p->n_text = rd_u32le(&r);
    text = p->n_text <= LIM_PAGE_TEXT ? rd_bytes(&r, p->n_text) : NULL;
    if (!text || !p->number || !(p->width >= 0 && p->width < 1e6F) ||
        !(p->height >= 0 && p->height < 1e6F))
        return err_set(e, ERR_FORMAT, "page frame with impossible sizes");
    if (utf8_valid(text, p->n_text) != p->n_text || memchr(text, 0, p->n_text))
        return err_set(e, ERR_FORMAT, "page %u: its text is not UTF-8", p->number);
    p->text = arena_strndup(a, text, p->n_text);
    if (!p->text)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    if (!get_boxes(&r, a, p) || !get_heads(&r, a, p) || !get_marks(&r, a, p) || r.failed || r.left)
        return err_set(e, ERR_FORMAT, "page %u: boxes, headings or marks outside its text",
                       p->number);
    return 0;
}
