/* test_json.c - ceilings, places in messages, typed members, bytes that are not text. */
#include "tests/support/test.h"

#include "base/json.h"
#include "base/limits.h"

static int parse(const char *text, struct err *e)
{
    json_t *o = NULL;
    int rc = json_parse(&o, text, strlen(text), "here.json", e);

    assert_true(!rc == !!o);
    json_decref(o);
    return rc;
}

static void test_what_is_wrong_is_said_with_its_place(void **state)
{
    static const char *const bad[] = {"",         "{",   "{\"a\":1,\"a\":2}",
                                      "[1,]",     "nul", "{\"a\":1e999}",
                                      "\"\xff\"", "1 2", "\"\\ud800\""};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        assert_int_equal(parse(bad[i], &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, "here.json: line "));
    }
}

static void test_depth_has_a_ceiling_that_strings_do_not_count_to(void **state)
{
    char text[4 * LIM_JSON_DEPTH + 8];
    struct err e = {0};

    (void)state;
    for (size_t depth = LIM_JSON_DEPTH; depth <= LIM_JSON_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = 0;
        assert_int_equal(parse(text, &e), depth > LIM_JSON_DEPTH ? ERR_LIMIT : 0);
    }
    memset(text, '[', sizeof text);
    memcpy(text, "\"\\\"", 3);
    memcpy(text + sizeof text - 2, "\"", 2);
    assert_ok(parse(text, &e), e);
}

static void test_members_have_types_and_ranges(void **state)
{
    struct err e = {0};
    json_t *o = NULL;
    static const char text[] = "{\"n\":7,\"x\":2.5,\"s\":\"word\",\"none\":null}";
    long long n = 0;
    double x = 0;

    (void)state;
    assert_ok(json_parse(&o, text, strlen(text), "o", &e), e);
    assert_ok(json_int(o, "n", 0, 10, 3, &n, &e), e);
    assert_int_equal(n, 7);
    assert_ok(json_int(o, "absent", 0, 10, 3, &n, &e), e);
    assert_int_equal(n, 3);
    assert_ok(json_int(o, "none", 0, 10, 4, &n, &e), e);
    assert_int_equal(n, 4);
    assert_int_equal(json_int(o, "n", 8, 10, 3, &n, &e), ERR_FORMAT);
    assert_int_equal(json_int(o, "n", 0, 6, 3, &n, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "\"n\" is 7"));
    assert_int_equal(json_int(o, "x", 0, 10, 3, &n, &e), ERR_FORMAT);
    assert_int_equal(json_int(o, "s", 0, 10, 3, &n, &e), ERR_FORMAT);
    assert_ok(json_num(o, "x", 1, &x, &e), e);
    assert_true(x == 2.5);
    assert_ok(json_num(o, "n", 1, &x, &e), e);
    assert_true(x == 7);
    assert_ok(json_num(o, "absent", 1.5, &x, &e), e);
    assert_true(x == 1.5);
    assert_int_equal(json_num(o, "s", 1, &x, &e), ERR_FORMAT);
    assert_string_equal(json_str(o, "s", "else"), "word");
    assert_string_equal(json_str(o, "n", "else"), "else");
    assert_null(json_str(NULL, "s", NULL));
    json_decref(o);
}

static void test_a_line_keeps_the_order_of_keys(void **state)
{
    json_t *o = json_pack("{s:i,s:s,s:[f]}", "z", 1, "a", "x\n", "k", 0.5);
    char *line = json_line(o);

    (void)state;
    assert_string_equal(line, "{\"z\":1,\"a\":\"x\\n\",\"k\":[0.5]}");
    mem_give(line);
    json_decref(o);
}

static void test_bytes_that_are_not_text_become_marks(void **state)
{
    json_t *s = json_text("a\xff\xc3\xa9", 4);

    (void)state;
    assert_string_equal(json_string_value(s), "a\xef\xbf\xbd\xc3\xa9");
    json_decref(s);
    s = json_text("", 0);
    assert_string_equal(json_string_value(s), "");
    json_decref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(test_depth_has_a_ceiling_that_strings_do_not_count_to),
        cmocka_unit_test(test_members_have_types_and_ranges),
        cmocka_unit_test(test_a_line_keeps_the_order_of_keys),
        cmocka_unit_test(test_bytes_that_are_not_text_become_marks),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
