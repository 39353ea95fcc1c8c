/* doc_record.c - records as bytes, and back (see doc_record.h). */
#include "index/doc_record.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/limits.h"

#define RECORD_MOST (64 * MIB)
#define ZSTD_LEVEL 3 /* 2.4 kB pages: 2.4x at about 100 MB/s; level 9 gains 4 % more for a third of the speed */

static int put_buf(struct txn *t, enum table tb, const void *key, size_t n_key, struct buf *b,
                   struct err *e)
{
    int rc = b->failed ? err_set(e, (enum err_code)b->failed, "record of table %s", table_name(tb))
                       : txn_put(t, tb, key, n_key, b->data ? b->data : "", b->len, e);

    buf_free(b);
    return rc;
}

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "a %s record has impossible lengths", what);
}

/* ---- counters ---- */

int counters_get(struct txn *t, struct counters *c, struct err *e)
{
    const void *p;
    size_t n;
    struct rd r;
    int rc = txn_get(t, T_META, "counters", 8, &p, &n, e);

    memset(c, 0, sizeof *c);
    if (rc == ERR_NOTFOUND) {
        if (e)
            err_clear(e);
        return 0;
    }
    if (rc)
        return rc;
    r = rd_of(p, n);
    c->documents = rd_u64le(&r);
    c->paths = rd_u64le(&r);
    c->pages = rd_u64le(&r);
    c->chunks = rd_u64le(&r);
    c->next_cid = rd_u64le(&r);
    c->commits = rd_u64le(&r);
    return r.failed ? bad(e, "counters") : 0;
}

int counters_put(struct txn *t, const struct counters *c, struct err *e)
{
    struct buf b;

    buf_init(&b, 64);
    buf_u64le(&b, c->documents);
    buf_u64le(&b, c->paths);
    buf_u64le(&b, c->pages);
    buf_u64le(&b, c->chunks);
    buf_u64le(&b, c->next_cid);
    buf_u64le(&b, c->commits);
    return put_buf(t, T_META, "counters", 8, &b, e);
}

/* ---- documents ---- */

static void add_text(struct buf *b, const char *s)
{
    size_t n = strlen(s);

    buf_varint(b, n);
    buf_add(b, s, n);
}

/* *full: the arena had no room, which is no damage. */
static const char *take_text(struct rd *r, struct arena *a, int *full)
{
    uint64_t n = rd_varint(r);
    const char *p = n <= r->left ? rd_bytes(r, (size_t)n) : NULL;
    char *s;

    if (!p) {
        r->failed = 1;
        return "";
    }
    s = arena_strndup(a, p, (size_t)n);
    if (!s)
        *full = 1;
    return s ? s : "";
}

static const char *const *take_texts(struct rd *r, struct arena *a, uint32_t *n, int *full)
{
    uint64_t count = rd_varint(r);
    const char **at;

    *n = 0;
    if (r->failed || count > r->left) { /* each takes at least a byte */
        r->failed = 1;
        return NULL;
    }
    at = arena_take(a, (size_t)count, sizeof *at);
    if (!at) {
        *full = 1;
        return NULL;
    }
    for (uint64_t i = 0; i < count; i++)
        at[i] = take_text(r, a, full);
    *n = (uint32_t)count;
    return at;
}

int doc_row_put(struct txn *t, const struct doc_row *d, struct err *e)
{
    const struct doc_view *v = &d->v;
    struct buf b;

    buf_init(&b, RECORD_MOST);
    buf_u8(&b, (uint8_t)(v->paged != 0));
    buf_u32le(&b, d->first_cid);
    buf_varint(&b, v->n_pages);
    buf_varint(&b, v->n_chunks);
    buf_varint(&b, v->bytes);
    buf_varint(&b, v->hidden_spans);
    buf_varint(&b, v->hidden_chars);
    buf_varint(&b, v->n_bad_pages);
    buf_u64le(&b, (uint64_t)v->added_ms);
    add_text(&b, v->title);
    add_text(&b, v->type);
    add_text(&b, v->lang);
    buf_varint(&b, v->n_collections);
    for (uint32_t i = 0; i < v->n_collections; i++)
        add_text(&b, v->collections[i]);
    buf_varint(&b, v->n_paths);
    for (uint32_t i = 0; i < v->n_paths; i++)
        add_text(&b, v->paths[i]);
    return put_buf(t, T_DOC, v->id, DOC_ID_BYTES, &b, e);
}

