/* test_search.c: the same documents give the same hits however they are spread over shards, flushed, removed and compacted;
 * hits come in the total order, filters and k hold, scores of given chunks equal those of the lists. */
#include "tests/support/naive.h"

#include "base/file.h"
#include "index/shard_view.h"

#define DOCS 120
#define CHUNKS 3
#define DIM 16
#define SETUPS 5 /* 1..4 shards, and 2 shards with a compaction */

struct doc {
    uint8_t id[DOC_ID_BYTES];
    char *text[CHUNKS];
    char title[40];
    float vec[CHUNKS][DIM];
    int live, red;
};

struct fixture {
    struct doc doc[DOCS];
    struct naive nv;
    char *dir[SETUPS];
    struct library *lib[SETUPS];
    struct snapshot *snap[SETUPS];
};

static char *random_text(uint64_t *seed, uint32_t least, uint32_t most)
{
    char *s = mem_take(8 * (size_t)most + 8, 1);
    size_t n = 0;

    for (uint64_t words = least + test_rand(seed) % (most - least); words; words--) {
        uint64_t r = test_rand(seed) % 1000;
        n += (size_t)sprintf(s + n, "w%u ", (unsigned)(r * r / 10000));
    }
    return s;
}

static void random_vec(float *v, uint64_t *seed)
{
    float sum = 0;

    for (int i = 0; i < DIM; i++) {
        v[i] = (float)(test_rand(seed) % 2001) / 1000.0f - 1.0f;
        sum += v[i] * v[i];
    }
    for (int i = 0; i < DIM; i++)
        v[i] /= sqrtf(sum);
}

static void make_doc(struct doc *d, uint32_t i, uint64_t *seed)
{
    hash_id(d->id, &i, sizeof i);
    snprintf(d->title, sizeof d->title, "w%u title", (unsigned)(test_rand(seed) % 50));
    for (int c = 0; c < CHUNKS; c++) {
        d->text[c] = random_text(seed, 3, 30);
        random_vec(d->vec[c], seed);
    }
    if (i % 10 == 9) /* twins tie, and only the document's id decides */
        strcpy(d->title, "w1 title");
    d->red = i % 3 == 0;
    d->live = 1;
}

static void put(struct index_batch *b, const struct doc *d)
{
    struct index_page page = { .number = 1 };
    struct index_chunk chunk[CHUNKS];
    const char *red = "red";
    char path[64], *text = mem_take(4096, 1);
    struct index_doc doc = { .title = d->title, .type = "txt", .lang = "en", .pages = &page,
                             .n_pages = 1, .chunks = chunk, .n_chunks = CHUNKS,
                             .collections = &red, .n_collections = (uint32_t)d->red };
    struct index_path at = { .path = path };
    struct err e = { 0 };
    size_t n = 0;

    memset(chunk, 0, sizeof chunk);
    memcpy(doc.id, d->id, sizeof doc.id);
    snprintf(path, sizeof path, "/d/");
    hash_hex(path + 3, d->id, sizeof d->id);
    for (int c = 0; c < CHUNKS; c++) {
        chunk[c].start = (uint32_t)n;
        n += (size_t)sprintf(text + n, "%s", d->text[c]);
        chunk[c].end = (uint32_t)n;
        chunk[c].section = "";
        chunk[c].n_tokens = 10;
        hash_id(chunk[c].hash, d->text[c], strlen(d->text[c]));
        chunk[c].vec = d->vec[c];
    }
    page.text = text;
    page.n_text = (uint32_t)n;
    assert_ok(index_put(b, &doc, &at, &e), e);
    mem_give(text);
}

