/* test_utf8.c - RFC 3629: what is valid, how the rest is walked, and text that is safe to print. */
#include "tests/support/test.h"

#include "base/utf8.h"

static void test_every_code_point_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x110010; cp++) {
        int sound = cp <= 0x10FFFF && (cp < 0xD800 || cp > 0xDFFF);
        char b[4];
        uint32_t back = 0;
        size_t n = utf8_put(b, cp);
        assert_int_equal(utf8_next(b, n, &back), n);
        assert_int_equal(back, sound ? cp : 0xFFFD);
        assert_int_equal(utf8_valid(b, n), n);
        for (size_t cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_next(b, cut, &back), 1);
            assert_int_equal(back, 0xFFFD);
            assert_int_equal(utf8_valid(b, cut), 0);
            assert_int_equal(utf8_floor(b, cut), 0);
        }
    }
}

static void test_what_is_not_utf8_is_one_mark_a_byte(void **state)
{
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "\xe2\x28\xa1",
                                      "\xc3\xc3"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t cp = 0;
        assert_int_equal(utf8_next(bad[i], strlen(bad[i]), &cp), 1);
        assert_int_equal(cp, 0xFFFD);
        assert_int_equal(utf8_valid(bad[i], strlen(bad[i])), 0);
    }
    assert_int_equal(utf8_valid("ab\xc3\xa9\xff", 5), 4);
    assert_int_equal(utf8_valid("", 0), 0);
}

static void test_a_text_becomes_safe_to_print(void **state)
{
    char s[] = "a\tb\x1b[31m\n\x7f\xc2\x9b\xff\xc3\xa9\xe2\x82";

    (void)state;
    utf8_printable(s);
    assert_string_equal(s, "a\tb?[31m?????\xc3\xa9??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_survives_the_round_trip),
        cmocka_unit_test(test_what_is_not_utf8_is_one_mark_a_byte),
        cmocka_unit_test(test_a_text_becomes_safe_to_print),
    };

    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
