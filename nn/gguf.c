/* gguf.c - GGUF v2 and v3: metadata and tensor list of a mapped file.
 * The file is hostile until proved otherwise: every count is held against the bytes that remain
 * before anything is allocated for it, sums and products go through the overflow builtins, and
 * the checks for duplicates and overlaps sort first (n log n), so that no file costs more time or
 * memory than its own size justifies. Strings and arrays stay where they are in the mapping. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "nn/weights_impl.h"

#define GGUF_NAME_MAX 64
#define GGUF_ALIGN_MAX 65536
#define KV_BYTES_MIN 13 /* key length, type, one byte of value */
#define INFO_BYTES_MIN 33 /* name length, one byte, n_dims, one dim, type, offset */

enum gguf_type {
    G_U8,
    G_I8,
    G_U16,
    G_I16,
    G_U32,
    G_I32,
    G_F32,
    G_BOOL,
    G_STRING,
    G_ARRAY,
    G_U64,
    G_I64,
    G_F64,
    G_TYPE_COUNT
};
/* bytes of a value; 0 where the value says its own length */
static const uint8_t scalar_bytes[G_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct gguf_kv {
    const char *key; /* in the mapping, not terminated */
    size_t key_len;
    uint32_t type;
    uint32_t elem; /* of an array */
    uint64_t n; /* items of an array */
    const unsigned char *data; /* first value of an array of numbers */
    const unsigned char **items; /* [n], array of strings: where each one's length stands */
    json_t *json; /* a scalar */
};

struct gguf_meta {
    struct gguf_kv *kv; /* [n], sorted by key */
    size_t n;
};

struct reader {
    const char *path;
    const unsigned char *base;
    struct rd r;
    uint64_t align;
};

static uint64_t at(const struct reader *g)
{
    return (uint64_t)(g->r.p - g->base);
}

static int cut_off(const struct reader *g, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: the file ends inside %s at byte %" PRIu64, g->path, what,
                   at(g));
}

/* A length and that many bytes. */
static int read_string(struct reader *g, const char *what, const char **s, size_t *n, struct err *e)
{
    uint64_t here = at(g);
    uint64_t len = rd_u64le(&g->r);

    if (g->r.failed)
        return cut_off(g, what, e);
    if (len > g->r.left)
        return err_set(e, ERR_FORMAT,
                       "%s: %s at byte %" PRIu64 " claims %" PRIu64 " bytes, %zu remain", g->path,
                       what, here, len, g->r.left);
    *n = (size_t)len;
    *s = rd_bytes(&g->r, *n);
    return 0;
}

static int compare_bytes(const char *a, size_t na, const char *b, size_t nb)
{
    int c = memcmp(a, b, na < nb ? na : nb);

    if (c)
        return c;
    return (na > nb) - (na < nb);
}

static int by_key(const void *a, const void *b)
{
    const struct gguf_kv *x = a;
    const struct gguf_kv *y = b;

    return compare_bytes(x->key, x->key_len, y->key, y->key_len);
}

static double number_at(uint32_t type, const unsigned char *p)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } v;

    memcpy(&v, p, scalar_bytes[type]);
    switch (type) {
    case G_U8:
    case G_BOOL: return v.u8;
    case G_I8: return v.i8;
    case G_U16: return v.u16;
    case G_I16: return v.i16;
    case G_U32: return v.u32;
    case G_I32: return v.i32;
    case G_F32: return v.f32;
    case G_U64: return (double)v.u64;
    case G_I64: return (double)v.i64;
    default: return v.f64;
    }
}

static json_t *scalar_json(uint32_t type, const unsigned char *p)
{
    uint64_t u;
    int64_t i;

    switch (type) {
    case G_BOOL: return json_boolean(*p);
    case G_F32:
    case G_F64: return json_real(number_at(type, p)); /* NULL for NaN and infinity */
    case G_U64:
        memcpy(&u, p, sizeof u);
        if (u > INT64_MAX) /* no count or id is this large: whoever wants an integer refuses it */
            return json_real((double)u);
        return json_integer((json_int_t)u);
    case G_I64: memcpy(&i, p, sizeof i); return json_integer(i);
    default: return json_integer((json_int_t)number_at(type, p));
    }
}

