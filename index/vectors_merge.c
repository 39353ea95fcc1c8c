/* vectors_merge.c - rows into sealed blocks, dead rows out, and the proof of what is stored (vectors_impl.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/row.h"
#include "index/vectors_impl.h"

struct sealing {
    const struct vec_meta *m;
    unsigned char *rows; /* [cap, VEC_ROW_HEADER + dim] */
    uint32_t n, cap;
    uint32_t n_unsealed;
    int had_block, dropped;
};

static size_t row_bytes(const struct vec_meta *m)
{
    return VEC_ROW_HEADER + (size_t)m->dim;
}

static int by_cid(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    return x < y ? -1 : x > y;
}

static int gather(struct sealing *s, const struct vec_rows *r, dead_fn *dead, void *arg,
                  struct err *e)
{
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t cid = vec_cid(r, i);
        unsigned char *to;

        if (cid / s->m->per_block != r->block)
            return err_set(e, ERR_CORRUPT, "vec: block %u holds a row of chunk %u", r->block, cid);
        if (dead && dead(arg, cid)) {
            s->dropped = 1;
            continue;
        }
        if (s->n == s->cap)
            return err_set(e, ERR_CORRUPT, "vec: block %u has more than %u rows", r->block,
                           s->cap);
        to = s->rows + s->n++ * row_bytes(s->m);
        memcpy(to, &cid, 4);
        memcpy(to + 4, r->scale + 4 * (size_t)i, 4);
        memcpy(to + VEC_ROW_HEADER, r->row + (size_t)i * r->stride, s->m->dim);
    }
    return 0;
}

/* All rows of a block, sealed and not. */
static int gather_block(struct txn *t, struct sealing *s, uint32_t block, dead_fn *dead, void *arg,
                        struct err *e)
{
    unsigned char prefix[4];
    struct scan *sc = NULL;
    const void *key, *p;
    size_t n_key, n;
    int rc;

    be32(prefix, block);
    rc = scan_open(t, T_VEC, prefix, sizeof prefix, &sc, e);
    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        struct vec_rows r;

        rc = store_check(T_VEC, key, n_key, p, n, e);
        if (!rc)
            rc = vec_rows_open(&r, s->m, key, n_key, p, n, e);
        if (rc)
            break;
        s->had_block |= r.sealed;
        s->n_unsealed += !r.sealed;
        rc = gather(s, &r, dead, arg, e);
    }
    scan_close(sc);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

static int block_write(struct txn *t, const struct sealing *s, uint32_t block, struct err *e)
{
    uint32_t stride = (s->m->dim + 63) / 64 * 64, head[4] = { 1, s->n, s->m->dim, stride };
    size_t bytes = VEC_HEADER + (size_t)s->n * (stride + 8);
    unsigned char key[4], *p = mem_take(bytes, 1), *scales, *cids;
    float norm_most = 0;
    int rc;

    if (!p)
        return err_set(e, ERR_NOMEM, "vec: block of %u rows", s->n);
    scales = p + VEC_HEADER + (size_t)s->n * stride;
    cids = scales + 4 * (size_t)s->n;
    for (uint32_t i = 0; i < s->n; i++) {
        const unsigned char *from = s->rows + i * row_bytes(s->m);
        const int8_t *row = (const int8_t *)from + VEC_ROW_HEADER;
        float scale, norm;

        memcpy(p + VEC_HEADER + (size_t)i * stride, row, s->m->dim);
        memcpy(cids + 4 * (size_t)i, from, 4);
        memcpy(scales + 4 * (size_t)i, from + 4, 4);
        memcpy(&scale, from + 4, 4);
        norm = scale * sqrtf((float)row_dot(row, row, s->m->dim));
        if (norm > norm_most)
            norm_most = norm;
    }
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, &norm_most, 4);
    be32(key, block);
    rc = txn_put(t, T_VEC, key, sizeof key, p, bytes, e);
    mem_give(p);
    return rc;
}

int vec_seal(struct txn *t, const struct vec_meta *m, uint32_t block, dead_fn *dead, void *arg,
             struct err *e)
{
    struct sealing s = { .m = m, .cap = m->per_block };
    unsigned char key[8];
    int rc;

