/* test_attribute.c - what a quote proves and what it does not. */
#include "tests/support/test.h"

#include "coordinator/query_impl.h"

static struct arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 4 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static struct support support(const char *said, const char *quote, int strict)
{
    struct citation c = {.n = 1, .quote = quote};
    struct support s;
    struct err e = {0};

    assert_ok(attribute(NULL, "", said, strlen(said), &c, 1, strict, &a, &s, &e), e);
    return s;
}

static void test_words_of_the_quote_are_proven(void **state)
{
    (void)state;
    assert_true(support("the brothers Hale", "The mill was built in 1843 by the brothers Hale.", 1).proven);
    assert_true(support("The mill was built in 1843.", "The mill was built in 1843 by two men.", 1).proven);
}

static void test_another_number_is_not_proven(void **state)
{
    struct support s = support("The mill was built in 1844.", "The mill was built in 1843.", 0);

    (void)state;
    assert_false(s.proven);
    assert_non_null(s.why);
}

static void test_a_name_that_the_quote_lacks_is_not_proven(void **state)
{
    (void)state;
    assert_false(support("It was built by Anna Hale, its owner.", "It was built by its owner Hale.", 0).proven);
}

static void test_a_meaning_turned_round_is_not_proven(void **state)
{
    (void)state;
    assert_false(support("frequent rain", "The valley has infrequent rain.", 1).proven);
    assert_false(support("The merger was approved by the board.",
                         "The merger was not approved by the board.", 1).proven);
    assert_false(support("The merger was not approved by the board.",
                         "The merger was approved by the board.", 0).proven);
}

static void test_a_verbatim_run_of_a_negated_sentence_is_proven(void **state)
{
    (void)state;
    assert_true(support("the board", "The merger was not approved by the board.", 1).proven);
}

static void test_only_stopwords_prove_nothing(void **state)
{
    (void)state;
    assert_false(support("it was the", "It was the mill.", 1).proven);
    assert_false(support("...", "It was the mill.", 0).proven);
}

static void test_strict_wants_every_word_and_loose_most(void **state)
{
    const char *quote = "Net sales of the consumer segment fell because of lower retail demand.";
    const char *said = "Net sales of the consumer segment dropped";

    (void)state;
    assert_false(support(said, quote, 1).proven);
    assert_true(support(said, quote, 0).proven);
}

static void test_the_quote_that_carries_most_is_named(void **state)
{
    struct citation c[] = {{.n = 1, .quote = "Oil prices rose."},
                           {.n = 2, .quote = "The embargo ended in March 1974."}};
    struct support s;
    struct err e = {0};
    const char *said = "It ended in March 1974";

    (void)state;
    assert_ok(attribute(NULL, "", said, strlen(said), c, 2, 1, &a, &s, &e), e);
    assert_true(s.proven);
    assert_int_equal(s.citation, 1);
}

static void test_chinese_words_are_compared(void **state)
{
    (void)state;
    assert_true(support("丢了 308分", "黑豹队的防守只丢了 308分。", 1).proven);
    assert_false(support("丢了 309分", "黑豹队的防守只丢了 308分。", 1).proven);
}

static void test_a_single_character_proves_nothing_but_a_short_number_may(void **state)
{
    (void)state;
    assert_false(support("五", "地方志遗失的，按定价的五倍赔偿。", 1).proven);
    assert_true(support("60", "It is kept for 60 days.", 1).proven);
}

static void test_words_in_another_order_are_not_proven(void **state)
{
    const char *quote = "The price rose from $3 to $12. Acme bought Bolt.";

    (void)state;
    assert_true(support("The price rose from $3 to $12", quote, 1).proven);
    assert_false(support("The price rose from $12 to $3", quote, 1).proven);
    assert_false(support("The price rose from $12 to $3", quote, 0).proven);
    assert_false(support("the firm Bolt bought Acme", quote, 0).proven);
}

static void test_strict_never_stitches_two_sentences(void **state)
{
    (void)state;
    assert_false(support("The price bought Bolt", "The price rose. Acme bought Bolt.", 1).proven);
}

static void test_an_echo_of_the_question_is_not_an_answer(void **state)
{
    struct citation c = {.n = 1, .quote = "In March 1974 the price of oil was $12."};
    const char *question = "What was the price of oil in March 1974?";
    struct support s;
    struct err e = {0};

    (void)state;
    assert_ok(attribute(NULL, question, "the price of oil", 16, &c, 1, 1, &a, &s, &e), e);
    assert_false(s.proven);
    assert_ok(attribute(NULL, question, "$12", 3, &c, 1, 1, &a, &s, &e), e);
    assert_true(s.proven);
}

static void test_how_many_is_answered_by_a_number(void **state)
{
    struct citation c = {.n = 1, .quote = "The BBC paid 304 million for the rights."};
    const char *question = "How much was paid for the rights?";
    struct support s;
    struct err e = {0};

    (void)state;
    assert_ok(attribute(NULL, question, "the BBC", 7, &c, 1, 1, &a, &s, &e), e);
    assert_false(s.proven);
    assert_ok(attribute(NULL, question, "304 million", 11, &c, 1, 1, &a, &s, &e), e);
    assert_true(s.proven);
}

static void test_without_quotes_nothing_is_proven(void **state)
{
    struct support s;
    struct err e = {0};

    (void)state;
    assert_ok(attribute(NULL, "", "anything", 8, NULL, 0, 0, &a, &s, &e), e);
    assert_false(s.proven);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_the_quote_are_proven),
        cmocka_unit_test(test_another_number_is_not_proven),
        cmocka_unit_test(test_a_name_that_the_quote_lacks_is_not_proven),
        cmocka_unit_test(test_a_meaning_turned_round_is_not_proven),
        cmocka_unit_test(test_a_verbatim_run_of_a_negated_sentence_is_proven),
        cmocka_unit_test(test_only_stopwords_prove_nothing),
        cmocka_unit_test(test_strict_wants_every_word_and_loose_most),
        cmocka_unit_test(test_the_quote_that_carries_most_is_named),
        cmocka_unit_test(test_chinese_words_are_compared),
        cmocka_unit_test(test_a_single_character_proves_nothing_but_a_short_number_may),
        cmocka_unit_test(test_words_in_another_order_are_not_proven),
        cmocka_unit_test(test_strict_never_stitches_two_sentences),
        cmocka_unit_test(test_an_echo_of_the_question_is_not_an_answer),
        cmocka_unit_test(test_how_many_is_answered_by_a_number),
        cmocka_unit_test(test_without_quotes_nothing_is_proven),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
