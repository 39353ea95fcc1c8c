/* documents.c - one document in, one document out, inside one transaction on one shard.
 * Order within a put: the new document first (its chunks may copy vectors from the version it replaces), then the path,
 * then the old document if nothing names it any more. Nothing is visible before index_commit(). */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "index/doc_record.h"
#include "index/library_impl.h"

#define LOG_KEPT 10000

struct index_batch {
    struct library *lib;
    struct store *store;
    struct txn *t;
    struct postings_batch *postings;
    struct counters c;
    struct arena a; /* scratch of one call */
    uint64_t bytes; /* rough size of what waits */
    uint32_t added, removed;
    int failed; /* a half-done put: only abort is left */
};

int index_begin(struct library *lib, uint32_t shard, struct index_batch **out, struct err *e)
{
    struct index_batch *b;
    int rc;

    *out = NULL;
    if (shard >= lib->n_shards || !(lib->flags & LIB_WRITE))
        return err_set(e, ERR_INVALID, "shard %u of library %s is not open for writing", shard, lib->dir);
    b = mem_take(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "index batch");
    b->lib = lib;
    b->store = lib->stores[shard];
    arena_init(&b->a, GIB);
    rc = txn_write(b->store, &b->t, e);
    if (!rc)
        rc = counters_get(b->t, &b->c, e);
    if (!rc)
        rc = postings_begin(b->t, &b->postings, e);
    if (rc) {
        index_abort(b);
        return rc;
    }
    *out = b;
    return 0;
}

void index_abort(struct index_batch *b)
{
    if (!b)
        return;
    if (b->postings)
        postings_drop(b->postings);
    txn_abort(b->t);
    arena_free(&b->a);
    mem_give(b);
}

uint64_t index_batch_bytes(const struct index_batch *b)
{
    return b->bytes + postings_batch_bytes(b->postings);
}

/* ---- adding ---- */

static int check_doc(struct index_batch *b, const struct index_doc *d, struct err *e)
{
    if (d->n_chunks > UINT32_MAX - b->c.next_cid)
        return err_set(e, ERR_LIMIT, "this shard has given out all 2^32 chunk numbers");
    if (d->n_pages > LIM_DOC_PAGES)
        return err_set(e, ERR_LIMIT, "%u pages", d->n_pages);
    for (uint32_t i = 1; i < d->n_pages; i++)
        if (d->pages[i].number <= d->pages[i - 1].number)
            return err_set(e, ERR_INVALID, "page numbers do not ascend at page %u", d->pages[i].number);
    for (uint32_t i = 0; i < d->n_chunks; i++) {
        const struct index_chunk *c = &d->chunks[i];
        if (c->page >= d->n_pages || c->start > c->end || c->end > d->pages[c->page].n_text)
            return err_set(e, ERR_INVALID, "chunk %u lies outside its page", i);
    }
    return 0;
}

/* Before anything is written: every chunk without a vector must have one to copy. */
static int check_vectors(struct index_batch *b, const struct index_doc *d, struct err *e)
{
    if (b->lib->conf.dim == 0)
        return 0;
    for (uint32_t i = 0; i < d->n_chunks; i++) {
        uint32_t from;
        int earlier = 0;
        int rc = d->chunks[i].vec ? 0 : seen_find(b->t, d->chunks[i].hash, &from, e);
        if (rc == 0)
            continue;
        if (rc != ERR_NOTFOUND)
            return rc;
        for (uint32_t j = 0; j < i && !earlier; j++) /* the same text earlier in this document */
            earlier = d->chunks[j].vec && !memcmp(d->chunks[j].hash, d->chunks[i].hash, DOC_ID_BYTES);
        if (!earlier)
            return err_set(e, ERR_NOTFOUND, "no vector is stored for chunk %u", i);
    }
    if (e)
        err_clear(e);
    return 0;
}

