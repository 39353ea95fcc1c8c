/* test_store.c: records keep their place and checksum, transactions are all or nothing, readers see one commit, and a file that
 * was cut off is refused before anything is mapped. */
#include "tests/support/test.h"

#include <fcntl.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_sees_one_commit_and_abort_leaves_nothing),
        cmocka_unit_test(test_scans_go_by_prefix_and_in_order),
        cmocka_unit_test(test_a_changed_byte_is_found_at_the_read),
        cmocka_unit_test(test_cut_off_files_are_corrupt_and_never_a_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
