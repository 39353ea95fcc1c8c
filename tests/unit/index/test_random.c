/* test_random.c: seeded random operations against a model in memory; after each round the library says what the model says and
 * verify is clean. One seed is one history: DOCENT_SEED repeats another, DOCENT_ROUNDS makes it longer. */
#include "tests/unit/index/lib_make.h"

#define PATHS 40
#define DOCS 60

struct model {
    int doc[PATHS]; /* which document a path names; -1: none */
};

static const char *path_of(uint32_t p, char out[600])
{
    snprintf(out, 600, "/dir%u/file %u", p % 3, p);
    if (p % 10 == 9) { /* longer than a key may be */
        size_t n = strlen(out);
        memset(out + n, 'x', 480);
        out[n + 480] = '\0';
    }
    return out;
}

static void one_op(struct index_batch *b, struct model *m, uint64_t *seed)
{
    char path[600];
    char other[600];
    uint32_t p = (uint32_t)(test_rand(seed) % PATHS);
    uint32_t q = (uint32_t)(test_rand(seed) % PATHS);
    uint32_t k = (uint32_t)(test_rand(seed) % DOCS);
    uint8_t id[DOC_ID_BYTES];
    struct index_path at = {.path = path};
    struct err e = {0};
    int named, rc;

    path_of(p, path);
    switch (test_rand(seed) % 8) {
    case 0:
    case 1:
    case 2:
        assert_ok(made_put(b, k, path, 1, &e), e);
        m->doc[p] = (int)k;
        break;
    case 3: /* without vectors: works when they are known */
        rc = made_put(b, k, path, 0, &e);
        assert_true(rc == 0 || rc == ERR_NOTFOUND);
        if (!rc)
            m->doc[p] = (int)k;
        break;
    case 4: /* rename q to p */
        if (m->doc[q] < 0 || p == q)
            break;
        made_id((uint32_t)m->doc[q], id);
        assert_ok(index_put_path(b, id, &at, NULL, 0, &e), e);
        m->doc[p] = m->doc[q];
        assert_ok(index_rm_path(b, path_of(q, other), &e), e);
        m->doc[q] = -1;
        break;
    case 5:
    case 6:
        rc = index_rm_path(b, path, &e);
        assert_int_equal(rc, m->doc[p] < 0 ? ERR_NOTFOUND : 0);
        m->doc[p] = -1;
        break;
    default:
        made_id(k, id);
        rc = index_rm_doc(b, id, &e);
        named = 0;
        for (uint32_t i = 0; i < PATHS; i++)
            if (m->doc[i] == (int)k) {
                m->doc[i] = -1;
                named = 1;
            }
        assert_int_equal(rc, named ? 0 : ERR_NOTFOUND);
        break;
    }
}

static void compare(struct library *lib, const struct model *m)
{
    char path[600];
    char word[64];
    uint8_t id[DOC_ID_BYTES], want[DOC_ID_BYTES];
    struct index_path st;
    struct library_stat stat;
    struct snapshot *s;
    struct err e = {0};
    uint64_t paths = 0;
    uint64_t documents = 0;
    int there[DOCS] = {0};

    assert_ok(snapshot_take(lib, &s, &e), e);
    for (uint32_t p = 0; p < PATHS; p++) {
        int rc = snapshot_path(s, path_of(p, path), id, &st, NULL);
        assert_int_equal(rc, m->doc[p] < 0 ? ERR_NOTFOUND : 0);
        if (rc)
            continue;
        made_id((uint32_t)m->doc[p], want);
        assert_memory_equal(id, want, sizeof id);
        there[m->doc[p]] = 1;
        paths++;
    }
    for (uint32_t k = 0; k < DOCS; k++) {
        documents += (uint64_t)there[k];
        assert_int_equal(made_same(s, k, NULL), there[k] ? 0 : ERR_NOTFOUND);
        snprintf(word, sizeof word, "uniq%ux1", k);
        assert_int_equal(made_hits(lib, word, NULL), there[k]);
    }
    assert_ok(snapshot_stat(s, &stat, &e), e);
    assert_int_equal(stat.paths, paths);
    assert_int_equal(stat.documents, documents);
    assert_int_equal(stat.vectors, stat.chunks);
    snapshot_give(s);
    made_clean(lib);
}

static void test_random_operations_agree_with_a_model(void **state)
{
    const char *seed_text = getenv("DOCENT_SEED");
    const char *rounds_text = getenv("DOCENT_ROUNDS");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 7;
    long rounds = rounds_text ? strtol(rounds_text, NULL, 10) : 60;
    char dir[600];
    char *top;
    struct library *lib;
    struct model m, before;
    struct err e = {0};
    uint64_t was, is;
    (void)state;

    for (int i = 0; i < PATHS; i++)
        m.doc[i] = -1;
    made_library(&top, dir, MADE_DIM);
    lib = made_open(dir, LIB_WRITE);
    for (long r = 0; r < rounds; r++) {
        struct index_batch *b;
        uint64_t ops = 1 + test_rand(&seed) % 12;
        before = m;
        assert_ok(index_begin(lib, 0, &b, &e), e);
        while (ops--)
            one_op(b, &m, &seed);
        if (test_rand(&seed) % 6 == 0) {
            index_abort(b);
            m = before;
        } else {
            assert_ok(index_commit(b, &e), e);
        }
        if (test_rand(&seed) % 4 == 0) {
            library_close(lib);
            lib = made_open(dir, LIB_WRITE);
        }
        if (test_rand(&seed) % 12 == 0)
            assert_ok(library_compact(lib, &was, &is, &e), e);
        compare(lib, &m);
    }
    library_close(lib);
    test_rmdir(top);
    mem_give(top);
}