static int add_vector(struct index_batch *b, const struct index_chunk *c, uint32_t cid, struct err *e)
{
    uint32_t from;
    int rc;

    if (b->lib->conf.dim == 0)
        return 0;
    if (c->vec)
        return vectors_add(b->t, cid, c->vec, b->lib->conf.dim, e);
    rc = seen_find(b->t, c->hash, &from, e);
    return rc ? rc : vectors_copy(b->t, from, cid, b->lib->conf.dim, e);
}

static struct part_text text_of(uint32_t cid, const char *body, uint32_t n, const char *title,
                                const char *section, uint32_t n_section, const char *lang)
{
    struct part_text p = {.cid = cid, .body = body, .n_body = n, .title = title,
                          .n_title = (uint32_t)strlen(title), .section = section,
                          .n_section = n_section, .lang = lang};

    return p;
}

static int add_chunk(struct index_batch *b, const struct index_doc *d, uint32_t i, uint32_t cid,
                     struct err *e)
{
    const struct index_chunk *c = &d->chunks[i];
    const struct index_page *page = &d->pages[c->page];
    struct part_text text = text_of(cid, page->text + c->start, c->end - c->start, d->title,
                                    c->section, (uint32_t)strlen(c->section), d->lang);
    unsigned char key[SEEN_KEY];
    int rc = chunk_row_put(b->t, cid, d->id, i, page->number, c, e);

