/* buf.h - a growing byte buffer that is born with its largest legal size.
 * The bytes are always NUL-terminated once something was added, so they also read as a string.
 * After a failure the buffer is emptied and every later call fails too (failed is set): a row of
 * adds can be checked once at its end. Threads: one at a time. */
#ifndef DOCENT_BASE_BUF_H
#define DOCENT_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL until the first add */
    size_t len; /* without the NUL */
    size_t cap;
    size_t ceiling;
    int failed; /* 0, ERR_NOMEM or ERR_LIMIT */
};

void buf_init(struct buf *b, size_t ceiling);
int buf_add(struct buf *b, const void *bytes, size_t n); /* 0, ERR_NOMEM, ERR_LIMIT */
int buf_str(struct buf *b, const char *s);
int buf_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes at the end; add them with b->len += k, k <= n. NULL on failure. */
char *buf_room(struct buf *b, size_t n);
int buf_u8(struct buf *b, uint8_t v);
int buf_u32le(struct buf *b, uint32_t v);
int buf_u64le(struct buf *b, uint64_t v);
int buf_varint(struct buf *b, uint64_t v); /* LEB128 */
void buf_clear(struct buf *b); /* keeps the memory; forgets a failure */
void buf_free(struct buf *b);
/* The bytes become the caller's (mem_give); the buffer is empty afterwards. */
char *buf_take(struct buf *b, size_t *len);

/* Reads what the adders wrote, against the bytes that remain. After the first short read failed is
 * set and every call returns 0: check once at the end. */
struct rd {
    const unsigned char *p;
    size_t left;
    int failed;
};
struct rd rd_of(const void *bytes, size_t n);
uint8_t rd_u8(struct rd *r);
uint32_t rd_u32le(struct rd *r);
uint64_t rd_u64le(struct rd *r);
uint64_t rd_varint(struct rd *r);
const void *rd_bytes(struct rd *r, size_t n); /* NULL on failure; points into the source */

#endif
