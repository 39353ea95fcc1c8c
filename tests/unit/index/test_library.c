/* test_library.c: who may open a library and how, what readers see while a writer goes on, filters, compaction, backup. */
#include "tests/unit/index/lib_make.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *bytes_of(const char *file, size_t *n)
{
    FILE *f = fopen(file, "rb");
    char *p;

    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    p = mem_take(*n + 1, 1);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

static void write_bytes(const char *file, const void *p, size_t n)
{
    FILE *f = fopen(file, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static int holds(const char *file, const char *word)
{
    size_t n;
    char *p = bytes_of(file, &n);
    int found = memmem(p, n, word, strlen(word)) != NULL;

    mem_give(p);
    return found;
}

static void test_filters_let_through_what_they_name(void **state)
{
    char dir[600];
    char path[64];
    char *top;
    struct library *lib;
    struct index_batch *b;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, 0);
    lib = made_open(dir, LIB_WRITE);
    assert_ok(index_begin(lib, 0, &b, &e), e);
    for (uint32_t k = 0; k < 12; k++) {
        snprintf(path, sizeof path, "/%s/f%u.x", k < 6 ? "low" : "high", k);
        assert_ok(made_put(b, k, path, 1, &e), e);
    }
    assert_ok(index_commit(b, &e), e);
    /* pages of 0..11: 1 2 3 1 2 3 ...; "document" stands once a page */
    assert_int_equal(made_hits(lib, "document", NULL), 24);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.collection = "red"}), 12);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.type = "html"}), 12);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.type = "htm"}), 0);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.lang = "de"}), 1 + 3 + 2);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.path_glob = "/low/*"}), 12);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.path_glob = "f1?.x"}), 2 + 3);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.collection = "red", .type = "pdf", .path_glob = "/low/*"}), 1);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.after_ms = INT64_MAX}), 0);
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.before_ms = INT64_MAX}), 24);
    made_rm_commit(lib, "/low/f0.x");
    assert_int_equal(made_hits(lib, "document", &(struct search_filter){.lang = "de"}), 3 + 2);
    made_clean(lib);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_a_snapshot_shows_one_commit_while_writing_goes_on(void **state)
{
    char dir[600];
    char path[64];
    char *top;
    struct library *lib;
    struct snapshot *old, *now;
    struct made m;
    struct hits h;
    struct arena a;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, 0);
    lib = made_open(dir, LIB_WRITE);
    made_put_commit(lib, 0, "/0");
    assert_ok(snapshot_take(lib, &old, &e), e);
    for (uint32_t k = 1; k < 20; k++) {
        snprintf(path, sizeof path, "/%u", k % 5); /* also replaces what the snapshot shows */
        made_put_commit(lib, k, path);
    }
    arena_init(&a, 16u << 20);
    assert_ok(made_same(old, 0, &e), e);
    made_doc(&m, 7, 0);
    assert_int_equal(snapshot_doc(old, m.d.id, &a, &(struct doc_view){.n_pages = 0}, NULL), ERR_NOTFOUND);
    assert_ok(search_bm25(old, "document", NULL, 50, &a, &h, &e), e);
    assert_int_equal(h.n, 1);
    assert_ok(snapshot_take(lib, &now, &e), e);
    assert_true(snapshot_version(now) > snapshot_version(old));
    assert_ok(made_same(now, 19, &e), e);
    made_doc(&m, 0, 0);
    assert_int_equal(snapshot_doc(now, m.d.id, &a, &(struct doc_view){.n_pages = 0}, NULL), ERR_NOTFOUND);
    snapshot_give(now);
    snapshot_give(old);
    arena_free(&a);
    made_clean(lib);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_a_second_writer_hears_who_writes(void **state)
{
    char dir[600];
    char pid[32];
    char *top;
    struct library *lib, *second;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, 0);
    lib = made_open(dir, LIB_WRITE);
    assert_int_equal(library_open(&second, dir, LIB_WRITE, &e), ERR_BUSY);
    snprintf(pid, sizeof pid, "process %ld:", (long)getpid());
    assert_non_null(strstr(e.msg, pid));
    assert_null(second);
    library_close(lib);
    lib = made_open(dir, LIB_WRITE);
    library_close(lib);
    assert_int_equal(library_create(dir, &(struct library_conf){.dim = 0}, &e), ERR_EXISTS);
    assert_int_equal(library_open(&lib, top, LIB_READ, &e), ERR_NOTFOUND);
    test_rmdir(top);
    mem_give(top);
}