    if (!rc)
        rc = add_vector(b, c, cid, e); /* before its own seen entry: it must not find itself */
    seen_key(key, c->hash, cid);
    if (!rc)
        rc = txn_put(b->t, T_SEEN, key, sizeof key, "", 0, e);
    if (!rc)
        rc = postings_add(b->postings, &text, e);
    b->bytes += 512 + b->lib->conf.dim;
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted union without doubles; in the arena. */
static const char *const *with_texts(struct arena *a, const char *const *old, uint32_t n_old,
                                     const char *const *more, uint32_t n_more, uint32_t *n)
{
    const char **all = arena_take(a, (size_t)n_old + n_more + 1, sizeof *all);

    *n = 0;
    if (!all)
        return NULL;
    for (uint32_t i = 0; i < n_old; i++)
        all[(*n)++] = old[i];
    for (uint32_t i = 0; i < n_more; i++)
        if (more[i][0])
            all[(*n)++] = more[i];
    qsort(all, *n, sizeof *all, by_text);
    if (*n > 1) {
        uint32_t k = 1;
        for (uint32_t i = 1; i < *n; i++)
            if (strcmp(all[i], all[k - 1]) != 0)
                all[k++] = all[i];
        *n = k;
    }
    return all;
}

static int add_doc(struct index_batch *b, const struct index_doc *d, const char *path, struct err *e)
{
    struct doc_row row = {.first_cid = (uint32_t)b->c.next_cid};
    struct doc_view *v = &row.v;
    int rc = 0;

    memcpy(v->id, d->id, DOC_ID_BYTES);
    v->title = d->title;
    v->type = d->type;
    v->lang = d->lang;
    v->paged = d->paged;
    v->bytes = d->bytes;
    v->hidden_spans = d->hidden_spans;
    v->hidden_chars = d->hidden_chars;
    v->n_bad_pages = d->n_bad_pages;
    v->n_pages = d->n_pages;
    v->n_chunks = d->n_chunks;
    v->added_ms = clock_unix_ms();
    v->collections = with_texts(&b->a, NULL, 0, d->collections, d->n_collections, &v->n_collections);
    v->paths = with_texts(&b->a, NULL, 0, &path, 1, &v->n_paths);
    if (!v->collections || !v->paths)
        return err_set(e, ERR_NOMEM, "document %s", path);
    for (uint32_t i = 0; i < d->n_pages && !rc; i++) {
        rc = page_row_put(b->t, d->id, &d->pages[i], e);
        b->bytes += d->pages[i].n_text / 2 + d->pages[i].n_boxes;
    }
    for (uint32_t i = 0; i < d->n_chunks && !rc; i++)
        rc = add_chunk(b, d, i, row.first_cid + i, e);
    if (!rc)
        rc = doc_row_put(b->t, &row, e);
    if (!rc)
        rc = filters_add(b->t, &row, e);
    b->c.next_cid += d->n_chunks;
    b->c.documents++;
    b->c.pages += d->n_pages;
    b->c.chunks += d->n_chunks;
    b->added++;
    return rc;
}

/* ---- removing ---- */

static int remove_chunks(struct index_batch *b, const struct doc_row *d, struct err *e)
{
    struct arena_mark m = arena_mark(&b->a);
    struct page_view page = {.number = 0};
    int rc = 0;

    for (uint32_t i = 0; i < d->v.n_chunks && !rc; i++) {
        uint32_t cid = d->first_cid + i;
        uint8_t hash[DOC_ID_BYTES];
        unsigned char key[SEEN_KEY];
        struct chunk_row c;
        struct part_text text;
        char *section;

        rc = chunk_hash_get(b->t, cid, &c, hash, e);
        if (!rc && (page.number != c.page || !page.text)) {
            arena_rewind(&b->a, m);
            rc = page_row_get(b->t, d->v.id, c.page, &b->a, &page, e);
        }
        if (rc)
            break;
        if (c.end > page.n_text)
            return err_set(e, ERR_CORRUPT, "chunk %u lies outside its page", cid);
        section = arena_strndup(&b->a, c.section, c.n_section); /* the record moves with the writes below */
        if (!section)
            return err_set(e, ERR_NOMEM, "remove a document");
        text = text_of(cid, page.text + c.start, c.end - c.start, d->v.title, section, c.n_section, d->v.lang);
        rc = postings_remove(b->postings, &text, e);
        if (!rc)
            rc = vectors_remove(b->t, cid, e);
        seen_key(key, hash, cid);
        if (!rc)
            rc = txn_del(b->t, T_SEEN, key, sizeof key, e);
        be32(key, cid);
        if (!rc)
            rc = txn_del(b->t, T_CHUNK, key, 4, e);
    }
    arena_rewind(&b->a, m);
    return rc ? rc : tomb_set_run(b->t, d->first_cid, d->v.n_chunks, e);
}

static int remove_pages(struct index_batch *b, const struct doc_row *d, struct err *e)
{
    uint64_t n;
    int rc = txn_del_all(b->t, T_PAGE, d->v.id, DOC_ID_BYTES, &n, e);

    if (!rc && n != d->v.n_pages)
        rc = err_set(e, ERR_CORRUPT, "a document has %llu pages where its record says %u", (unsigned long long)n,
                     d->v.n_pages);
    return rc;
}

/* The document with all that hangs on it but its paths. What is missing of it is damage, not "not found". */
static int remove_doc(struct index_batch *b, const struct doc_row *d, struct err *e)
{
    int rc = filters_remove(b->t, d, e);

    if (!rc)
        rc = remove_chunks(b, d, e);
    if (!rc)
        rc = remove_pages(b, d, e);
    if (!rc)
        rc = txn_del(b->t, T_DOC, d->v.id, DOC_ID_BYTES, e);
    b->c.documents--;
    b->c.pages -= d->v.n_pages;
    b->c.chunks -= d->v.n_chunks;
    b->bytes += (uint64_t)d->v.n_chunks * 512;
    b->removed++;
    return rc == ERR_NOTFOUND ? err_set(e, ERR_CORRUPT, "a record of a document is missing: see docent verify") : rc;
}

/* Takes path off the document's list; without any left the document goes. */
static int unname(struct index_batch *b, const uint8_t id[DOC_ID_BYTES], const char *path, struct err *e)
{
    struct doc_row d;
    const char **left;
    uint32_t n = 0;
    int rc = doc_row_get(b->t, id, &b->a, &d, e);

    if (rc == ERR_NOTFOUND)
        return err_set(e, ERR_CORRUPT, "path %s names a document that is not there", path);
    if (rc)
        return rc;
    left = arena_take(&b->a, (size_t)d.v.n_paths + 1, sizeof *left);
    if (!left)
        return err_set(e, ERR_NOMEM, "path %s", path);
    for (uint32_t i = 0; i < d.v.n_paths; i++)
        if (strcmp(d.v.paths[i], path) != 0)
            left[n++] = d.v.paths[i];
    if (!n)
        return remove_doc(b, &d, e);
    d.v.paths = left;
    d.v.n_paths = n;
    return doc_row_put(b->t, &d, e);
}

/* ---- paths ---- */

/* The path record; the document that the path named before loses it. */
static int name_doc(struct index_batch *b, const uint8_t id[DOC_ID_BYTES], const struct index_path *p,
                    struct err *e)
{
    uint8_t old[DOC_ID_BYTES];
    struct index_path known;
    int rc = path_row_get(b->t, p->path, old, &known, NULL);

