/* lib_make.h - small libraries for the tests of index: documents made from a number, so that a test can say again what must
 * be stored. Document k has 1 + k % 3 pages of two chunks: one holds a word of its own ("uniq<k>x<page>"), the other a clause that
 * it shares with each document of the same k % 4. */
#ifndef DOCENT_LIB_MAKE_H
#define DOCENT_LIB_MAKE_H

#include <math.h>

#include "base/hash.h"
#include "index/index.h"
#include "tests/support/test.h"

#define MADE_DIM 8
#define MADE_PAGES 3

struct made {
    struct index_doc d;
    struct index_page page[MADE_PAGES];
    struct index_chunk chunk[MADE_PAGES * 2];
    float vec[MADE_PAGES * 2][MADE_DIM];
    char text[MADE_PAGES][512];
    char title[64];
    const char *collection;
};

static inline void made_vec(float *v, const uint8_t hash[DOC_ID_BYTES])
{
    float sum = 0;

    for (int i = 0; i < MADE_DIM; i++) {
        v[i] = (float)hash[i] - 127.5f;
        sum += v[i] * v[i];
    }
    for (int i = 0; i < MADE_DIM; i++)
        v[i] /= sqrtf(sum);
}

static inline void made_id(uint32_t k, uint8_t id[DOC_ID_BYTES])
{
    hash_id(id, &k, sizeof k);
}

static inline uint32_t made_page_text(uint32_t k, uint32_t page, char text[512], uint32_t *mid)
{
    int n = snprintf(text, 512, "Document %u says uniq%ux%u on this page, and nothing else of note. ", k, k, page);

    *mid = (uint32_t)n;
    n += snprintf(text + n, 512 - (size_t)n, "Clause %u.%u: the parties agree on delivery within thirty days.", k % 4, page);
    return (uint32_t)n;
}

/* with_vec 0: every vector must be stored already. */
static inline void made_doc(struct made *m, uint32_t k, int with_vec)
{
    static const char *const types[] = {"pdf", "txt", "html"};
    static const char *const names[] = {"red", "green"};

    memset(m, 0, sizeof *m);
    made_id(k, m->d.id);
    snprintf(m->title, sizeof m->title, "Title %u", k);
    m->collection = names[k % 2];
    m->d.title = m->title;
    m->d.type = types[k % 3];
    m->d.lang = k % 5 ? "en" : "de";
    m->d.bytes = 1000 + k;
    m->d.collections = &m->collection;
    m->d.n_collections = 1;
    m->d.pages = m->page;
    m->d.n_pages = 1 + k % MADE_PAGES;
    m->d.chunks = m->chunk;
    m->d.n_chunks = m->d.n_pages * 2;
    for (uint32_t i = 0; i < m->d.n_pages; i++) {
        uint32_t mid;
        uint32_t n = made_page_text(k, i + 1, m->text[i], &mid);
        m->page[i] = (struct index_page){.number = i + 1, .width = 600, .height = 800, .text = m->text[i],
                                         .n_text = n, .boxes = "boxes", .n_boxes = 5};
        for (uint32_t j = 0; j < 2; j++) {
            struct index_chunk *c = &m->chunk[i * 2 + j];
            c->page = i;
            c->start = j ? mid : 0;
            c->end = j ? n : mid;
            c->section = j ? "Clauses" : "";
            c->n_tokens = 12;
            hash_id(c->hash, m->text[i] + c->start, c->end - c->start);
            made_vec(m->vec[i * 2 + j], c->hash);
            c->vec = with_vec ? m->vec[i * 2 + j] : NULL;
        }
    }
}

/* A new folder DIR/lib with an empty library; *dir is the folder above (test_rmdir it). */
static inline void made_library(char **dir, char lib[600], uint32_t dim)
{
    struct library_conf conf = {.name = "made", .dim = dim, .chunking = "test"};
    struct err e = {0};

    if (dim)
        snprintf(conf.embedder, sizeof conf.embedder, "00000000000000000000000000000001");
    *dir = test_mkdir();
    snprintf(lib, 600, "%s/lib", *dir);
    assert_ok(library_create(lib, &conf, &e), e);
}

static inline struct library *made_open(const char *dir, int flags)
{
    struct library *lib = NULL;
    struct err e = {0};

    assert_ok(library_open(&lib, dir, flags, &e), e);
    return lib;
}

static inline int made_put(struct index_batch *b, uint32_t k, const char *path, int with_vec, struct err *e)
{
    struct made m;
    struct index_path p = {.path = path, .size = 1000 + k, .mtime_ns = 5, .inode = k};

    made_doc(&m, k, with_vec);
    return index_put(b, &m.d, &p, e);
}

/* One document, one commit. */
static inline void made_put_commit(struct library *lib, uint32_t k, const char *path)
{
    struct index_batch *b;
    struct err e = {0};

    assert_ok(index_begin(lib, 0, &b, &e), e);
    assert_ok(made_put(b, k, path, 1, &e), e);
    assert_ok(index_commit(b, &e), e);
}

static inline void made_rm_commit(struct library *lib, const char *path)
{
    struct index_batch *b;
    struct err e = {0};

    assert_ok(index_begin(lib, 0, &b, &e), e);
    assert_ok(index_rm_path(b, path, &e), e);
    assert_ok(index_commit(b, &e), e);
}

static inline void made_clean(struct library *lib)
{
    struct verify_report r;
    struct err e = {0};

    assert_ok(library_verify(lib, &r, &e), e);
    if (r.problems) {
        print_error("%llu problems: %s\n", (unsigned long long)r.problems, r.first[0]);
        fail();
    }
}

/* Chunks that the words find. */
static inline uint32_t made_hits(struct library *lib, const char *query, const struct search_filter *f)
{
    struct snapshot *s;
    struct hits hits = {.n = 0};
    struct arena a;
    struct err e = {0};

    arena_init(&a, 64u << 20);
    assert_ok(snapshot_take(lib, &s, &e), e);
    assert_ok(search_bm25(s, query, f, 50, &a, &hits, &e), e);
    snapshot_give(s);
    arena_free(&a);
    return hits.n;
}

/* Every page and chunk of document k reads back as it was made. */
static inline int made_same(struct snapshot *s, uint32_t k, struct err *e)
{
    struct made m;
    struct page_view page;
    struct chunk_view c;
    struct doc_view d;
    struct arena a;
    int rc;

    made_doc(&m, k, 0);
    arena_init(&a, 16u << 20);
    rc = snapshot_doc(s, m.d.id, &a, &d, e);
    if (!rc && (strcmp(d.title, m.title) || d.n_pages != m.d.n_pages || d.n_chunks != m.d.n_chunks))
        rc = -1;
    for (uint32_t i = 0; i < m.d.n_pages && !rc; i++) {
        rc = snapshot_page(s, m.d.id, i + 1, &a, &page, e);
        if (!rc && (page.n_text != m.page[i].n_text || memcmp(page.text, m.text[i], page.n_text) ||
                    page.n_boxes != 5 || memcmp(page.boxes, "boxes", 5)))
            rc = -1;
    }
    for (uint32_t i = 0; i < m.d.n_chunks && !rc; i++) {
        const struct index_chunk *want = &m.chunk[i];
        rc = snapshot_chunk(s, m.d.id, i, &a, &c, e);
        if (!rc && (c.n_text != want->end - want->start || strcmp(c.section, want->section) ||
                    memcmp(c.text, m.text[want->page] + want->start, c.n_text)))
            rc = -1;
    }
    arena_free(&a);
    return rc;
}

#endif
