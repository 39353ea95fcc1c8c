/* test_rowscan.c: every table gives the integers of the plain loop, at every length and number of rows. */
#include "tests/support/test.h"

#include "nn/kern.h"
#include "nn/rowscan.h"

static const size_t lengths[] = { 0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 384, 768, 1000 };

static int8_t any_i8(uint64_t *seed)
{
    uint64_t r = test_rand(seed);

    return r % 8 == 0 ? -128 : r % 8 == 1 ? 127 : (int8_t)(r >> 8);
}

static void compare(const struct rowscan *table)
{
    uint64_t seed = 1;

    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        for (size_t rows = 0; rows < 11; rows++) {
            size_t n = lengths[l], stride = n + rows % 3;
            /* exact sizes, so that a sanitizer sees a read behind the last row */
            int8_t *query = mem_take(n + 1, 1), *at = mem_take(rows * stride + 1, 1);
            int32_t want[11], got[11];

            for (size_t i = 0; i < n; i++)
                query[i] = any_i8(&seed);
            for (size_t i = 0; i < rows * stride; i++)
                at[i] = any_i8(&seed);
            rowscan_ref.dots(query, at, stride, rows, n, want);
            table->dots(query, at, stride, rows, n, got);
            assert_memory_equal(want, got, rows * sizeof *want);
            mem_give(query);
            mem_give(at);
        }
    }
}

static void test_avx2_equals_the_plain_loop(void **state)
{
    (void)state;
    if (!kern_avx2.usable())
        skip();
    compare(&rowscan_avx2);
}

static void test_avx512_equals_the_plain_loop(void **state)
{
    (void)state;
    if (!kern_avx512.usable())
        skip();
    compare(&rowscan_avx512);
}

static void test_unknown_names_get_the_plain_loop(void **state)
{
    (void)state;
    assert_ptr_equal(rowscan_for("none"), &rowscan_ref);
    assert_ptr_equal(rowscan_for("avx2"), &rowscan_avx2);
    assert_ptr_equal(rowscan_for("avx512"), &rowscan_avx512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_avx2_equals_the_plain_loop),
        cmocka_unit_test(test_avx512_equals_the_plain_loop),
        cmocka_unit_test(test_unknown_names_get_the_plain_loop),
    };
    return cmocka_run_group_tests_name("rowscan", tests, NULL, NULL);
}