    if (rc && rc != ERR_NOTFOUND)
        return path_row_get(b->t, p->path, old, &known, e);
    if (rc == ERR_NOTFOUND)
        b->c.paths++;
    rc = rc == 0 && memcmp(old, id, DOC_ID_BYTES) != 0 ? unname(b, old, p->path, e) : 0;
    if (rc)
        return rc;
    b->bytes += 256;
    return path_row_put(b->t, p, id, e);
}

/* Gives a known document a path and collections. */
static int extend_doc(struct index_batch *b, struct doc_row *d, const char *path,
                      const char *const *collections, uint32_t n_collections, struct err *e)
{
    struct doc_view *v = &d->v;
    uint32_t n_before = v->n_collections;
    int rc = 0;

    v->paths = with_texts(&b->a, v->paths, v->n_paths, &path, 1, &v->n_paths);
    v->collections = with_texts(&b->a, v->collections, v->n_collections, collections, n_collections,
                                &v->n_collections);
    if (!v->paths || !v->collections)
        return err_set(e, ERR_NOMEM, "path %s", path);
    if (v->n_collections != n_before)
        rc = filters_add(b->t, d, e);
    return rc ? rc : doc_row_put(b->t, d, e);
}

/* A failure half-way leaves half a document in the transaction: then the whole batch is lost, and says so. */
static int finish(struct index_batch *b, int rc)
{
    arena_reset(&b->a);
    if (rc)
        b->failed = 1;
    return rc;
}

static int check_path(const struct index_path *p, struct err *e)
{
    size_t n = strlen(p->path);

    return n && n <= LIM_PATH ? 0 : err_set(e, ERR_LIMIT, "path of %zu bytes", n);
}

int index_put(struct index_batch *b, const struct index_doc *d, const struct index_path *p,
              struct err *e)
{
    struct doc_row known;
    int rc;

