/* test_rewrite.c - follow-up questions that stand alone. */
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

static const char *rewritten(const char *question, const struct turn *t, uint32_t n)
{
    const char *out = NULL;
    struct err e = {0};

    assert_ok(rewrite(question, t, n, &a, &out, &e), e);
    return out;
}

static void test_without_history_a_question_stays_as_it_is(void **state)
{
    (void)state;
    assert_string_equal(rewritten("How long did it last?", NULL, 0), "How long did it last?");
}

static void test_a_question_that_stands_alone_stays_as_it_is(void **state)
{
    struct turn t[] = {{"When did the 1973 oil crisis begin?", "October 1973"}};
    const char *q = "Which companies supply lithium batteries to Norway?";

    (void)state;
    assert_string_equal(rewritten(q, t, 1), q);
}

static void test_a_pronoun_brings_the_words_of_the_question_before(void **state)
{
    struct turn t[] = {{"When did the 1973 oil crisis begin?", "October 1973"}};

    (void)state;
    assert_string_equal(rewritten("How long did it last?", t, 1),
                        "How long did it last? 1973 oil crisis begin");
}

static void test_a_continuation_brings_the_words_of_the_question_before(void **state)
{
    struct turn t[] = {{"What was the net revenue of Block in 2020?", NULL}};

    (void)state;
    assert_string_equal(rewritten("And in 2019?", t, 1), "And in 2019? net revenue Block 2020");
}

static void test_words_that_are_there_already_are_not_doubled(void **state)
{
    struct turn t[] = {{"What did Adobe earn?", NULL}};

    (void)state;
    assert_string_equal(rewritten("What did they say about Adobe?", t, 1),
                        "What did they say about Adobe? earn");
}

static void test_a_chain_reaches_back_to_the_question_that_stood_alone(void **state)
{
    struct turn t[] = {{"Who painted the ceiling of the Sistine Chapel?", NULL},
                       {"When was it finished?", NULL}};

    (void)state;
    assert_non_null(strstr(rewritten("And who paid for it?", t, 2), "Sistine"));
}

static void test_chinese_follow_ups_bring_the_question_before(void **state)
{
    struct turn t[] = {{"黑豹队的防守丢了多少分？", "308"}};

    (void)state;
    assert_non_null(strstr(rewritten("那进攻呢？", t, 1), "黑豹队"));
    assert_string_equal(rewritten("联邦储备委员会在哪一年成立并由谁领导？", t, 1),
                        "联邦储备委员会在哪一年成立并由谁领导？");
}

static void test_a_huge_history_adds_a_bounded_number_of_words(void **state)
{
    char long_question[6000] = "";
    struct turn t[] = {{long_question, NULL}};

    (void)state;
    for (int i = 0; i < 500; i++)
        sprintf(long_question + strlen(long_question), "word%d ", i);
    assert_true(strlen(rewritten("And it?", t, 1)) < 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_history_a_question_stays_as_it_is),
        cmocka_unit_test(test_a_question_that_stands_alone_stays_as_it_is),
        cmocka_unit_test(test_a_pronoun_brings_the_words_of_the_question_before),
        cmocka_unit_test(test_a_continuation_brings_the_words_of_the_question_before),
        cmocka_unit_test(test_words_that_are_there_already_are_not_doubled),
        cmocka_unit_test(test_a_chain_reaches_back_to_the_question_that_stood_alone),
        cmocka_unit_test(test_chinese_follow_ups_bring_the_question_before),
        cmocka_unit_test(test_a_huge_history_adds_a_bounded_number_of_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
