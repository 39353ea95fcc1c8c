/* test_buf.c - growing to the ceiling and not beyond, and reading back against the bytes that
 * remain. */
#include "tests/support/test.h"

#include "base/buf.h"

static void test_it_grows_to_its_ceiling_and_fails_for_good_beyond(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_char(&b, (char)('a' + i % 26)), 0);
    assert_int_equal(b.len, 1000);
    assert_int_equal(strlen(b.data), 1000);
    assert_int_equal(buf_char(&b, 'x'), ERR_LIMIT);
    assert_int_equal(buf_str(&b, ""),
                     ERR_LIMIT); /* once failed, always failed: one check at the end */
    assert_int_equal(b.failed, ERR_LIMIT);
    assert_int_equal(b.len, 0);
    buf_clear(&b);
    assert_int_equal(buf_add(&b, NULL, 0), 0);
    assert_int_equal(buf_str(&b, "again"), 0);
    assert_string_equal(b.data, "again");
    assert_null(buf_room(&b, SIZE_MAX));
    buf_free(&b);
}

static void test_printing_may_be_as_long_as_there_is_room(void **state)
{
    struct buf b;
    size_t n = 0;
    char *text;

    (void)state;
    buf_init(&b, 10000);
    for (int i = 0; i < 300; i++)
        assert_int_equal(buf_printf(&b, "%d,%s;", i, "word"), 0);
    text = buf_take(&b, &n);
    assert_int_equal(strlen(text), n);
    assert_non_null(strstr(text, ";299,word;"));
    assert_null(b.data);
    mem_give(text);
    assert_int_equal(buf_printf(&b, "%20000d", 1), ERR_LIMIT);
    buf_free(&b);
}

static void test_without_memory_it_fails_for_good(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10000);
    assert_int_equal(buf_str(&b, "word"), 0);
    mem_fail_after(0);
    for (int i = 0; i < 100; i++)
        buf_str(&b, "word");
    mem_fail_after(-1);
    assert_int_equal(b.failed, ERR_NOMEM);
    assert_int_equal(buf_str(&b, "word"), ERR_NOMEM);
    buf_free(&b);
}

static void test_numbers_come_back_as_they_went_in(void **state)
{
    uint64_t seed = 3;
    uint64_t v[500];
    struct buf b;
    struct rd r;

    (void)state;
    buf_init(&b, 100000);
    for (int i = 0; i < 500; i++) {
        v[i] = test_rand(&seed) >> test_rand(&seed) % 64;
        if (i < 2)
            v[i] = i ? UINT64_MAX : 0;
        buf_varint(&b, v[i]);
        buf_u64le(&b, v[i]);
        buf_u32le(&b, (uint32_t)v[i]);
        buf_u8(&b, (uint8_t)v[i]);
    }
    assert_int_equal(b.failed, 0);
    r = rd_of(b.data, b.len);
    for (int i = 0; i < 500; i++) {
        assert_true(rd_varint(&r) == v[i]);
        assert_true(rd_u64le(&r) == v[i]);
        assert_int_equal(rd_u32le(&r), (uint32_t)v[i]);
        assert_int_equal(rd_u8(&r), (uint8_t)v[i]);
    }
    assert_int_equal(r.left, 0);
    assert_int_equal(r.failed, 0);
    for (size_t cut = 0; cut < 23; cut++) { /* the second number: ten bytes, then 8, 4 and 1 */
        r = rd_of(b.data + 14, cut);
        rd_varint(&r);
        rd_u64le(&r);
        rd_u32le(&r);
        rd_u8(&r);
        assert_int_equal(r.failed, 1);
        assert_int_equal(rd_u8(&r), 0);
        assert_null(rd_bytes(&r, 0));
    }
    buf_free(&b);
}

static void test_a_varint_that_does_not_end_is_refused(void **state)
{
    static const unsigned char endless[12] = {255, 255, 255, 255, 255, 255,
                                              255, 255, 255, 255, 255, 1};
    static const unsigned char over[10] = {255, 255, 255, 255, 255,
                                           255, 255, 255, 255, 2}; /* 65 bits */
    struct rd r = rd_of(endless, sizeof endless);

    (void)state;
    rd_varint(&r);
    assert_int_equal(r.failed, 1);
    r = rd_of(over, sizeof over);
    rd_varint(&r);
    assert_int_equal(r.failed, 1);
    r = rd_of(NULL, 0);
    assert_int_equal(rd_u64le(&r), 0);
    assert_int_equal(r.failed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_grows_to_its_ceiling_and_fails_for_good_beyond),
        cmocka_unit_test(test_printing_may_be_as_long_as_there_is_room),
        cmocka_unit_test(test_without_memory_it_fails_for_good),
        cmocka_unit_test(test_numbers_come_back_as_they_went_in),
        cmocka_unit_test(test_a_varint_that_does_not_end_is_refused),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