/* Every allocation of a put and its commit fails once: an error, nothing stored, and the library as it was. */
static void test_failed_allocations_leave_the_library_as_it_was(void **state)
{
    char dir[600];
    char *top;
    struct library *lib;
    struct snapshot *s;
    struct err e = {0};
    long k = 0;
    int rc = ERR_NOMEM;
    (void)state;

    made_library(&top, dir, MADE_DIM);
    lib = made_open(dir, LIB_WRITE);
    made_put_commit(lib, 1, "/a");
    for (; rc && k < 5000; k++) {
        struct index_batch *b = NULL;
        mem_fail_after(k);
        rc = index_begin(lib, 0, &b, &e);
        if (!rc) {
            rc = made_put(b, 2, "/a", 1, &e);
            if (!rc)
                rc = made_put(b, 5, "/b", 1, &e);
            if (!rc)
                rc = index_commit(b, &e);
            else
                index_abort(b);
        }
        mem_fail_after(-1);
        if (rc) {
            assert_ok(snapshot_take(lib, &s, &e), e);
            assert_ok(made_same(s, 1, &e), e);
            assert_int_equal(made_same(s, 2, NULL), ERR_NOTFOUND);
            assert_int_equal(made_same(s, 5, NULL), ERR_NOTFOUND);
            snapshot_give(s);
            if (k % 8 == 0)
                made_clean(lib);
        }
    }
    assert_int_equal(rc, 0);
    made_clean(lib);
    assert_int_equal(made_hits(lib, "uniq2x1", NULL), 1);
    library_close(lib);
    print_message("%ld allocations failed in turn\n", k - 1);
    test_rmdir(top);
    mem_give(top);
}

enum errand { OPEN, READ, VERIFY, COMPACT, BACKUP, ERRANDS };

static int run_errand(enum errand what, struct library *lib, const char *dir, const char *file, struct err *e)
{
    struct library *second;
    struct snapshot *s;
    struct verify_report r;
    uint64_t a, b;
    int rc;

    switch (what) {
    case OPEN:
        rc = library_open(&second, dir, LIB_WRITE, e);
        if (!rc)
            library_close(second);
        return rc;
    case READ:
        rc = snapshot_take(lib, &s, e);
        if (!rc) {
            rc = made_same(s, 1, e);
            snapshot_give(s);
        }
        return rc;
    case VERIFY:
        rc = library_verify(lib, &r, e);
        if (!rc && r.problems)
            print_error("%s\n", r.first[0]);
        return rc ? rc : r.problems ? -1 : 0; /* a failed allocation is no damage */
    case COMPACT:
        return library_compact(lib, &a, &b, e);
    default:
        return library_backup(lib, file, &a, e);
    }
}

static void test_failed_allocations_cost_only_the_errand(void **state)
{
    char dir[600];
    char file[700];
    char *top;
    (void)state;

    made_library(&top, dir, MADE_DIM);
    snprintf(file, sizeof file, "%s/it.backup", top);
    for (int what = 0; what < ERRANDS; what++) {
        struct library *lib = made_open(dir, LIB_WRITE);
        int rc = ERR_NOMEM;
        long k = 0;
        for (uint32_t d = 0; d < 6; d++)
            made_put_commit(lib, d, d % 2 ? "/odd" : "/even");
        made_put_commit(lib, 1, "/one");
        if (what == OPEN) {
            library_close(lib);
            lib = NULL;
        }
        for (; rc && k < 5000; k++) {
            struct err e = {0};
            mem_fail_after(k);
            rc = run_errand((enum errand)what, lib, dir, file, &e);
            mem_fail_after(-1);
            if (rc != 0 && rc != ERR_NOMEM && rc != ERR_LIMIT) {
                print_error("errand %d, allocation %ld: %s %s\n", what, k, err_name(rc), e.msg);
                fail();
            }
        }
        assert_int_equal(rc, 0);
        if (!lib)
            lib = made_open(dir, LIB_WRITE);
        made_clean(lib);
        assert_int_equal(made_hits(lib, "uniq1x1", NULL), 1);
        library_close(lib);
    }
    test_rmdir(top);
    mem_give(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_agree_with_a_model),
        cmocka_unit_test(test_failed_allocations_leave_the_library_as_it_was),
        cmocka_unit_test(test_failed_allocations_cost_only_the_errand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
