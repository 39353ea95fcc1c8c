/* test_evidence.c - the gate between an answer and "not found". */
#include "tests/support/test.h"

#include "coordinator/query_impl.h"

static void gate(struct results *r, float *evidence, float *threshold)
{
    float bm25[EVIDENCE_LOOK] = {0};

    for (uint32_t i = 0; i < r->n && i < EVIDENCE_LOOK; i++)
        bm25[i] = r->at[i].bm25;
    evidence_of(r, bm25);
    evidence_gate(r, evidence, threshold);
}

static void test_no_passage_is_no_evidence(void **state)
{
    struct results r = {.idf_sum = 10, .dense_weight = .6f};
    float ev;
    float th;

    (void)state;
    gate(&r, &ev, &th);
    assert_true(ev < th);
}

static void test_a_passage_with_the_query_words_and_meaning_passes(void **state)
{
    struct passage p[] = {{.bm25 = 6, .cosine = .7f}};
    struct results r = {.at = p, .n = 1, .idf_sum = 10, .dense_weight = .6f};
    float ev;
    float th;

    (void)state;
    gate(&r, &ev, &th);
    assert_float_equal(r.top_bm25_share, .6f, 1e-6);
    assert_true(ev >= th);
}

static void test_a_fused_score_of_one_does_not_help_a_bad_passage(void **state)
{
    struct passage p[] = {{.hit = {.score = 1}, .bm25 = 1, .cosine = .2f}};
    struct results r = {.at = p, .n = 1, .idf_sum = 12, .dense_weight = .6f};
    float ev;
    float th;

    (void)state;
    gate(&r, &ev, &th);
    assert_true(ev < th);
}

static void test_without_vectors_words_alone_decide(void **state)
{
    struct passage p[] = {{.bm25 = 7}};
    struct results r = {.at = p, .n = 1, .idf_sum = 10, .dense_weight = 0};
    float ev;
    float th;

    (void)state;
    gate(&r, &ev, &th);
    assert_true(ev >= th);
    p[0].bm25 = .5f;
    gate(&r, &ev, &th);
    assert_true(ev < th);
}

static void test_a_query_without_known_terms_has_no_share(void **state)
{
    struct passage p[] = {{.bm25 = 0, .cosine = .1f}};
    struct results r = {.at = p, .n = 1, .idf_sum = 0, .dense_weight = .6f};
    float ev;
    float th;

    (void)state;
    gate(&r, &ev, &th);
    assert_float_equal(r.top_bm25_share, 0, 0);
    assert_true(ev < th);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_passage_is_no_evidence),
        cmocka_unit_test(test_a_passage_with_the_query_words_and_meaning_passes),
        cmocka_unit_test(test_a_fused_score_of_one_does_not_help_a_bad_passage),
        cmocka_unit_test(test_without_vectors_words_alone_decide),
        cmocka_unit_test(test_a_query_without_known_terms_has_no_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
