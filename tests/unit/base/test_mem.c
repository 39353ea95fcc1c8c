/* test_mem.c - arenas and the failing allocator. */
#include "tests/support/test.h"

static void test_arena_hands_out_aligned_blocks_that_do_not_overlap(void **state)
{
    struct arena a;
    unsigned char *p[200];
    uint64_t seed = 7;
    (void)state;

    arena_init(&a, 64 << 20);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            size_t n = 1 + test_rand(&seed) % 5000;
            p[i] = arena_take(&a, n, 1);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            memset(p[i], i, n);
        }
        for (int i = 0; i < 200; i++)
            assert_int_equal(p[i][0], i);
        arena_reset(&a);
    }
    arena_free(&a);
}

static void test_arena_refuses_above_its_ceiling_and_on_overflow(void **state)
{
    struct arena a;
    (void)state;

    arena_init(&a, 4096);
    assert_non_null(arena_take(&a, 1, 2000));
    assert_null(arena_take(&a, 1, 4000));
    assert_null(arena_take(&a, SIZE_MAX / 2, 3));
    assert_null(arena_take(&a, 1, SIZE_MAX));
    assert_non_null(arena_take(&a, 1, 100));
    arena_free(&a);
}

static void test_rewind_gives_back_what_came_after_the_mark(void **state)
{
    struct arena a;
    struct arena_mark m;
    char *kept;
    size_t used;
    (void)state;

    arena_init(&a, 64 << 20);
    kept = arena_strdup(&a, "kept");
    m = arena_mark(&a);
    used = a.used;
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_take(&a, 1, 100000));
    arena_rewind(&a, m);
    assert_int_equal(a.used, used);
    assert_string_equal(kept, "kept");
    assert_non_null(arena_take(&a, 1, 10));
    arena_free(&a);
}

static void test_mem_fails_on_demand(void **state)
{
    void *p;
    (void)state;

    mem_fail_after(1);
    p = mem_take(1, 1);
    assert_non_null(p);
    assert_null(mem_take(1, 1));
    mem_fail_after(-1);
    mem_give(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_hands_out_aligned_blocks_that_do_not_overlap),
        cmocka_unit_test(test_arena_refuses_above_its_ceiling_and_on_overflow),
        cmocka_unit_test(test_rewind_gives_back_what_came_after_the_mark),
        cmocka_unit_test(test_mem_fails_on_demand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
