/* mem.h - memory by lifetime: mem_* for what lives as long as the process or an object,
 * struct arena for what lives as long as a request, a document or a micro-batch. */
#ifndef DOCENT_BASE_MEM_H
#define DOCENT_BASE_MEM_H

#include <stddef.h>

/* n items of size bytes, zeroed. NULL when n*size overflows, nothing is left, or
 * mem_fail_after() says so. Free with mem_give(). */
void *mem_take(size_t n, size_t size);
/* Grows or shrinks; the old block stays valid on failure. New bytes are not zeroed. */
void *mem_again(void *p, size_t n, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n); /* copies n bytes and adds a NUL */
void mem_give(void *p); /* NULL is fine */

/* Test hook: the k-th next mem_take/mem_again/arena chunk fails (0 = the very next), and all after
 * it until reset. Negative: off. Process-wide. */
void mem_fail_after(long k);

/* An arena: memory taken in a row and dropped at once. Grows by chunks up to a ceiling.
 * Threads: one at a time. */
struct arena_chunk;
struct arena {
    struct arena_chunk *head; /* the chunk being filled; older ones behind it */
    struct arena_chunk *spare; /* one chunk kept after a reset */
    size_t used; /* bytes handed out since the last reset, padding included */
    size_t ceiling; /* arena_take fails above this many bytes */
};

void arena_init(struct arena *a, size_t ceiling);
/* n items of size bytes, 64-byte aligned, NOT zeroed. NULL when n*size overflows, the ceiling is
 * reached or memory is out: the caller says ERR_LIMIT or ERR_NOMEM. */
void *arena_take(struct arena *a, size_t n, size_t size);
void *arena_zero(struct arena *a, size_t n, size_t size); /* the same, zeroed */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Everything taken so far becomes invalid; a chunk is kept for the next round. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

/* The point to which arena_rewind() goes back: what was taken after it becomes invalid. */
struct arena_mark {
    struct arena_chunk *chunk;
    size_t fill;
    size_t used;
};
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

#endif
