/* postings.c - the manifest of a shard's postings, and reading lists (formats in postings_impl.h). */
#include <string.h>

#include "index/postings_impl.h"

#define MANIFEST_VERSION 1
#define MANIFEST_SEGMENTS 100000 /* far above what segments_tidy leaves (8 a size) */
static const char manifest_key[] = "post";

struct segment *manifest_room(struct manifest *m)
{
    struct segment *grown = mem_again(m->seg, (size_t)m->n_seg + 1, sizeof *grown);

    if (!grown)
        return NULL;
    m->seg = grown;
    memset(&grown[m->n_seg], 0, sizeof *grown);
    return &grown[m->n_seg++];
}

void manifest_free(struct manifest *m)
{
    mem_give(m->seg);
    memset(m, 0, sizeof *m);
}

static void segment_read(struct rd *r, struct segment *s)
{
    s->id = rd_u32le(r);
    s->first = rd_u32le(r);
    s->last = rd_u32le(r);
    s->term_blocks = rd_u32le(r);
    s->post_values = rd_u32le(r);
    s->terms = rd_u64le(r);
    s->postings = rd_u64le(r);
    s->removed = rd_u64le(r);
    s->bytes = rd_u64le(r);
}

int manifest_load(struct txn *t, struct manifest *m, struct err *e)
{
    const void *p;
    size_t n;
    struct rd r;
    uint32_t version, n_seg;
    int rc;

    memset(m, 0, sizeof *m);
    rc = txn_get(t, T_META, manifest_key, 4, &p, &n, e);
    if (rc == ERR_NOTFOUND) {
        err_clear(e);
        return 0;
    }
    if (rc)
        return err_wrap(e, "postings");
    r = rd_of(p, n);
    version = rd_u32le(&r);
    m->n = rd_u64le(&r);
    m->len = rd_u64le(&r);
    m->next_seg = rd_u32le(&r);
    m->next_cid = rd_u32le(&r);
    m->langs = rd_u64le(&r);
    n_seg = rd_u32le(&r);
    if (!r.failed && version != MANIFEST_VERSION)
        return err_set(e, ERR_VERSION, "postings have format %u, this program reads %u", version,
                       MANIFEST_VERSION);
    if (r.failed || n_seg > MANIFEST_SEGMENTS || r.left != (size_t)n_seg * SEGMENT_RECORD)
        return err_set(e, ERR_CORRUPT, "meta \"post\": %zu bytes do not hold %u segments", n,
                       n_seg);
    for (uint32_t i = 0; i < n_seg; i++) {
        struct segment *s = manifest_room(m);
        if (!s) {
            manifest_free(m);
            return err_set(e, ERR_NOMEM, "postings: %u segments", n_seg);
        }
        segment_read(&r, s);
        if ((s->postings && (s->first > s->last || s->last >= m->next_cid)) ||
            s->term_blocks > s->terms || s->post_values > s->postings) {
            rc = err_set(e, ERR_CORRUPT, "meta \"post\": segment %u is described wrongly", s->id);
            manifest_free(m);
            return rc;
        }
    }
    return 0;
}

int manifest_save(struct txn *t, const struct manifest *m, struct err *e)
{
    struct buf b;
    int rc;

    buf_init(&b, 64 + (size_t)m->n_seg * 64);
    buf_u32le(&b, MANIFEST_VERSION);
    buf_u64le(&b, m->n);
    buf_u64le(&b, m->len);
    buf_u32le(&b, m->next_seg);
    buf_u32le(&b, m->next_cid);
    buf_u64le(&b, m->langs);
    buf_u32le(&b, m->n_seg);
    for (uint32_t i = 0; i < m->n_seg; i++) {
        const struct segment *s = &m->seg[i];
        buf_u32le(&b, s->id);
        buf_u32le(&b, s->first);
        buf_u32le(&b, s->last);
        buf_u32le(&b, s->term_blocks);
        buf_u32le(&b, s->post_values);
        buf_u64le(&b, s->terms);
        buf_u64le(&b, s->postings);
        buf_u64le(&b, s->removed);
        buf_u64le(&b, s->bytes);
    }
    if (b.failed)
        return err_set(e, b.failed, "postings: manifest of %u segments", m->n_seg);
    rc = txn_put(t, T_META, manifest_key, 4, b.data, b.len, e);
    buf_free(&b);
    return rc ? err_wrap(e, "postings") : 0;
}