    s.rows = mem_take(s.cap, row_bytes(m));
    if (!s.rows)
        return err_set(e, ERR_NOMEM, "vec: block of %u rows", s.cap);
    rc = gather_block(t, &s, block, dead, arg, e);
    if (rc || (!s.n_unsealed && !s.dropped))
        goto out;
    qsort(s.rows, s.n, row_bytes(m), by_cid);
    be32(key, block);
    for (uint32_t i = 0; !rc && s.n_unsealed && i < m->per_block; i++) {
        be32(key + 4, block * m->per_block + i);
        rc = txn_del(t, T_VEC, key, 8, NULL);
        if (rc == ERR_NOTFOUND)
            rc = 0;
    }
    if (rc)
        err_set(e, rc, "vec: old rows of block %u", block);
    else if (s.n)
        rc = block_write(t, &s, block, e);
    else if (s.had_block)
        rc = txn_del(t, T_VEC, key, 4, e);
out:
    mem_give(s.rows);
    return rc;
}

/* The number of the last block that has anything stored, + 1. */
static int block_list(struct txn *t, uint32_t **out, uint32_t *n_out, struct err *e)
{
    struct scan *sc = NULL;
    const void *key, *p;
    size_t n_key, n, cap = 0;
    int rc = scan_open(t, T_VEC, NULL, 0, &sc, e);

    *out = NULL;
    *n_out = 0;
    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        uint32_t block;

        if (n_key < 4) {
            rc = err_set(e, ERR_CORRUPT, "vec: a key of %zu bytes", n_key);
            break;
        }
        block = be32_get(key);
        if (*n_out && (*out)[*n_out - 1] == block)
            continue;
        if (*n_out == cap) {
            uint32_t *grown = mem_again(*out, cap ? 2 * cap : 1024, sizeof **out);
            if (!grown) {
                rc = err_set(e, ERR_NOMEM, "vec: list of blocks");
                break;
            }
            *out = grown;
            cap = cap ? 2 * cap : 1024;
        }
        (*out)[(*n_out)++] = block;
    }
    scan_close(sc);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int vectors_merge(struct txn *t, dead_fn *dead, void *arg, struct err *e)
{
    struct vec_meta m;
    uint32_t *blocks = NULL, n = 0;
    int rc = vec_meta_load(t, &m, e);

    if (rc == ERR_NOTFOUND) {
        err_clear(e);
        return 0;
    }
    if (!rc)
        rc = block_list(t, &blocks, &n, e);
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = vec_seal(t, &m, blocks[i], dead, arg, e);
    mem_give(blocks);
    return rc ? err_wrap(e, "vectors") : 0;
}

int vectors_verify(struct txn *t, uint32_t dim, part_row_fn *row, part_bad_fn *bad, void *arg,
                   uint64_t *n_rows, struct err *e)
{
    struct vec_meta m;
    struct scan *sc = NULL;
    const void *key, *p;
    size_t n_key, n;
    struct err why = { 0 };
    int rc = vec_meta_load(t, &m, &why);

    *n_rows = 0;
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc || m.dim != dim) {
        bad(arg, rc ? why.msg : "vec: another dimension than the library's");
        return 0;
    }
    rc = scan_open(t, T_VEC, NULL, 0, &sc, e);
    while (!rc) {
        struct vec_rows r;

        err_clear(&why);
        rc = scan_next(sc, &key, &n_key, &p, &n, &why);
        if (rc == ERR_NOTFOUND)
            break;
        if (!rc)
            rc = store_check(T_VEC, key, n_key, p, n, &why);
        if (!rc)
            rc = vec_rows_open(&r, &m, key, n_key, p, n, &why);
        if (rc && rc != ERR_CORRUPT) {
            if (e)
                *e = why;
            break;
        }
        if (rc) {
            bad(arg, why.msg);
            rc = 0;
            continue;
        }
        for (uint32_t i = 0; i < r.n; i++) {
            if (vec_cid(&r, i) / m.per_block != r.block)
                bad(arg, "vec: a row lies in another chunk's block");
            row(arg, vec_cid(&r, i));
        }
        *n_rows += r.n;
    }
    scan_close(sc);
    return rc == ERR_NOTFOUND ? 0 : rc;
}
