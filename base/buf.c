/* buf.c - growing buffers and bounded reading (see buf.h). */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void buf_init(struct buf *b, size_t ceiling)
{
    memset(b, 0, sizeof *b);
    b->ceiling = ceiling;
}

static int fail(struct buf *b, int code)
{
    mem_give(b->data);
    b->data = NULL;
    b->len = 0;
    b->cap = 0;
    b->failed = code;
    return code;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n > b->ceiling || b->len > b->ceiling - n) {
        fail(b, ERR_LIMIT);
        return NULL;
    }
    if (b->cap - b->len < n + 1) {
        size_t want = b->cap ? b->cap * 2 : 256;
        char *grown;
        if (want < b->len + n + 1)
            want = b->len + n + 1;
        grown = mem_again(b->data, want, 1);
        if (!grown) {
            fail(b, ERR_NOMEM);
            return NULL;
        }
        b->data = grown;
        b->cap = want;
    }
    return b->data + b->len;
}

int buf_add(struct buf *b, const void *bytes, size_t n)
{
    char *to = buf_room(b, n);

    if (!to)
        return b->failed;
    if (n)
        memcpy(to, bytes, n);
    to[n] = '\0';
    b->len += n;
    return 0;
}

int buf_str(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    char *to;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return fail(b, ERR_INVALID);
    to = buf_room(b, (size_t)n);
    if (!to)
        return b->failed;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

int buf_u8(struct buf *b, uint8_t v)
{
    return buf_add(b, &v, 1);
}

int buf_u32le(struct buf *b, uint32_t v)
{
    unsigned char x[4];

    for (int i = 0; i < 4; i++)
        x[i] = (unsigned char)(v >> 8 * i);
    return buf_add(b, x, sizeof x);
}

int buf_u64le(struct buf *b, uint64_t v)
{
    unsigned char x[8];

    for (int i = 0; i < 8; i++)
        x[i] = (unsigned char)(v >> 8 * i);
    return buf_add(b, x, sizeof x);
}

int buf_varint(struct buf *b, uint64_t v)
{
    unsigned char x[10];
    size_t n = 0;

    do {
        unsigned char more = v > 0x7F ? 0x80 : 0;
        x[n++] = (unsigned char)((v & 0x7F) | more);
        v >>= 7;
    } while (v);
    return buf_add(b, x, n);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->data)
        b->data[0] = '\0';
}

void buf_free(struct buf *b)
{
    mem_give(b->data);
    buf_init(b, b->ceiling);
}

char *buf_take(struct buf *b, size_t *len)
{
    char *data = b->data;

    if (len)
        *len = b->len;
    buf_init(b, b->ceiling);
    return data;
}

/* ---- bounded reading ---- */

struct rd rd_of(const void *bytes, size_t n)
{
    struct rd r = {bytes, n, 0};

    return r;
}

const void *rd_bytes(struct rd *r, size_t n)
{
    const unsigned char *p = r->p;

    if (r->failed || n > r->left) {
        r->failed = 1;
        return NULL;
    }
    r->p += n;
    r->left -= n;
    return p;
}

uint8_t rd_u8(struct rd *r)
{
    const unsigned char *p = rd_bytes(r, 1);

    return p ? p[0] : 0;
}

static uint64_t little(struct rd *r, size_t n)
{
    const unsigned char *p = rd_bytes(r, n);
    uint64_t v = 0;

    for (size_t i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

uint32_t rd_u32le(struct rd *r)
{
    return (uint32_t)little(r, 4);
}

uint64_t rd_u64le(struct rd *r)
{
    return little(r, 8);
}

uint64_t rd_varint(struct rd *r)
{
    uint64_t v = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        const unsigned char *p = rd_bytes(r, 1);
        if (!p)
            return 0;
        if (shift == 63 && p[0] > 1)
            break; /* bits above the 64th */
        v |= (uint64_t)(p[0] & 0x7F) << shift;
        if (!(p[0] & 0x80))
            return v;
    }
    r->failed = 1;
    return 0;
}