static int read_array(struct reader *g, struct gguf_kv *kv, struct err *e)
{
    uint64_t here = at(g);
    uint32_t elem = rd_u32le(&g->r);
    uint64_t n = rd_u64le(&g->r);
    size_t least;

    if (g->r.failed)
        return cut_off(g, "an array", e);
    if (elem == G_ARRAY)
        return err_set(e, ERR_UNSUPPORTED, "%s: array of arrays at byte %" PRIu64, g->path, here);
    if (elem >= G_TYPE_COUNT)
        return err_set(e, ERR_FORMAT, "%s: array type %" PRIu32 " at byte %" PRIu64, g->path, elem,
                       here);
    least = elem == G_STRING ? 8 : scalar_bytes[elem];
    if (n > g->r.left / least)
        return err_set(e, ERR_FORMAT,
                       "%s: array at byte %" PRIu64 " claims %" PRIu64 " items, %zu bytes remain",
                       g->path, here, n, g->r.left);
    kv->elem = elem;
    kv->n = n;
    if (elem != G_STRING) {
        kv->data = rd_bytes(&g->r, (size_t)n * least);
        for (uint64_t i = 0; elem == G_BOOL && i < n; i++)
            if (kv->data[i] > 1)
                return err_set(e, ERR_FORMAT, "%s: bool %u in the array at byte %" PRIu64, g->path,
                               kv->data[i], here);
        return 0;
    }
    kv->items = mem_take(n ? (size_t)n : 1, sizeof *kv->items);
    if (!kv->items)
        return err_set(e, ERR_NOMEM, "%s: array of %" PRIu64 " strings", g->path, n);
    for (uint64_t i = 0; i < n; i++) {
        const char *s;
        size_t len;
        int rc;

        kv->items[i] = g->r.p;
        rc = read_string(g, "an array of strings", &s, &len, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_value(struct reader *g, struct gguf_kv *kv, struct err *e)
{
    const unsigned char *p;
    const char *s;
    size_t n;
    int rc;

    if (kv->type >= G_TYPE_COUNT)
        return err_set(e, ERR_FORMAT, "%s: value type %" PRIu32 " at byte %" PRIu64, g->path,
                       kv->type, at(g));
    if (kv->type == G_ARRAY)
        return read_array(g, kv, e);
    if (kv->type == G_STRING) {
        rc = read_string(g, "a string value", &s, &n, e);
        if (rc)
            return rc;
        kv->json = json_text(s, n);
        return kv->json ? 0 : err_set(e, ERR_NOMEM, "%s: metadata", g->path);
    }
    p = rd_bytes(&g->r, scalar_bytes[kv->type]);
    if (!p)
        return cut_off(g, "a value", e);
    if (kv->type == G_BOOL && *p > 1)
        return err_set(e, ERR_FORMAT, "%s: bool %u", g->path, *p);
    if ((kv->type == G_F32 || kv->type == G_F64) && !isfinite(number_at(kv->type, p)))
        return err_set(e, ERR_FORMAT, "%s: the number is not finite", g->path);
    kv->json = scalar_json(kv->type, p);
    return kv->json ? 0 : err_set(e, ERR_NOMEM, "%s: metadata", g->path);
}

static int read_kv(struct reader *g, struct gguf_kv *kv, struct err *e)
{
    int rc = read_string(g, "a metadata key", &kv->key, &kv->key_len, e);

    if (rc)
        return rc;
    if (!kv->key_len || utf8_valid(kv->key, kv->key_len) != kv->key_len ||
        memchr(kv->key, 0, kv->key_len))
        return err_set(e, ERR_FORMAT, "%s: metadata key before byte %" PRIu64 " is no text",
                       g->path, at(g));
    kv->type = rd_u32le(&g->r);
    if (g->r.failed)
        return cut_off(g, "the metadata", e);
    rc = read_value(g, kv, e);
    if (rc)
        err_wrap(e, "metadata '%.*s'", kv->key_len > 100 ? 100 : (int)kv->key_len, kv->key);
    return rc;
}

static const struct gguf_kv *find_kv(const struct weights *w, const char *key)
{
    struct gguf_kv want = {.key = key, .key_len = strlen(key)};

    if (!w->meta || !w->meta->n)
        return NULL;
    return bsearch(&want, w->meta->kv, w->meta->n, sizeof want, by_key);
}

static int read_meta(struct weights *w, struct reader *g, uint64_t n, struct err *e)
{
    const struct gguf_kv *kv;
    struct gguf_meta *m;
    int rc;

    if (n > g->r.left / KV_BYTES_MIN)
        return err_set(e, ERR_FORMAT, "%s: %" PRIu64 " metadata entries in %zu bytes", g->path, n,
                       g->r.left);
    m = mem_take(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_NOMEM, "%s: metadata", g->path);
    w->meta = m;
    m->kv = mem_take(n ? (size_t)n : 1, sizeof *m->kv);
    if (!m->kv)
        return err_set(e, ERR_NOMEM, "%s: %" PRIu64 " metadata entries", g->path, n);
    for (uint64_t i = 0; i < n; i++) {
        m->n = (size_t)i + 1; /* what a failed entry holds is freed too */
        rc = read_kv(g, &m->kv[i], e);
        if (rc)
            return rc;
    }
    qsort(m->kv, m->n, sizeof *m->kv, by_key);
    for (size_t i = 1; i < m->n; i++)
        if (by_key(&m->kv[i - 1], &m->kv[i]) == 0)
            return err_set(e, ERR_FORMAT, "%s: metadata key '%.*s' twice", g->path,
                           m->kv[i].key_len > 100 ? 100 : (int)m->kv[i].key_len, m->kv[i].key);
    g->align = 32;
    kv = find_kv(w, "general.alignment");
    if (kv) {
        uint64_t a = kv->type == G_U32 ? (uint64_t)json_integer_value(kv->json) : 0;
        if (a == 0 || a > GGUF_ALIGN_MAX || (a & (a - 1)))
            return err_set(e, ERR_FORMAT, "%s: general.alignment is no power of two of type u32",
                           g->path);
        g->align = a;
    }
    return 0;
}

/* ggml's type numbers; 4, 5 and 31-33 are gone from the format, the rest we do not compute. */
static int tensor_type(uint32_t ggml, enum wtype *out)
{
    static const struct {
        uint32_t ggml;
        enum wtype type;
    } map[] = {{0, W_F32},  {1, W_F16},  {2, W_Q4_0},  {3, W_Q4_1},  {6, W_Q5_0},
               {7, W_Q5_1}, {8, W_Q8_0}, {12, W_Q4_K}, {13, W_Q5_K}, {14, W_Q6_K},
               {26, W_I32}, {27, W_I64}, {30, W_BF16}};

    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (map[i].ggml == ggml) {
            *out = map[i].type;
            return 0;
        }
    return -1;
}

/* One tensor info; t->data holds the offset until the data section is known. */
static int read_info(struct weights *w, struct reader *g, struct tensor *t, struct err *e)
{
    uint64_t here = at(g);
    uint64_t rows = 1;
    uint64_t dims[4];
    uint32_t n_dims;
    uint32_t type;
    uint64_t offset;
    const char *s;
    size_t n;
    int rc = read_string(g, "a tensor name", &s, &n, e);

    if (rc)
        return rc;
    if (!n || n > GGUF_NAME_MAX || utf8_valid(s, n) != n || memchr(s, 0, n))
        return err_set(e, ERR_FORMAT,
                       "%s: tensor name of %zu bytes at byte %" PRIu64
                       " is no text of 1 to %d bytes",
                       g->path, n, here, GGUF_NAME_MAX);
    t->name = arena_strndup(&w->names, s, n);
    if (!t->name)
        return err_set(e, ERR_NOMEM, "%s: tensor names", g->path);
    n_dims = rd_u32le(&g->r);
    if (g->r.failed)
        return cut_off(g, "the tensor list", e);
    if (n_dims < 1 || n_dims > 4)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has %" PRIu32 " dimensions", g->path, t->name,
                       n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        dims[d] = rd_u64le(&g->r);
    type = rd_u32le(&g->r);
    offset = rd_u64le(&g->r);
    if (g->r.failed)
        return cut_off(g, "the tensor list", e);
    if (tensor_type(type, &t->type))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: tensor %s has type %" PRIu32 ", which is not among those supported",
                       g->path, t->name, type);
    t->n_dims = (int)n_dims;
    for (uint32_t d = 0; d < n_dims; d++) {
        t->dims[n_dims - 1 - d] = dims[d];
        if (!dims[d])
            return err_set(e, ERR_FORMAT, "%s: tensor %s: dimension %" PRIu32 " is 0", g->path,
                           t->name, d);
        if (d && __builtin_mul_overflow(rows, dims[d], &rows))
            return err_set(e, ERR_FORMAT, "%s: tensor %s: size overflows", g->path, t->name);
    }
    if (dims[0] % wtype_block(t->type))
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s: rows of %" PRIu64 " values are not whole blocks of %s",
                       g->path, t->name, dims[0], wtype_name(t->type));
    if (__builtin_mul_overflow(dims[0] / wtype_block(t->type), wtype_bytes(t->type), &t->bytes) ||
        __builtin_mul_overflow(t->bytes, rows, &t->bytes))
        return err_set(e, ERR_FORMAT, "%s: tensor %s: size overflows", g->path, t->name);
    if (offset % g->align)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s: offset %" PRIu64 " is not aligned to %" PRIu64, g->path,
                       t->name, offset, g->align);
    if (offset > PTRDIFF_MAX)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s: offset %" PRIu64 " is past the end of the file", g->path,
                       t->name, offset);
    t->data = (const void *)(uintptr_t)offset;
    return 0;
}

