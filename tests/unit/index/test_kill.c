/* test_kill.c: a writer is killed (SIGKILL) at random moments while it puts, replaces, removes and compacts; what it had
 * acknowledged is there, what it had not is there whole or not at all, and verify is clean.
 * The n-th operation is a function of n, so the state after n operations can be said by anybody. Each round: a writer child goes on
 * where the library stands and writes a byte per committed operation; a checker child tells how many operations the library holds.
 * DOCENT_ROUNDS: kills (100). */
#include "tests/unit/index/lib_make.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define PATHS 12
#define NO_DOC UINT32_MAX

static uint32_t draw(uint32_t n, uint32_t what)
{
    uint64_t seed = (uint64_t)n << 8 | what;

    return (uint32_t)(test_rand(&seed) >> 33);
}

enum op { PUT, REMOVE, COMPACT };

/* Documents 0..39 come and go on PATHS paths; a document may stand under several. */
static enum op op_of(uint32_t n, uint32_t *path, uint32_t *doc)
{
    *path = draw(n, 1) % PATHS;
    *doc = draw(n, 2) % 40;
    return n % 19 == 18 ? COMPACT : draw(n, 3) % 4 == 0 ? REMOVE : PUT;
}

static void model(uint32_t n, uint32_t doc[PATHS])
{
    for (uint32_t p = 0; p < PATHS; p++)
        doc[p] = NO_DOC;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t p, d;
        enum op op = op_of(i, &p, &d);
        if (op != COMPACT)
            doc[p] = op == PUT ? d : NO_DOC;
    }
}

static const char *path_of(uint32_t p, char path[64])
{
    snprintf(path, 64, "/p/%u", p);
    return path;
}

/* Never returns 0: it is killed. */
static int write_on(const char *dir, uint32_t n, int out)
{
    struct library *lib;
    struct err e = {0};
    uint64_t before, after;

    if (library_open(&lib, dir, LIB_WRITE, &e))
        return 2;
    for (;; n++) {
        struct index_batch *b;
        char path[64];
        uint32_t p, d;
        enum op op = op_of(n, &p, &d);
        int rc;
        path_of(p, path);
        if (op == COMPACT) {
            rc = library_compact(lib, &before, &after, &e);
        } else {
            rc = index_begin(lib, 0, &b, &e);
            if (!rc)
                rc = op == PUT ? made_put(b, d, path, 1, &e) : index_rm_path(b, path, &e);
            if (!rc || (op == REMOVE && rc == ERR_NOTFOUND))
                rc = index_commit(b, &e);
        }
        if (rc || write(out, "a", 1) != 1)
            return 3;
    }
}

static int agrees(struct snapshot *s, uint32_t n)
{
    uint32_t doc[PATHS];
    char path[64];

    model(n, doc);
    for (uint32_t p = 0; p < PATHS; p++) {
        uint8_t id[DOC_ID_BYTES], want[DOC_ID_BYTES];
        struct index_path st;
        int rc = snapshot_path(s, path_of(p, path), id, &st, NULL);
        if (doc[p] == NO_DOC && rc == ERR_NOTFOUND)
            continue;
        made_id(doc[p], want);
        if (rc || doc[p] == NO_DOC || memcmp(id, want, sizeof id) != 0 || made_same(s, doc[p], NULL) != 0)
            return 0;
    }
    return 1;
}

enum verdict { AS_ACKED = 10, ONE_MORE, LOST, UNSOUND };

static int check(const char *dir, uint32_t acked)
{
    struct library *lib;
    struct snapshot *s;
    struct verify_report r;
    struct err e = {0};
    int verdict = LOST;

    if (library_open(&lib, dir, LIB_READ, &e) || snapshot_take(lib, &s, &e) ||
        library_verify(lib, &r, &e) || r.problems) {
        print_error("%s %s\n", e.msg, r.problems ? r.first[0] : "");
        return UNSOUND;
    }
    if (agrees(s, acked))
        verdict = AS_ACKED;
    else if (agrees(s, acked + 1))
        verdict = ONE_MORE;
    snapshot_give(s);
    library_close(lib);
    return verdict;
}

/* Acknowledgements until the deadline, then until the pipe ends. */
static uint32_t count_acks(int fd, pid_t child, int64_t after_us)
{
    struct timespec now;
    char acks[64];
    int64_t end_us;
    int killed = 0;
    uint32_t n = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    end_us = now.tv_sec * 1000000 + now.tv_nsec / 1000 + after_us;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        struct timespec wait = {0};
        int64_t left;
        ssize_t k;
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = end_us - (now.tv_sec * 1000000 + now.tv_nsec / 1000);
        if (left <= 0 && !killed) {
            kill(child, SIGKILL);
            killed = 1;
        }
        wait.tv_nsec = left > 0 ? (long)(left % 1000000) * 1000 : 0;
        if (!killed && ppoll(&p, 1, &wait, NULL) <= 0)
            continue;
        k = read(fd, acks, sizeof acks);
        if (k <= 0)
            return n;
        n += (uint32_t)k;
    }
}

static void test_a_killed_writer_loses_nothing_it_acknowledged(void **state)
{
    const char *text = getenv("DOCENT_ROUNDS");
    long rounds = text ? strtol(text, NULL, 10) : 100;
    uint64_t seed = 9;
    uint32_t acked = 0;
    long in_doubt = 0;
    char dir[600];
    char *top;
    (void)state;

    made_library(&top, dir, MADE_DIM);
    for (long r = 0; r < rounds; r++) {
        int pipes[2];
        int how = 0;
        pid_t child;
        assert_int_equal(pipe(pipes), 0);
        child = fork();
        if (child == 0) {
            close(pipes[0]);
            _exit(write_on(dir, acked, pipes[1]));
        }
        close(pipes[1]);
        acked += count_acks(pipes[0], child, 1000 + (int64_t)(test_rand(&seed) % 90000));
        close(pipes[0]);
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        child = fork();
        if (child == 0)
            _exit(check(dir, acked));
        assert_int_equal(waitpid(child, &how, 0), child);
        if (!WIFEXITED(how) || (WEXITSTATUS(how) != AS_ACKED && WEXITSTATUS(how) != ONE_MORE)) {
            print_error("kill %ld after %u operations: status %x\n", r, acked, (unsigned)how);
            fail();
        }
        if (WEXITSTATUS(how) == ONE_MORE) {
            acked++;
            in_doubt++;
        }
    }
    print_message("%ld kills over %u operations; %ld were committed but not yet acknowledged\n", rounds, acked, in_doubt);
    test_rmdir(top);
    mem_give(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_killed_writer_loses_nothing_it_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
