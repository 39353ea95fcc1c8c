/* verify.c - proves a library against itself: every checksum, every reference in both directions, every counter.
 * A chunk's postings are compared with a fresh analysis of its text by an order-independent sum of hashes over (term, chunk,
 * frequency), so that memory stays at a bitmap of chunk ids whatever the library's size. */
#include <roaring/roaring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "index/doc_record.h"
#include "index/library_impl.h"
#include "index/postings_impl.h"

struct checker {
    struct txn *t;
    uint32_t dim;
    struct verify_report *r;
    struct arena a; /* one document or record */
    roaring_bitmap_t *live; /* chunk ids that documents own */
    roaring_bitmap_t *rows; /* chunk ids with a vector */
    struct counters found; /* counted on the way */
    uint64_t path_refs; /* paths that documents list */
    uint64_t post_sum, post_n; /* expected from text */
    uint64_t index_sum, index_n; /* found in postings, live chunks only */
    uint64_t filt_bits; /* expected: chunks of every document in each of its values */
};

static void problem(struct checker *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void problem(struct checker *c, const char *fmt, ...)
{
    struct verify_report *r = c->r;
    va_list ap;

    if (r->n_first < 8) {
        va_start(ap, fmt);
        vsnprintf(r->first[r->n_first++], sizeof r->first[0], fmt, ap);
        va_end(ap);
    }
    r->problems++;
}

/* ---- every record ---- */

static int check_table(struct checker *c, enum table tb, struct err *e)
{
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    uint64_t entries, bytes;
    uint64_t seen = 0;
    int rc = scan_open(c->t, tb, NULL, 0, &sc, e);

    while (!rc) {
        rc = scan_next(sc, &key, &n_key, &p, &n, e);
        if (rc == ERR_NOTFOUND)
            break;
        if (!rc && (tb == T_VEC || tb == T_POST || tb == T_DL))
            rc = store_check(tb, key, n_key, p, n, e);
        seen++;
        if (rc == ERR_CORRUPT) {
            problem(c, "%s", e->msg);
            err_clear(e);
            rc = 0;
        }
    }
    scan_close(sc);
    c->r->records += seen;
    if (rc != ERR_NOTFOUND)
        return rc;
    rc = txn_stat(c->t, tb, &entries, &bytes, e);
    if (!rc && entries != seen)
        problem(c, "table %s: %llu records where its root says %llu", table_name(tb),
                (unsigned long long)seen, (unsigned long long)entries);
    return rc;
}

/* ---- postings expected from text ---- */

static uint64_t posting_hash(const char *term, uint32_t n, uint32_t cid, uint32_t tf)
{
    unsigned char b[TERM_BYTES + 8];

    if (n > TERM_BYTES)
        n = TERM_BYTES;
    memcpy(b, term, n);
    be32(b + n, cid);
    be32(b + n + 4, tf);
    return hash_xxh3(b, n + 8);
}

struct weighed {
    const char *term;
    uint32_t n, weight;
};

static int by_term(const void *a, const void *b)
{
    return strcmp(((const struct weighed *)a)->term, ((const struct weighed *)b)->term);
}

static int add_field(struct checker *c, const char *text, size_t n, const char *lang, uint32_t weight,
                     struct weighed **all, uint32_t *n_all, struct err *e)
{
    struct term_at *at;
    struct weighed *grown;
    uint32_t k;
    int rc = analyze(text, n, lang, 0, &c->a, &at, &k, e);

    if (rc)
        return rc;
    grown = arena_take(&c->a, (size_t)*n_all + k, sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, "verify");
    if (*n_all)
        memcpy(grown, *all, *n_all * sizeof *grown);
    for (uint32_t i = 0; i < k; i++)
        grown[(*n_all)++] = (struct weighed){at[i].term, at[i].n, weight};
    *all = grown;
    return 0;
}

static int expect_postings(struct checker *c, const struct doc_row *d, uint32_t cid,
                           const struct chunk_row *row, const char *body, struct err *e)
{
    struct weighed *all = NULL;
    uint32_t n = 0;
    int rc = add_field(c, body, row->end - row->start, d->v.lang, 1, &all, &n, e);

    if (!rc)
        rc = add_field(c, d->v.title, strlen(d->v.title), d->v.lang, FIELD_WEIGHT, &all, &n, e);
    if (!rc)
        rc = add_field(c, row->section, row->n_section, d->v.lang, FIELD_WEIGHT, &all, &n, e);
    if (rc)
        return rc;
    if (n)
        qsort(all, n, sizeof *all, by_term);
    for (uint32_t i = 0; i < n;) {
        uint32_t tf = 0;
        uint32_t j = i;
        for (; j < n && !strcmp(all[j].term, all[i].term); j++)
            tf += all[j].weight;
        c->post_sum += posting_hash(all[i].term, all[i].n, cid, tf);
        c->post_n++;
        i = j;
    }
    return 0;
}

/* ---- documents ---- */

static int check_chunk(struct checker *c, const struct doc_row *d, uint32_t i, struct page_view *page,
                       struct arena_mark *kept, struct err *e)
{
    uint32_t cid = d->first_cid + i;
    uint8_t hash[DOC_ID_BYTES];
    unsigned char key[SEEN_KEY];
    struct chunk_row row;
    const void *p;
    size_t n;
    int rc = chunk_hash_get(c->t, cid, &row, hash, e);

    if (rc == ERR_NOTFOUND || rc == ERR_CORRUPT) {
        problem(c, "chunk %u of a document is missing or damaged", cid);
        return 0;
    }
    if (rc)
        return rc;
    if (memcmp(row.doc, d->v.id, DOC_ID_BYTES) != 0 || row.ord != i)
        problem(c, "chunk %u belongs to another document", cid);
    if (!page->text || page->number != row.page) {
        arena_rewind(&c->a, *kept);
        rc = page_row_get(c->t, d->v.id, row.page, &c->a, page, e);
        if (rc == ERR_NOTFOUND || rc == ERR_CORRUPT) {
            problem(c, "page %u of chunk %u is missing or damaged", row.page, cid);
            page->text = NULL;
            return 0;
        }
        if (rc)
            return rc;
    }
    seen_key(key, hash, cid);
    if (txn_get(c->t, T_SEEN, key, sizeof key, &p, &n, NULL))
        problem(c, "chunk %u is not under its text's hash", cid);
    if (roaring_bitmap_contains(c->live, cid))
        problem(c, "chunk %u belongs to two documents", cid);
    roaring_bitmap_add(c->live, cid);
    if (row.end > page->n_text) {
        problem(c, "chunk %u lies outside its page", cid);
        return 0;
    }
    return expect_postings(c, d, cid, &row, page->text + row.start, e);
}

static int check_filter(struct checker *c, const struct doc_row *d, enum filter_field f, const char *value,
                        struct err *e)
{
    roaring_bitmap_t *b;
    int rc;

    if (!*value || !d->v.n_chunks)
        return 0;
    rc = filter_value_load(c->t, f, value, &b, e);
    if (rc)
        return rc;
    if (!roaring_bitmap_contains_range(b, d->first_cid, (uint64_t)d->first_cid + d->v.n_chunks))
        problem(c, "a document is not in the filter of its %s", value);
    c->filt_bits += d->v.n_chunks;
    bitmap_free(b);
    return 0;
}

static int check_doc(struct checker *c, const struct doc_row *d, struct err *e)
{
    struct page_view page = {.number = 0};
    struct arena_mark kept;
    uint32_t pages = 0;
    int rc = 0;

    for (uint32_t i = 0; i < d->v.n_paths; i++) {
        uint8_t id[DOC_ID_BYTES];
        struct index_path known;
        if (path_row_get(c->t, d->v.paths[i], id, &known, NULL) || memcmp(id, d->v.id, DOC_ID_BYTES) != 0)
            problem(c, "a document lists a path that does not name it: %.100s", d->v.paths[i]);
    }
    if (!d->v.n_paths)
        problem(c, "a document has no path");
    c->path_refs += d->v.n_paths;
    kept = arena_mark(&c->a);
    for (uint32_t i = 0; i < d->v.n_chunks && !rc; i++)
        rc = check_chunk(c, d, i, &page, &kept, e);
    if (!rc) { /* pages of the document, counted by their keys */
        struct scan *sc;
        const void *key, *p;
        size_t n_key, n;
        rc = scan_open(c->t, T_PAGE, d->v.id, DOC_ID_BYTES, &sc, e);
        while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) != ERR_NOTFOUND) {
            pages++;
            if (rc == ERR_CORRUPT) { /* counted as a record already */
                err_clear(e);
                rc = 0;
            }
        }
        scan_close(sc);
        if (rc == ERR_NOTFOUND)
            rc = 0;
    }
    if (pages != d->v.n_pages)
        problem(c, "a document has %u pages where its record says %u", pages, d->v.n_pages);
    if (!rc)
        rc = check_filter(c, d, FIELD_TYPE, d->v.type, e);
    if (!rc)
        rc = check_filter(c, d, FIELD_LANG, d->v.lang, e);
    for (uint32_t i = 0; i < d->v.n_collections && !rc; i++)
        rc = check_filter(c, d, FIELD_COLLECTION, d->v.collections[i], e);
    c->found.documents++;
    c->found.pages += pages;
    c->found.chunks += d->v.n_chunks;
    return rc;
}

