/* postings_merge.c - several segments into one, term by term, with bounded memory (postings_impl.h).
 * Segments hold growing ranges of chunk ids, so a term's joined list is its lists in a row. Every input holds a
 * copy of the term block and list value it reads, because writing may move pages of the store.
 * Tidying keeps at most 7 segments of each size (4,096 postings, 8 times that, ...): a posting is rewritten
 * once a size, and a lookup visits few segments. */
#include <string.h>

#include "index/postings_impl.h"

#define TIDY_FAN 8
#define TIDY_BASE 4096 /* postings of the smallest size */
#define TIDY_MOST ((uint64_t)64 << 20) /* larger joins wait for postings_merge() */

struct input {
    struct txn *t;
    const struct segment *seg;
    unsigned char *block, *value; /* copies */
    uint32_t n_value, value_at;
    uint32_t next_block;
    struct term_block b;
    struct term_reader r;
    struct list_reader lists;
    int done;
};

static int copy(struct input *in, enum table tb, uint32_t part, unsigned char **to, uint32_t *n_to,
                struct err *e)
{
    unsigned char key[8];
    const void *p;
    size_t n;
    int rc;

    seg_key(key, in->seg->id, part);
    rc = txn_get(in->t, tb, key, sizeof key, &p, &n, e);
    if (!rc && tb == T_POST)
        rc = store_check(tb, key, sizeof key, p, n, e);
    if (!rc && n > 2 * POST_VALUE)
        rc = err_set(e, ERR_CORRUPT, "%s: a value of %zu bytes", table_name(tb), n);
    if (rc) {
        if (rc == ERR_NOTFOUND)
            rc = err_set(e, ERR_CORRUPT, "%s: value %u is missing", table_name(tb), part);
        err_wrap(e, "postings: segment %u", in->seg->id);
        return rc;
    }
    if (!*to)
        *to = mem_take(2 * POST_VALUE, 1);
    if (!*to)
        return err_set(e, ERR_NOMEM, "postings: join");
    memcpy(*to, p, n);
    *n_to = (uint32_t)n;
    return 0;
}

static int value_at(void *arg, uint32_t value, const unsigned char **p, uint32_t *n, struct err *e)
{
    struct input *in = arg;

    if (!in->n_value || in->value_at != value) {
        int rc;
        in->n_value = 0;
        rc = copy(in, T_POST, value, &in->value, &in->n_value, e);
        if (rc)
            return rc;
        in->value_at = value;
    }
    *p = in->value;
    *n = in->n_value;
    return 0;
}

/* Steps to the next term; done at the end. */
static int advance(struct input *in, struct err *e)
{
    uint32_t n;
    int rc = in->next_block ? term_reader_next(&in->r) : ERR_NOTFOUND;

    if (rc == ERR_NOTFOUND) {
        if (in->next_block == in->seg->term_blocks) {
            in->done = 1;
            return 0;
        }
        rc = copy(in, T_TERM, in->next_block, &in->block, &n, e);
        if (rc)
            return rc;
        in->next_block++;
        rc = term_block_open(&in->b, in->block, n);
        if (!rc) {
            term_reader_at(&in->r, &in->b, 0);
            rc = term_reader_next(&in->r);
        }
    }
    return rc ? err_set(e, ERR_CORRUPT, "postings: segment %u: term block %u is damaged",
                        in->seg->id, in->next_block - 1)
              : 0;
}

static int pour(struct input *in, struct seg_writer *w, dead_fn *dead, void *arg,
                uint64_t *dropped, struct err *e)
{
    struct list_reader *r = &in->lists;
    int rc = list_open(r, &in->r.l, in->seg, value_at, in, e);

    while (!rc) {
        rc = list_next(r, 0, e);
        if (rc || !r->n)
            break;
        for (uint32_t i = 0; !rc && i < r->n; i++) {
            if (dead && dead(arg, r->cid[i]))
                (*dropped)++;
            else
                rc = seg_writer_posting(w, r->cid[i], r->tf[i], e);
        }
    }
    return rc;
}

/* Joins the entries of the smallest term at hand. */
static int join_term(struct input *in, uint32_t n, struct seg_writer *w, dead_fn *dead, void *arg,
                     int *more, struct err *e)
{
    unsigned char term[TERM_BYTES];
    struct input *least = NULL;
    uint64_t removed = 0, dropped = 0;
    uint32_t n_term;
    int rc;

    for (uint32_t i = 0; i < n; i++) {
        if (!in[i].done && (!least || term_order(in[i].r.term, in[i].r.n_term, least->r.term,
                                                 least->r.n_term) < 0))
            least = &in[i];
    }
    *more = least != NULL;
    if (!least)
        return 0;
    n_term = least->r.n_term;
    memcpy(term, least->r.term, n_term);
    rc = seg_writer_term(w, term, n_term, e);
    for (uint32_t i = 0; !rc && i < n; i++) {
        if (in[i].done || term_order(in[i].r.term, in[i].r.n_term, term, n_term) != 0)
            continue;
        removed += in[i].r.l.removed;
        rc = pour(&in[i], w, dead, arg, &dropped, e);
        if (!rc)
            rc = advance(&in[i], e);
    }
    if (rc)
        return rc;
    if (dropped > removed || removed - dropped > UINT32_MAX)
        return err_set(e, ERR_CORRUPT, "postings: %llu dead postings of \"%.*s\", %llu removals",
                       (unsigned long long)dropped, (int)n_term, term,
                       (unsigned long long)removed);
    return seg_writer_end(w, (uint32_t)(removed - dropped), e);
}