int doc_row_decode(const uint8_t id[DOC_ID_BYTES], const void *p, size_t n, struct arena *a,
                   struct doc_row *out, struct err *e)
{
    struct doc_view *v = &out->v;
    struct rd r = rd_of(p, n);
    uint64_t pages, chunks, bad_pages;
    int full = 0;

    memset(out, 0, sizeof *out);
    memcpy(v->id, id, DOC_ID_BYTES);
    v->paged = rd_u8(&r);
    out->first_cid = rd_u32le(&r);
    pages = rd_varint(&r);
    chunks = rd_varint(&r);
    v->bytes = rd_varint(&r);
    v->hidden_spans = rd_varint(&r);
    v->hidden_chars = rd_varint(&r);
    bad_pages = rd_varint(&r);
    v->added_ms = (int64_t)rd_u64le(&r);
    v->title = take_text(&r, a, &full);
    v->type = take_text(&r, a, &full);
    v->lang = take_text(&r, a, &full);
    v->collections = take_texts(&r, a, &v->n_collections, &full);
    v->paths = take_texts(&r, a, &v->n_paths, &full);
    if (full)
        return err_set(e, ERR_NOMEM, "a document's record");
    if (r.failed || r.left || pages > LIM_DOC_PAGES || bad_pages > pages ||
        chunks > UINT32_MAX - out->first_cid)
        return bad(e, "document");
    v->n_pages = (uint32_t)pages;
    v->n_chunks = (uint32_t)chunks;
    v->n_bad_pages = (uint32_t)bad_pages;
    return 0;
}

int doc_row_get(struct txn *t, const uint8_t id[DOC_ID_BYTES], struct arena *a, struct doc_row *out,
                struct err *e)
{
    const void *p;
    size_t n;
    int rc = txn_get(t, T_DOC, id, DOC_ID_BYTES, &p, &n, e);

    return rc ? rc : doc_row_decode(id, p, n, a, out, e);
}

/* ---- pages: width, height, sizes, then zstd(text, boxes) ---- */

void page_key(unsigned char key[PAGE_KEY], const uint8_t id[DOC_ID_BYTES], uint32_t number)
{
    memcpy(key, id, DOC_ID_BYTES);
    be32(key + DOC_ID_BYTES, number);
}

static uint32_t float_bits(float f)
{
    uint32_t v;

    memcpy(&v, &f, sizeof v);
    return v;
}

static float bits_float(uint32_t v)
{
    float f;

    memcpy(&f, &v, sizeof f);
    return f;
}

int page_row_put(struct txn *t, const uint8_t id[DOC_ID_BYTES], const struct index_page *p,
                 struct err *e)
{
    unsigned char key[PAGE_KEY];
    size_t plain = (size_t)p->n_text + p->n_boxes;
    struct buf raw, b;
    size_t got;
    char *to;

    page_key(key, id, p->number);
    buf_init(&raw, RECORD_MOST);
    buf_init(&b, RECORD_MOST);
    buf_add(&raw, p->text ? p->text : "", p->n_text);
    buf_add(&raw, p->boxes ? p->boxes : "", p->n_boxes);
    buf_u32le(&b, float_bits(p->width));
    buf_u32le(&b, float_bits(p->height));
    buf_u32le(&b, p->n_text);
    buf_u32le(&b, p->n_boxes);
    to = plain ? buf_room(&b, ZSTD_compressBound(plain)) : NULL;
    if (raw.failed || b.failed) {
        buf_free(&raw);
        buf_free(&b);
        return err_set(e, ERR_LIMIT, "page %u: %zu bytes of text and boxes", p->number, plain);
    }
    if (plain) {
        got = ZSTD_compress(to, ZSTD_compressBound(plain), raw.data, plain, ZSTD_LEVEL);
        if (ZSTD_isError(got)) {
            buf_free(&raw);
            buf_free(&b);
            return err_set(e, ERR_NOMEM, "page %u: %s", p->number, ZSTD_getErrorName(got));
        }
        b.len += got;
    }
    buf_free(&raw);
    return put_buf(t, T_PAGE, key, sizeof key, &b, e);
}

int page_row_decode(uint32_t number, const void *p, size_t n, struct arena *a, struct page_view *out,
                    struct err *e)
{
    struct rd r = rd_of(p, n);
    char *text;
    size_t plain;
    size_t got = 0;

