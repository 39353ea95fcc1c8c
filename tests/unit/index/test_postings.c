/* test_postings.c: what was added comes out of verify, whatever was flushed and merged; damaged bytes are reported and
 * never read beyond; refusals. */
#include "tests/support/test.h"

#include "base/limits.h"
#include "index/shard_view.h"

struct fixture {
    char *dir;
    struct store *store;
};

static int setup(void **state)
{
    struct fixture *f = mem_take(1, sizeof *f);
    struct err e = { 0 };

    f->dir = test_mkdir();
    *state = f;
    return store_open(&f->store, f->dir, 1, &e);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    test_rmdir(f->dir);
    mem_give(f->dir);
    mem_give(f);
    return 0;
}

static struct txn *writing(struct fixture *f)
{
    struct txn *t;
    struct err e = { 0 };

    assert_ok(txn_write(f->store, &t, &e), e);
    return t;
}

static struct part_text text(uint32_t cid, const char *body)
{
    return (struct part_text){ .cid = cid, .body = body, .n_body = (uint32_t)strlen(body),
                               .title = "", .section = "", .lang = "en" };
}

static void add(struct txn *t, uint32_t from, uint32_t n, const char *body)
{
    struct postings_batch *b;
    struct err e = { 0 };

    assert_ok(postings_begin(t, &b, &e), e);
    for (uint32_t i = 0; i < n; i++) {
        struct part_text p = text(from + i, body);
        assert_ok(postings_add(b, &p, &e), e);
    }
    assert_ok(postings_flush(b, &e), e);
}

struct seen {
    uint64_t n, tf, cids, bad;
    char first_bad[300];
};

static void see(void *arg, const char *term, uint32_t n_term, uint32_t cid, uint32_t tf)
{
    struct seen *s = arg;

    (void)term;
    (void)n_term;
    s->n++;
    s->tf += tf;
    s->cids += cid;
}

static void see_bad(void *arg, const char *what)
{
    struct seen *s = arg;

    if (!s->bad++)
        snprintf(s->first_bad, sizeof s->first_bad, "%s", what);
}

static struct seen verify(struct txn *t)
{
    struct seen s = { 0 };
    struct err e = { 0 };
    uint64_t n;

    assert_ok(postings_verify(t, see, see_bad, &s, &n, &e), e);
    return s;
}

static void test_lists_of_every_length_come_back(void **state)
{
    static const uint32_t lengths[] = { 1, 2, 63, 64, 127, 128, 129, 255, 256, 257, 1000, 20000 };

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint32_t n = lengths[i];
        struct txn *t = writing(*state);
        struct seen s;

        add(t, 0, n, "alpha beta beta");
        s = verify(t);
        assert_int_equal(s.bad, 0);
        assert_int_equal(s.n, 2 * n);
        assert_int_equal(s.tf, 3 * (uint64_t)n);
        assert_int_equal(s.cids, (uint64_t)n * (n - 1));
        txn_abort(t);
    }
}

static void test_large_gaps_and_counts_come_back(void **state)
{
    struct txn *t = writing(*state);
    char *many = mem_take(60000 * 2 + 1, 1);
    struct seen s;

    for (size_t i = 0; i < 60000; i++)
        memcpy(many + 2 * i, "x ", 2);
    add(t, 5, 1, many);
    add(t, 3000000, 1, "x");
    add(t, 3000001, 1, "x y");
    s = verify(t);
    assert_int_equal(s.bad, 0);
    assert_int_equal(s.tf, 60003);
    assert_int_equal(s.cids, 5 + 3000000 + 2 * 3000001);
    txn_abort(t);
    mem_give(many);
}

static void test_many_small_flushes_leave_few_segments(void **state)
{
    struct txn *t = writing(*state);
    struct manifest m;
    struct err e = { 0 };
    struct seen s;

    for (uint32_t i = 0; i < 600; i++)
        add(t, i, 1, i % 2 ? "some words here" : "other words there");
    s = verify(t);
    assert_int_equal(s.bad, 0);
    assert_int_equal(s.n, 1800);
    assert_ok(manifest_load(t, &m, &e), e);
    assert_true(m.n_seg < 16);
    assert_int_equal(m.n, 600);
    assert_int_equal(m.len, 1800);
    manifest_free(&m);
    txn_abort(t);
}

