/* test_team.c - every task once, whatever the number of members; rounds that follow each other at
 * once. */
#include "tests/support/test.h"

#include <stdatomic.h>

#include "base/team.h"

#define MOST 1000

struct work {
    atomic_int done[MOST];
    atomic_int worker_out_of_range;
    int workers;
    size_t plain[16]; /* per worker, without a lock: a worker index has one owner at a time */
};

static void once(void *arg, size_t task, int worker)
{
    struct work *w = arg;

    atomic_fetch_add(&w->done[task], 1);
    if (worker < 0 || worker >= w->workers)
        atomic_store(&w->worker_out_of_range, 1);
    else
        w->plain[worker]++;
}

static void test_every_task_is_done_exactly_once(void **state)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, MOST};
    static struct work w;
    struct err e = {0};

    (void)state;
    for (int threads = 1; threads <= 8; threads++) {
        struct team *t = NULL;
        assert_ok(team_open(&t, threads, &e), e);
        assert_int_equal(team_size(t), threads);
        for (int round = 0; round < 200; round++) {
            size_t n = counts[(size_t)round % 7];
            size_t total = 0;
            memset(&w, 0, sizeof w);
            w.workers = threads;
            team_run(t, once, &w, n);
            for (size_t i = 0; i < MOST; i++)
                assert_int_equal(w.done[i], i < n);
            for (int i = 0; i < threads; i++)
                total += w.plain[i];
            assert_int_equal(total, n);
            assert_int_equal(w.worker_out_of_range, 0);
        }
        team_close(t);
    }
}

static void test_no_team_is_the_caller_alone(void **state)
{
    static struct work w;

    (void)state;
    w.workers = 1;
    assert_int_equal(team_size(NULL), 1);
    team_run(NULL, once, &w, 10);
    assert_int_equal(w.plain[0], 10);
    team_close(NULL);
}

static void test_a_team_that_cannot_be_is_refused(void **state)
{
    struct team *t = NULL;
    struct err e = {0};
    int rc = ERR_NOMEM;

    (void)state;
    assert_int_equal(team_open(&t, -1, &e), ERR_INVALID);
    assert_int_equal(team_open(&t, 1025, &e), ERR_INVALID);
    for (long k = 0; rc; k++) {
        mem_fail_after(k);
        rc = team_open(&t, 4, &e);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    team_close(t);
    assert_ok(team_open(&t, 0, &e), e);
    assert_int_equal(team_size(t), team_cores());
    team_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_is_done_exactly_once),
        cmocka_unit_test(test_no_team_is_the_caller_alone),
        cmocka_unit_test(test_a_team_that_cannot_be_is_refused),
    };

    return cmocka_run_group_tests_name("team", tests, NULL, NULL);
}