    memset(out, 0, sizeof *out);
    out->number = number;
    out->width = bits_float(rd_u32le(&r));
    out->height = bits_float(rd_u32le(&r));
    out->n_text = rd_u32le(&r);
    out->n_boxes = rd_u32le(&r);
    plain = (size_t)out->n_text + out->n_boxes;
    if (r.failed || plain > RECORD_MOST)
        return bad(e, "page");
    text = arena_take(a, plain + 2, 1);
    if (!text)
        return err_set(e, ERR_NOMEM, "page %u of %zu bytes", number, plain);
    if (plain)
        got = ZSTD_decompress(text, plain, r.p, r.left);
    if (ZSTD_isError(got) || got != plain)
        return err_set(e, ERR_CORRUPT, "page %u does not decompress", number);
    /* the text gets its NUL: boxes move up by one byte */
    memmove(text + out->n_text + 1, text + out->n_text, out->n_boxes);
    text[out->n_text] = '\0';
    out->text = text;
    out->boxes = (const unsigned char *)text + out->n_text + 1;
    return 0;
}

int page_row_get(struct txn *t, const uint8_t id[DOC_ID_BYTES], uint32_t number, struct arena *a,
                 struct page_view *out, struct err *e)
{
    unsigned char key[PAGE_KEY];
    const void *p;
    size_t n;
    int rc;

    page_key(key, id, number);
    rc = txn_get(t, T_PAGE, key, sizeof key, &p, &n, e);
    return rc ? rc : page_row_decode(number, p, n, a, out, e);
}

/* ---- chunks ---- */

int chunk_row_put(struct txn *t, uint32_t cid, const uint8_t doc[DOC_ID_BYTES], uint32_t ord,
                  uint32_t page_number, const struct index_chunk *c, struct err *e)
{
    unsigned char key[4];
    struct buf b;
    size_t n_section = strlen(c->section);

    be32(key, cid);
    buf_init(&b, 4096);
    buf_add(&b, doc, DOC_ID_BYTES);
    buf_add(&b, c->hash, DOC_ID_BYTES);
    buf_varint(&b, ord);
    buf_varint(&b, page_number);
    buf_varint(&b, c->start);
    buf_varint(&b, c->end);
    buf_varint(&b, c->n_tokens);
    buf_varint(&b, n_section);
    buf_add(&b, c->section, n_section);
    return put_buf(t, T_CHUNK, key, sizeof key, &b, e);
}

static uint32_t small(struct rd *r)
{
    uint64_t v = rd_varint(r);

    if (v > UINT32_MAX)
        r->failed = 1;
    return (uint32_t)v;
}

int chunk_row_decode(const void *p, size_t n, struct chunk_row *out, uint8_t hash[DOC_ID_BYTES],
                     struct err *e)
{
    struct rd r = rd_of(p, n);
    const void *doc = rd_bytes(&r, DOC_ID_BYTES);
    const void *h = rd_bytes(&r, DOC_ID_BYTES);

    memset(out, 0, sizeof *out);
    out->ord = small(&r);
    out->page = small(&r);
    out->start = small(&r);
    out->end = small(&r);
    out->n_tokens = small(&r);
    out->n_section = small(&r);
    out->section = rd_bytes(&r, out->n_section);
    if (r.failed || r.left || out->start > out->end)
        return bad(e, "chunk");
    memcpy(out->doc, doc, DOC_ID_BYTES);
    if (hash)
        memcpy(hash, h, DOC_ID_BYTES);
    return 0;
}

int chunk_hash_get(struct txn *t, uint32_t cid, struct chunk_row *out, uint8_t hash[DOC_ID_BYTES],
                   struct err *e)
{
    unsigned char key[4];
    const void *p;
    size_t n;
    int rc;

    be32(key, cid);
    rc = txn_get(t, T_CHUNK, key, sizeof key, &p, &n, e);
    return rc ? rc : chunk_row_decode(p, n, out, hash, e);
}

int chunk_row_get(struct txn *t, uint32_t cid, struct chunk_row *out, struct err *e)
{
    return chunk_hash_get(t, cid, out, NULL, e);
}

