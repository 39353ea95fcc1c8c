/* test_err.c - codes, sentences, and file names that must not drive the terminal. */
#include "tests/support/test.h"

#include <errno.h>

static void test_a_sentence_grows_at_its_front(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, ERR_FORMAT, "byte %d is wrong", 7), ERR_FORMAT);
    assert_int_equal(err_wrap(&e, "file %s", "a.bin"), ERR_FORMAT);
    assert_string_equal(e.msg, "file a.bin: byte 7 is wrong");
    err_clear(&e);
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(e.msg, "");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
    assert_int_equal(err_wrap(NULL, "nobody listens"), ERR_INVALID);
}

static void test_long_contexts_are_cut_not_overrun(void **state)
{
    char name[1000];
    struct err e = {0};

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    err_set(&e, ERR_IO, "%s", name);
    for (int i = 0; i < 5; i++)
        err_wrap(&e, "%s", name);
    assert_true(strlen(e.msg) < sizeof e.msg);
    err_errno(&e, ENOENT, "%s", name);
    assert_true(strlen(e.msg) < sizeof e.msg);
}

static void test_a_file_name_cannot_drive_the_terminal(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_IO, "open %s", "a\x1b]0;x\x07\n\xff.pdf");
    assert_string_equal(e.msg, "open a?]0;x???.pdf");
}

static void test_system_errors_have_their_codes(void **state)
{
    static const int of[][2] = {
        {EACCES, ERR_ACCESS}, {EPERM, ERR_ACCESS}, {ENOENT, ERR_NOTFOUND}, {ENOTDIR, ERR_NOTFOUND},
        {ENOSPC, ERR_FULL},   {EDQUOT, ERR_FULL},  {ENOMEM, ERR_NOMEM},    {EIO, ERR_IO}};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        assert_int_equal(err_errno(&e, of[i][0], "open x"), of[i][1]);
    assert_memory_equal(e.msg, "open x: ", 8);
}

static void test_every_code_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_memory_equal(err_name(i), "ERR_", 4);
        assert_true(strlen(err_text(i)) > 3);
    }
    assert_string_equal(err_name(-1), "ERR_UNKNOWN");
    assert_string_equal(err_text(ERR_COUNT), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sentence_grows_at_its_front),
        cmocka_unit_test(test_long_contexts_are_cut_not_overrun),
        cmocka_unit_test(test_a_file_name_cannot_drive_the_terminal),
        cmocka_unit_test(test_system_errors_have_their_codes),
        cmocka_unit_test(test_every_code_has_a_name_and_a_text),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
