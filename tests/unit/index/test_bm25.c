/* test_bm25.c: whatever was added, removed, flushed and merged in whatever shards, the scores of a search are those of
 * a scorer that looks at every live chunk, bit for bit. */
#include "tests/support/naive.h"

#include "index/shard_view.h"

#define SHARDS 4
#define MOST 4000

struct world {
    char *dir[SHARDS];
    struct store *store[SHARDS];
    struct txn *read[SHARDS];
    struct shard_view *view[SHARDS];
    uint32_t n_shards;
    uint32_t n_cid[SHARDS];
    uint32_t doc_of[SHARDS][MOST]; /* chunk id -> naive document */
    struct naive nv;
    char *body[MOST], *title[MOST]; /* of documents, for removal */
    uint32_t shard[MOST], cid[MOST];
};

static void world_open(struct world *w, uint32_t n_shards)
{
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    naive_open(&w->nv);
    w->n_shards = n_shards;
    for (uint32_t i = 0; i < n_shards; i++) {
        w->dir[i] = test_mkdir();
        assert_ok(store_open(&w->store[i], w->dir[i], 1, &e), e);
    }
}

static void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->n_shards; i++) {
        store_close(w->store[i]);
        test_rmdir(w->dir[i]);
        mem_give(w->dir[i]);
    }
    for (uint32_t d = 0; d < w->nv.n_docs; d++) {
        mem_give(w->body[d]);
        mem_give(w->title[d]);
    }
    naive_close(&w->nv);
}

/* Few words with a steep frequency, so that lists grow over several blocks and ties are common. */
static char *random_text(uint64_t *seed, uint32_t most)
{
    char *s = mem_take(8 * (size_t)most + 1, 1);
    size_t n = 0;

    for (uint64_t words = test_rand(seed) % (most + 1); words; words--) {
        uint64_t r = test_rand(seed) % 1000;
        n += (size_t)sprintf(s + n, "w%u ", (unsigned)(r * r * r / 2500000));
    }
    return s;
}

static struct part_text part(const struct world *w, uint32_t doc)
{
    struct part_text p = { .cid = w->cid[doc], .body = w->body[doc], .title = w->title[doc],
                           .section = "", .lang = "en" };

    p.n_body = (uint32_t)strlen(p.body);
    p.n_title = (uint32_t)strlen(p.title);
    return p;
}

/* A batch of additions and removals in one shard. */
static void change(struct world *w, uint32_t shard, uint32_t adds, uint32_t removes, uint64_t *seed)
{
    struct postings_batch *b;
    struct err e = { 0 };
    struct txn *t;

    assert_ok(txn_write(w->store[shard], &t, &e), e);
    assert_ok(postings_begin(t, &b, &e), e);
    for (uint32_t i = 0; i < adds && w->nv.n_docs < MOST; i++) {
        char *body = random_text(seed, 40), *title = random_text(seed, 4);
        uint32_t doc = naive_add(&w->nv, body, title, "", "en");
        struct part_text p;

        w->body[doc] = body;
        w->title[doc] = title;
        w->shard[doc] = shard;
        w->cid[doc] = w->n_cid[shard];
        w->doc_of[shard][w->n_cid[shard]++] = doc;
        p = part(w, doc);
        assert_ok(postings_add(b, &p, &e), e);
    }
    for (uint32_t i = 0; i < removes && w->nv.n_docs; i++) {
        uint32_t doc = (uint32_t)(test_rand(seed) % w->nv.n_docs);
        struct part_text p;

        if (w->shard[doc] != shard || !w->nv.live[doc])
            continue;
        w->nv.live[doc] = 0;
        p = part(w, doc);
        assert_ok(postings_remove(b, &p, &e), e);
        assert_ok(tomb_set(t, p.cid, &e), e);
    }
    assert_ok(postings_flush(b, &e), e);
    assert_ok(txn_commit(t, &e), e);
}

struct dead_in {
    const struct world *w;
    uint32_t shard;
};

static int is_dead(void *arg, uint32_t cid)
{
    const struct dead_in *d = arg;

    return !d->w->nv.live[d->w->doc_of[d->shard][cid]];
}

static void merge(struct world *w, uint32_t shard)
{
    struct dead_in d = { w, shard };
    struct err e = { 0 };
    struct txn *t;

    assert_ok(txn_write(w->store[shard], &t, &e), e);
    assert_ok(postings_merge(t, is_dead, &d, &e), e);
    assert_ok(tomb_clear_all(t, &e), e);
    assert_ok(txn_commit(t, &e), e);
}

static void look(struct world *w)
{
    struct err e = { 0 };

    for (uint32_t i = 0; i < w->n_shards; i++) {
        assert_ok(txn_read(w->store[i], &w->read[i], &e), e);
        assert_ok(shard_view_open(w->read[i], 0, &w->view[i], &e), e);
    }
}

