/* shard_view.c - opens what a snapshot keeps of one shard (shard_view.h). */
#include "index/shard_view.h"

#include <roaring/roaring.h>

#include "index/vectors_impl.h"

/* ---- sets of chunk ids ---- */

static bool set_bit(uint32_t cid, void *arg)
{
    struct cid_set *s = arg;

    if (cid >= s->n)
        return false; /* ids grow */
    s->bits[cid >> 6] |= (uint64_t)1 << (cid & 63);
    return true;
}

int cid_set_from(struct cid_set *s, const struct roaring_bitmap_s *b, uint32_t n, struct err *e)
{
    memset(s, 0, sizeof *s);
    if (!b)
        return 0;
    s->bits = mem_take((size_t)n / 64 + 1, sizeof *s->bits);
    if (!s->bits)
        return err_set(e, ERR_NOMEM, "a set of %u chunks", n);
    s->n = n;
    roaring_iterate(b, set_bit, s);
    return 0;
}

void cid_set_free(struct cid_set *s)
{
    mem_give(s->bits);
    memset(s, 0, sizeof *s);
}

/* ---- vectors ---- */

void vec_view_close(struct vec_view *v)
{
    mem_give(v->rows);
    mem_give((void *)v->checked);
    memset(v, 0, sizeof *v);
}

static int rows_add(struct vec_view *v, const struct vec_rows *r, struct err *e)
{
    if (v->n == v->cap) {
        uint32_t cap = v->cap ? 2 * v->cap : 256;
        struct vec_rows *grown = mem_again(v->rows, cap, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "vectors: %u blocks", v->n);
        v->rows = grown;
        v->cap = cap;
    }
    v->rows[v->n++] = *r;
    v->n_rows += r->n;
    return 0;
}

int vec_view_open(struct txn *t, uint32_t dim, struct vec_view *v, struct err *e)
{
    struct vec_meta m;
    struct scan *sc = NULL;
    const void *key, *p;
    size_t n_key, n;
    int rc;

    memset(v, 0, sizeof *v);
    v->dim = dim;
    v->per_block = 1;
    rc = dim ? vec_meta_load(t, &m, e) : ERR_NOTFOUND;
    if (rc == ERR_NOTFOUND) {
        err_clear(e);
        return 0;
    }
    if (!rc && m.dim != dim)
        rc = err_set(e, ERR_CORRUPT, "vectors of dimension %u in a library of dimension %u", m.dim,
                     dim);
    if (!rc) {
        v->per_block = m.per_block;
        rc = scan_open(t, T_VEC, NULL, 0, &sc, e);
    }
    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        struct vec_rows r;

        rc = vec_rows_open(&r, &m, key, n_key, p, n, e);
        if (!rc)
            rc = rows_add(v, &r, e);
    }
    scan_close(sc);
    if (rc == ERR_NOTFOUND)
        rc = 0;
    if (!rc) {
        v->checked = mem_take((size_t)v->n + 1, sizeof *v->checked);
        if (!v->checked)
            rc = err_set(e, ERR_NOMEM, "vectors: %u blocks", v->n);
    }
    if (rc)
        vec_view_close(v);
    return rc;
}

int vec_view_check(const struct vec_view *v, uint32_t i, struct err *e)
{
    const struct vec_rows *r = &v->rows[i];
    unsigned char key[8];
    int rc;

    if (atomic_load_explicit(&v->checked[i], memory_order_relaxed))
        return 0;
    be32(key, r->block);
    if (!r->sealed)
        be32(key + 4, vec_cid(r, 0));
    rc = store_check(T_VEC, key, r->sealed ? 4 : 8, r->payload, r->bytes, e);
    for (uint32_t k = 0; !rc && k < r->n; k++) {
        if (vec_cid(r, k) / v->per_block != r->block)
            rc = err_set(e, ERR_CORRUPT, "vec: block %u holds a row of chunk %u", r->block,
                         vec_cid(r, k));
    }
    if (!rc)
        atomic_store_explicit(&v->checked[i], 1, memory_order_relaxed);
    return rc;
}

/* ---- the view ---- */

void shard_view_close(struct shard_view *v)
{
    if (!v)
        return;
    post_view_close(&v->post);
    vec_view_close(&v->vec);
    cid_set_free(&v->dead);
    mem_give(v);
}

int shard_view_open(struct txn *t, uint32_t dim, struct shard_view **out, struct err *e)
{
    struct shard_view *v = mem_take(1, sizeof *v);
    struct roaring_bitmap_s *dead = NULL;
    int rc = v ? 0 : err_set(e, ERR_NOMEM, "view of a shard");

    if (!rc) {
        v->t = t;
        rc = post_view_open(t, &v->post, e);
    }
    if (!rc)
        rc = vec_view_open(t, dim, &v->vec, e);
    if (!rc)
        rc = tomb_load(t, &dead, e);
    if (!rc && dead && !roaring_bitmap_is_empty(dead))
        rc = cid_set_from(&v->dead, dead, roaring_bitmap_maximum(dead) + 1, e);
    if (dead)
        roaring_bitmap_free(dead);
    if (rc) {
        shard_view_close(v);
        return rc;
    }
    *out = v;
    return 0;
}