static int by_data(const void *a, const void *b)
{
    const struct tensor *x = a;
    const struct tensor *y = b;
    uintptr_t p = (uintptr_t)x->data;
    uintptr_t q = (uintptr_t)y->data;

    return (p > q) - (p < q);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int place_tensors(struct weights *w, struct reader *g, struct err *e)
{
    uint64_t start = (at(g) + g->align - 1) & ~(g->align - 1);
    uint64_t size = w->maps[0].size;
    const struct tensor *before = NULL;

    if (w->n_tensors && start > size)
        return err_set(e, ERR_FORMAT, "%s: the file ends before its tensor data at byte %" PRIu64,
                       g->path, start);
    qsort(w->tensors, w->n_tensors, sizeof *w->tensors, by_data);
    for (size_t i = 0; i < w->n_tensors; i++) {
        struct tensor *t = &w->tensors[i];
        uint64_t offset = (uintptr_t)t->data;
        if (offset > size - start || t->bytes > size - start - offset)
            return err_set(e, ERR_FORMAT,
                           "%s: tensor %s needs %zu bytes at byte %" PRIu64
                           ", the file has %" PRIu64,
                           g->path, t->name, t->bytes, start + offset, size);
        t->data = w->maps[0].data + start + offset;
        if (before &&
            (const unsigned char *)before->data + before->bytes > (const unsigned char *)t->data)
            return err_set(e, ERR_FORMAT, "%s: tensors %s and %s overlap", g->path, before->name,
                           t->name);
        before = t;
    }
    qsort(w->tensors, w->n_tensors, sizeof *w->tensors, by_name);
    for (size_t i = 1; i < w->n_tensors; i++)
        if (strcmp(w->tensors[i - 1].name, w->tensors[i].name) == 0)
            return err_set(e, ERR_FORMAT, "%s: tensor %s twice", g->path, w->tensors[i].name);
    return 0;
}

int gguf_open(struct weights *w, const char *path, struct err *e)
{
    struct reader g = {.path = path};
    uint32_t version;
    uint64_t n_tensors;
    uint64_t n_kv;
    const char *magic;
    int rc;

    w->maps = mem_take(1, sizeof *w->maps);
    if (!w->maps)
        return err_set(e, ERR_NOMEM, "%s", path);
    rc = file_map(&w->maps[0], path, e);
    if (rc)
        return rc;
    w->n_maps = 1;
    g.base = w->maps[0].data;
    g.r = rd_of(w->maps[0].data, w->maps[0].size);
    magic = rd_bytes(&g.r, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return err_set(e, ERR_FORMAT, "%s is not a GGUF file", path);
    version = rd_u32le(&g.r);
    n_tensors = rd_u64le(&g.r);
    n_kv = rd_u64le(&g.r);
    if (g.r.failed)
        return cut_off(&g, "the header", e);
    if (version != 2 && version != 3)
        return err_set(e, ERR_UNSUPPORTED, "%s: GGUF version %" PRIu32 " (2 and 3 are supported)",
                       path, version);
    rc = read_meta(w, &g, n_kv, e);
    if (rc)
        return rc;
    if (n_tensors > g.r.left / INFO_BYTES_MIN || n_tensors > LIM_TENSORS)
        return err_set(e, ERR_FORMAT, "%s: %" PRIu64 " tensors in %zu bytes (at most %d)", path,
                       n_tensors, g.r.left, LIM_TENSORS);
    w->tensors = mem_take(n_tensors ? (size_t)n_tensors : 1, sizeof *w->tensors);
    if (!w->tensors)
        return err_set(e, ERR_NOMEM, "%s: %" PRIu64 " tensors", path, n_tensors);
    w->n_tensors = (size_t)n_tensors;
    for (size_t i = 0; !rc && i < w->n_tensors; i++)
        rc = read_info(w, &g, &w->tensors[i], e);
    if (!rc)
        rc = place_tensors(w, &g, e);
    return rc;
}

void gguf_meta_free(struct gguf_meta *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        mem_give(m->kv[i].items);
        json_decref(m->kv[i].json);
    }
    mem_give(m->kv);
    mem_give(m);
}

int weights_is_gguf(const struct weights *w)
{
    return w->meta != NULL;
}

const json_t *weights_meta(const struct weights *w, const char *key)
{
    const struct gguf_kv *kv = find_kv(w, key);

    return kv ? kv->json : NULL;
}

size_t weights_meta_len(const struct weights *w, const char *key)
{
    const struct gguf_kv *kv = find_kv(w, key);

    return kv && kv->type == G_ARRAY ? (size_t)kv->n : 0;
}

const char *weights_meta_item(const struct weights *w, const char *key, size_t i, size_t *n)
{
    const struct gguf_kv *kv = find_kv(w, key);
    uint64_t len;

    *n = 0;
    if (!kv || !kv->items || i >= kv->n)
        return NULL;
    memcpy(&len, kv->items[i], sizeof len);
    *n = (size_t)len;
    return (const char *)kv->items[i] + sizeof len;
}

double weights_meta_item_num(const struct weights *w, const char *key, size_t i)
{
    const struct gguf_kv *kv = find_kv(w, key);

    if (!kv || !kv->data || i >= kv->n)
        return 0;
    return number_at(kv->elem, kv->data + i * scalar_bytes[kv->elem]);
}