static void look_away(struct world *w)
{
    for (uint32_t i = 0; i < w->n_shards; i++) {
        shard_view_close(w->view[i]);
        txn_abort(w->read[i]);
    }
}

static void compare_query(struct world *w, const char *query, uint32_t k)
{
    float *want = mem_take(w->nv.n_docs + 1, sizeof *want), kth = 0;
    uint32_t matches = naive_search(&w->nv, query, want), better;
    struct bm25_query q;
    struct arena a;
    struct err e = { 0 };
    uint64_t matched = 0;

    arena_init(&a, 256 * MIB);
    assert_ok(bm25_parse(query, 1, &a, &q, &e), e);
    for (uint32_t i = 0; i < w->n_shards; i++)
        assert_ok(bm25_stats(w->view[i], &q, &e), e);
    bm25_weigh(&q);
    for (uint32_t s = 0; s < w->n_shards; s++) {
        uint32_t cids[64], n_cid = 0;
        float scores[64];
        struct top t;

        top_open(&t, k, 0, &a);
        assert_ok(bm25_shard(w->view[s], &q, NULL, &a, &t, &matched, &e), e);
        top_prune(&t);
        kth = 0;
        for (size_t i = 0; i < t.n; i++) {
            uint32_t doc = w->doc_of[s][t.at[i].cid];
            assert_true(w->nv.live[doc]);
            assert_true(t.at[i].score == want[doc]);
            if (!i || t.at[i].score < kth)
                kth = t.at[i].score;
        }
        better = 0; /* nothing that belongs into the list is missing */
        for (uint32_t d = 0; d < w->nv.n_docs; d++)
            better += w->shard[d] == s && want[d] > 0 && (t.n < k || want[d] >= kth);
        assert_int_equal(better, t.n);
        for (uint32_t c = 0; c < w->n_cid[s] && n_cid < 64; c += 1 + w->n_cid[s] / 64) {
            if (w->nv.live[w->doc_of[s][c]])
                cids[n_cid++] = c;
        }
        assert_ok(bm25_of(w->view[s], &q, cids, n_cid, scores, &a, &e), e);
        for (uint32_t i = 0; i < n_cid; i++)
            assert_true(scores[i] == want[w->doc_of[s][cids[i]]]);
    }
    assert_int_equal(matched, matches);
    arena_free(&a);
    mem_give(want);
}

static void compare(struct world *w, uint64_t *seed)
{
    look(w);
    for (int i = 0; i < 12; i++) {
        char *query = random_text(seed, 12);
        compare_query(w, query, i % 3 == 0 ? 1 : i % 3 == 1 ? 10 : 1000);
        mem_give(query);
    }
    look_away(w);
}

static void test_any_history_scores_like_the_naive_scorer(void **state)
{
    (void)state;
    for (uint32_t n_shards = 1; n_shards <= SHARDS; n_shards++) {
        struct world *w = mem_take(1, sizeof *w);
        uint64_t seed = n_shards;

        world_open(w, n_shards);
        for (int step = 0; step < 60; step++) {
            uint32_t shard = (uint32_t)(test_rand(&seed) % n_shards);
            uint64_t what = test_rand(&seed) % 10;

            if (what < 9)
                change(w, shard, (uint32_t)(test_rand(&seed) % (what < 2 ? 200 : 20)),
                       (uint32_t)(test_rand(&seed) % 20), &seed);
            else
                merge(w, shard);
            if (step % 6 == 5)
                compare(w, &seed);
        }
        world_close(w);
        mem_give(w);
    }
}

static void test_an_empty_library_finds_nothing(void **state)
{
    struct world *w = mem_take(1, sizeof *w);

    (void)state;
    world_open(w, 2);
    look(w);
    compare_query(w, "w1 w2", 10);
    compare_query(w, "", 10);
    look_away(w);
    world_close(w);
    mem_give(w);
}

static void test_a_library_emptied_by_removals_finds_nothing(void **state)
{
    struct world *w = mem_take(1, sizeof *w);
    uint64_t seed = 3;

    (void)state;
    world_open(w, 1);
    change(w, 0, 50, 0, &seed);
    while (memchr(w->nv.live, 1, w->nv.n_docs))
        change(w, 0, 0, 50, &seed);
    look(w);
    compare_query(w, "w0 w1 w2", 10);
    look_away(w);
    merge(w, 0);
    look(w);
    compare_query(w, "w0 w1 w2", 10);
    assert_int_equal(w->view[0]->post.m.n_seg, 0);
    look_away(w);
    world_close(w);
    mem_give(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_history_scores_like_the_naive_scorer),
        cmocka_unit_test(test_an_empty_library_finds_nothing),
        cmocka_unit_test(test_a_library_emptied_by_removals_finds_nothing),
    };
    return cmocka_run_group_tests_name("bm25", tests, NULL, NULL);
}