static void fill(struct fixture *f, int setup_no)
{
    uint32_t n_shards = setup_no < 4 ? (uint32_t)setup_no + 1 : 2;
    struct library_conf conf = { .name = "t", .embedder = "00000000000000000000000000000001",
                                 .dim = DIM, .chunking = "t" };
    struct err e = { 0 };
    uint64_t before, after;
    char *dir = test_mkdir();

    f->dir[setup_no] = mem_take(strlen(dir) + 8, 1);
    sprintf(f->dir[setup_no], "%s/lib", dir);
    mem_give(dir);
    assert_ok(library_create(f->dir[setup_no], &conf, &e), e);
    for (uint32_t s = 1; s < n_shards; s++) { /* a library has the shards whose folders are there */
        struct store *store;
        char path[512];
        snprintf(path, sizeof path, "%s/shard-%04u", f->dir[setup_no], s);
        assert_ok(file_mkdirs(path, &e), e);
        assert_ok(store_open(&store, path, 1, &e), e);
        store_close(store);
    }
    assert_ok(library_open(&f->lib[setup_no], f->dir[setup_no], LIB_WRITE, &e), e);
    assert_int_equal(library_shards(f->lib[setup_no]), n_shards);
    for (uint32_t s = 0; s < n_shards; s++) {
        for (uint32_t part = 0; part < 3; part++) {
            struct index_batch *b;
            assert_ok(index_begin(f->lib[setup_no], s, &b, &e), e);
            for (uint32_t i = 0; i < DOCS; i++) {
                if (i * 7 % n_shards == s && i % 3 == part)
                    put(b, &f->doc[i]);
            }
            assert_ok(index_commit(b, &e), e);
        }
        for (uint32_t i = 0; i < DOCS; i += 5) { /* every fifth document goes again */
            struct index_batch *b;
            if (i * 7 % n_shards != s)
                continue;
            assert_ok(index_begin(f->lib[setup_no], s, &b, &e), e);
            assert_ok(index_rm_doc(b, f->doc[i].id, &e), e);
            assert_ok(index_commit(b, &e), e);
        }
    }
    if (setup_no == 4)
        assert_ok(library_compact(f->lib[setup_no], &before, &after, &e), e);
    assert_ok(snapshot_take(f->lib[setup_no], &f->snap[setup_no], &e), e);
}

static int setup(void **state)
{
    struct fixture *f = mem_take(1, sizeof *f);
    uint64_t seed = 42;

    naive_open(&f->nv);
    for (uint32_t i = 0; i < DOCS; i++) {
        make_doc(&f->doc[i], i, &seed);
        if (i % 10 == 9) {
            for (int c = 0; c < CHUNKS; c++) {
                strcpy(f->doc[i].text[c], "w1 w2 w3");
                memcpy(f->doc[i].vec[c], f->doc[9].vec[0], sizeof f->doc[i].vec[c]);
            }
        }
        f->doc[i].live = i % 5 != 0;
        for (int c = 0; c < CHUNKS; c++) {
            uint32_t d = naive_add(&f->nv, f->doc[i].text[c], f->doc[i].title, "", "en");
            f->nv.live[d] = (unsigned char)f->doc[i].live;
        }
    }
    for (int i = 0; i < SETUPS; i++)
        fill(f, i);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < SETUPS; i++) {
        snapshot_give(f->snap[i]);
        library_close(f->lib[i]);
        *strrchr(f->dir[i], '/') = 0;
        test_rmdir(f->dir[i]);
        mem_give(f->dir[i]);
    }
    for (uint32_t i = 0; i < DOCS; i++) {
        for (int c = 0; c < CHUNKS; c++)
            mem_give(f->doc[i].text[c]);
    }
    naive_close(&f->nv);
    mem_give(f);
    return 0;
}

static void assert_same_hits(const struct hits *a, const struct hits *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->matched, b->matched);
    for (uint32_t i = 0; i < a->n; i++) {
        assert_true(a->at[i].score == b->at[i].score);
        assert_memory_equal(a->at[i].doc, b->at[i].doc, DOC_ID_BYTES);
        assert_int_equal(a->at[i].ord, b->at[i].ord);
        assert_int_equal(a->at[i].page, 1);
        assert_true(!i || hit_before(&a->at[i - 1], &a->at[i]));
    }
}

/* The number of a hit's chunk in the naive index. */
static uint32_t naive_of(const struct fixture *f, const struct hit *h)
{
    for (uint32_t i = 0; i < DOCS; i++) {
        if (memcmp(f->doc[i].id, h->doc, DOC_ID_BYTES) == 0)
            return i * CHUNKS + h->ord;
    }
    fail();
    return 0;
}

static void test_words_are_found_the_same_in_any_shards(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 7;

    for (int round = 0; round < 40; round++) {
        char *query = round ? random_text(&seed, 1, 8) : mem_strdup("w1 w2 w3 title");
        uint32_t k = round % 3 == 0 ? 5 : round % 3 == 1 ? 20 : LIM_K;
        struct search_filter red = { .collection = "red" };
        const struct search_filter *filter = round % 4 == 3 ? &red : NULL;
        float want[DOCS * CHUNKS], of[LIM_K];
        uint32_t matches = naive_search(&f->nv, query, want), expected = 0;
        struct hits first = { 0 };
        struct arena a;
        struct err e = { 0 };

        arena_init(&a, GIB);
        for (int s = 0; s < SETUPS; s++) {
            struct hits h;
            assert_ok(search_bm25(f->snap[s], query, filter, k, &a, &h, &e), e);
            if (s == 0)
                first = h;
            assert_same_hits(&h, &first);
            assert_ok(search_bm25_of(f->snap[s], query, h.at, h.n, &a, of, &e), e);
            for (uint32_t i = 0; i < h.n; i++) {
                assert_true(of[i] == h.at[i].score);
                assert_true(want[naive_of(f, &h.at[i])] == of[i]);
            }
        }
        for (uint32_t i = 0; i < DOCS * CHUNKS; i++)
            expected += want[i] > 0 && (!filter || f->doc[i / CHUNKS].red);
        assert_int_equal(first.matched, expected);
        assert_true(filter || expected == matches);
        assert_int_equal(first.n, expected < k ? expected : k);
        arena_free(&a);
        mem_give(query);
    }
}

