/* terms.c - blocks of sorted terms (T_TERM): prefix compressed, every 16th term whole.
 * Entry: varint shared, varint rest, rest bytes, varint postings, varint removed, and when there are postings
 * varint place: 0 = the list follows (varint bytes, bytes), else T_POST value + 1 and varint offset.
 * Behind the entries: u32 offsets of the whole terms, u32 their number. A lookup is a binary search
 * over those and at most 16 steps. */
#include <string.h>

#include "index/postings_impl.h"

static uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int term_order(const unsigned char *a, uint32_t n, const unsigned char *b, uint32_t m)
{
    int c = memcmp(a, b, n < m ? n : m);

    return c ? c : n < m ? -1 : n > m;
}

int term_block_open(struct term_block *b, const void *p, size_t n)
{
    uint64_t tail;

    b->p = p;
    if (n < 8 || n > UINT32_MAX)
        return ERR_CORRUPT;
    b->n_restarts = u32_at(b->p + n - 4);
    tail = 4 + 4 * (uint64_t)b->n_restarts;
    if (!b->n_restarts || tail >= n)
        return ERR_CORRUPT;
    b->n = (uint32_t)(n - tail);
    b->restarts = b->p + b->n;
    return 0;
}

/* Short varints are the rule; returns NULL over the end or above 32 bits. */
static const unsigned char *get(const unsigned char *p, const unsigned char *end, uint32_t *v)
{
    uint64_t x = 0;

    if (p < end && *p < 128) {
        *v = *p;
        return p + 1;
    }
    for (int shift = 0; shift < 35 && p < end; shift += 7) {
        unsigned char c = *p++;
        x |= (uint64_t)(c & 127) << shift;
        if (c < 128) {
            *v = (uint32_t)x;
            return x > UINT32_MAX ? NULL : p;
        }
    }
    return NULL;
}

void term_reader_at(struct term_reader *r, const struct term_block *b, uint32_t restart)
{
    uint32_t off = u32_at(b->restarts + 4 * (size_t)restart);

    r->b = b;
    r->end = b->p + b->n;
    r->p = off <= b->n ? b->p + off : NULL;
    r->n_term = 0;
}

int term_reader_next(struct term_reader *r)
{
    const unsigned char *p = r->p, *end = r->end;
    uint32_t shared, rest, place;

    if (!p)
        return ERR_CORRUPT;
    if (p == end)
        return ERR_NOTFOUND;
    r->p = NULL; /* until the entry proves whole */
    p = get(p, end, &shared);
    if (p)
        p = get(p, end, &rest);
    if (!p || shared > r->n_term || rest > TERM_BYTES - shared || rest > (uint64_t)(end - p))
        return ERR_CORRUPT;
    memcpy(r->term + shared, p, rest);
    r->n_term = shared + rest;
    p = get(p + rest, end, &r->l.n);
    if (p)
        p = get(p, end, &r->l.removed);
    if (!p)
        return ERR_CORRUPT;
    r->l.bytes = NULL;
    r->l.n_bytes = r->l.value = r->l.off = 0;
    if (r->l.n) {
        p = get(p, end, &place);
        if (p && place == 0) {
            p = get(p, end, &r->l.n_bytes);
            if (!p || r->l.n_bytes > (uint64_t)(end - p) || r->l.n > POST_BLOCK)
                return ERR_CORRUPT;
            r->l.bytes = p;
            p += r->l.n_bytes;
        } else if (p) {
            r->l.value = place - 1;
            p = get(p, end, &r->l.off);
        }
    }
    r->p = p;
    return p ? 0 : ERR_CORRUPT;
}

/* The whole term at a restart; NULL when damaged. */
static const unsigned char *whole_term(const struct term_block *b, uint32_t restart, uint32_t *n)
{
    uint32_t off = u32_at(b->restarts + 4 * (size_t)restart), shared;
    const unsigned char *end = b->p + b->n, *p;

    if (off >= b->n)
        return NULL;
    p = get(b->p + off, end, &shared);
    if (p)
        p = get(p, end, n);
    return p && !shared && *n <= TERM_BYTES && *n <= (uint64_t)(end - p) ? p : NULL;
}

const unsigned char *term_block_first(const struct term_block *b, uint32_t *n)
{
    return whole_term(b, 0, n);
}

int term_block_find(const struct term_block *b, const char *term, uint32_t n, struct list *out)
{
    struct term_reader r;
    uint32_t low = 0, high = b->n_restarts;
    int rc;

    while (high - low > 1) { /* the last restart whose term is not above */
        uint32_t mid = low + (high - low) / 2, m;
        const unsigned char *t = whole_term(b, mid, &m);
        if (!t)
            return ERR_CORRUPT;
        if (term_order(t, m, (const unsigned char *)term, n) <= 0)
            low = mid;
        else
            high = mid;
    }
    term_reader_at(&r, b, low);
    for (int i = 0; i < TERM_RESTART; i++) {
        int c;
        rc = term_reader_next(&r);
        if (rc)
            return rc;
        c = term_order(r.term, r.n_term, (const unsigned char *)term, n);
        if (c > 0)
            break;
        if (c == 0) {
            *out = r.l;
            return 0;
        }
    }
    return ERR_NOTFOUND;
}
