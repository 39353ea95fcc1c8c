/* seg_writer.c - writes one segment of postings, term by term (formats in postings_impl.h, terms.c).
 * Holds one term block and one value of lists; what is full goes to the store at once, so memory
 * does not depend on the segment's size. */
#include <string.h>

#include "index/postings_impl.h"

struct seg_writer {
    struct txn *t;
    struct segment seg;
    struct buf terms, restarts; /* the term block being filled */
    uint32_t n_in_block;
    struct buf value; /* the T_POST value being filled */
    unsigned char last[TERM_BYTES], term[TERM_BYTES];
    uint32_t n_last, n_term;
    /* the list at hand */
    uint32_t n, n_block;
    uint32_t cid[POST_BLOCK], tf[POST_BLOCK];
    uint64_t prev; /* last id of the blocks written + 1 */
    uint32_t start_value, start_off;
};

static unsigned char *put_varint(unsigned char *p, uint64_t v)
{
    while (v >= 128) {
        *p++ = (unsigned char)(v | 128);
        v >>= 7;
    }
    *p++ = (unsigned char)v;
    return p;
}

int seg_writer_open(struct seg_writer **out, struct txn *t, uint32_t id, struct err *e)
{
    struct seg_writer *w = mem_take(1, sizeof *w);

    if (!w)
        return err_set(e, ERR_NOMEM, "postings: segment writer");
    w->t = t;
    w->seg.id = id;
    w->seg.first = UINT32_MAX;
    buf_init(&w->terms, 2 * TERM_BLOCK);
    buf_init(&w->restarts, TERM_BLOCK);
    buf_init(&w->value, 2 * POST_VALUE);
    *out = w;
    return 0;
}

void seg_writer_drop(struct seg_writer *w)
{
    if (!w)
        return;
    buf_free(&w->terms);
    buf_free(&w->restarts);
    buf_free(&w->value);
    mem_give(w);
}

static int put(struct seg_writer *w, enum table tb, uint32_t part, struct buf *b, struct err *e)
{
    unsigned char key[8];
    int rc;

    if (b->failed)
        return err_set(e, b->failed, "postings: segment %u", w->seg.id);
    seg_key(key, w->seg.id, part);
    rc = txn_put(w->t, tb, key, sizeof key, b->data, b->len, e);
    w->seg.bytes += b->len;
    buf_clear(b);
    return rc ? err_wrap(e, "postings: segment %u", w->seg.id) : 0;
}

static int flush_value(struct seg_writer *w, struct err *e)
{
    return w->value.len ? put(w, T_POST, w->seg.post_values++, &w->value, e) : 0;
}

static int flush_terms(struct seg_writer *w, struct err *e)
{
    if (!w->terms.len)
        return 0;
    uint32_t n_restarts = (uint32_t)(w->restarts.len / 4);
    if (!w->restarts.failed)
        buf_add(&w->terms, w->restarts.data, w->restarts.len);
    else
        w->terms.failed = w->restarts.failed;
    buf_u32le(&w->terms, n_restarts);
    buf_clear(&w->restarts);
    w->n_in_block = 0;
    return put(w, T_TERM, w->seg.term_blocks++, &w->terms, e);
}

int seg_writer_term(struct seg_writer *w, const unsigned char *term, uint32_t n, struct err *e)
{
    if (n > TERM_BYTES)
        return err_set(e, ERR_INVALID, "postings: a term of %u bytes", n);
    memcpy(w->term, term, n);
    w->n_term = n;
    w->n = w->n_block = 0;
    w->prev = 0;
    return 0;
}

static unsigned char *encode_block(const struct seg_writer *w, unsigned char *p)
{
    uint64_t prev = w->prev;

    for (uint32_t i = 0; i < w->n_block; i++) {
        uint64_t gap = w->cid[i] - prev;
        p = put_varint(p, gap << 1 | (w->tf[i] > 1));
        if (w->tf[i] > 1)
            p = put_varint(p, w->tf[i] - 2);
        prev = (uint64_t)w->cid[i] + 1;
    }
    return p;
}