static void test_vectors_are_found_the_same_in_any_shards(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 8;

    for (int round = 0; round < 20; round++) {
        uint32_t k = round % 3 == 0 ? 5 : round % 3 == 1 ? 20 : LIM_K, live = 0;
        struct search_filter red = { .collection = "red" };
        const struct search_filter *filter = round % 4 == 3 ? &red : NULL;
        float query[DIM], of[LIM_K];
        struct hits first = { 0 };
        struct arena a;
        struct err e = { 0 };

        random_vec(query, &seed);
        if (round == 1)
            memcpy(query, f->doc[9].vec[0], sizeof query); /* the twins tie */
        arena_init(&a, GIB);
        for (int s = 0; s < SETUPS; s++) {
            struct hits h;
            assert_ok(search_dense(f->snap[s], query, DIM, filter, k, &a, &h, &e), e);
            if (s == 0)
                first = h;
            assert_same_hits(&h, &first);
            assert_ok(search_dense_of(f->snap[s], query, DIM, h.at, h.n, &a, of, &e), e);
            for (uint32_t i = 0; i < h.n; i++)
                assert_true(of[i] == h.at[i].score);
        }
        for (uint32_t i = 0; i < DOCS; i++)
            live += f->doc[i].live && (!filter || f->doc[i].red) ? CHUNKS : 0;
        assert_int_equal(first.matched, live);
        assert_int_equal(first.n, live < k ? live : k);
        arena_free(&a);
    }
}

static void test_terms_explain_a_query(void **state)
{
    struct fixture *f = *state;

    for (int s = 0; s < SETUPS; s++) {
        struct query_term *t;
        struct arena a;
        struct err e = { 0 };
        uint32_t n;

        arena_init(&a, MIB);
        assert_ok(search_terms(f->snap[s], "Titles w1 w1 absentword", &a, &t, &n, &e), e);
        assert_int_equal(n, 3);
        assert_string_equal(t[0].term, "titl");
        assert_int_equal(t[0].df, (DOCS - DOCS / 5) * CHUNKS);
        assert_int_equal(t[1].count, 2);
        assert_true(t[1].idf > 0);
        assert_int_equal(t[2].df, 0);
        assert_true(t[2].idf == 0);
        arena_free(&a);
    }
}

static void test_wrong_questions_are_refused(void **state)
{
    struct fixture *f = *state;
    float query[DIM + 1] = { 1 }, score;
    struct hit none = { 0 };
    struct hits h;
    struct arena a;
    struct err e = { 0 };

    arena_init(&a, MIB);
    assert_int_equal(search_bm25(f->snap[0], "w1", NULL, LIM_K + 1, &a, &h, &e), ERR_INVALID);
    assert_int_equal(search_dense(f->snap[0], query, DIM + 1, NULL, 3, &a, &h, &e), ERR_INVALID);
    query[2] = NAN;
    assert_int_equal(search_dense(f->snap[0], query, DIM, NULL, 3, &a, &h, &e), ERR_INVALID);
    assert_int_equal(search_bm25_of(f->snap[0], "w1", &none, 1, &a, &score, &e), ERR_NOTFOUND);
    assert_ok(search_bm25(f->snap[0], "", NULL, 10, &a, &h, &e), e);
    assert_int_equal(h.n, 0);
    assert_ok(search_bm25(f->snap[0], "w1", NULL, 0, &a, &h, &e), e);
    assert_int_equal(h.n, 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_found_the_same_in_any_shards),
        cmocka_unit_test(test_vectors_are_found_the_same_in_any_shards),
        cmocka_unit_test(test_terms_explain_a_query),
        cmocka_unit_test(test_wrong_questions_are_refused),
    };
    return cmocka_run_group_tests_name("search", tests, setup, teardown);
}
