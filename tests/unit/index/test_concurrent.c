/* test_concurrent.c - reading beside a writer that commits without a pause, in one process and from another. */
#include "tests/unit/index/lib_make.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define COMMITS 150

struct reading {
    struct library *lib;
    atomic_int stop;
    atomic_int failed;
    atomic_long taken;
    char why[400];
};

/* Every snapshot must open, never go back in time, and hold as many documents as commits. */
static void *read_on(void *arg)
{
    struct reading *r = arg;
    uint64_t before = 0;

    while (!atomic_load(&r->stop) && !atomic_load(&r->failed)) {
        struct err e = {0};
        struct snapshot *s;
        struct library_stat st;
        if (snapshot_take(r->lib, &s, &e)) {
            snprintf(r->why, sizeof r->why, "%s", e.msg);
            atomic_store(&r->failed, 1);
            return NULL;
        }
        if (snapshot_version(s) < before || snapshot_stat(s, &st, &e) || st.documents != snapshot_version(s)) {
            snprintf(r->why, sizeof r->why, "version %llu after %llu: %.300s", (unsigned long long)snapshot_version(s),
                     (unsigned long long)before, e.msg);
            atomic_store(&r->failed, 1);
        }
        before = snapshot_version(s);
        snapshot_give(s);
        atomic_fetch_add(&r->taken, 1);
    }
    return NULL;
}

static void write_on(struct library *lib)
{
    for (uint32_t k = 0; k < COMMITS; k++) {
        struct index_batch *b;
        struct err e = {0};
        char path[32];
        snprintf(path, sizeof path, "/f%u", k);
        assert_ok(index_begin(lib, 0, &b, &e), e);
        assert_ok(made_put(b, k, path, 1, &e), e);
        assert_ok(index_commit(b, &e), e);
    }
}

static void test_threads_read_while_one_commits(void **state)
{
    struct reading r = {.lib = NULL};
    pthread_t threads[2];
    char dir[600];
    char *top;
    (void)state;

    made_library(&top, dir, 0);
    r.lib = made_open(dir, LIB_WRITE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    write_on(r.lib);
    atomic_store(&r.stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&r.failed))
        print_error("%s\n", r.why);
    assert_false(atomic_load(&r.failed));
    assert_true(atomic_load(&r.taken) > 10);
    library_close(r.lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_another_process_reads_while_one_commits(void **state)
{
    struct library *lib;
    char dir[600];
    char *top;
    pid_t pid;
    int status;
    (void)state;

    made_library(&top, dir, 0);
    pid = fork(); /* before this process opens an environment */
    assert_true(pid >= 0);
    if (!pid) {
        struct reading r = {.lib = NULL};
        struct err e = {0};
        if (library_open(&r.lib, dir, LIB_READ, &e))
            _exit(2);
        for (int i = 0; i < 4000 && !atomic_load(&r.failed); i++) {
            struct snapshot *s;
            struct library_stat st;
            if (snapshot_take(r.lib, &s, &e) || snapshot_stat(s, &st, &e) || st.documents != snapshot_version(s))
                _exit(3);
            if (st.documents == COMMITS)
                _exit(0);
            snapshot_give(s);
            usleep(1000);
        }
        _exit(4);
    }
    lib = made_open(dir, LIB_WRITE);
    write_on(lib);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_read_while_one_commits),
        cmocka_unit_test(test_another_process_reads_while_one_commits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
