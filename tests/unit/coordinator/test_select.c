/* test_select.c - sentences that answer, their windows, and the boxes of a quote. Without a model: keyword scores. */
#include "tests/support/test.h"

#include "coordinator/query_impl.h"
#include "ingest/ingest.h"

static struct arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static struct passage passage(const char *text, float score)
{
    struct passage p = {.hit = {.score = score}};

    p.chunk.text = text;
    p.chunk.n_text = (uint32_t)strlen(text);
    p.chunk.page = 1;
    p.doc.lang = "";
    return p;
}

static uint32_t choose(const char *question, struct passage *p, uint32_t n_p, struct sentence **s)
{
    struct results r = {.at = p, .n = n_p};
    struct err e = {0};
    uint32_t n = 0;

    assert_ok(select_sentences(NULL, question, NULL, &r, 3, &a, s, &n, &e), e);
    return n;
}

static const char mill[] =
    "The town lies by the river.  The mill was built in 1843 by the brothers Hale.\n"
    "It burned down twice. Today it is a museum of the county.";

static void test_the_sentence_with_the_questions_words_comes_first(void **state)
{
    struct passage p[] = {passage(mill, 1)};
    struct sentence *s;
    uint32_t n = choose("Who built the mill?", p, 1, &s);

    (void)state;
    assert_true(n >= 1);
    assert_memory_equal(mill + s[0].start, "The mill was built", 18);
    assert_int_equal(mill[s[0].end - 1], '.');
}

static void test_a_sentence_brings_the_one_before_and_the_one_after(void **state)
{
    struct passage p[] = {passage(mill, 1)};
    struct sentence *s;

    (void)state;
    choose("Who built the mill?", p, 1, &s);
    assert_memory_equal(mill + s[0].from, "The town", 8);
    assert_memory_equal(mill + s[0].to - 6, "twice.", 6);
}

static void test_windows_do_not_overlap(void **state)
{
    struct passage p[] = {passage(mill, 1)};
    struct sentence *s;
    uint32_t n = choose("Is the mill that was built a museum today?", p, 1, &s);

    (void)state;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_true(s[i].from >= s[k].to || s[i].to <= s[k].from);
}

static void test_the_same_sentence_in_two_files_is_told_once(void **state)
{
    struct passage p[] = {passage("The mill was built in 1843.", 1),
                          passage("The mill was built in 1843.", .9f)};
    struct sentence *s;

    (void)state;
    assert_int_equal(choose("When was the mill built?", p, 2, &s), 1);
    assert_int_equal(s[0].passage, 0);
}

static void test_the_better_passage_wins_between_like_sentences(void **state)
{
    struct passage p[] = {passage("Of the mill built there nothing is left.", .3f),
                          passage("Of the mill built here nothing is left.", 1)};
    struct sentence *s;

    (void)state;
    choose("When was the mill built?", p, 2, &s);
    assert_int_equal(s[0].passage, 1);
}

static void test_chinese_sentences_are_found_by_bigrams(void **state)
{
    static const char text[] = "他们住在城里。黑豹队的防守只丢了三百分。天气很好很好。";
    struct passage p[] = {passage(text, 1)};
    struct sentence *s;

    (void)state;
    assert_true(choose("黑豹队的防守丢了多少分？", p, 1, &s) >= 1);
    assert_memory_equal(text + s[0].start, "黑豹队", 9);
}

static void test_empty_passages_give_no_sentence(void **state)
{
    struct passage p[] = {passage("", 1), passage(" \n ", 1)};
    struct sentence *s;

    (void)state;
    assert_int_equal(choose("Who built the mill?", p, 2, &s), 0);
}

static void test_words_of_one_line_become_one_rectangle(void **state)
{
    static const struct word_box w[] = {
        {0, 3, .1f, .10f, .2f, .12f},   {4, 7, .25f, .101f, .3f, .12f},
        {8, 11, .1f, .13f, .2f, .15f},  {12, 15, .25f, .13f, .4f, .15f},
        {16, 19, .1f, .16f, .2f, .18f},
    };
    struct rect r[5];
    uint32_t n = cite_lines(w, 5, 4, 15, r);

    (void)state;
    assert_int_equal(n, 2);
    assert_float_equal(r[0].x0, .25f, 0);
    assert_float_equal(r[1].x0, .1f, 0);
    assert_float_equal(r[1].x1, .4f, 0);
    assert_int_equal(cite_lines(w, 5, 19, 30, r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sentence_with_the_questions_words_comes_first),
        cmocka_unit_test(test_a_sentence_brings_the_one_before_and_the_one_after),
        cmocka_unit_test(test_windows_do_not_overlap),
        cmocka_unit_test(test_the_same_sentence_in_two_files_is_told_once),
        cmocka_unit_test(test_the_better_passage_wins_between_like_sentences),
        cmocka_unit_test(test_chinese_sentences_are_found_by_bigrams),
        cmocka_unit_test(test_empty_passages_give_no_sentence),
        cmocka_unit_test(test_words_of_one_line_become_one_rectangle),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
