/* test_vectors.c: a dense search finds what scoring every live row in fp32 finds, wherever the rows lie; copies are
 * bit-equal; a damaged block is named, never searched. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <math.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "index/row.h"
#include "index/shard_view.h"
#include "index/vectors_impl.h"

#define MOST 3000

struct world {
    char *dir;
    struct store *store;
    struct txn *read;
    struct shard_view *view;
    uint32_t dim, n;
    int8_t *row[MOST];
    float scale[MOST];
    unsigned char live[MOST], has[MOST];
};

static void world_open(struct world *w, uint32_t dim)
{
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    w->dim = dim;
    w->dir = test_mkdir();
    assert_ok(store_open(&w->store, w->dir, 1, &e), e);
}

static void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        mem_give(w->row[i]);
    store_close(w->store);
    test_rmdir(w->dir);
    mem_give(w->dir);
}

static void random_vec(float *v, uint32_t dim, uint64_t *seed)
{
    double sum = 0;

    for (uint32_t i = 0; i < dim; i++) {
        v[i] = (float)((double)(test_rand(seed) >> 40) / (1 << 24) - 0.5);
        sum += (double)v[i] * v[i];
    }
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)(v[i] / sqrt(sum + 1e-30));
}

static void change(struct world *w, uint32_t adds, uint32_t removes, uint64_t *seed)
{
    float *v = mem_take(w->dim, sizeof *v);
    struct err e = { 0 };
    struct txn *t;

    assert_ok(txn_write(w->store, &t, &e), e);
    for (uint32_t i = 0; i < adds && w->n < MOST; i++) {
        uint32_t cid = w->n++, from = (uint32_t)(test_rand(seed) % w->n);
        uint64_t how = test_rand(seed) % 20;

        w->row[cid] = mem_take(w->dim, 1);
        if (how == 0)
            continue; /* a chunk without a vector */
        w->has[cid] = w->live[cid] = 1;
        if (how < 4 && w->live[from] && from != cid) { /* ties */
            assert_ok(vectors_copy(t, from, cid, w->dim, &e), e);
            memcpy(w->row[cid], w->row[from], w->dim);
            w->scale[cid] = w->scale[from];
            continue;
        }
        random_vec(v, w->dim, seed);
        assert_ok(vectors_add(t, cid, v, w->dim, &e), e);
        w->scale[cid] = row_quantise(w->row[cid], v, w->dim);
    }
    for (uint32_t i = 0; i < removes && w->n; i++) {
        uint32_t cid = (uint32_t)(test_rand(seed) % w->n);
        if (!w->live[cid])
            continue;
        w->live[cid] = 0;
        assert_ok(vectors_remove(t, cid, &e), e);
        assert_ok(tomb_set(t, cid, &e), e);
    }
    for (uint32_t i = 0; i < 20 && w->n; i++) {
        uint32_t cid = (uint32_t)(test_rand(seed) % w->n);
        if (w->live[cid] || !w->has[cid])
            assert_int_equal(vectors_has(t, cid), w->live[cid]);
    }
    assert_ok(txn_commit(t, &e), e);
    mem_give(v);
}

static int is_dead(void *arg, uint32_t cid)
{
    const struct world *w = arg;

    return !w->live[cid];
}

static void merge(struct world *w)
{
    struct err e = { 0 };
    struct txn *t;

    assert_ok(txn_write(w->store, &t, &e), e);
    assert_ok(vectors_merge(t, is_dead, w, &e), e);
    assert_ok(tomb_clear_all(t, &e), e);
    for (uint32_t cid = 0; cid < w->n; cid += 7)
        assert_int_equal(vectors_has(t, cid), w->live[cid]);
    assert_ok(txn_commit(t, &e), e);
}

static void look(struct world *w)
{
    struct err e = { 0 };

    assert_ok(txn_read(w->store, &w->read, &e), e);
    assert_ok(shard_view_open(w->read, w->dim, &w->view, &e), e);
}

static void look_away(struct world *w)
{
    shard_view_close(w->view);
    txn_abort(w->read);
}

static float score(const struct world *w, uint32_t cid, const float *query)
{
    return w->scale[cid] * row_score(query, w->row[cid], w->dim);
}

static void compare(struct world *w, uint32_t k, int filtered, uint64_t *seed)
{
    float *query = mem_take(w->dim, sizeof *query), least = INFINITY, of[32];
    struct cid_set only = { mem_take(w->n / 64 + 1, 8), w->n };
    uint32_t belongs = 0, live = 0, cids[32], n_of = 0;
    struct arena a;
    struct top t;
    struct err e = { 0 };
    uint64_t matched = 0;

    arena_init(&a, 256 * MIB);
    random_vec(query, w->dim, seed);
    for (uint32_t i = 0; i < w->n; i++)
        only.bits[i >> 6] |= (uint64_t)(test_rand(seed) % 5 == 0) << (i & 63);
    top_open(&t, k, 0, &a);
    assert_ok(dense_shard(w->view, query, filtered ? &only : NULL, &a, &t, &matched, &e), e);
    top_prune(&t);
    for (size_t i = 0; i < t.n; i++) {
        assert_true(w->live[t.at[i].cid]);
        assert_true(t.at[i].score == score(w, t.at[i].cid, query));
        least = t.at[i].score < least ? t.at[i].score : least;
    }
    for (uint32_t c = 0; c < w->n; c++) {
        if (!w->live[c] || (filtered && !cid_in(&only, c)))
            continue;
        live++;
        belongs += t.n < k || score(w, c, query) >= least;
        if (n_of < 32 && c % 5 == 0)
            cids[n_of++] = c;
    }
    assert_int_equal(matched, live);
    assert_int_equal(belongs, t.n);
    assert_ok(dense_of(w->view, query, cids, n_of, of, &e), e);
    for (uint32_t i = 0; i < n_of; i++)
        assert_true(of[i] == score(w, cids[i], query));
    arena_free(&a);
    mem_give(only.bits);
    mem_give(query);
}