static void test_other_formats_are_refused_with_what_to_do(void **state)
{
    static const char *const confs[] = {"{\"format\": 2, \"dim\": 0, \"analyzer\": 1}",
                                        "{\"format\": 1, \"dim\": 0, \"analyzer\": 77}"};
    char dir[600];
    char file[700];
    char *top;
    struct library *lib;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, 0);
    snprintf(file, sizeof file, "%s/library.conf", dir);
    for (int i = 0; i < 2; i++) {
        write_bytes(file, confs[i], strlen(confs[i]));
        assert_int_equal(library_open(&lib, dir, LIB_READ, &e), ERR_VERSION);
        assert_non_null(strstr(e.msg, "new library"));
        assert_int_equal(library_open(&lib, dir, LIB_WRITE, &e), ERR_VERSION);
    }
    write_bytes(file, "{\"format\": 1", 12);
    assert_int_not_equal(library_open(&lib, dir, LIB_READ, &e), 0);
    test_rmdir(top);
    mem_give(top);
}

/* Root may write anywhere: the reading is done by a child that is nobody. */
static void test_a_folder_without_write_permission_opens_for_reading(void **state)
{
    char dir[600];
    char path[700];
    char *top;
    struct library *lib;
    struct err e = {0};
    int ready[2], go[2];
    int how = 0;
    char c;
    pid_t child;
    (void)state;

    made_library(&top, dir, 0);
    child = fork(); /* leaves the pid of a writer that has ended in the lock file */
    if (child == 0) {
        lib = made_open(dir, LIB_WRITE);
        made_put_commit(lib, 3, "/3");
        library_close(lib);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(how == 0 && pipe(ready) == 0 && pipe(go) == 0);
    snprintf(path, sizeof path, "%s/shard-0000", dir);
    chmod(top, 0755);
    chmod(path, 0555);
    chmod(dir, 0555);
    child = fork();
    if (child == 0) {
        struct snapshot *s;
        if (getuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(9);
        if (library_open(&lib, dir, LIB_READ, &e) || snapshot_take(lib, &s, &e)) {
            print_error("%s\n", e.msg);
            _exit(1);
        }
        if (made_same(s, 3, &e))
            _exit(2);
        if (write(ready[1], "r", 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(4);
        _exit(library_open(&lib, dir, LIB_WRITE, &e) == 0 ? 3 : 0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    if (getuid() == 0) { /* a writer does not see that reader, and must not reuse its pages */
        assert_int_equal(library_open(&lib, dir, LIB_WRITE, &e), ERR_BUSY);
        assert_non_null(strstr(e.msg, "being read"));
    }
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(waitpid(child, &how, 0), child);
    chmod(path, 0755);
    chmod(dir, 0755);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    test_rmdir(top);
    mem_give(top);
}

/* A reader of another process: holds a snapshot over a compaction, then takes up the new file. */
static int reading_child(const char *dir, int from_parent, int to_parent)
{
    struct library *lib;
    struct snapshot *s;
    struct err e = {0};
    char c;

    if (library_open(&lib, dir, LIB_READ, &e) || snapshot_take(lib, &s, &e))
        return 1;
    if (write(to_parent, "r", 1) != 1 || read(from_parent, &c, 1) != 1)
        return 2;
    if (made_same(s, 1, &e) || made_same(s, 2, &e)) /* 1 is removed by now, and still in this snapshot */
        return 3;
    snapshot_give(s);
    if (snapshot_take(lib, &s, &e))
        return 4;
    if (made_same(s, 1, &e) != ERR_NOTFOUND || made_same(s, 2, &e))
        return 5;
    snapshot_give(s);
    library_close(lib);
    return 0;
}

static void test_compact_takes_removed_words_out_of_the_file(void **state)
{
    char dir[600];
    char file[700];
    char path[64];
    char *top;
    struct library *lib;
    struct snapshot *s;
    struct err e = {0};
    uint64_t before, after;
    int to[2], from[2];
    int how = 0;
    char c;
    pid_t child;
    (void)state;

    made_library(&top, dir, MADE_DIM);
    snprintf(file, sizeof file, "%s/shard-0000/data.mdb", dir);
    child = fork();
    if (child == 0) { /* makes the library, so that the parent has no environment when it forks again */
        lib = made_open(dir, LIB_WRITE);
        for (uint32_t k = 1; k < 60; k++) {
            snprintf(path, sizeof path, "/secret%u", k);
            made_put_commit(lib, k, path);
        }
        library_close(lib);
        _exit(0);
    }
    waitpid(child, &how, 0);
    assert_true(how == 0 && pipe(to) == 0 && pipe(from) == 0);
    child = fork();
    if (child == 0)
        _exit(reading_child(dir, to[0], from[1]));
    assert_int_equal(read(from[0], &c, 1), 1);
    lib = made_open(dir, LIB_WRITE);
    made_rm_commit(lib, "/secret1");
    for (uint32_t k = 20; k < 60; k++) {
        snprintf(path, sizeof path, "/secret%u", k);
        made_rm_commit(lib, path);
    }
    assert_true(holds(file, "uniq1x") || holds(file, "secret1"));
    assert_ok(snapshot_take(lib, &s, &e), e);
    assert_ok(library_compact(lib, &before, &after, &e), e); /* s goes on with the old file */
    assert_ok(made_same(s, 2, &e), e);
    snapshot_give(s);
    assert_true(after < before);
    assert_false(holds(file, "uniq1x"));
    assert_false(holds(file, "secret40"));
    assert_true(holds(file, "secret12"));
    assert_int_equal(made_hits(lib, "uniq2x1", NULL), 1);
    made_clean(lib);
    assert_int_equal(write(to[1], "g", 1), 1);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    made_put_commit(lib, 1, "/again"); /* the writer goes on as well */
    made_clean(lib);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

struct readers {
    struct library *lib;
    atomic_int stop;
    atomic_int failed;
    atomic_long taken;
};

static void *read_on(void *arg)
{
    struct readers *r = arg;

    while (!atomic_load(&r->stop) && !atomic_load(&r->failed)) {
        struct snapshot *s;
        struct err e = {0};
        if (snapshot_take(r->lib, &s, &e)) {
            print_error("%s\n", e.msg);
            atomic_store(&r->failed, 1);
            break;
        }
        if (made_same(s, 0, &e) != 0 || made_hits(r->lib, "uniq0x1", NULL) != 1)
            atomic_store(&r->failed, 2);
        snapshot_give(s);
        atomic_fetch_add(&r->taken, 1);
    }
    return NULL;
}

/* One process that serves, indexes and compacts: readers never wait for the writer's transaction, nor lose their pages. */
static void test_threads_read_while_one_writes_and_compacts(void **state)
{
    char dir[600];
    char *top;
    struct readers r = {.lib = NULL};
    struct verify_report report;
    struct err e = {0};
    uint64_t before, after;
    pthread_t thread[3];
    (void)state;

    made_library(&top, dir, MADE_DIM);
    r.lib = made_open(dir, LIB_WRITE);
    made_put_commit(r.lib, 0, "/0");
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &r), 0);
    for (uint32_t k = 1; k < 40 && !atomic_load(&r.failed); k++) {
        char path[64];
        snprintf(path, sizeof path, "/%u", 1 + k % 7);
        made_put_commit(r.lib, k, path);
        if (k % 8 == 0)
            assert_ok(library_compact(r.lib, &before, &after, &e), e);
        if (k % 10 == 0) {
            assert_ok(library_verify(r.lib, &report, &e), e);
            assert_int_equal(report.problems, 0);
        }
    }
    atomic_store(&r.stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(atomic_load(&r.failed), 0);
    assert_true(atomic_load(&r.taken) > 0);
    library_close(r.lib);
    test_rmdir(top);
    mem_give(top);
}

/* Another process compacts again and again while threads of this one read without a pause. */
static void test_readers_take_up_new_files_under_load(void **state)
{
    char dir[600];
    char *top;
    struct readers r = {.lib = NULL};
    struct snapshot *s;
    struct err e = {0};
    pthread_t thread[3];
    int how = 0;
    pid_t child;
    int go[2];
    char c;
    (void)state;

    made_library(&top, dir, MADE_DIM);
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0) {
        struct library *lib = made_open(dir, LIB_WRITE);
        uint64_t before, after;
        made_put_commit(lib, 0, "/0");
        library_close(lib);
        if (write(go[1], "g", 1) != 1)
            _exit(1);
        for (uint32_t k = 1; k < 16; k++) {
            lib = made_open(dir, LIB_WRITE);
            made_put_commit(lib, k, "/1");
            if (library_compact(lib, &before, &after, &e))
                _exit(2);
            library_close(lib);
        }
        _exit(0);
    }
    assert_int_equal(read(go[0], &c, 1), 1);
    r.lib = made_open(dir, LIB_READ);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &r), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    atomic_store(&r.stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(atomic_load(&r.failed), 0);
    assert_ok(snapshot_take(r.lib, &s, &e), e);
    assert_int_equal(made_same(s, 15, &e), 0);
    assert_int_equal(made_same(s, 14, NULL), ERR_NOTFOUND);
    snapshot_give(s);
    library_close(r.lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_backup_and_restore_give_the_same_library(void **state)
{
    char dir[600];
    char file[700];
    char again[700];
    char path[64];
    char *top;
    char *p;
    size_t n;
    uint64_t bytes;
    uint64_t seed = 5;
    struct library *lib, *back;
    struct snapshot *s;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, MADE_DIM);
    snprintf(file, sizeof file, "%s/it.backup", top);
    snprintf(again, sizeof again, "%s/again", top);
    lib = made_open(dir, LIB_WRITE);
    for (uint32_t k = 0; k < 20; k++) {
        snprintf(path, sizeof path, "/%u", k % 15);
        made_put_commit(lib, k, path);
    }
    assert_ok(library_backup(lib, file, &bytes, &e), e);
    made_put_commit(lib, 90, "/later");
    p = bytes_of(file, &n);
    assert_int_equal(n, bytes);
    for (int i = 0; i < 40; i++) { /* flipped, or cut */
        size_t at = test_rand(&seed) % n;
        p[at] ^= 16;
        write_bytes(file, p, i % 2 ? n : at);
        p[at] ^= 16;
        assert_int_not_equal(library_restore(file, again, &e), 0);
        assert_int_not_equal(access(again, F_OK), 0);
    }
    write_bytes(file, p, n);
    mem_give(p);
    assert_ok(library_restore(file, again, &e), e);
    assert_int_equal(library_restore(file, again, &e), ERR_EXISTS);
    back = made_open(again, LIB_WRITE);
    made_clean(back);
    assert_string_equal(library_conf(back)->name, "made");
    assert_int_equal(library_conf(back)->dim, MADE_DIM);
    assert_ok(snapshot_take(back, &s, &e), e);
    for (uint32_t k = 0; k < 20; k++) /* 0..4 were replaced by 15..19 */
        assert_int_equal(made_same(s, k, NULL), k < 5 ? ERR_NOTFOUND : 0);
    assert_int_equal(made_same(s, 90, NULL), ERR_NOTFOUND);
    snapshot_give(s);
    made_put_commit(back, 91, "/new");
    made_clean(back);
    library_close(back);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_let_through_what_they_name),
        cmocka_unit_test(test_a_snapshot_shows_one_commit_while_writing_goes_on),
        cmocka_unit_test(test_a_second_writer_hears_who_writes),
        cmocka_unit_test(test_other_formats_are_refused_with_what_to_do),
        cmocka_unit_test(test_a_folder_without_write_permission_opens_for_reading),
        cmocka_unit_test(test_compact_takes_removed_words_out_of_the_file),
        cmocka_unit_test(test_threads_read_while_one_writes_and_compacts),
        cmocka_unit_test(test_readers_take_up_new_files_under_load),
        cmocka_unit_test(test_backup_and_restore_give_the_same_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