static int check_docs(struct checker *c, struct err *e)
{
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    int rc = scan_open(c->t, T_DOC, NULL, 0, &sc, e);

    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) != ERR_NOTFOUND) {
        struct doc_row d;
        arena_reset(&c->a);
        if (rc == ERR_CORRUPT) {
            err_clear(e);
            rc = 0;
            continue;
        }
        if (!rc && n_key == DOC_ID_BYTES)
            rc = doc_row_decode(key, p, n, &c->a, &d, e);
        if (rc == ERR_CORRUPT || n_key != DOC_ID_BYTES) {
            problem(c, "a document's record is malformed");
            err_clear(e);
            rc = 0;
        } else if (!rc) {
            rc = check_doc(c, &d, e);
        }
    }
    scan_close(sc);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

/* ---- the other direction: nothing without an owner ---- */

static int check_owned(struct checker *c, struct err *e)
{
    static const enum table tables[] = {T_CHUNK, T_SEEN, T_PATH, T_PAGE};
    uint64_t counts[4] = {0};
    uint64_t live = roaring_bitmap_get_cardinality(c->live);
    uint64_t bytes;
    int rc = 0;

    for (int i = 0; i < 4 && !rc; i++)
        rc = txn_stat(c->t, tables[i], &counts[i], &bytes, e);
    if (rc)
        return rc;
    c->found.paths = counts[2];
    if (counts[0] != live)
        problem(c, "%llu chunk records, but documents own %llu", (unsigned long long)counts[0], (unsigned long long)live);
    if (counts[1] != live)
        problem(c, "%llu text hashes for %llu chunks", (unsigned long long)counts[1], (unsigned long long)live);
    if (counts[2] != c->path_refs)
        problem(c, "%llu paths, but documents list %llu", (unsigned long long)counts[2], (unsigned long long)c->path_refs);
    if (counts[3] != c->found.pages)
        problem(c, "%llu page records, but documents own %llu", (unsigned long long)counts[3], (unsigned long long)c->found.pages);
    return 0;
}