    if (b->failed)
        return err_set(e, ERR_INVALID, "this batch has failed and can only be aborted");
    rc = check_path(p, e);
    if (!rc)
        rc = check_doc(b, d, e);
    if (rc)
        return rc;
    rc = doc_row_get(b->t, d->id, &b->a, &known, NULL);
    if (rc == 0) {
        rc = extend_doc(b, &known, p->path, d->collections, d->n_collections, e);
        if (!rc)
            rc = name_doc(b, d->id, p, e);
        return finish(b, rc);
    }
    if (rc != ERR_NOTFOUND)
        return finish(b, doc_row_get(b->t, d->id, &b->a, &known, e));
    rc = check_vectors(b, d, e);
    if (rc) {
        arena_reset(&b->a);
        return rc; /* nothing was written: the batch goes on */
    }
    rc = add_doc(b, d, p->path, e);
    if (!rc)
        rc = name_doc(b, d->id, p, e);
    return finish(b, rc);
}

int index_put_path(struct index_batch *b, const uint8_t id[DOC_ID_BYTES],
                   const struct index_path *p, const char *const *collections,
                   uint32_t n_collections, struct err *e)
{
    struct doc_row known;
    int rc;

    if (b->failed)
        return err_set(e, ERR_INVALID, "this batch has failed and can only be aborted");
    rc = check_path(p, e);
    if (!rc)
        rc = doc_row_get(b->t, id, &b->a, &known, e);
    if (rc) {
        arena_reset(&b->a);
        return rc;
    }
    rc = extend_doc(b, &known, p->path, collections, n_collections, e);
    if (!rc)
        rc = name_doc(b, id, p, e);
    return finish(b, rc);
}

int index_rm_path(struct index_batch *b, const char *path, struct err *e)
{
    unsigned char key[PATH_KEY + 16];
    uint8_t id[DOC_ID_BYTES];
    struct index_path known;
    int rc;

    if (b->failed)
        return err_set(e, ERR_INVALID, "this batch has failed and can only be aborted");
    rc = path_row_get(b->t, path, id, &known, e);
    if (rc)
        return rc;
    rc = unname(b, id, path, e);
    if (!rc)
        rc = txn_del(b->t, T_PATH, key, path_key(key, path), e);
    b->c.paths--;
    return finish(b, rc);
}

int index_rm_doc(struct index_batch *b, const uint8_t id[DOC_ID_BYTES], struct err *e)
{
    struct doc_row d;
    int rc;

    if (b->failed)
        return err_set(e, ERR_INVALID, "this batch has failed and can only be aborted");
    rc = doc_row_get(b->t, id, &b->a, &d, e);
    if (rc) {
        arena_reset(&b->a);
        return rc;
    }
    for (uint32_t i = 0; i < d.v.n_paths && !rc; i++) {
        unsigned char key[PATH_KEY + 16];
        rc = txn_del(b->t, T_PATH, key, path_key(key, d.v.paths[i]), e);
        b->c.paths--;
    }
    if (!rc)
        rc = remove_doc(b, &d, e);
    return finish(b, rc);
}

/* ---- commit ---- */

/* T_LOG: what each of the last LOG_KEPT commits did. */
static int log_commit(struct index_batch *b, struct err *e)
{
    unsigned char key[8] = {0};
    struct buf r;
    int rc;

    be32(key, (uint32_t)(b->c.commits >> 32));
    be32(key + 4, (uint32_t)b->c.commits);
    buf_init(&r, 64);
    buf_u64le(&r, (uint64_t)clock_unix_ms());
    buf_varint(&r, b->added);
    buf_varint(&r, b->removed);
    buf_varint(&r, b->c.documents);
    rc = r.failed ? err_set(e, ERR_NOMEM, "log") : txn_put(b->t, T_LOG, key, sizeof key, r.data, r.len, e);
    buf_free(&r);
    if (!rc && b->c.commits > LOG_KEPT) {
        uint64_t old = b->c.commits - LOG_KEPT;
        be32(key, (uint32_t)(old >> 32));
        be32(key + 4, (uint32_t)old);
        rc = txn_del(b->t, T_LOG, key, sizeof key, NULL);
        if (rc == ERR_NOTFOUND)
            rc = 0;
        else if (rc)
            err_set(e, (enum err_code)rc, "log");
    }
    return rc;
}

int index_commit(struct index_batch *b, struct err *e)
{
    int rc = 0;

    if (b->failed)
        rc = err_set(e, ERR_INVALID, "this batch has failed and cannot be committed");
    if (!rc) {
        rc = postings_flush(b->postings, e);
        b->postings = NULL;
    }
    b->c.commits++;
    if (!rc)
        rc = log_commit(b, e);
    if (!rc)
        rc = counters_put(b->t, &b->c, e);
    if (!rc) {
        rc = txn_commit(b->t, e);
        b->t = NULL;
    }
    index_abort(b);
    return rc;
}
