/* postings_read.c - a shard's postings as a snapshot sees them, and their proof (postings_impl.h).
 * All block pointers are resolved when the view opens (1.7 ms for 100,000 chunks with their vectors), so that a query makes no B-tree lookup.
 * Term blocks are proven by the store then; list values on first use. */
#include <stdio.h>
#include <string.h>

#include "index/shard_view.h"

static void seg_close(struct post_seg *s)
{
    mem_give(s->block);
    mem_give(s->value);
    mem_give(s->n_value);
    mem_give((void *)s->checked);
}

void post_view_close(struct post_view *v)
{
    for (uint32_t i = 0; v->seg && i < v->m.n_seg; i++)
        seg_close(&v->seg[i]);
    mem_give(v->seg);
    mem_give(v->len);
    manifest_free(&v->m);
    memset(v, 0, sizeof *v);
}

/* Reads the next record of a scan, which must be (seg, part). */
static int expect(struct scan *sc, enum table tb, uint32_t seg, uint32_t part, const void **p,
                  size_t *n, struct err *e)
{
    unsigned char want[8];
    const void *key;
    size_t n_key;
    int rc = scan_next(sc, &key, &n_key, p, n, e);

    seg_key(want, seg, part);
    if (rc == ERR_NOTFOUND || (!rc && (n_key != 8 || memcmp(key, want, 8) != 0)))
        rc = err_set(e, ERR_CORRUPT, "%s: value %u of segment %u is missing", table_name(tb), part,
                     seg);
    return rc;
}

static int scan_segment(struct txn *t, enum table tb, uint32_t seg, struct scan **out,
                        struct err *e)
{
    unsigned char prefix[4];

    be32(prefix, seg);
    return scan_open(t, tb, prefix, sizeof prefix, out, e);
}

static int seg_open(struct txn *t, const struct segment *d, struct post_seg *s, struct err *e)
{
    struct scan *sc = NULL;
    const void *p;
    size_t n;
    int rc;

    s->d = *d;
    s->block = mem_take((size_t)d->term_blocks + 1, sizeof *s->block);
    s->value = mem_take((size_t)d->post_values + 1, sizeof *s->value);
    s->n_value = mem_take((size_t)d->post_values + 1, sizeof *s->n_value);
    s->checked = mem_take((size_t)d->post_values + 1, sizeof *s->checked);
    if (!s->block || !s->value || !s->n_value || !s->checked)
        return err_set(e, ERR_NOMEM, "postings: %u blocks", d->term_blocks + d->post_values);
    rc = scan_segment(t, T_TERM, d->id, &sc, e);
    for (uint32_t i = 0; !rc && i < d->term_blocks; i++) {
        rc = expect(sc, T_TERM, d->id, i, &p, &n, e);
        if (!rc && term_block_open(&s->block[i], p, n))
            rc = err_set(e, ERR_CORRUPT, "term: block %u of segment %u is damaged", i, d->id);
    }
    scan_close(sc);
    sc = NULL;
    if (!rc)
        rc = scan_segment(t, T_POST, d->id, &sc, e);
    for (uint32_t i = 0; !rc && i < d->post_values; i++) {
        rc = expect(sc, T_POST, d->id, i, &p, &n, e);
        if (!rc && n > UINT32_MAX)
            rc = err_set(e, ERR_CORRUPT, "post: value %u of segment %u is too long", i, d->id);
        s->value[i] = p;
        s->n_value[i] = (uint32_t)n;
    }
    scan_close(sc);
    return rc;
}

static int lens_read(struct txn *t, struct post_view *v, struct err *e)
{
    struct scan *sc = NULL;
    const void *key, *p;
    size_t n_key, n;
    int rc;

    v->len = mem_take((size_t)v->m.next_cid + 1, sizeof *v->len);
    if (!v->len)
        return err_set(e, ERR_NOMEM, "lengths of %u chunks", v->m.next_cid);
    rc = scan_open(t, T_DL, NULL, 0, &sc, e);
    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        const unsigned char *from = p;
        uint64_t at;

        rc = store_check(T_DL, key, n_key, p, n, e);
        if (!rc && (n_key != 4 || n > 2 * DL_BLOCK))
            rc = err_set(e, ERR_CORRUPT, "lengths: a block of %zu bytes", n);
        if (rc)
            break;
        at = (uint64_t)be32_get(key) << DL_BITS;
        for (size_t i = 0; i + 1 < n && at < v->m.next_cid; i += 2, at++) {
            uint16_t len = (uint16_t)(from[i] | from[i + 1] << 8);
            v->len[at] = len;
            if (len > v->len_most)
                v->len_most = len;
        }
    }
    scan_close(sc);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int post_view_open(struct txn *t, struct post_view *v, struct err *e)
{
    int rc;

    memset(v, 0, sizeof *v);
    rc = manifest_load(t, &v->m, e);
    if (rc)
        return rc;
    v->seg = mem_take((size_t)v->m.n_seg + 1, sizeof *v->seg);
    if (!v->seg)
        rc = err_set(e, ERR_NOMEM, "postings: %u segments", v->m.n_seg);
    for (uint32_t i = 0; !rc && i < v->m.n_seg; i++)
        rc = seg_open(t, &v->m.seg[i], &v->seg[i], e);
    if (!rc)
        rc = lens_read(t, v, e);
    if (rc)
        post_view_close(v);
    return rc;
}