int chunk_row_find(struct txn *t, const uint8_t doc[16], uint32_t ord, uint32_t *cid, struct err *e)
{
    const void *p;
    size_t n;
    struct rd r;
    uint64_t chunks;
    int rc = txn_get(t, T_DOC, doc, DOC_ID_BYTES, &p, &n, e);

    if (rc)
        return rc;
    r = rd_of(p, n); /* the head of a document record is enough */
    rd_u8(&r);
    *cid = rd_u32le(&r);
    rd_varint(&r);
    chunks = rd_varint(&r);
    if (r.failed || chunks > UINT32_MAX - *cid)
        return bad(e, "document");
    if (ord >= chunks)
        return err_set(e, ERR_NOTFOUND, "chunk %u of a document with %llu", ord, (unsigned long long)chunks);
    *cid += ord;
    return 0;
}

/* ---- paths ---- */

size_t path_key(unsigned char key[PATH_KEY + 16], const char *path)
{
    size_t n = strlen(path);

    if (n <= PATH_KEY) {
        memcpy(key, path, n);
        return n;
    }
    memcpy(key, path, PATH_KEY);
    hash_id(key + PATH_KEY, path, n);
    return PATH_KEY + 16;
}

int path_row_put(struct txn *t, const struct index_path *p, const uint8_t id[DOC_ID_BYTES],
                 struct err *e)
{
    unsigned char key[PATH_KEY + 16];
    size_t n = strlen(p->path);
    struct buf b;

    if (n == 0 || n > LIM_PATH)
        return err_set(e, ERR_LIMIT, "path of %zu bytes", n);
    buf_init(&b, LIM_PATH + 256);
    buf_add(&b, id, DOC_ID_BYTES);
    buf_u64le(&b, p->size);
    buf_u64le(&b, (uint64_t)p->mtime_ns);
    buf_u64le(&b, p->inode);
    if (n > PATH_KEY)
        buf_add(&b, p->path, n);
    return put_buf(t, T_PATH, key, path_key(key, p->path), &b, e);
}

static int path_head(struct rd *r, uint8_t id[DOC_ID_BYTES], struct index_path *stat, struct err *e)
{
    const void *doc = rd_bytes(r, DOC_ID_BYTES);

    stat->size = rd_u64le(r);
    stat->mtime_ns = (int64_t)rd_u64le(r);
    stat->inode = rd_u64le(r);
    if (r->failed)
        return bad(e, "path");
    memcpy(id, doc, DOC_ID_BYTES);
    return 0;
}

int path_row_get(struct txn *t, const char *path, uint8_t id[DOC_ID_BYTES], struct index_path *stat,
                 struct err *e)
{
    unsigned char key[PATH_KEY + 16];
    size_t n_key = path_key(key, path);
    const void *p;
    size_t n;
    struct rd r;
    int rc;

    if (n_key == 0)
        return err_set(e, ERR_NOTFOUND, "an empty path");
    rc = txn_get(t, T_PATH, key, n_key, &p, &n, e);
    if (rc)
        return rc;
    r = rd_of(p, n);
    stat->path = path;
    return path_head(&r, id, stat, e);
}

int path_row_decode(const void *p, size_t n, struct arena *a, uint8_t id[DOC_ID_BYTES],
                    struct index_path *stat, struct err *e)
{
    struct rd r = rd_of(p, n);
    int rc = path_head(&r, id, stat, e);

    stat->path = "";
    if (!rc && r.left) { /* a long path is in the record, a short one is the key */
        stat->path = arena_strndup(a, (const char *)r.p, r.left);
        if (!stat->path)
            return err_set(e, ERR_NOMEM, "path");
    }
    return rc;
}

/* ---- seen ---- */

void seen_key(unsigned char key[SEEN_KEY], const uint8_t hash[DOC_ID_BYTES], uint32_t cid)
{
    memcpy(key, hash, DOC_ID_BYTES);
    be32(key + DOC_ID_BYTES, cid);
}

int seen_find(struct txn *t, const uint8_t hash[DOC_ID_BYTES], uint32_t *cid, struct err *e)
{
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    int rc = scan_open(t, T_SEEN, hash, DOC_ID_BYTES, &sc, e);

    if (rc)
        return rc;
    rc = scan_next(sc, &key, &n_key, &p, &n, e);
    if (!rc && n_key == SEEN_KEY)
        *cid = be32_get((const unsigned char *)key + DOC_ID_BYTES);
    else if (!rc)
        rc = bad(e, "seen");
    else if (rc == ERR_NOTFOUND)
        err_set(e, ERR_NOTFOUND, "no chunk with that text is stored");
    scan_close(sc);
    return rc;
}
