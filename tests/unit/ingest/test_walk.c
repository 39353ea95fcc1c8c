/* test_walk.c - what a walk visits, in which order, and what it reports. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "ingest/ingest.h"

struct seen {
    struct buf files, skips; /* one path a line, relative to base */
    size_t base;
    long stop_after;
};

static int on_file(void *arg, const struct walk_file *f)
{
    struct seen *s = arg;

    buf_printf(&s->files, "%s\n", f->path + s->base);
    return s->stop_after > 0 && --s->stop_after == 0;
}

static int on_skip(void *arg, const char *path, const char *why)
{
    struct seen *s = arg;

    buf_printf(&s->skips, "%s: %s\n", path + s->base, why);
    return 0;
}

static void put(const char *dir, const char *name)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("x", f);
    fclose(f);
}

static void folder(const char *dir, const char *name)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void link_to(const char *dir, const char *name, const char *target)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(symlink(target, path), 0);
}

static char *real_dir(void)
{
    char *made = test_mkdir();
    char *real = realpath(made, NULL);
    char *copy = mem_strdup(real);

    free(real);
    mem_give(made);
    return copy;
}

static struct seen start(const char *dir)
{
    struct seen s = {0};

    buf_init(&s.files, 1 << 20);
    buf_init(&s.skips, 1 << 20);
    s.base = strlen(dir) + 1;
    return s;
}

static void finish(struct seen *s, char *dir)
{
    buf_free(&s->files);
    buf_free(&s->skips);
    test_rmdir(dir);
    mem_give(dir);
}

static void test_visits_files_sorted_and_leaves_out_hidden_ones(void **state)
{
    char *dir = real_dir();
    struct seen s = start(dir);
    struct err e = {0};
    (void)state;

    put(dir, "b.txt");
    put(dir, "a.txt");
    put(dir, ".hidden");
    folder(dir, "aa");
    put(dir, "aa/z");
    put(dir, "aa/\xff\xfe name");
    folder(dir, ".git");
    put(dir, ".git/config");
    assert_ok(walk_tree(dir, on_file, on_skip, &s, &e), e);
    assert_string_equal(s.files.data, "a.txt\naa/z\naa/\xff\xfe name\nb.txt\n");
    assert_null(s.skips.data);
    finish(&s, dir);
}

static void test_a_loop_of_links_ends_and_odd_files_are_reported(void **state)
{
    char *dir = real_dir(), path[4096];
    struct seen s = start(dir);
    struct err e = {0};
    (void)state;

    folder(dir, "d");
    put(dir, "d/f");
    link_to(dir, "d/up", "..");
    link_to(dir, "d/nothing", "missing");
    link_to(dir, "d/self", "self");
    link_to(dir, "again", "d");
    link_to(dir, "z", "d/f");
    snprintf(path, sizeof path, "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    link_to(dir, "null", "/dev/null");
    assert_ok(walk_tree(dir, on_file, on_skip, &s, &e), e);
    assert_string_equal(s.files.data, "again/f\nz\n");
    assert_non_null(strstr(s.skips.data, "again/nothing: it disappeared"));
    assert_non_null(strstr(s.skips.data, "again/self: too many levels"));
    assert_non_null(strstr(s.skips.data, "again/up: a folder that was walked"));
    assert_non_null(strstr(s.skips.data, "d: a folder that was walked"));
    assert_non_null(strstr(s.skips.data, "fifo: a FIFO"));
    assert_non_null(strstr(s.skips.data, "null: a character device"));
    finish(&s, dir);
}

static void test_the_root_may_be_a_file_or_a_link(void **state)
{
    char *dir = real_dir(), path[4096];
    struct seen s = start(dir);
    struct err e = {0};
    (void)state;

    folder(dir, "d");
    put(dir, "d/f");
    link_to(dir, "l", "d");
    snprintf(path, sizeof path, "%s/d/../d/f", dir);
    assert_ok(walk_tree(path, on_file, on_skip, &s, &e), e);
    snprintf(path, sizeof path, "%s/l", dir);
    assert_ok(walk_tree(path, on_file, on_skip, &s, &e), e);
    assert_string_equal(s.files.data, "d/f\nd/f\n");
    snprintf(path, sizeof path, "%s/none", dir);
    assert_int_equal(walk_tree(path, on_file, on_skip, &s, &e), ERR_NOTFOUND);
    assert_int_equal(walk_tree("/dev/null", on_file, on_skip, &s, &e), ERR_INVALID);
    finish(&s, dir);
}

static void test_no_permission_is_reported_and_the_walk_goes_on(void **state)
{
    char *dir = real_dir(), path[4096];
    struct seen s = start(dir);
    struct err e = {0};
    (void)state;

    if (geteuid() == 0) { /* root may read everything */
        finish(&s, dir);
        skip();
    }
    folder(dir, "closed");
    put(dir, "secret");
    put(dir, "z");
    snprintf(path, sizeof path, "%s/closed", dir);
    chmod(path, 0);
    snprintf(path, sizeof path, "%s/secret", dir);
    chmod(path, 0);
    assert_ok(walk_tree(dir, on_file, on_skip, &s, &e), e);
    assert_string_equal(s.files.data, "z\n");
    assert_string_equal(s.skips.data,
                        "closed: no permission to read it\nsecret: no permission to read it\n");
    finish(&s, dir);
}

static void test_a_callback_can_stop_the_walk(void **state)
{
    char *dir = real_dir();
    struct seen s = start(dir);
    struct err e = {0};
    (void)state;

    put(dir, "a");
    put(dir, "b");
    s.stop_after = 1;
    assert_int_equal(walk_tree(dir, on_file, on_skip, &s, &e), ERR_CANCELLED);
    assert_string_equal(s.files.data, "a\n");
    finish(&s, dir);
}

static void test_deep_folders_end_with_a_reason(void **state)
{
    char *dir = real_dir(), path[4096];
    struct seen s = start(dir);
    struct err e = {0};
    size_t n;
    (void)state;

    n = (size_t)snprintf(path, sizeof path, "%s", dir);
    for (int i = 0; i < 205; i++) {
        n += (size_t)snprintf(path + n, sizeof path - n, "/d");
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_ok(walk_tree(dir, on_file, on_skip, &s, &e), e);
    assert_non_null(strstr(s.skips.data, "more than 200 folders deep"));
    finish(&s, dir);
}

static void test_every_failed_allocation_is_survived(void **state)
{
    char *dir = real_dir();
    struct seen s = start(dir);
    struct err e = {0};
    int rc = ERR_NOMEM;
    (void)state;

    folder(dir, "d");
    put(dir, "d/f");
    for (long k = 0; rc && k < 100; k++) {
        buf_clear(&s.files);
        buf_clear(&s.skips);
        mem_fail_after(k);
        rc = walk_tree(dir, on_file, on_skip, &s, &e);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    assert_int_equal(rc, 0);
    finish(&s, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_visits_files_sorted_and_leaves_out_hidden_ones),
        cmocka_unit_test(test_a_loop_of_links_ends_and_odd_files_are_reported),
        cmocka_unit_test(test_the_root_may_be_a_file_or_a_link),
        cmocka_unit_test(test_no_permission_is_reported_and_the_walk_goes_on),
        cmocka_unit_test(test_a_callback_can_stop_the_walk),
        cmocka_unit_test(test_deep_folders_end_with_a_reason),
        cmocka_unit_test(test_every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
