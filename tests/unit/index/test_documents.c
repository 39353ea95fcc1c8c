/* test_documents.c: documents go in, are replaced, renamed, shared by paths and removed; verify is clean after each step. */
#include "tests/unit/index/lib_make.h"

#include "base/limits.h"

static void counts(struct library *lib, uint64_t documents, uint64_t paths, uint64_t chunks)
{
    struct library_stat st;
    struct snapshot *s;
    struct err e = {0};

    assert_ok(snapshot_take(lib, &s, &e), e);
    assert_ok(snapshot_stat(s, &st, &e), e);
    snapshot_give(s);
    assert_int_equal(st.documents, documents);
    assert_int_equal(st.paths, paths);
    assert_int_equal(st.chunks, chunks);
    made_clean(lib);
}

static void test_put_replace_rename_rm_and_reopen(void **state)
{
    char dir[600];
    char *top;
    uint8_t id[DOC_ID_BYTES];
    struct index_path named;
    struct index_path p = {.path = "/b", .size = 1, .mtime_ns = 2, .inode = 3};
    struct index_batch *b;
    struct snapshot *s;
    struct library *lib;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, MADE_DIM);
    lib = made_open(dir, LIB_WRITE);
    made_put_commit(lib, 1, "/a"); /* 2 pages, 4 chunks */
    counts(lib, 1, 1, 4);
    assert_int_equal(made_hits(lib, "uniq1x2", NULL), 1);
    made_put_commit(lib, 2, "/a"); /* replaced: 3 pages, 6 chunks */
    counts(lib, 1, 1, 6);
    assert_int_equal(made_hits(lib, "uniq1x2", NULL), 0);
    assert_int_equal(made_hits(lib, "uniq2x3", NULL), 1);

    assert_ok(index_begin(lib, 0, &b, &e), e); /* renamed */
    made_id(2, id);
    assert_ok(index_put_path(b, id, &p, NULL, 0, &e), e);
    assert_ok(index_rm_path(b, "/a", &e), e);
    assert_ok(index_commit(b, &e), e);
    counts(lib, 1, 1, 6);
    library_close(lib);

    lib = made_open(dir, LIB_WRITE);
    counts(lib, 1, 1, 6);
    assert_ok(snapshot_take(lib, &s, &e), e);
    assert_ok(snapshot_path(s, "/b", id, &named, &e), e);
    assert_int_equal(named.size, 1);
    assert_int_equal(named.mtime_ns, 2);
    assert_int_equal(named.inode, 3);
    assert_int_equal(snapshot_path(s, "/a", id, &named, NULL), ERR_NOTFOUND);
    assert_ok(made_same(s, 2, &e), e);
    snapshot_give(s);
    made_rm_commit(lib, "/b");
    counts(lib, 0, 0, 0);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_the_same_content_under_two_paths_goes_with_the_last(void **state)
{
    char dir[600];
    char *top;
    struct library *lib;
    struct index_batch *b;
    uint8_t id[DOC_ID_BYTES];
    struct err e = {0};
    (void)state;

    made_library(&top, dir, MADE_DIM);
    lib = made_open(dir, LIB_WRITE);
    made_put_commit(lib, 1, "/a");
    made_put_commit(lib, 1, "/b");
    counts(lib, 1, 2, 4);
    made_put_commit(lib, 1, "/b"); /* again: nothing new */
    counts(lib, 1, 2, 4);
    made_rm_commit(lib, "/a");
    counts(lib, 1, 1, 4);
    assert_int_equal(made_hits(lib, "uniq1x1", NULL), 1);
    made_put_commit(lib, 3, "/b"); /* the last path names another: the document goes */
    counts(lib, 1, 1, 2);
    assert_int_equal(made_hits(lib, "uniq1x1", NULL), 0);

    made_put_commit(lib, 1, "/c");
    made_put_commit(lib, 1, "/d");
    assert_ok(index_begin(lib, 0, &b, &e), e);
    made_id(1, id);
    assert_ok(index_rm_doc(b, id, &e), e);
    assert_int_equal(index_rm_doc(b, id, &e), ERR_NOTFOUND);
    assert_int_equal(index_rm_path(b, "/c", &e), ERR_NOTFOUND);
    assert_ok(index_commit(b, &e), e);
    counts(lib, 1, 1, 2);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_a_missing_vector_is_copied_or_leaves_the_batch_usable(void **state)
{
    char dir[600];
    char *top;
    struct library *lib;
    struct library_stat st;
    struct snapshot *s;
    struct index_batch *b;
    struct made m;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, MADE_DIM);
    lib = made_open(dir, LIB_WRITE);
    assert_ok(index_begin(lib, 0, &b, &e), e);
    assert_ok(made_put(b, 1, "/a", 1, &e), e);
    assert_int_equal(made_put(b, 2, "/b", 0, &e), ERR_NOTFOUND);
    err_clear(&e);
    made_doc(&m, 9, 1); /* shares its clause with 1: it needs no vector */
    for (uint32_t i = 0; i < m.d.n_chunks; i++)
        if (i % 2)
            m.chunk[i].vec = NULL;
    assert_ok(index_put(b, &m.d, &(struct index_path){.path = "/c"}, &e), e);
    assert_ok(index_commit(b, &e), e);
    counts(lib, 2, 2, 4 + 2);
    assert_ok(snapshot_take(lib, &s, &e), e);
    assert_ok(snapshot_stat(s, &st, &e), e);
    assert_int_equal(st.vectors, 6);
    assert_int_equal(snapshot_has_vector(s, m.chunk[0].hash), 1);
    made_doc(&m, 2, 0);
    assert_int_equal(snapshot_has_vector(s, m.chunk[0].hash), 0);
    snapshot_give(s);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_a_copied_vector_scores_like_its_source(void **state)
{
    char dir[600];
    char *top;
    struct library *lib;
    struct snapshot *s;
    struct index_batch *b;
    struct hits h;
    struct made m;
    struct arena a;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, MADE_DIM);
    lib = made_open(dir, LIB_WRITE);
    made_put_commit(lib, 4, "/a");
    assert_ok(index_begin(lib, 0, &b, &e), e);
    made_doc(&m, 4, 0); /* the same chunks as another file, and the first one goes in the same batch */
    m.d.id[0] ^= 1;
    assert_ok(index_put(b, &m.d, &(struct index_path){.path = "/a"}, &e), e);
    assert_ok(index_commit(b, &e), e);
    counts(lib, 1, 1, 4);
    arena_init(&a, 16u << 20);
    assert_ok(snapshot_take(lib, &s, &e), e);
    assert_ok(search_dense(s, m.vec[2], MADE_DIM, NULL, 1, &a, &h, &e), e);
    assert_int_equal(h.n, 1);
    assert_int_equal(h.at[0].ord, 2);
    assert_true(h.at[0].score > 0.99f);
    snapshot_give(s);
    arena_free(&a);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

static void test_bad_documents_are_refused_and_cost_only_themselves(void **state)
{
    char dir[600];
    char *top;
    char *lengthy = mem_take(LIM_PATH + 2, 1);
    struct library *lib;
    struct index_batch *b;
    struct made m;
    struct err e = {0};
    (void)state;

    made_library(&top, dir, 0);
    lib = made_open(dir, LIB_WRITE);
    assert_ok(index_begin(lib, 0, &b, &e), e);
    made_doc(&m, 1, 1);
    m.chunk[1].end = m.page[0].n_text + 1;
    assert_int_equal(index_put(b, &m.d, &(struct index_path){.path = "/x"}, &e), ERR_INVALID);
    made_doc(&m, 1, 1);
    m.page[1].number = 1;
    assert_int_equal(index_put(b, &m.d, &(struct index_path){.path = "/x"}, &e), ERR_INVALID);
    made_doc(&m, 1, 1);
    memset(lengthy, 'a', LIM_PATH + 1);
    assert_int_equal(index_put(b, &m.d, &(struct index_path){.path = lengthy}, &e), ERR_LIMIT);
    assert_int_equal(index_put(b, &m.d, &(struct index_path){.path = ""}, &e), ERR_LIMIT);
    lengthy[LIM_PATH] = '\0'; /* the longest that is allowed, and one that differs in its last byte */
    assert_ok(index_put(b, &m.d, &(struct index_path){.path = lengthy}, &e), e);
    lengthy[LIM_PATH - 1] = 'b';
    assert_ok(made_put(b, 2, lengthy, 1, &e), e);
    assert_ok(index_commit(b, &e), e);
    counts(lib, 2, 2, 4 + 6);
    made_rm_commit(lib, lengthy);
    counts(lib, 1, 1, 4);
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
    mem_give(lengthy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_replace_rename_rm_and_reopen),
        cmocka_unit_test(test_the_same_content_under_two_paths_goes_with_the_last),
        cmocka_unit_test(test_a_missing_vector_is_copied_or_leaves_the_batch_usable),
        cmocka_unit_test(test_a_copied_vector_scores_like_its_source),
        cmocka_unit_test(test_bad_documents_are_refused_and_cost_only_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