static int segment_delete(struct txn *t, const struct segment *s, struct err *e)
{
    unsigned char key[8];
    int rc = 0;

    for (uint32_t i = 0; !rc && i < s->term_blocks; i++) {
        seg_key(key, s->id, i);
        rc = txn_del(t, T_TERM, key, sizeof key, e);
    }
    for (uint32_t i = 0; !rc && i < s->post_values; i++) {
        seg_key(key, s->id, i);
        rc = txn_del(t, T_POST, key, sizeof key, e);
    }
    return rc ? err_wrap(e, "postings: old segment %u", s->id) : 0;
}

int segments_join(struct txn *t, struct manifest *m, uint32_t from, dead_fn *dead, void *arg,
                  struct err *e)
{
    uint32_t n = m->n_seg - from;
    struct input *in = mem_take(n ? n : 1, sizeof *in);
    struct seg_writer *w = NULL;
    struct segment joined;
    int rc = in ? 0 : err_set(e, ERR_NOMEM, "postings: join of %u segments", n), more = 1;

    for (uint32_t i = 0; !rc && i < n; i++) {
        in[i].t = t;
        in[i].seg = &m->seg[from + i];
        rc = advance(&in[i], e);
    }
    if (!rc)
        rc = seg_writer_open(&w, t, m->next_seg, e);
    while (!rc && more)
        rc = join_term(in, n, w, dead, arg, &more, e);
    if (!rc) {
        rc = seg_writer_close(w, &joined, e);
        w = NULL;
    }
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = segment_delete(t, in[i].seg, e);
    if (!rc) {
        m->next_seg++;
        m->n_seg = from;
        if (joined.terms)
            m->seg[m->n_seg++] = joined;
    }
    seg_writer_drop(w);
    for (uint32_t i = 0; in && i < n; i++) {
        mem_give(in[i].block);
        mem_give(in[i].value);
    }
    mem_give(in);
    return rc;
}

int segments_tidy(struct txn *t, struct manifest *m, struct err *e)
{
    uint64_t limit = TIDY_BASE;
    int rc = 0;

    while (!rc && limit <= TIDY_MOST) {
        uint32_t from = m->n_seg;
        uint64_t sum = 0;

        while (from && m->seg[from - 1].postings + m->seg[from - 1].removed <= limit) {
            from--;
            sum += m->seg[from].postings + m->seg[from].removed;
        }
        if (m->n_seg - from >= TIDY_FAN && sum <= TIDY_MOST)
            rc = segments_join(t, m, from, NULL, NULL, e);
        limit *= TIDY_FAN;
    }
    return rc;
}

/* Lengths of dead chunks go; a block without any length goes. */
static int lens_sweep(struct txn *t, uint32_t next_cid, dead_fn *dead, void *arg, struct err *e)
{
    unsigned char payload[2 * DL_BLOCK], key[4];
    uint32_t blocks = (next_cid >> DL_BITS) + 1;

    for (uint32_t b = 0; b < blocks; b++) {
        const void *old;
        size_t n;
        int rc, any = 0, changed = 0;

        be32(key, b);
        rc = txn_get(t, T_DL, key, sizeof key, &old, &n, e);
        if (rc == ERR_NOTFOUND)
            continue;
        if (rc)
            return err_wrap(e, "lengths");
        if (n > sizeof payload)
            return err_set(e, ERR_CORRUPT, "lengths: block %u has %zu bytes", b, n);
        memcpy(payload, old, n);
        for (size_t i = 0; i + 1 < n; i += 2) {
            int set = payload[i] || payload[i + 1];
            if (set && dead && dead(arg, (b << DL_BITS) + (uint32_t)(i / 2))) {
                payload[i] = payload[i + 1] = 0;
                changed = 1;
                set = 0;
            }
            any |= set;
        }
        if (!any)
            rc = txn_del(t, T_DL, key, sizeof key, e);
        else if (changed)
            rc = txn_put(t, T_DL, key, sizeof key, payload, n, e);
        if (rc)
            return err_wrap(e, "lengths");
    }
    err_clear(e);
    return 0;
}

int postings_merge(struct txn *t, dead_fn *dead, void *arg, struct err *e)
{
    struct manifest m;
    uint64_t removed = 0;
    int rc = manifest_load(t, &m, e);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < m.n_seg; i++)
        removed += m.seg[i].removed;
    if (m.n_seg > 1 || removed)
        rc = segments_join(t, &m, 0, dead, arg, e);
    if (!rc)
        rc = lens_sweep(t, m.next_cid, dead, arg, e);
    if (!rc)
        rc = manifest_save(t, &m, e);
    manifest_free(&m);
    return rc;
}
