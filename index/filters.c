/* filters.c - bitmaps of chunk ids by collection, type and language (T_FILT), tombstones (T_TOMB), and what a query's filter
 * lets through. A key holds one run of 64 Ki chunk ids, so that an update rewrites at most 8 KiB. */
#include <fnmatch.h>
#include <roaring/roaring.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "index/doc_record.h"

#define VALUE_MOST 200 /* longer values are keyed by their hash */
#define FILT_KEY (1 + VALUE_MOST + 1 + 2)
#define BITMAP_MOST (256 * KIB)

void bitmap_free(struct roaring_bitmap_s *b)
{
    if (b) /* CRoaring itself does not take NULL */
        roaring_bitmap_free(b);
}

/* field, value, NUL, high 16 bits */
static size_t value_key(unsigned char key[FILT_KEY], enum filter_field f, const char *value)
{
    size_t n = strlen(value);

    key[0] = (unsigned char)f;
    if (n <= VALUE_MOST - 32) {
        memcpy(key + 1, value, n);
    } else {
        n = 16;
        hash_id(key + 1, (const uint8_t *)value, strlen(value));
        memmove(key + 2, key + 1, n);
        key[1] = 0xFF; /* starts no UTF-8: no short value looks like it */
        n++;
    }
    key[1 + n] = '\0';
    return n + 2;
}

static int load_piece(struct txn *t, enum table tb, const void *key, size_t n_key,
                      roaring_bitmap_t **out, struct err *e)
{
    const void *p;
    size_t n;
    int rc = txn_get(t, tb, key, n_key, &p, &n, NULL);

    *out = NULL;
    if (rc == ERR_NOTFOUND) {
        *out = roaring_bitmap_create();
        return *out ? 0 : err_set(e, ERR_NOMEM, "bitmap");
    }
    if (rc)
        return txn_get(t, tb, key, n_key, &p, &n, e);
    *out = roaring_bitmap_portable_deserialize_safe(p, n);
    if (!*out)
        return err_set(e, ERR_CORRUPT, "a bitmap of table %s is malformed", table_name(tb));
    return 0;
}

static int store_piece(struct txn *t, enum table tb, const void *key, size_t n_key,
                       roaring_bitmap_t *b, struct err *e)
{
    char *bytes;
    size_t n;
    int rc;

    if (roaring_bitmap_is_empty(b)) {
        rc = txn_del(t, tb, key, n_key, NULL);
        return rc == ERR_NOTFOUND || rc == 0 ? 0 : txn_del(t, tb, key, n_key, e);
    }
    roaring_bitmap_run_optimize(b);
    n = roaring_bitmap_portable_size_in_bytes(b);
    bytes = n <= BITMAP_MOST ? mem_take(n, 1) : NULL;
    if (!bytes)
        return err_set(e, ERR_NOMEM, "bitmap of %zu bytes", n);
    roaring_bitmap_portable_serialize(b, bytes);
    rc = txn_put(t, tb, key, n_key, bytes, n, e);
    mem_give(bytes);
    return rc;
}

/* Sets or clears the ids first..first+n-1 under key (n_key bytes, room for 2 more). */
static int change_run(struct txn *t, enum table tb, unsigned char *key, size_t n_key, uint32_t first,
                      uint32_t n, int set, struct err *e)
{
    uint64_t at = first;
    uint64_t end = (uint64_t)first + n;

    while (at < end) {
        uint64_t stop = (at | 0xFFFF) + 1 < end ? (at | 0xFFFF) + 1 : end;
        uint32_t lo = (uint32_t)at & 0xFFFF;
        uint32_t hi = lo + (uint32_t)(stop - at);
        roaring_bitmap_t *b;
        int rc;

        key[n_key] = (unsigned char)(at >> 24);
        key[n_key + 1] = (unsigned char)(at >> 16);
        rc = load_piece(t, tb, key, n_key + 2, &b, e);
        if (rc)
            return rc;
        if (set)
            roaring_bitmap_add_range(b, lo, hi);
        else
            roaring_bitmap_remove_range(b, lo, hi);
        rc = store_piece(t, tb, key, n_key + 2, b, e);
        roaring_bitmap_free(b);
        if (rc)
            return rc;
        at = stop;
    }
    return 0;
}

static int change_value(struct txn *t, enum filter_field f, const char *value,
                        const struct doc_row *d, int set, struct err *e)
{
    unsigned char key[FILT_KEY + 2];
    size_t n = value_key(key, f, value);

    return *value ? change_run(t, T_FILT, key, n, d->first_cid, d->v.n_chunks, set, e) : 0;
}

static int change_all(struct txn *t, const struct doc_row *d, int set, struct err *e)
{
    int rc = change_value(t, FIELD_TYPE, d->v.type, d, set, e);

    if (!rc)
        rc = change_value(t, FIELD_LANG, d->v.lang, d, set, e);
    for (uint32_t i = 0; !rc && i < d->v.n_collections; i++)
        rc = change_value(t, FIELD_COLLECTION, d->v.collections[i], d, set, e);
    return rc;
}

int filters_add(struct txn *t, const struct doc_row *d, struct err *e)
{
    return change_all(t, d, 1, e);
}

int filters_remove(struct txn *t, const struct doc_row *d, struct err *e)
{
    return change_all(t, d, 0, e);
}