int post_view_value(void *arg, uint32_t value, const unsigned char **p, uint32_t *n, struct err *e)
{
    struct post_seg *s = arg;
    unsigned char key[8];
    int rc;

    *p = s->value[value];
    *n = s->n_value[value];
    if (atomic_load_explicit(&s->checked[value], memory_order_relaxed))
        return 0;
    seg_key(key, s->d.id, value);
    rc = store_check(T_POST, key, sizeof key, *p, *n, e);
    if (!rc)
        atomic_store_explicit(&s->checked[value], 1, memory_order_relaxed);
    return rc;
}

int post_view_find(const struct post_view *v, uint32_t s, const char *term, uint32_t n,
                   struct list *out, struct err *e)
{
    const struct post_seg *seg = &v->seg[s];
    uint32_t low = 0, high = seg->d.term_blocks;
    int rc = 0;

    if (!high)
        return ERR_NOTFOUND;
    while (!rc && high - low > 1) { /* the last block whose first term is not above */
        uint32_t mid = low + (high - low) / 2, m;
        const unsigned char *first = term_block_first(&seg->block[mid], &m);
        if (!first)
            rc = ERR_CORRUPT;
        else if (term_order(first, m, (const unsigned char *)term, n) <= 0)
            low = mid;
        else
            high = mid;
    }
    if (!rc)
        rc = term_block_find(&seg->block[low], term, n, out);
    if (rc == ERR_CORRUPT)
        err_set(e, ERR_CORRUPT, "term: block %u of segment %u is damaged", low, seg->d.id);
    return rc;
}

int postings_stat(struct txn *t, uint64_t *terms, uint64_t *postings, uint64_t *n, uint64_t *len,
                  struct err *e)
{
    struct manifest m;
    int rc = manifest_load(t, &m, e);

    if (rc)
        return rc;
    *terms = *postings = 0;
    *n = m.n;
    *len = m.len;
    for (uint32_t i = 0; i < m.n_seg; i++) {
        *terms += m.seg[i].terms;
        *postings += m.seg[i].postings - m.seg[i].removed;
    }
    manifest_free(&m);
    return 0;
}

/* ---- verify ---- */

struct proof {
    struct post_seg *seg;
    part_posting_fn *posting;
    part_bad_fn *bad;
    void *arg;
    uint64_t postings, removed, terms;
};

static void prove_list(struct proof *p, const struct term_reader *r)
{
    struct list_reader lr;
    struct err e = { 0 };
    int rc = list_open(&lr, &r->l, &p->seg->d, post_view_value, p->seg, &e);

    while (!rc) {
        rc = list_next(&lr, 0, &e);
        if (rc || !lr.n)
            break;
        for (uint32_t i = 0; i < lr.n; i++)
            p->posting(p->arg, (const char *)r->term, r->n_term, lr.cid[i], lr.tf[i]);
        p->postings += lr.n;
    }
    if (rc)
        p->bad(p->arg, e.msg);
}

static void prove_segment(struct proof *p)
{
    const struct segment *d = &p->seg->d;
    unsigned char last[TERM_BYTES];
    uint32_t n_last = 0;
    char msg[120];

    for (uint32_t i = 0; i < d->term_blocks; i++) {
        struct term_reader r;
        int rc;

        term_reader_at(&r, &p->seg->block[i], 0);
        while ((rc = term_reader_next(&r)) == 0) {
            if (p->terms && term_order(last, n_last, r.term, r.n_term) >= 0) {
                snprintf(msg, sizeof msg, "term: segment %u, block %u is out of order", d->id, i);
                p->bad(p->arg, msg);
            }
            memcpy(last, r.term, r.n_term);
            n_last = r.n_term;
            p->terms++;
            p->removed += r.l.removed;
            prove_list(p, &r);
        }
        if (rc != ERR_NOTFOUND) {
            snprintf(msg, sizeof msg, "term: block %u of segment %u is damaged", i, d->id);
            p->bad(p->arg, msg);
        }
    }
    if (p->terms != d->terms || p->postings != d->postings || p->removed != d->removed) {
        snprintf(msg, sizeof msg, "postings: segment %u has other counts than its description",
                 d->id);
        p->bad(p->arg, msg);
    }
}

int postings_verify(struct txn *t, part_posting_fn *posting, part_bad_fn *bad, void *arg,
                    uint64_t *n, struct err *e)
{
    struct post_view v;
    int rc = post_view_open(t, &v, e);

    *n = 0;
    if (rc == ERR_CORRUPT) { /* what cannot be opened is a finding */
        bad(arg, e ? e->msg : "postings are damaged");
        err_clear(e);
        return 0;
    }
    if (rc)
        return rc;
    for (uint32_t i = 0; i < v.m.n_seg; i++) {
        struct proof p = { .seg = &v.seg[i], .posting = posting, .bad = bad, .arg = arg };
        prove_segment(&p);
        *n += p.postings;
    }
    post_view_close(&v);
    return 0;
}
