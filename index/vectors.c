/* vectors.c - vectors in: int8 rows with a scale each (formats in vectors_impl.h).
 * One scale a row keeps 0.995 of the exact top 10 before rescoring (384 dimensions); a row takes 396
 * bytes, a quarter of fp32. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "index/row.h"
#include "index/vectors_impl.h"

#define VEC_VERSION 1
static const char meta_key[] = "vec";

static uint32_t stride_of(uint32_t dim)
{
    return (dim + 63) / 64 * 64;
}

static uint32_t per_block_of(uint32_t dim)
{
    uint32_t n = (VEC_VALUE - VEC_HEADER) / (stride_of(dim) + 8);

    return n >= 4 ? n / 4 * 4 : n ? n : 1;
}

int vec_meta_load(struct txn *t, struct vec_meta *m, struct err *e)
{
    const void *p;
    size_t n;
    struct rd r;
    uint32_t version;
    int rc = txn_get(t, T_META, meta_key, 3, &p, &n, e);

    if (rc)
        return rc;
    r = rd_of(p, n);
    version = rd_u32le(&r);
    m->dim = rd_u32le(&r);
    m->per_block = rd_u32le(&r);
    if (!r.failed && version != VEC_VERSION)
        return err_set(e, ERR_VERSION, "vectors have format %u, this program reads %u", version,
                       VEC_VERSION);
    if (r.failed || r.left || !m->dim || m->dim > LIM_DIM || m->per_block != per_block_of(m->dim))
        return err_set(e, ERR_CORRUPT, "meta \"vec\": %zu bytes, dimension %u", n, m->dim);
    return 0;
}

/* The stored description, made at the first vector. */
static int meta_for(struct txn *t, uint32_t dim, struct vec_meta *m, struct err *e)
{
    struct buf b;
    int rc = vec_meta_load(t, m, NULL);

    if (!rc && m->dim != dim)
        return err_set(e, ERR_INVALID, "a vector of dimension %u in a shard of dimension %u", dim,
                       m->dim);
    if (rc != ERR_NOTFOUND)
        return rc ? vec_meta_load(t, m, e) : 0;
    if (!dim || dim > LIM_DIM)
        return err_set(e, ERR_INVALID, "a vector of dimension %u", dim);
    m->dim = dim;
    m->per_block = per_block_of(dim);
    buf_init(&b, 64);
    buf_u32le(&b, VEC_VERSION);
    buf_u32le(&b, m->dim);
    buf_u32le(&b, m->per_block);
    rc = b.failed ? err_set(e, b.failed, "vectors: description")
                  : txn_put(t, T_META, meta_key, 3, b.data, b.len, e);
    buf_free(&b);
    return rc;
}

static void row_key(unsigned char key[8], const struct vec_meta *m, uint32_t cid)
{
    be32(key, cid / m->per_block);
    be32(key + 4, cid);
}

/* ---- reading records ---- */

static int bad_record(const void *key, size_t n_key, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "vec: block %u: %s", n_key >= 4 ? be32_get(key) : 0, what);
}

static float norm_of(const struct vec_rows *r, uint32_t dim)
{
    return vec_scale(r, 0) * sqrtf((float)row_dot(r->row, r->row, dim));
}

static int open_sealed(struct vec_rows *r, const struct vec_meta *m, const void *key, size_t n_key,
                       const unsigned char *p, size_t n, struct err *e)
{
    struct rd h = rd_of(p, n);
    uint32_t version = rd_u32le(&h), rows = rd_u32le(&h), dim = rd_u32le(&h);
    uint32_t stride = rd_u32le(&h), norm = rd_u32le(&h);

    if (h.failed || version != VEC_VERSION || dim != m->dim || stride != stride_of(dim))
        return bad_record(key, n_key, "its header is damaged", e);
    if (!rows || rows > m->per_block || n != VEC_HEADER + (uint64_t)rows * (stride + 8))
        return bad_record(key, n_key, "its size is not that of its rows", e);
    memcpy(&r->norm_most, &norm, 4);
    if (!(r->norm_most >= 0) || r->norm_most > 1e30f)
        return bad_record(key, n_key, "its header is damaged", e);
    r->row = (const int8_t *)p + VEC_HEADER;
    r->scale = p + VEC_HEADER + (size_t)rows * stride;
    r->cid = r->scale + 4 * (size_t)rows;
    r->n = rows;
    r->stride = stride;
    r->sealed = 1;
    return 0;
}

int vec_rows_open(struct vec_rows *r, const struct vec_meta *m, const void *key, size_t n_key,
                  const void *p, size_t n, struct err *e)
{
    memset(r, 0, sizeof *r);
    r->payload = p;
    r->bytes = n;
    if (n_key != 4 && n_key != 8)
        return bad_record(key, n_key, "its key is damaged", e);
    r->block = be32_get(key);
    if (n_key == 4)
        return open_sealed(r, m, key, n_key, p, n, e);
    if (n != VEC_ROW_HEADER + (size_t)m->dim)
        return bad_record(key, n_key, "a row has another size than its dimension", e);
    r->cid = p;
    r->scale = r->cid + 4;
    r->row = (const int8_t *)p + VEC_ROW_HEADER;
    r->n = 1;
    r->stride = m->dim;
    if (vec_cid(r, 0) != be32_get((const unsigned char *)key + 4) ||
        vec_cid(r, 0) / m->per_block != r->block)
        return bad_record(key, n_key, "a row has another chunk id than its key", e);
    r->norm_most = norm_of(r, m->dim);
    return 0;
}