static int check_filters(struct checker *c, struct err *e)
{
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    uint64_t bits = 0;
    int rc = scan_open(c->t, T_FILT, NULL, 0, &sc, e);

    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) != ERR_NOTFOUND) {
        roaring_bitmap_t *b = rc ? NULL : roaring_bitmap_portable_deserialize_safe(p, n);
        if (rc == ERR_CORRUPT) {
            err_clear(e);
            rc = 0;
        }
        if (b)
            bits += roaring_bitmap_get_cardinality(b);
        bitmap_free(b);
    }
    scan_close(sc);
    if (rc == ERR_NOTFOUND)
        rc = 0;
    if (!rc && bits != c->filt_bits)
        problem(c, "the filters hold %llu chunks where documents have %llu", (unsigned long long)bits, (unsigned long long)c->filt_bits);
    return rc;
}

static void on_row(void *arg, uint32_t cid)
{
    struct checker *c = arg;

    if (roaring_bitmap_contains(c->rows, cid))
        problem(c, "chunk %u has two vectors", cid);
    roaring_bitmap_add(c->rows, cid);
}

static void on_posting(void *arg, const char *term, uint32_t n, uint32_t cid, uint32_t tf)
{
    struct checker *c = arg;

    if (!roaring_bitmap_contains(c->live, cid))
        return;
    c->index_sum += posting_hash(term, n, cid, tf);
    c->index_n++;
}

static void on_bad(void *arg, const char *what)
{
    problem(arg, "%s", what);
}

