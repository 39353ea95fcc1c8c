/* test_sentences.c - borders in English and Chinese. Expected sentences are parted by '^'. */
#include "tests/support/test.h"

#include "ingest/ingest.h"

static void check(const char *marked)
{
    struct arena a;
    struct err e = {0};
    char text[2048], got[4096];
    uint32_t *ends, n, from = 0;
    size_t k = 0, g = 0;

    arena_init(&a, 1 << 20);
    for (const char *s = marked; *s; s++)
        if (*s != '^')
            text[k++] = *s;
    text[k] = '\0';
    assert_ok(sentences(text, k, &a, &ends, &n, &e), e);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(ends[i] > from);
        if (i)
            got[g++] = '^';
        memcpy(got + g, text + from, ends[i] - from);
        g += ends[i] - from;
        from = ends[i];
    }
    got[g] = '\0';
    assert_int_equal(from, k);
    assert_string_equal(got, marked);
    arena_free(&a);
}

static void test_plain_sentences(void **state)
{
    (void)state;
    check("The rent is due. ^It is paid monthly! ^Is it late? ^No.");
    check("It rose to 3.5 percent. ^Then it fell 1.2 points.");
    check("He said \"stop.\" ^She went on.");
    check("One sentence without a stop");
    check("");
    check("   ");
}

static void test_abbreviations_do_not_end_a_sentence(void **state)
{
    (void)state;
    check("See No. 5 of the list. ^It is short.");
    check("Acme Inc. Reported sales rose. ^The board met.");
    check("It was sold to Acme Inc. ^The price was low.");
    check("In the U.S. District Court they met. ^He left the U.S. ^The end.");
    check("Mr. Smith and Dr. J. Jones met (see Fig. 3 and Sec. 4). ^They agreed.");
    check("Use a knife, e.g. A sharp one, i.e. The best. ^Then cut.");
    check("Section 4.2. Rent is due. ^Item 7. Liquidity is fine.");
    check("The answer is no. ^They left.");
    check("It was Yahoo! that won. ^Good.");
}

static void test_line_ends_join_and_paragraphs_part(void **state)
{
    (void)state;
    check("The tenant shall pay the\nrent on the first day of\neach month. ^Late rent costs\nmore.");
    check("A paragraph without a stop\n\n^Another one\n \n^And a third.");
    check("A first line.\n\n\n^B.");
}

static void test_lists_headings_and_rows_part(void **state)
{
    (void)state;
    check("You need:\n^- two eggs\n^- one cup of\nflour\n^- salt");
    check("1. Beat the eggs.\n^2. Add the flour.\n^(a) slowly\n^(b) with care");
    check("Liquidity and Capital\n^The Company believes that cash on hand will be enough for the "
          "year\nthat follows.");
    check("Year | Sales\n^2020 | 15\n^2021 | 17");
}

static void test_chinese(void **state)
{
    (void)state;
    check("租期为三年。^租金每月八千元！^可以续租吗？^可以。");
    check("他说：“可以。”^然后离开了。");
}

static void test_random_bytes_keep_the_promises(void **state)
{
    static const char letters[] = "Aa. \n!?1-)(|\"\xE3\x80\x82\xff";
    uint64_t seed = 3;
    (void)state;

    for (int round = 0; round < 2000; round++) {
        struct arena a;
        struct err e = {0};
        size_t n = test_rand(&seed) % 60;
        char *t = malloc(n ? n : 1);
        uint32_t *ends, k, from = 0;
        for (size_t i = 0; i < n; i++)
            t[i] = letters[test_rand(&seed) % (sizeof letters - 1)];
        arena_init(&a, 1 << 20);
        assert_ok(sentences(t, n, &a, &ends, &k, &e), e);
        for (uint32_t i = 0; i < k; i++) {
            assert_true(ends[i] > from);
            from = ends[i];
        }
        assert_int_equal(from, n);
        arena_free(&a);
        free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_sentences),
        cmocka_unit_test(test_abbreviations_do_not_end_a_sentence),
        cmocka_unit_test(test_line_ends_join_and_paragraphs_part),
        cmocka_unit_test(test_lists_headings_and_rows_part),
        cmocka_unit_test(test_chinese),
        cmocka_unit_test(test_random_bytes_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
