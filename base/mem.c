/* mem.c - counted heap and arenas (see mem.h). */
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long fail_in = -1;

static int must_fail(void)
{
    long left = atomic_load(&fail_in);

    if (left < 0)
        return 0;
    if (left == 0)
        return 1;
    atomic_store(&fail_in, left - 1);
    return 0;
}

void mem_fail_after(long k)
{
    atomic_store(&fail_in, k);
}

void *mem_take(size_t n, size_t size)
{
    if (must_fail())
        return NULL;
    return calloc(n ? n : 1, size ? size : 1);
}

void *mem_again(void *p, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes) || must_fail())
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? mem_take(n + 1, 1) : NULL;

    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

void mem_give(void *p)
{
    free(p);
}

/* ---- arena ---- */

#define ALIGN 64
#define CHUNK_LEAST ((size_t)64 << 10)
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define RED_ZONE 64 /* kept poisoned behind every block, so that an overrun is seen */
#else
#define RED_ZONE 0
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* usable bytes behind the header */
    size_t fill;
};

static unsigned char *chunk_data(struct arena_chunk *c)
{
    return (unsigned char *)c + ALIGN;
}

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *c;

    if (must_fail() || size > SIZE_MAX - 2 * ALIGN)
        return NULL;
    c = aligned_alloc(ALIGN, size + ALIGN);
    if (!c)
        return NULL;
    c->older = NULL;
    c->size = size;
    c->fill = 0;
    ASAN_POISON_MEMORY_REGION(chunk_data(c), size);
    return c;
}

static void chunk_free(struct arena_chunk *c)
{
    if (c)
        ASAN_UNPOISON_MEMORY_REGION(chunk_data(c), c->size);
    free(c);
}

void arena_init(struct arena *a, size_t ceiling)
{
    memset(a, 0, sizeof *a);
    a->ceiling = ceiling;
}

void *arena_take(struct arena *a, size_t n, size_t size)
{
    struct arena_chunk *c = a->head;
    size_t bytes;
    size_t padded;
    void *p;

    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    padded = (bytes + RED_ZONE + ALIGN - 1) / ALIGN * ALIGN;
    if (padded == 0)
        padded = ALIGN;
    if (padded > a->ceiling || a->used > a->ceiling - padded)
        return NULL;
    if (!c || c->size - c->fill < padded) {
        if (a->spare && a->spare->size >= padded) {
            c = a->spare;
            a->spare = NULL;
            c->fill = 0;
        } else {
            size_t want = c ? c->size * 2 : CHUNK_LEAST;
            if (want > ((size_t)16 << 20))
                want = (size_t)16 << 20;
            if (want < padded)
                want = padded;
            c = chunk_new(want);
            if (!c)
                return NULL;
        }
        c->older = a->head;
        a->head = c;
    }
    p = chunk_data(c) + c->fill;
    c->fill += padded;
    a->used += padded;
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return p;
}

void *arena_zero(struct arena *a, size_t n, size_t size)
{
    void *p = arena_take(a, n, size);

    if (p)
        memset(p, 0, n * size);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? arena_take(a, n + 1, 1) : NULL;

    if (copy) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *out;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    out = arena_take(a, (size_t)n + 1, 1);
    if (!out)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(out, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return out;
}

static void drop_newer(struct arena *a, const struct arena_chunk *keep)
{
    while (a->head && a->head != keep) {
        struct arena_chunk *c = a->head;
        a->head = c->older;
        if (!a->spare || a->spare->size < c->size) {
            struct arena_chunk *old = a->spare;
            a->spare = c;
            c = old;
        }
        chunk_free(c);
    }
}

void arena_reset(struct arena *a)
{
    drop_newer(a, NULL);
    if (a->spare)
        ASAN_POISON_MEMORY_REGION(chunk_data(a->spare), a->spare->size);
    a->used = 0;
}

void arena_free(struct arena *a)
{
    arena_reset(a);
    chunk_free(a->spare);
    a->spare = NULL;
}

struct arena_mark arena_mark(const struct arena *a)
{
    struct arena_mark m = {a->head, a->head ? a->head->fill : 0, a->used};

    return m;
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
    drop_newer(a, m.chunk);
    if (a->head) {
        a->head->fill = m.fill;
        ASAN_POISON_MEMORY_REGION(chunk_data(a->head) + m.fill, a->head->size - m.fill);
    }
    a->used = m.used;
}
