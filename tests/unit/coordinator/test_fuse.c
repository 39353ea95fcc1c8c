/* test_fuse.c - joining two lists, their weight, evidence by page. */
#include "tests/support/test.h"

#include "coordinator/query_impl.h"

static struct arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static struct hit hit(uint8_t doc, uint32_t ord, uint32_t page, float score)
{
    struct hit h = {.score = score, .ord = ord, .page = page};

    memset(h.doc, doc, sizeof h.doc);
    return h;
}

static void test_a_chunk_in_both_lists_is_one_candidate_with_both_scores(void **state)
{
    struct hit w[] = {hit(1, 0, 1, 9), hit(2, 0, 1, 5)};
    struct hit d[] = {hit(2, 0, 1, .8f), hit(3, 0, 1, .4f)};
    struct hits words = {.at = w, .n = 2};
    struct hits dense = {.at = d, .n = 2};
    struct candidate *c;
    struct err e = {0};
    uint32_t n;

    (void)state;
    assert_ok(fuse_join(&words, &dense, &a, &c, &n, &e), e);
    assert_int_equal(n, 3);
    assert_int_equal(c[1].hit.doc[0], 2);
    assert_int_equal(c[1].in_bm25, 2);
    assert_int_equal(c[1].in_dense, 1);
    assert_float_equal(c[1].bm25, 5, 0);
    assert_float_equal(c[1].cosine, .8f, 0);
}

static void test_joining_empty_lists_gives_no_candidate(void **state)
{
    struct hits none = {0};
    struct candidate *c;
    struct err e = {0};
    uint32_t n = 7;

    (void)state;
    assert_ok(fuse_join(&none, &none, &a, &c, &n, &e), e);
    assert_int_equal(n, 0);
    fuse_scores(c, n, .5f);
    fuse_pages(c, n);
}

static void test_weight_one_is_the_dense_order_and_zero_the_keyword_order(void **state)
{
    struct candidate c[] = {{.hit = hit(1, 0, 1, 0), .bm25 = 10, .cosine = .1f},
                            {.hit = hit(2, 0, 1, 0), .bm25 = 4, .cosine = .9f},
                            {.hit = hit(3, 0, 1, 0), .bm25 = 0, .cosine = .5f}};

    (void)state;
    fuse_scores(c, 3, 1);
    assert_int_equal(c[0].hit.doc[0], 2);
    assert_int_equal(c[2].hit.doc[0], 1);
    fuse_scores(c, 3, 0);
    assert_int_equal(c[0].hit.doc[0], 1);
    assert_int_equal(c[2].hit.doc[0], 3);
}

static void test_equal_scores_are_ordered_by_document_and_chunk(void **state)
{
    struct candidate c[] = {{.hit = hit(2, 1, 1, 0), .bm25 = 1}, {.hit = hit(2, 0, 1, 0), .bm25 = 1},
                            {.hit = hit(1, 5, 1, 0), .bm25 = 1}};

    (void)state;
    fuse_scores(c, 3, 0);
    assert_int_equal(c[0].hit.doc[0], 1);
    assert_int_equal(c[1].hit.ord, 0);
    assert_int_equal(c[2].hit.ord, 1);
}

static void test_dense_counts_less_the_less_of_the_query_it_can_read(void **state)
{
    struct fuse_query all = {.unknown_share = 0, .bm25_share = .5f};
    struct fuse_query half = {.unknown_share = .5f, .bm25_share = .5f};
    struct fuse_query none = {.unknown_share = 1, .bm25_share = .5f};

    (void)state;
    assert_true(fuse_weight(&all) > .3f);
    assert_true(fuse_weight(&half) < fuse_weight(&all) / 2);
    assert_float_equal(fuse_weight(&none), 0, 1e-6);
}

static void test_keywords_count_less_when_they_explain_little_of_the_query(void **state)
{
    struct fuse_query much = {.bm25_share = .8f};
    struct fuse_query little = {.bm25_share = .3f};
    struct fuse_query nothing = {.bm25_share = 0};
    struct fuse_query unreadable = {.unknown_share = 1, .bm25_share = 0};

    (void)state;
    assert_true(fuse_weight(&little) > fuse_weight(&much));
    assert_float_equal(fuse_weight(&nothing), 1, 1e-6);
    assert_float_equal(fuse_weight(&unreadable), 0, 1e-6);
}

static const struct doc_view paged = {.paged = 1};
static const struct doc_view unpaged = {.paged = 0};

static void test_a_page_with_two_good_chunks_passes_a_page_with_one(void **state)
{
    struct candidate c[] = {{.hit = hit(1, 0, 1, .80f), .doc = &paged},
                            {.hit = hit(1, 1, 2, .75f), .doc = &paged},
                            {.hit = hit(1, 2, 2, .70f), .doc = &paged}};

    (void)state;
    fuse_pages(c, 3);
    assert_int_equal(c[0].hit.page, 2);
    assert_int_equal(c[0].hit.ord, 1);
    assert_int_equal(c[0].also, 3);
    assert_false(c[0].follower);
    assert_int_equal(c[1].hit.page, 1);
    assert_true(c[2].follower);
}

static void test_parts_of_a_file_without_pages_collect_nothing(void **state)
{
    struct candidate c[] = {{.hit = hit(1, 0, 1, .80f), .doc = &unpaged},
                            {.hit = hit(1, 1, 1, .75f), .doc = &unpaged}};

    (void)state;
    fuse_pages(c, 2);
    assert_float_equal(c[0].hit.score, .80f, 0);
    assert_false(c[1].follower);
}

static void test_the_same_page_number_of_another_document_is_another_page(void **state)
{
    struct candidate c[] = {{.hit = hit(1, 0, 1, .8f), .doc = &paged},
                            {.hit = hit(2, 0, 1, .7f), .doc = &paged}};

    (void)state;
    fuse_pages(c, 2);
    assert_float_equal(c[0].hit.score, .8f, 0);
    assert_false(c[1].follower);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chunk_in_both_lists_is_one_candidate_with_both_scores),
        cmocka_unit_test(test_joining_empty_lists_gives_no_candidate),
        cmocka_unit_test(test_weight_one_is_the_dense_order_and_zero_the_keyword_order),
        cmocka_unit_test(test_equal_scores_are_ordered_by_document_and_chunk),
        cmocka_unit_test(test_dense_counts_less_the_less_of_the_query_it_can_read),
        cmocka_unit_test(test_keywords_count_less_when_they_explain_little_of_the_query),
        cmocka_unit_test(test_parts_of_a_file_without_pages_collect_nothing),
        cmocka_unit_test(test_a_page_with_two_good_chunks_passes_a_page_with_one),
        cmocka_unit_test(test_the_same_page_number_of_another_document_is_another_page),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