static void test_many_terms_fill_many_blocks(void **state)
{
    struct txn *t = writing(*state);
    struct post_view v;
    struct err e = { 0 };
    char *body = mem_take(40000 * 8, 1);
    size_t n = 0;
    struct list l;

    for (int i = 0; i < 30000; i++)
        n += (size_t)sprintf(body + n, "%d ", i * 7);
    add(t, 0, 3, body);
    assert_int_equal(verify(t).bad, 0);
    assert_ok(post_view_open(t, &v, &e), e);
    assert_true(v.seg[0].d.term_blocks > 10);
    for (int i = 0; i < 30000; i++) {
        char term[16];
        int k = sprintf(term, "%d", i * 7);
        assert_ok(post_view_find(&v, 0, term, (uint32_t)k, &l, &e), e);
        assert_int_equal(l.n, 3);
        k = sprintf(term, "%d", i * 7 + 1);
        assert_int_equal(post_view_find(&v, 0, term, (uint32_t)k, &l, &e), ERR_NOTFOUND);
    }
    assert_int_equal(post_view_find(&v, 0, "", 0, &l, &e), ERR_NOTFOUND);
    assert_int_equal(post_view_find(&v, 0, "zzz", 3, &l, &e), ERR_NOTFOUND);
    post_view_close(&v);
    txn_abort(t);
    mem_give(body);
}

static void test_ids_must_grow(void **state)
{
    struct txn *t = writing(*state);
    struct postings_batch *b;
    struct part_text p = text(7, "word");
    struct err e = { 0 };

    add(t, 7, 1, "word");
    assert_ok(postings_begin(t, &b, &e), e);
    assert_int_equal(postings_add(b, &p, &e), ERR_INVALID);
    assert_int_equal(postings_batch_bytes(b) > 0, 1);
    postings_drop(b);
    txn_abort(t);
}

static void test_more_removals_than_chunks_are_damage(void **state)
{
    struct txn *t = writing(*state);
    struct postings_batch *b;
    struct part_text p = text(7, "word");
    struct err e = { 0 };

    assert_ok(postings_begin(t, &b, &e), e);
    assert_int_equal(postings_remove(b, &p, &e), ERR_CORRUPT);
    postings_drop(b);
    txn_abort(t);
}

/* Writes every damaged form of the record back (with a right checksum) and reads all: no crash, and a
 * finding or at least no more than the postings that fit. */
static void damage_table(struct fixture *f, enum table tb)
{
    uint64_t seed = 11;

    for (int round = 0; round < 400; round++) {
        struct txn *t = writing(f);
        unsigned char key[8] = { 0 }, *copy;
        const void *p;
        size_t n;
        struct err e = { 0 };

        add(t, 0, 300, "alpha beta beta gamma delta epsilon alpha");
        add(t, 300, 3, "alpha zeta eta theta");
        assert_ok(txn_get(t, tb, key, sizeof key, &p, &n, &e), e);
        copy = mem_take(n, 1);
        memcpy(copy, p, n);
        if (round % 4 == 0)
            n = test_rand(&seed) % n;
        else
            copy[test_rand(&seed) % n] ^= (unsigned char)(1 + test_rand(&seed) % 255);
        assert_ok(txn_put(t, tb, key, sizeof key, copy, n, &e), e);
        verify(t);
        (void)postings_merge(t, NULL, NULL, &e);
        mem_give(copy);
        txn_abort(t);
    }
}

static void test_damaged_blocks_are_survived(void **state)
{
    damage_table(*state, T_TERM);
    damage_table(*state, T_POST);
}

static void test_a_missing_value_is_reported(void **state)
{
    struct txn *t = writing(*state);
    unsigned char key[8] = { 0 };
    struct err e = { 0 };
    struct seen s;

    add(t, 0, 1000, "alpha beta");
    assert_ok(txn_del(t, T_POST, key, sizeof key, &e), e);
    s = verify(t);
    assert_int_equal(s.bad, 1);
    assert_non_null(strstr(s.first_bad, "post"));
    txn_abort(t);
}

static void test_a_flush_survives_every_failed_allocation(void **state)
{
    int rc = ERR_NOMEM;

    for (long k = 0; rc; k++) {
        struct txn *t = writing(*state);
        struct postings_batch *b = NULL;
        struct part_text p = text(1, "some words of a chunk");
        struct err e = { 0 };

        mem_fail_after(k);
        rc = postings_begin(t, &b, &e);
        if (!rc) {
            rc = postings_add(b, &p, &e);
            if (rc)
                postings_drop(b);
            else
                rc = postings_flush(b, &e);
        }
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        txn_abort(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lists_of_every_length_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_gaps_and_counts_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_small_flushes_leave_few_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_terms_fill_many_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_must_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_removals_than_chunks_are_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_blocks_are_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_missing_value_is_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flush_survives_every_failed_allocation, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("postings", tests, NULL, NULL);
}