/* All pieces below a prefix as one bitmap over whole chunk ids. */
static int load_all(struct txn *t, enum table tb, const void *prefix, size_t n_prefix,
                    roaring_bitmap_t **out, struct err *e)
{
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    int rc = scan_open(t, tb, prefix, n_prefix, &sc, e);

    *out = NULL;
    if (rc)
        return rc;
    *out = roaring_bitmap_create();
    if (!*out)
        rc = err_set(e, ERR_NOMEM, "bitmap");
    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        const unsigned char *k = key;
        uint32_t high;
        roaring_uint32_iterator_t *it;
        roaring_bitmap_t *b;
        if (n_key != n_prefix + 2)
            continue; /* a value that only begins like this one */
        b = roaring_bitmap_portable_deserialize_safe(p, n);
        if (!b) {
            rc = err_set(e, ERR_CORRUPT, "a bitmap of table %s is malformed", table_name(tb));
            break;
        }
        high = (uint32_t)k[n_key - 2] << 24 | (uint32_t)k[n_key - 1] << 16;
        it = roaring_create_iterator(b);
        for (; it && it->has_value; roaring_advance_uint32_iterator(it))
            roaring_bitmap_add(*out, high | (it->current_value & 0xFFFF));
        if (it)
            roaring_free_uint32_iterator(it);
        else
            rc = err_set(e, ERR_NOMEM, "bitmap");
        roaring_bitmap_free(b);
    }
    scan_close(sc);
    if (rc == ERR_NOTFOUND)
        return 0;
    bitmap_free(*out);
    *out = NULL;
    return rc;
}

int filter_value_load(struct txn *t, enum filter_field f, const char *value,
                      struct roaring_bitmap_s **out, struct err *e)
{
    unsigned char key[FILT_KEY];
    size_t n = value_key(key, f, value);

    return load_all(t, T_FILT, key, n, out, e);
}

/* ---- tombstones ---- */

int tomb_set(struct txn *t, uint32_t cid, struct err *e)
{
    unsigned char key[2];

    return change_run(t, T_TOMB, key, 0, cid, 1, 1, e);
}

int tomb_set_run(struct txn *t, uint32_t first, uint32_t n, struct err *e)
{
    unsigned char key[2];

    return change_run(t, T_TOMB, key, 0, first, n, 1, e);
}

int tomb_clear_all(struct txn *t, struct err *e)
{
    uint64_t n;

    return txn_del_all(t, T_TOMB, NULL, 0, &n, e);
}

int tomb_load(struct txn *t, struct roaring_bitmap_s **out, struct err *e)
{
    return load_all(t, T_TOMB, NULL, 0, out, e);
}

/* ---- what a query's filter lets through ---- */

/* The glob is tried on the whole path and on the name alone. Bytes, no locale. */
static int path_matches(const char *glob, const char *path)
{
    const char *base = strrchr(path, '/');

    return fnmatch(glob, path, 0) == 0 || (base && fnmatch(glob, base + 1, 0) == 0);
}

static int doc_passes(const struct doc_view *v, const struct search_filter *f)
{
    if (f->after_ms && v->added_ms < f->after_ms)
        return 0;
    if (f->before_ms && v->added_ms >= f->before_ms)
        return 0;
    if (!f->path_glob)
        return 1;
    for (uint32_t i = 0; i < v->n_paths; i++)
        if (path_matches(f->path_glob, v->paths[i]))
            return 1;
    return 0;
}

/* Path globs and dates look at every document: 10^5 documents take some 50 ms. */
static int load_by_documents(struct txn *t, const struct search_filter *f, roaring_bitmap_t **out,
                             struct err *e)
{
    struct arena a;
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    int rc = scan_open(t, T_DOC, NULL, 0, &sc, e);

    *out = NULL;
    if (rc)
        return rc;
    arena_init(&a, 128 * MIB);
    *out = roaring_bitmap_create();
    if (!*out)
        rc = err_set(e, ERR_NOMEM, "bitmap");
    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        struct doc_row d;
        if (n_key != DOC_ID_BYTES)
            continue;
        rc = doc_row_decode(key, p, n, &a, &d, e);
        if (!rc && doc_passes(&d.v, f))
            roaring_bitmap_add_range(*out, d.first_cid, (uint64_t)d.first_cid + d.v.n_chunks);
        arena_reset(&a);
    }
    scan_close(sc);
    arena_free(&a);
    if (rc == ERR_NOTFOUND)
        return 0;
    bitmap_free(*out);
    *out = NULL;
    return rc;
}

/* *all: NULL so far means everything; takes more. */
static void narrow(roaring_bitmap_t **all, roaring_bitmap_t *more)
{
    if (!*all) {
        *all = more;
        return;
    }
    roaring_bitmap_and_inplace(*all, more);
    roaring_bitmap_free(more);
}

int filter_load(struct txn *t, const struct search_filter *f, struct roaring_bitmap_s **out,
                struct err *e)
{
    const struct {
        enum filter_field field;
        const char *value;
    } wanted[] = {{FIELD_COLLECTION, f ? f->collection : NULL},
                  {FIELD_TYPE, f ? f->type : NULL},
                  {FIELD_LANG, f ? f->lang : NULL}};
    roaring_bitmap_t *b;
    int rc = 0;

    *out = NULL;
    if (!f)
        return 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && !rc; i++) {
        if (!wanted[i].value)
            continue;
        rc = filter_value_load(t, wanted[i].field, wanted[i].value, &b, e);
        if (!rc)
            narrow(out, b);
    }
    if (!rc && (f->path_glob || f->after_ms || f->before_ms)) {
        rc = load_by_documents(t, f, &b, e);
        if (!rc)
            narrow(out, b);
    }
    if (rc && *out) {
        roaring_bitmap_free(*out);
        *out = NULL;
    }
    return rc;
}
