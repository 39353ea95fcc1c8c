/* test_store.c: records keep their place and checksum, transactions are all or nothing, readers see one commit, and a file that
 * was cut off is refused before anything is mapped. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "index/store.h"

static void put_text(struct txn *t, enum table tb, const char *key, const char *value)
{
    struct err e = {0};

    assert_ok(txn_put(t, tb, key, strlen(key), value, strlen(value), &e), e);
}

static int is_text(struct txn *t, enum table tb, const char *key, const char *want)
{
    const void *p;
    size_t n;

    return txn_get(t, tb, key, strlen(key), &p, &n, NULL) == 0 && n == strlen(want) && !memcmp(p, want, n);
}

static void test_a_reader_sees_one_commit_and_abort_leaves_nothing(void **state)
{
    char *dir = test_mkdir();
    struct store *s;
    struct txn *w, *r;
    struct err e = {0};
    uint64_t first;
    (void)state;

    assert_ok(store_open(&s, dir, 1, &e), e);
    assert_ok(txn_write(s, &w, &e), e);
    put_text(w, T_DOC, "a", "one");
    assert_ok(txn_commit(w, &e), e);
    first = store_last_commit(s);
    assert_ok(txn_read(s, &r, &e), e);
    assert_int_equal(txn_id(r), first);
    assert_ok(txn_write(s, &w, &e), e);
    put_text(w, T_DOC, "a", "two");
    put_text(w, T_DOC, "b", "new");
    assert_ok(txn_commit(w, &e), e);
    assert_true(store_last_commit(s) > first);
    assert_true(is_text(r, T_DOC, "a", "one"));
    assert_false(is_text(r, T_DOC, "b", "new"));
    txn_abort(r);
    assert_ok(txn_write(s, &w, &e), e);
    put_text(w, T_DOC, "a", "three");
    txn_abort(w);
    store_close(s);
    assert_ok(store_open(&s, dir, 0, &e), e);
    assert_int_equal(txn_write(s, &w, &e), ERR_ACCESS);
    assert_ok(txn_read(s, &r, &e), e);
    assert_true(is_text(r, T_DOC, "a", "two"));
    assert_true(is_text(r, T_DOC, "b", "new"));
    txn_abort(r);
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
}

static void test_scans_go_by_prefix_and_in_order(void **state)
{
    char *dir = test_mkdir();
    struct store *s;
    struct txn *t;
    struct scan *sc;
    struct err e = {0};
    const void *key, *p;
    size_t n_key, n;
    uint32_t seen = 0;
    int rc;
    (void)state;

    assert_ok(store_open(&s, dir, 1, &e), e);
    assert_ok(txn_write(s, &t, &e), e);
    for (uint32_t i = 0; i < 3000; i++) {
        unsigned char k[5] = {(unsigned char)(i % 3)};
        be32(k + 1, i);
        assert_ok(txn_put(t, T_CHUNK, k, sizeof k, &i, sizeof i, &e), e);
    }
    assert_ok(txn_commit(t, &e), e);
    assert_ok(txn_read(s, &t, &e), e);
    assert_ok(scan_open(t, T_CHUNK, "\1", 1, &sc, &e), e);
    while ((rc = scan_next(sc, &key, &n_key, &p, &n, &e)) == 0) {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        assert_int_equal(n_key, 5);
        assert_int_equal(v, seen * 3 + 1);
        seen++;
    }
    assert_int_equal(rc, ERR_NOTFOUND);
    assert_int_equal(seen, 1000);
    scan_close(sc);
    txn_abort(t);
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
}

/* A changed byte of the payload: LMDB itself has no checksums and would hand it out. */
static void test_a_changed_byte_is_found_at_the_read(void **state)
{
    char *dir = test_mkdir();
    char file[600];
    char path[64] = "AAAAvalue-one-AAAA";
    char *bytes;
    struct stat st;
    struct store *s;
    struct txn *t;
    struct err e = {0};
    const void *p;
    size_t n;
    int found = 0;
    int fd;
    (void)state;

    snprintf(file, sizeof file, "%s/data.mdb", dir);
    assert_ok(store_open(&s, dir, 1, &e), e);
    assert_ok(txn_write(s, &t, &e), e);
    put_text(t, T_DOC, "k1", path);
    assert_ok(txn_commit(t, &e), e);
    store_close(s);
    fd = open(file, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    bytes = mem_take((size_t)st.st_size, 1);
    assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
    for (off_t i = 0; i + 18 < st.st_size; i++)
        if (!memcmp(bytes + i, path, 18)) {
            found++;
            assert_int_equal(pwrite(fd, "B", 1, i), 1);
        }
    close(fd);
    mem_give(bytes);
    assert_true(found > 0);
    assert_ok(store_open(&s, dir, 0, &e), e);
    assert_ok(txn_read(s, &t, &e), e);
    assert_int_equal(txn_get(t, T_DOC, "k1", 2, &p, &n, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "checksum"));
    txn_abort(t);
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
}

static void test_cut_off_files_are_corrupt_and_never_a_signal(void **state)
{
    char *dir = test_mkdir();
    char file[600];
    struct stat st;
    struct store *s;
    struct txn *t;
    struct err e = {0};
    pid_t child;
    int how = 0;
    (void)state;

    snprintf(file, sizeof file, "%s/data.mdb", dir);
    child = fork(); /* no environment is open yet */
    if (child == 0) {
        if (store_open(&s, dir, 1, &e) || txn_write(s, &t, &e))
            _exit(2);
        for (uint32_t i = 0; i < 500; i++) {
            char big[3000];
            memset(big, (int)i, sizeof big);
            if (txn_put(t, T_PAGE, &i, 4, big, sizeof big, &e))
                _exit(3);
        }
        _exit(txn_commit(t, &e) ? 4 : 0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_int_equal(stat(file, &st), 0);
    for (off_t cut = st.st_size - 1; cut > 0; cut -= 77777) {
        assert_int_equal(truncate(file, cut), 0);
        child = fork();
        if (child == 0) {
            int rc = store_open(&s, dir, cut % 2, &e);
            _exit(rc == ERR_CORRUPT ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        if (!WIFEXITED(how) || WEXITSTATUS(how)) {
            print_error("cut to %lld bytes: status %x\n", (long long)cut, (unsigned)how);
            fail();
        }
    }
    test_rmdir(dir);
    mem_give(dir);
}

/* Reads go through tree.c, a write transaction's through LMDB: both must say the same about keys of every length, deleted ranges
 * and values on either side of what fits a leaf. */
static void test_reads_agree_with_lmdb(void **state)
{
    char *dir = test_mkdir();
    struct store *s;
    struct txn *w, *r;
    struct scan *ws, *rs;
    struct err e = {0};
    uint64_t seed = 11;
    (void)state;

    assert_ok(store_open(&s, dir, 1, &e), e);
    for (int round = 0; round < 12; round++) {
        assert_ok(txn_write(s, &w, &e), e);
        for (int i = 0; i < 400; i++) {
            static const size_t sizes[] = {0, 1, 40, 2000, 2030, 4072, 4080, 4081, 9000};
            char key[511], value[9000];
            size_t n_key = 1 + test_rand(&seed) % (i % 10 ? 24 : 511);
            size_t n = sizes[test_rand(&seed) % 9];
            for (size_t k = 0; k < n_key; k++)
                key[k] = (char)(test_rand(&seed) % 5);
            memset(value, i, n);
            if (test_rand(&seed) % 3)
                assert_ok(txn_put(w, T_PATH, key, n_key, value, n, &e), e);
            else
                txn_del(w, T_PATH, key, n_key, NULL);
        }
        assert_ok(txn_commit(w, &e), e);
        assert_ok(txn_read(s, &r, &e), e);
        assert_ok(txn_pages_check(r, 1, &e), e);
        assert_ok(txn_write(s, &w, &e), e);
        for (unsigned char first = 0; first < 7; first++) { /* 6: the whole table, 5: no such key */
            const void *k[2], *p[2];
            size_t n_k[2], n[2];
            int rc[2];
            assert_ok(scan_open(w, T_PATH, &first, first < 6, &ws, &e), e);
            assert_ok(scan_open(r, T_PATH, &first, first < 6, &rs, &e), e);
            do {
                rc[0] = scan_next(ws, &k[0], &n_k[0], &p[0], &n[0], &e);
                rc[1] = scan_next(rs, &k[1], &n_k[1], &p[1], &n[1], &e);
                assert_int_equal(rc[0], rc[1]);
                if (rc[0])
                    break;
                assert_true(n_k[0] == n_k[1] && n[0] == n[1] && !memcmp(k[0], k[1], n_k[0]) && !memcmp(p[0], p[1], n[0]));
                assert_ok(txn_get(r, T_PATH, k[0], n_k[0], &p[1], &n[1], &e), e);
                assert_true(n[0] == n[1] && !memcmp(p[0], p[1], n[0]));
            } while (1);
            assert_int_equal(rc[0], ERR_NOTFOUND);
            scan_close(ws);
            scan_close(rs);
        }
        for (int i = 0; i < 200; i++) { /* keys that are mostly not there */
            const void *p[2];
            size_t n[2];
            char key[8];
            for (size_t k = 0; k < sizeof key; k++)
                key[k] = (char)(test_rand(&seed) % 6);
            size_t n_key = 1 + test_rand(&seed) % 8;
            assert_int_equal(txn_get(w, T_PATH, key, n_key, &p[0], &n[0], NULL), txn_get(r, T_PATH, key, n_key, &p[1], &n[1], NULL));
            assert_int_equal(n[0], n[1]);
        }
        txn_abort(w);
        txn_abort(r);
    }
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
}

static void test_no_child_process_inherits_the_files(void **state)
{
    char *dir = test_mkdir();
    struct store *s;
    struct err e = {0};
    int found = 0;
    (void)state;

    assert_ok(store_open(&s, dir, 1, &e), e);
    for (int fd = 0; fd < 64; fd++) {
        char link[64], to[600];
        ssize_t n;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, to, sizeof to - 1);
        if (n <= 0)
            continue;
        to[n] = '\0';
        if (strncmp(to, dir, strlen(dir)) == 0 && ++found)
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(found, 3); /* the data twice, the lock file */
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
}

/* 200 kB a commit until it fails; then what was committed must be there, and writing goes on once there is room
 * again, in the same store or after opening it anew. make_room: NULL or what to call. 0: all of it held. */
static int fill_up(const char *dir, int (*make_room)(void))
{
    static char big[40000];
    struct store *s;
    struct txn *t;
    struct err e = {0};
    const void *p;
    size_t n;
    uint32_t done = 0;
    int rc = store_open(&s, dir, 1, &e);

    for (; !rc && done < 2000; done++) {
        rc = txn_write(s, &t, &e);
        for (uint32_t i = 0; i < 5 && !rc; i++) {
            unsigned char key[8];
            be32(key, done);
            be32(key + 4, i);
            memset(big, (int)(done + i), sizeof big);
            rc = txn_put(t, T_PAGE, key, sizeof key, big, sizeof big, &e);
            if (rc)
                txn_abort(t);
        }
        if (!rc)
            rc = txn_commit(t, &e);
        if (rc)
            break;
    }
    if (rc != ERR_FULL && rc != ERR_IO)
        return 10;
    if (!strstr(e.msg, "nothing of it was stored"))
        return 11;
    if (txn_read(s, &t, &e))
        return 12;
    for (uint32_t d = 0; d <= done; d++) {
        unsigned char key[8];
        be32(key, d);
        be32(key + 4, 4);
        if (txn_get(t, T_PAGE, key, sizeof key, &p, &n, &e) != (d < done ? 0 : ERR_NOTFOUND))
            return 13;
    }
    if (txn_pages_check(t, 1, &e))
        return 14;
    txn_abort(t);
    if (make_room())
        return 15;
    rc = txn_write(s, &t, &e);
    if (rc) { /* it may refuse, and must say what to do */
        if (rc != ERR_IO || !strstr(e.msg, "start docent again"))
            return 16;
        store_close(s);
        if (store_open(&s, dir, 1, &e) || txn_write(s, &t, &e))
            return 17;
    }
    if (txn_put(t, T_PAGE, "x", 1, big, sizeof big, &e) || txn_commit(t, &e))
        return 18;
    store_close(s);
    return 0;
}

static int lift_limit(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_FSIZE, &r))
        return 1;
    r.rlim_cur = r.rlim_max;
    return setrlimit(RLIMIT_FSIZE, &r);
}

static void test_a_file_size_limit_costs_one_commit(void **state)
{
    char *dir = test_mkdir();
    int how = 0;
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        struct rlimit r;
        getrlimit(RLIMIT_FSIZE, &r);
        r.rlim_cur = 3000000;
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &r))
            _exit(1);
        _exit(fill_up(dir, lift_limit));
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    test_rmdir(dir);
    mem_give(dir);
}

static const char *small_disk;

static int grow_disk(void)
{
    return mount("none", small_disk, "tmpfs", MS_REMOUNT, "size=32m");
}

static void test_a_full_disk_costs_one_commit(void **state)
{
    char *dir = test_mkdir();
    int how = 0;
    pid_t child = fork();
    (void)state;

    if (child == 0) { /* a disk of 4 MB that only this child sees */
        small_disk = dir;
        if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("none", dir, "tmpfs", 0, "size=4m"))
            _exit(77);
        _exit(fill_up(dir, grow_disk));
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    test_rmdir(dir);
    mem_give(dir);
    assert_true(WIFEXITED(how));
    if (WEXITSTATUS(how) == 77)
        skip(); /* needs the right to mount */
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void test_little_address_space_is_enough(void **state)
{
    static const rlim_t limits[] = {(rlim_t)1 << 30, (rlim_t)12 << 30, (rlim_t)100 << 30};
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizers take terabytes of it */
#endif
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char *dir = test_mkdir();
        int how = 0;
        pid_t child = fork();
        if (child == 0) {
            struct rlimit r = {limits[i], limits[i]};
            struct store *s;
            struct txn *t;
            struct err e = {0};
            if (setrlimit(RLIMIT_AS, &r))
                _exit(1);
            if (store_open(&s, dir, 1, &e) || txn_write(s, &t, &e))
                _exit(2);
            put_text(t, T_DOC, "a", "one");
            if (txn_commit(t, &e) || txn_read(s, &t, &e))
                _exit(3);
            _exit(is_text(t, T_DOC, "a", "one") ? 0 : 4);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
        test_rmdir(dir);
        mem_give(dir);
    }
}

/* The dead reader's slot would keep every page that is freed later from reuse, and the file would grow for ever. */
static void test_a_reader_that_died_does_not_make_the_file_grow(void **state)
{
    char *dir = test_mkdir();
    char big[60000];
    struct store *s;
    struct txn *t;
    struct err e = {0};
    uint64_t before = 0;
    int how = 0;
    pid_t child;
    (void)state;

    child = fork();
    if (child == 0) {
        if (store_open(&s, dir, 1, &e) || txn_write(s, &t, &e))
            _exit(1);
        put_text(t, T_DOC, "a", "one");
        if (txn_commit(t, &e) || txn_read(s, &t, &e))
            _exit(2);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_ok(store_open(&s, dir, 1, &e), e);
    memset(big, 7, sizeof big);
    for (int i = 0; i < 60; i++) {
        assert_ok(txn_write(s, &t, &e), e);
        assert_ok(txn_put(t, T_PAGE, "big", 3, big, sizeof big, &e), e);
        assert_ok(txn_commit(t, &e), e);
        if (i == 10)
            before = store_file_bytes(s);
    }
    assert_int_equal(store_file_bytes(s), before);
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
}

/* LMDB believes its lock file's number of the last commit: a writer would start from commit 0, which has no tables, and
 * everything would be lost. Happens when data.mdb is replaced below a process that has the lock file open. */
static void test_a_lock_file_of_another_state_is_refused_and_then_made_anew(void **state)
{
    char *dir = test_mkdir();
    char *other = test_mkdir();
    char from[600], to[600];
    struct store *s;
    struct txn *t;
    struct err e = {0};
    int ready[2], go[2];
    int how = 0;
    pid_t child;
    char c;
    (void)state;

    assert_true(pipe(ready) == 0 && pipe(go) == 0);
    for (int commits = 0; commits < 3; commits++) {
        child = fork();
        if (child == 0) { /* dir: commit 1; other: commits 2 and up */
            if (store_open(&s, commits ? other : dir, 1, &e))
                _exit(1);
            for (int i = 0; i < commits; i++) {
                if (txn_write(s, &t, &e))
                    _exit(2);
                put_text(t, T_DOC, "a", "kept");
                if (txn_commit(t, &e))
                    _exit(3);
            }
            store_close(s);
            _exit(0);
        }
        assert_true(waitpid(child, &how, 0) == child && how == 0);
    }
    child = fork();
    if (child == 0) {
        if (store_open(&s, dir, 0, &e) || write(ready[1], "r", 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(1);
        store_close(s);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    snprintf(from, sizeof from, "%s/data.mdb", other);
    snprintf(to, sizeof to, "%s/data.mdb", dir);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(store_open(&s, dir, 1, &e), ERR_BUSY);
    assert_non_null(strstr(e.msg, "lock.mdb"));
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_true(waitpid(child, &how, 0) == child && how == 0);
    assert_ok(store_open(&s, dir, 1, &e), e);
    assert_ok(txn_read(s, &t, &e), e);
    assert_true(is_text(t, T_DOC, "a", "kept"));
    txn_abort(t);
    store_close(s);
    test_rmdir(dir);
    test_rmdir(other);
    mem_give(dir);
    mem_give(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_sees_one_commit_and_abort_leaves_nothing),
        cmocka_unit_test(test_scans_go_by_prefix_and_in_order),
        cmocka_unit_test(test_a_changed_byte_is_found_at_the_read),
        cmocka_unit_test(test_cut_off_files_are_corrupt_and_never_a_signal),
        cmocka_unit_test(test_reads_agree_with_lmdb),
        cmocka_unit_test(test_no_child_process_inherits_the_files),
        cmocka_unit_test(test_a_file_size_limit_costs_one_commit),
        cmocka_unit_test(test_a_full_disk_costs_one_commit),
        cmocka_unit_test(test_little_address_space_is_enough),
        cmocka_unit_test(test_a_lock_file_of_another_state_is_refused_and_then_made_anew),
        cmocka_unit_test(test_a_reader_that_died_does_not_make_the_file_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