/* Where the row of cid is: 0, ERR_NOTFOUND, ERR_CORRUPT. *at: its place in r. */
static int row_find(struct txn *t, const struct vec_meta *m, uint32_t cid, struct vec_rows *r,
                    uint32_t *at, struct err *e)
{
    unsigned char key[8];
    const void *p;
    size_t n, n_key = 8;
    int rc;

    row_key(key, m, cid);
    rc = txn_get(t, T_VEC, key, 8, &p, &n, NULL);
    if (rc == ERR_NOTFOUND) {
        n_key = 4;
        rc = txn_get(t, T_VEC, key, 4, &p, &n, NULL);
    }
    if (rc == ERR_NOTFOUND)
        return rc;
    if (rc)
        return err_set(e, rc, "vec: row %u cannot be read", cid);
    rc = store_check(T_VEC, key, n_key, p, n, e);
    if (!rc)
        rc = vec_rows_open(r, m, key, n_key, p, n, e);
    if (rc)
        return rc;
    for (*at = 0; *at < r->n; (*at)++) {
        if (vec_cid(r, *at) == cid)
            return 0;
    }
    return ERR_NOTFOUND;
}

/* ---- writing ---- */

static int row_put(struct txn *t, const struct vec_meta *m, uint32_t cid, const void *row,
                   struct err *e)
{
    unsigned char key[8];
    int rc;

    row_key(key, m, cid);
    rc = txn_put(t, T_VEC, key, 8, row, VEC_ROW_HEADER + (size_t)m->dim, e);
    if (!rc && cid % m->per_block == m->per_block - 1)
        rc = vec_seal(t, m, cid / m->per_block, NULL, NULL, e);
    return rc ? err_wrap(e, "vector of chunk %u", cid) : 0;
}

int vectors_add(struct txn *t, uint32_t cid, const float *vec, uint32_t dim, struct err *e)
{
    unsigned char small[VEC_ROW_HEADER + 1024], *row = small;
    struct vec_meta m;
    float scale;
    int rc = meta_for(t, dim, &m, e);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < dim; i++) {
        if (!(vec[i] >= -1e15f && vec[i] <= 1e15f))
            return err_set(e, ERR_INVALID, "vector of chunk %u: component %u is not a number", cid,
                           i);
    }
    if (dim > 1024)
        row = mem_take(VEC_ROW_HEADER + (size_t)dim, 1);
    if (!row)
        return err_set(e, ERR_NOMEM, "vector of dimension %u", dim);
    scale = row_quantise((int8_t *)row + VEC_ROW_HEADER, vec, dim);
    memcpy(row, &cid, 4);
    memcpy(row + 4, &scale, 4);
    rc = row_put(t, &m, cid, row, e);
    if (row != small)
        mem_give(row);
    return rc;
}

int vectors_copy(struct txn *t, uint32_t from, uint32_t to, uint32_t dim, struct err *e)
{
    unsigned char small[VEC_ROW_HEADER + 1024], *row = small;
    struct vec_rows r;
    struct vec_meta m;
    uint32_t at;
    int rc = meta_for(t, dim, &m, e);

    if (!rc)
        rc = row_find(t, &m, from, &r, &at, e);
    if (rc == ERR_NOTFOUND)
        return err_set(e, ERR_NOTFOUND, "chunk %u has no vector to copy", from);
    if (rc)
        return rc;
    if (dim > 1024)
        row = mem_take(VEC_ROW_HEADER + (size_t)dim, 1);
    if (!row)
        return err_set(e, ERR_NOMEM, "vector of dimension %u", dim);
    memcpy(row, &to, 4);
    memcpy(row + 4, r.scale + 4 * (size_t)at, 4);
    memcpy(row + VEC_ROW_HEADER, r.row + (size_t)at * r.stride, dim);
    rc = row_put(t, &m, to, row, e);
    if (row != small)
        mem_give(row);
    return rc;
}

int vectors_remove(struct txn *t, uint32_t cid, struct err *e)
{
    unsigned char key[8];
    struct vec_meta m;
    int rc = vec_meta_load(t, &m, e);

    if (!rc) { /* a sealed row stays, masked by its tombstone, until vectors_merge() */
        row_key(key, &m, cid);
        rc = txn_del(t, T_VEC, key, 8, e);
    }
    if (rc == ERR_NOTFOUND) {
        err_clear(e);
        return 0;
    }
    return rc;
}

int vectors_has(struct txn *t, uint32_t cid)
{
    struct vec_meta m;
    struct vec_rows r;
    uint32_t at;

    return vec_meta_load(t, &m, NULL) == 0 && row_find(t, &m, cid, &r, &at, NULL) == 0;
}
