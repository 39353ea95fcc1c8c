/* test_query.c - the journey of a question over a small library, without models. */
#include "tests/support/test.h"

#include "base/hash.h"
#include "base/limits.h"
#include "coordinator/query.h"

static const char page1[] = "The mill was built in 1843 by the brothers Hale. It burned down twice. "
                            "Today it is a museum.";
static const char page2[] = "The museum is open from Tuesday to Sunday. The ticket costs four euros. "
                            "Dogs are welcome in the garden.";

struct fixture {
    char *dir;
    struct engine en;
    struct arena a;
};

/* Two paged documents of two pages; the second document's second page has two chunks. */
static void put(struct fixture *f, const char *name, const char *extra)
{
    struct index_page pages[] = {{.number = 1, .text = page1, .n_text = sizeof page1 - 1},
                                 {.number = 2, .text = page2, .n_text = sizeof page2 - 1},
                                 {.number = 3, .text = extra, .n_text = (uint32_t)strlen(extra)}};
    struct index_chunk chunks[] = {{.page = 0, .end = pages[0].n_text, .section = ""},
                                   {.page = 1, .end = 43, .section = "Visit"},
                                   {.page = 1, .start = 43, .end = pages[1].n_text, .section = "Visit"},
                                   {.page = 2, .end = pages[2].n_text, .section = ""}};
    struct index_doc d = {.title = name, .type = "pdf", .lang = "en", .paged = 1, .bytes = 1,
                          .pages = pages, .n_pages = 3, .chunks = chunks, .n_chunks = 4};
    struct index_path p = {.path = name, .size = 1};
    struct index_batch *b = NULL;
    struct err e = {0};

    hash_id(d.id, name, strlen(name));
    for (int i = 0; i < 4; i++)
        hash_id(chunks[i].hash, &i, sizeof i);
    assert_ok(index_begin(f->en.lib, 0, &b, &e), e);
    assert_ok(index_put(b, &d, &p, &e), e);
    assert_ok(index_commit(b, &e), e);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct library_conf conf = {.name = "t", .chunking = "t"};
    char lib[600];
    struct err e = {0};

    f->dir = test_mkdir();
    snprintf(lib, sizeof lib, "%s/library", f->dir);
    assert_ok(library_create(lib, &conf, &e), e);
    assert_ok(library_open(&f->en.lib, lib, LIB_WRITE, &e), e);
    put(f, "/docs/guide.pdf", "Parking is behind the river bridge.");
    arena_init(&f->a, LIM_REQUEST_MEMORY);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    library_close(f->en.lib);
    arena_free(&f->a);
    test_rmdir(f->dir);
    mem_give(f->dir);
    free(f);
    return 0;
}

static void test_without_an_embedder_the_search_says_bm25(void **state)
{
    struct fixture *f = *state;
    struct query q = {.text = "who built the mill"};
    struct results r;
    struct err e = {0};

    assert_ok(query_search(&f->en, &q, &f->a, &r, &e), e);
    assert_int_equal(r.mode, SEARCH_BM25);
    assert_true(r.n >= 1);
    assert_int_equal(r.at[0].chunk.page, 1);
    assert_string_equal(r.at[0].doc.paths[0], "/docs/guide.pdf");
    assert_true(r.at[0].bm25 > 0);
    assert_true(r.steps.n > 3);
}