static void history(uint32_t dim, uint64_t seed)
{
    struct world *w = mem_take(1, sizeof *w);

    world_open(w, dim);
    for (int step = 0; step < 24; step++) {
        if (test_rand(&seed) % 6)
            change(w, (uint32_t)(test_rand(&seed) % 200), (uint32_t)(test_rand(&seed) % 60), &seed);
        else
            merge(w);
        if (step % 3 == 2) {
            look(w);
            compare(w, 10, 0, &seed);
            compare(w, 1, 1, &seed);
            compare(w, 500, 1, &seed);
            look_away(w);
        }
    }
    world_close(w);
    mem_give(w);
}

static void test_any_history_finds_what_a_scan_in_fp32_finds(void **state)
{
    (void)state;
    history(384, 1);
    history(3, 2);
    history(64, 3);
    history(1000, 4);
}

static void test_rows_of_large_dimensions_fit(void **state)
{
    struct world *w = mem_take(1, sizeof *w);
    uint64_t seed = 9;

    (void)state;
    world_open(w, 20000);
    change(w, 12, 1, &seed);
    look(w);
    compare(w, 3, 0, &seed);
    look_away(w);
    world_close(w);
    mem_give(w);
}

struct seen {
    uint32_t rows, bad;
};

static void see_row(void *arg, uint32_t cid)
{
    (void)cid;
    ((struct seen *)arg)->rows++;
}

static void see_bad(void *arg, const char *what)
{
    assert_non_null(strstr(what, "vec"));
    ((struct seen *)arg)->bad++;
}

static void test_verify_sees_every_row(void **state)
{
    struct world *w = mem_take(1, sizeof *w);
    struct seen seen = { 0 };
    uint64_t seed = 5, n;
    struct err e = { 0 };
    uint32_t has = 0;

    (void)state;
    world_open(w, 384);
    change(w, 400, 0, &seed);
    look(w);
    assert_ok(vectors_verify(w->read, 384, see_row, see_bad, &seen, &n, &e), e);
    for (uint32_t i = 0; i < w->n; i++)
        has += w->has[i];
    assert_int_equal(seen.rows, has);
    assert_int_equal(n, has);
    assert_int_equal(seen.bad, 0);
    look_away(w);
    world_close(w);
    mem_give(w);
}

/* Flips a bit of the first place in data.mdb that holds these bytes. */
static void damage(const char *dir, const void *bytes, size_t n)
{
    char path[512];
    struct buf b;
    struct err e = { 0 };
    int fd;
    char *at;

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    buf_init(&b, GIB);
    assert_ok(file_read(&b, path, &e), e);
    at = memmem(b.data, b.len, bytes, n);
    assert_non_null(at);
    *at ^= 4;
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, at, 1, at - b.data), 1);
    close(fd);
    buf_free(&b);
}

static void test_a_damaged_block_is_named_and_not_searched(void **state)
{
    struct world *w = mem_take(1, sizeof *w);
    struct seen seen = { 0 };
    float query[384] = { 1 };
    uint64_t seed = 6, n, matched = 0;
    struct err e = { 0 };
    struct arena a;
    struct top t;
    uint32_t cid = 0;

    (void)state;
    world_open(w, 384);
    change(w, 400, 0, &seed);
    store_close(w->store);
    while (!w->has[cid])
        cid++;
    damage(w->dir, w->row[cid], 384);
    assert_ok(store_open(&w->store, w->dir, 1, &e), e);
    look(w);
    arena_init(&a, 64 * MIB);
    top_open(&t, 10, 0, &a);
    assert_int_equal(dense_shard(w->view, query, NULL, &a, &t, &matched, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.msg, "vec"));
    arena_free(&a);
    assert_ok(vectors_verify(w->read, 384, see_row, see_bad, &seen, &n, &e), e);
    assert_int_equal(seen.bad, 1);
    look_away(w);
    world_close(w);
    mem_give(w);
}

static void test_what_is_no_vector_is_refused(void **state)
{
    struct world *w = mem_take(1, sizeof *w);
    float v[4] = { 1, 2, NAN, 0 };
    struct err e = { 0 };
    struct txn *t;

    (void)state;
    world_open(w, 4);
    assert_ok(txn_write(w->store, &t, &e), e);
    assert_int_equal(vectors_add(t, 0, v, 4, &e), ERR_INVALID);
    v[2] = 0;
    assert_ok(vectors_add(t, 0, v, 4, &e), e);
    assert_int_equal(vectors_add(t, 1, v, 3, &e), ERR_INVALID);
    assert_int_equal(vectors_copy(t, 5, 6, 4, &e), ERR_NOTFOUND);
    assert_ok(vectors_remove(t, 5, &e), e);
    assert_int_equal(vectors_has(t, 5), 0);
    txn_abort(t);
    world_close(w);
    mem_give(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_history_finds_what_a_scan_in_fp32_finds),
        cmocka_unit_test(test_rows_of_large_dimensions_fit),
        cmocka_unit_test(test_verify_sees_every_row),
        cmocka_unit_test(test_a_damaged_block_is_named_and_not_searched),
        cmocka_unit_test(test_what_is_no_vector_is_refused),
    };
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