static int check_search(struct checker *c, struct err *e)
{
    roaring_bitmap_t *dead = NULL;
    uint64_t n = 0;
    uint64_t missing;
    int rc = tomb_load(c->t, &dead, e);

    if (!rc && roaring_bitmap_intersect(dead, c->live))
        problem(c, "%llu live chunks are marked dead", (unsigned long long)roaring_bitmap_and_cardinality(dead, c->live));
    if (!rc)
        rc = postings_verify(c->t, on_posting, on_bad, c, &n, e);
    c->r->postings = n;
    if (!rc && (c->index_n != c->post_n || c->index_sum != c->post_sum))
        problem(c, "the postings (%llu) are not those of the text (%llu)", (unsigned long long)c->index_n, (unsigned long long)c->post_n);
    if (!rc && c->dim) {
        rc = vectors_verify(c->t, c->dim, on_row, on_bad, c, &n, e);
        c->r->vectors = n;
        if (!rc && dead)
            roaring_bitmap_andnot_inplace(c->rows, dead);
        missing = rc ? 0 : roaring_bitmap_andnot_cardinality(c->live, c->rows);
        if (missing)
            problem(c, "%llu chunks have no vector", (unsigned long long)missing);
        missing = rc ? 0 : roaring_bitmap_andnot_cardinality(c->rows, c->live);
        if (missing)
            problem(c, "%llu vectors belong to no chunk", (unsigned long long)missing);
    }
    bitmap_free(dead);
    return rc;
}

static int check_counters(struct checker *c, struct err *e)
{
    struct counters k;
    int rc = counters_get(c->t, &k, e);

    if (rc)
        return rc;
    if (k.documents != c->found.documents || k.paths != c->found.paths || k.pages != c->found.pages ||
        k.chunks != c->found.chunks)
        problem(c, "the counters say %llu documents, %llu paths, %llu pages, %llu chunks; there are %llu, %llu, %llu, %llu",
                (unsigned long long)k.documents, (unsigned long long)k.paths, (unsigned long long)k.pages,
                (unsigned long long)k.chunks, (unsigned long long)c->found.documents,
                (unsigned long long)c->found.paths, (unsigned long long)c->found.pages,
                (unsigned long long)c->found.chunks);
    if (!roaring_bitmap_is_empty(c->live) && roaring_bitmap_maximum(c->live) >= k.next_cid)
        problem(c, "chunk %u is above the next free number", roaring_bitmap_maximum(c->live));
    return 0;
}

static int verify_shard(struct library *lib, uint32_t shard, struct verify_report *r, struct err *e)
{
    struct checker c = {.r = r, .dim = lib->conf.dim};
    int rc = library_read(lib, shard, &c.t, e);

    if (rc)
        return rc;
    rc = txn_pages_check(c.t, 1, e);
    if (rc == ERR_CORRUPT) { /* the first such finding; what can still be read is looked at all the same */
        problem(&c, "%s", e->msg);
        err_clear(e);
        rc = 0;
    }
    if (rc) {
        txn_abort(c.t);
        return rc;
    }
    arena_init(&c.a, GIB);
    c.live = roaring_bitmap_create();
    c.rows = roaring_bitmap_create();
    if (!c.live || !c.rows)
        rc = err_set(e, ERR_NOMEM, "verify");
    for (int i = 0; i < T_COUNT && !rc; i++)
        rc = check_table(&c, (enum table)i, e);
    if (!rc)
        rc = check_docs(&c, e);
    if (!rc)
        rc = check_owned(&c, e);
    if (!rc)
        rc = check_filters(&c, e);
    if (!rc)
        rc = check_search(&c, e);
    if (!rc)
        rc = check_counters(&c, e);
    if (rc == ERR_CORRUPT) { /* damage that stops the check is still a finding */
        problem(&c, "%s", e->msg);
        err_clear(e);
        rc = 0;
    }
    r->documents += c.found.documents;
    r->pages += c.found.pages;
    r->chunks += c.found.chunks;
    bitmap_free(c.live);
    bitmap_free(c.rows);
    txn_abort(c.t);
    arena_free(&c.a);
    return rc;
}

int library_verify(struct library *lib, struct verify_report *r, struct err *e)
{
    int rc = 0;

    memset(r, 0, sizeof *r);
    for (uint32_t i = 0; i < lib->n_shards && !rc; i++)
        rc = verify_shard(lib, i, r, e);
    return rc;
}