/* ---- lists ---- */

/* A varint of at most 5 bytes; NULL when it runs over the end. */
static const unsigned char *varint(const unsigned char *p, const unsigned char *end, uint64_t *v)
{
    uint64_t x = 0;

    for (int shift = 0; shift < 35 && p < end; shift += 7) {
        unsigned char c = *p++;
        x |= (uint64_t)(c & 127) << shift;
        if (c < 128) {
            *v = x;
            return p;
        }
    }
    return NULL;
}

static int corrupt(const struct list_reader *r, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "postings: a list of segment %u is damaged near value %u",
                   r->seg->id, r->value);
}

static int value_open(struct list_reader *r, uint32_t value, uint32_t off, struct err *e)
{
    const unsigned char *p;
    uint32_t n;
    int rc;

    if (value >= r->seg->post_values)
        return corrupt(r, e);
    rc = r->value_at(r->arg, value, &p, &n, e);
    if (rc)
        return rc;
    r->value = value;
    if (off >= n)
        return corrupt(r, e);
    r->p = p + off;
    r->end = p + n;
    return 0;
}

int list_open(struct list_reader *r, const struct list *l, const struct segment *seg,
              post_value_fn *value_at, void *arg, struct err *e)
{
    r->l = *l;
    r->seg = seg;
    r->value_at = value_at;
    r->arg = arg;
    r->left = l->n;
    r->prev = 0;
    r->n = 0;
    r->value = l->value;
    if (!l->n)
        return 0;
    if (l->bytes) {
        r->p = l->bytes;
        r->end = l->bytes + l->n_bytes;
        return 0;
    }
    return value_open(r, l->value, l->off, e);
}

/* Decodes n postings at r->p. The common posting is one byte: a gap below 64 and tf 1. */
static int decode(struct list_reader *r, uint32_t n, struct err *e)
{
    const unsigned char *p = r->p, *end = r->end;
    uint64_t prev = r->prev;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t v, tf = 1;

        if (p < end && *p < 128)
            v = *p++;
        else
            p = varint(p, end, &v);
        if (!p)
            return corrupt(r, e);
        prev += v >> 1;
        r->cid[i] = (uint32_t)prev;
        prev++;
        if (v & 1) {
            if (p < end && *p < 128)
                tf = *p++;
            else
                p = varint(p, end, &tf);
            if (!p)
                return corrupt(r, e);
            tf += 2;
        }
        r->tf[i] = tf > UINT32_MAX ? UINT32_MAX : (uint32_t)tf;
    }
    /* ids grow within the block, so its ends show whether all lie in the segment */
    if (r->cid[0] < r->seg->first || prev - 1 > r->seg->last)
        return corrupt(r, e);
    r->p = p;
    r->prev = prev;
    r->n = n;
    r->left -= n;
    return 0;
}

int list_next(struct list_reader *r, uint32_t from, struct err *e)
{
    r->n = 0;
    while (r->left) {
        uint32_t n = r->left < POST_BLOCK ? r->left : POST_BLOCK;
        uint64_t step, bytes;
        const unsigned char *p;

        if (r->l.n <= POST_BLOCK)
            return decode(r, n, e);
        if (r->p == r->end) {
            int rc = value_open(r, r->value + 1, 0, e);
            if (rc)
                return rc;
        }
        p = varint(r->p, r->end, &step);
        if (p)
            p = varint(p, r->end, &bytes);
        if (!p || bytes > (uint64_t)(r->end - p))
            return corrupt(r, e);
        if (r->prev + step <= from) { /* its last id is prev + step - 1 */
            r->p = p + bytes;
            r->prev += step;
            r->left -= n;
            continue;
        }
        r->p = p;
        return decode(r, n, e);
    }
    return 0;
}