static void test_a_page_comes_once(void **state)
{
    struct fixture *f = *state;
    struct query q = {.text = "museum ticket garden Tuesday"};
    struct results r;
    struct err e = {0};

    assert_ok(query_search(&f->en, &q, &f->a, &r, &e), e);
    for (uint32_t i = 0; i < r.n; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_int_not_equal(r.at[i].chunk.page, r.at[k].chunk.page);
    assert_true(r.at[0].also > 0);
}

static void test_a_larger_k_never_changes_the_order(void **state)
{
    struct fixture *f = *state;
    struct query q = {.text = "museum river mill"};
    struct results one;
    struct results all;
    struct err e = {0};

    q.k = 1;
    assert_ok(query_search(&f->en, &q, &f->a, &one, &e), e);
    q.k = LIM_K;
    assert_ok(query_search(&f->en, &q, &f->a, &all, &e), e);
    assert_int_equal(one.n, 1);
    assert_int_equal(one.at[0].hit.ord, all.at[0].hit.ord);
    assert_true(one.at[0].hit.score == all.at[0].hit.score);
}

static void test_bad_questions_are_refused_with_a_sentence(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", " \n\t", "a\xff\xfe"};
    struct query q = {0};
    struct results r;
    struct err e = {0};

    for (size_t i = 0; i < 3; i++) {
        q.text = bad[i];
        assert_int_equal(query_search(&f->en, &q, &f->a, &r, &e), ERR_INVALID);
        assert_true(e.msg[0] != '\0');
        err_clear(&e);
    }
    q.text = "mill";
    q.k = LIM_K + 1;
    assert_int_equal(query_search(&f->en, &q, &f->a, &r, &e), ERR_LIMIT);
}

static int gather(void *arg, const char *text, size_t n)
{
    strncat(arg, text, n);
    return 0;
}

static void test_an_answer_quotes_bytes_of_the_page(void **state)
{
    struct fixture *f = *state;
    char streamed[4000] = "";
    struct ask q = {.query.text = "Who built the mill in 1843?", .on_text = gather, .arg = streamed};
    struct answer a;
    struct err e = {0};

    assert_ok(query_ask(&f->en, &q, &f->a, &a, &e), e);
    assert_false(a.abstained);
    assert_int_equal(a.mode, ANSWER_EXTRACT);
    assert_true(a.n_citations >= 1);
    assert_non_null(strstr(a.text, "brothers Hale. [1]"));
    assert_string_equal(a.text, streamed);
    assert_int_equal(a.citations[0].page, 1);
    assert_memory_equal(page1 + a.citations[0].start, a.citations[0].quote,
                        a.citations[0].end - a.citations[0].start);
    assert_int_equal(strlen(a.citations[0].quote), a.citations[0].end - a.citations[0].start);
}

static void test_a_question_about_something_else_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct ask q = {.query.text = "Which enzyme catalyses the hydrolysis of lactose?"};
    struct answer a;
    struct err e = {0};

    assert_ok(query_ask(&f->en, &q, &f->a, &a, &e), e);
    assert_true(a.abstained);
    assert_int_equal(a.n_citations, 0);
    assert_non_null(strstr(a.text, "Not found"));
}

static void test_a_filter_that_matches_nothing_finds_nothing(void **state)
{
    struct fixture *f = *state;
    struct ask q = {.query = {.text = "Who built the mill?", .filter.path_glob = "*.docx"}};
    struct answer a;
    struct err e = {0};

    assert_ok(query_ask(&f->en, &q, &f->a, &a, &e), e);
    assert_true(a.abstained);
    assert_int_equal(a.n_nearest, 0);
}

static void test_a_follow_up_is_searched_with_its_history(void **state)
{
    struct fixture *f = *state;
    struct turn t[] = {{"Who built the mill?", "the brothers Hale"}};
    struct ask q = {.query.text = "And when was it built?", .history = t, .n_history = 1};
    struct answer a;
    struct err e = {0};

    assert_ok(query_ask(&f->en, &q, &f->a, &a, &e), e);
    assert_non_null(strstr(a.asked, "mill"));
    assert_non_null(strstr(a.text, "1843"));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_without_an_embedder_the_search_says_bm25),
        WITH(test_a_page_comes_once),
        WITH(test_a_larger_k_never_changes_the_order),
        WITH(test_bad_questions_are_refused_with_a_sentence),
        WITH(test_an_answer_quotes_bytes_of_the_page),
        WITH(test_a_question_about_something_else_is_not_answered),
        WITH(test_a_filter_that_matches_nothing_finds_nothing),
        WITH(test_a_follow_up_is_searched_with_its_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
