/* test_queue.c - order, bound, end and stop, alone and between threads. */
#include "tests/support/test.h"

#include <pthread.h>

#include "base/queue.h"

static int numbers[1000];

static struct queue *open_queue(size_t bound)
{
    struct queue *q = NULL;
    struct err e = {0};

    assert_ok(queue_open(&q, bound, &e), e);
    return q;
}

static void test_what_went_in_first_comes_out_first(void **state)
{
    struct queue *q = open_queue(3);

    (void)state;
    assert_null(queue_poll(q));
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++)
            assert_int_equal(queue_put(q, &numbers[i]), 0);
        assert_int_equal(queue_len(q), 3);
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(i % 2 ? queue_poll(q) : queue_get(q), &numbers[i]);
    }
    queue_close(q);
    queue_close(NULL);
}

static void test_after_the_end_what_is_left_can_be_had(void **state)
{
    struct queue *q = open_queue(3);

    (void)state;
    queue_put(q, &numbers[1]);
    queue_end(q);
    assert_int_equal(queue_put(q, &numbers[2]), ERR_CANCELLED);
    assert_ptr_equal(queue_get(q), &numbers[1]);
    assert_null(queue_get(q));
    queue_close(q);
}

static void test_after_a_stop_only_draining_gives_what_is_left(void **state)
{
    struct queue *q = open_queue(3);

    (void)state;
    queue_put(q, &numbers[1]);
    queue_put(q, &numbers[2]);
    queue_stop(q);
    assert_int_equal(queue_put(q, &numbers[3]), ERR_CANCELLED);
    assert_null(queue_get(q));
    assert_null(queue_poll(q));
    assert_ptr_equal(queue_drain(q), &numbers[1]);
    assert_ptr_equal(queue_drain(q), &numbers[2]);
    assert_null(queue_drain(q));
    queue_close(q);
}

static void *put_all(void *arg)
{
    for (size_t i = 0; i < 1000; i++)
        if (queue_put(arg, &numbers[i]))
            return arg;
    return NULL;
}

static void *get_all(void *arg)
{
    size_t n = 0;
    int *p;

    while ((p = queue_get(arg)) != NULL) {
        __atomic_fetch_add(p, 1, __ATOMIC_RELAXED);
        n++;
    }
    return (void *)n;
}

static void test_two_writers_and_two_readers_lose_nothing(void **state)
{
    struct queue *q = open_queue(4);
    pthread_t put[2], get[2];
    size_t total = 0;

    (void)state;
    memset(numbers, 0, sizeof numbers);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&put[i], NULL, put_all, q), 0);
        assert_int_equal(pthread_create(&get[i], NULL, get_all, q), 0);
    }
    for (int i = 0; i < 2; i++) {
        void *failed;
        pthread_join(put[i], &failed);
        assert_null(failed);
    }
    queue_end(q);
    for (int i = 0; i < 2; i++) {
        void *n;
        pthread_join(get[i], &n);
        total += (size_t)n;
    }
    assert_int_equal(total, 2000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], 2);
    queue_close(q);
}

static void test_a_stop_wakes_who_waits(void **state)
{
    struct queue *full = open_queue(1);
    struct queue *empty = open_queue(1);
    pthread_t put, get;
    void *failed, *n;

    (void)state;
    assert_int_equal(pthread_create(&put, NULL, put_all, full), 0);
    assert_int_equal(pthread_create(&get, NULL, get_all, empty), 0);
    queue_stop(full);
    queue_stop(empty);
    pthread_join(put, &failed);
    pthread_join(get, &n);
    assert_non_null(failed);
    assert_null(n);
    queue_close(full);
    queue_close(empty);
}

static void test_a_queue_that_cannot_be_is_refused(void **state)
{
    struct queue *q = NULL;
    struct err e = {0};

    (void)state;
    assert_int_not_equal(queue_open(&q, 0, &e), 0);
    for (long k = 0; k < 2; k++) {
        mem_fail_after(k);
        assert_int_equal(queue_open(&q, 5, &e), ERR_NOMEM);
        mem_fail_after(-1);
        assert_null(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_went_in_first_comes_out_first),
        cmocka_unit_test(test_after_the_end_what_is_left_can_be_had),
        cmocka_unit_test(test_after_a_stop_only_draining_gives_what_is_left),
        cmocka_unit_test(test_two_writers_and_two_readers_lose_nothing),
        cmocka_unit_test(test_a_stop_wakes_who_waits),
        cmocka_unit_test(test_a_queue_that_cannot_be_is_refused),
    };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