/* Adds bytes to the list values; the list's first bytes set where it starts. */
static int place(struct seg_writer *w, const unsigned char *p, size_t n, int first, struct err *e)
{
    if (w->value.len + n > POST_VALUE) {
        int rc = flush_value(w, e);
        if (rc)
            return rc;
    }
    if (first) {
        w->start_value = w->seg.post_values;
        w->start_off = (uint32_t)w->value.len;
    }
    buf_add(&w->value, p, n);
    return w->value.failed ? err_set(e, w->value.failed, "postings: list values") : 0;
}

/* A block of a long list: what a reader needs to step over it, then the postings. */
static int flush_block(struct seg_writer *w, struct err *e)
{
    unsigned char body[POST_BLOCK * 10], out[POST_BLOCK * 10 + 16], *p;
    size_t n = (size_t)(encode_block(w, body) - body);
    uint64_t behind = (uint64_t)w->cid[w->n_block - 1] + 1;
    int first = w->n <= POST_BLOCK;

    p = put_varint(out, behind - w->prev);
    p = put_varint(p, n);
    memcpy(p, body, n);
    w->prev = behind;
    w->n_block = 0;
    return place(w, out, (size_t)(p - out) + n, first, e);
}

int seg_writer_posting(struct seg_writer *w, uint32_t cid, uint32_t tf, struct err *e)
{
    if (w->n_block == POST_BLOCK) {
        int rc = flush_block(w, e);
        if (rc)
            return rc;
    }
    if (cid < w->seg.first)
        w->seg.first = cid;
    if (cid > w->seg.last)
        w->seg.last = cid;
    w->cid[w->n_block] = cid;
    w->tf[w->n_block++] = tf;
    w->n++;
    return 0;
}

static void add_entry(struct seg_writer *w, const unsigned char *list, size_t n_list,
                      uint32_t removed)
{
    uint32_t shared = 0;
    unsigned char head[64], *p = head;

    if (w->n_in_block % TERM_RESTART == 0) {
        buf_u32le(&w->restarts, (uint32_t)w->terms.len);
    } else {
        while (shared < w->n_last && shared < w->n_term && w->last[shared] == w->term[shared])
            shared++;
    }
    p = put_varint(p, shared);
    p = put_varint(p, w->n_term - shared);
    buf_add(&w->terms, head, (size_t)(p - head));
    buf_add(&w->terms, w->term + shared, w->n_term - shared);
    p = put_varint(head, w->n);
    p = put_varint(p, removed);
    if (w->n && list) {
        p = put_varint(p, 0);
        p = put_varint(p, n_list);
    } else if (w->n) {
        p = put_varint(p, (uint64_t)w->start_value + 1);
        p = put_varint(p, w->start_off);
    }
    buf_add(&w->terms, head, (size_t)(p - head));
    if (w->n && list)
        buf_add(&w->terms, list, n_list);
    w->n_in_block++;
    memcpy(w->last, w->term, w->n_term);
    w->n_last = w->n_term;
}

int seg_writer_end(struct seg_writer *w, uint32_t removed, struct err *e)
{
    unsigned char list[POST_BLOCK * 10];
    size_t n_list = 0;
    int rc = 0, is_inline = 0;

    if (!w->n && !removed)
        return 0;
    if (w->n > POST_BLOCK) {
        rc = flush_block(w, e);
    } else if (w->n) {
        n_list = (size_t)(encode_block(w, list) - list);
        is_inline = n_list <= LIST_INLINE;
        if (!is_inline)
            rc = place(w, list, n_list, 1, e);
    }
    if (!rc && w->terms.len + w->restarts.len + 2 * TERM_BYTES + LIST_INLINE > TERM_BLOCK)
        rc = flush_terms(w, e);
    if (rc)
        return rc;
    add_entry(w, is_inline ? list : NULL, n_list, removed);
    w->seg.terms++;
    w->seg.postings += w->n;
    w->seg.removed += removed;
    return w->terms.failed ? err_set(e, w->terms.failed, "postings: term block") : 0;
}

int seg_writer_close(struct seg_writer *w, struct segment *out, struct err *e)
{
    int rc = flush_terms(w, e);

    if (!rc)
        rc = flush_value(w, e);
    if (!rc)
        *out = w->seg;
    seg_writer_drop(w);
    return rc;
}
