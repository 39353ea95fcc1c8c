/* bench_index.c - speed and size of the index alone: postings of made-up text, int8 rows.
 * usage: bench_index [CHUNKS]   default 100000 chunks of 200 words, 384 dimensions
 * Words follow Zipf's law over 200,000 words, so that lists have the lengths of real text. One line a figure. */
#include "tests/support/test.h"

#include <math.h>

#include "base/clock.h"
#include "base/limits.h"
#include "index/shard_view.h"

#define DIM 384
#define WORDS 200
#define BATCH 512
#define QUERIES 200

static void stop(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e->msg);
    exit(1);
}

static uint32_t zipf(uint64_t *seed)
{
    double u = (double)(test_rand(seed) >> 11) / 9007199254740992.0;

    return (uint32_t)exp(u * log(200000.0)); /* density 1/rank */
}

static size_t make_text(char *s, int words, uint64_t *seed)
{
    size_t n = 0;

    for (int i = 0; i < words; i++) {
        uint32_t w = zipf(seed);
        do {
            s[n++] = (char)('a' + w % 23);
            w /= 23;
        } while (w);
        s[n++] = 'q'; /* no stem ends so */
        s[n++] = ' ';
    }
    s[n] = 0;
    return n;
}

static void make_vec(float *v, uint64_t *seed)
{
    double sum = 0;

    for (int i = 0; i < DIM; i++) {
        uint64_t r = test_rand(seed);
        v[i] = (float)(r & 0xffff) + (float)(r >> 16 & 0xffff) - (float)(r >> 32 & 0xffff) -
               (float)(r >> 48);
        sum += (double)v[i] * v[i];
    }
    for (int i = 0; i < DIM; i++)
        v[i] = (float)(v[i] / sqrt(sum));
}

static void build(struct store *s, uint32_t n, double *post_ms, double *vec_ms, double *commit_ms)
{
    static char text[WORDS * 8];
    float vec[DIM];
    uint64_t seed = 1;
    struct err e = { 0 };

    for (uint32_t c = 0; c < n;) {
        struct postings_batch *b;
        struct txn *t;
        double from;

        if (txn_write(s, &t, &e) || postings_begin(t, &b, &e))
            stop("begin", &e);
        for (uint32_t i = 0; i < BATCH && c < n; i++, c++) {
            struct part_text p = { .cid = c, .body = text, .title = "", .section = "",
                                   .lang = "en" };
            p.n_body = (uint32_t)make_text(text, WORDS, &seed);
            make_vec(vec, &seed);
            from = clock_ms();
            if (postings_add(b, &p, &e))
                stop("add", &e);
            *post_ms += clock_ms() - from;
            from = clock_ms();
            if (vectors_add(t, c, vec, DIM, &e))
                stop("vector", &e);
            *vec_ms += clock_ms() - from;
        }
        from = clock_ms();
        if (postings_flush(b, &e))
            stop("flush", &e);
        *post_ms += clock_ms() - from;
        from = clock_ms();
        if (txn_commit(t, &e))
            stop("commit", &e);
        *commit_ms += clock_ms() - from;
    }
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double p50(double *ms, int n)
{
    qsort(ms, (size_t)n, sizeof *ms, by_number);
    return ms[n / 2];
}

static void bench_words(struct shard_view *v, uint32_t k)
{
    uint64_t seed = 99, matched = 0;
    double ms[QUERIES];
    struct arena a;
    struct err e = { 0 };

    arena_init(&a, 256 * MIB);
    for (int i = 0; i < QUERIES; i++) {
        char query[128];
        struct bm25_query q;
        struct top t;
        double from;

        make_text(query, 10, &seed);
        from = clock_ms();
        arena_reset(&a);
        top_open(&t, k, 0, &a);
        if (bm25_parse(query, 1, &a, &q, &e) || bm25_stats(v, &q, &e))
            stop("query", &e);
        bm25_weigh(&q);
        if (bm25_shard(v, &q, NULL, &a, &t, &matched, &e))
            stop("search", &e);
        top_prune(&t);
        ms[i] = clock_ms() - from;
    }
    printf("words   k=%u: p50 %.3f ms, %.0f matches a query\n", k, p50(ms, QUERIES),
           (double)matched / QUERIES);
    arena_free(&a);
}

static void bench_dense(struct shard_view *v, uint32_t k, double share)
{
    uint64_t seed = 77, matched = 0;
    double ms[QUERIES];
    struct arena a;
    struct cid_set only = { mem_take(v->post.m.next_cid / 64 + 1, 8), v->post.m.next_cid };
    struct err e = { 0 };

    for (uint32_t c = 0; c < only.n; c++) {
        if ((double)(test_rand(&seed) >> 11) / 9007199254740992.0 < share)
            only.bits[c >> 6] |= (uint64_t)1 << (c & 63);
    }
    arena_init(&a, 256 * MIB);
    for (int i = 0; i < QUERIES; i++) {
        float query[DIM];
        struct top t;
        double from;

        make_vec(query, &seed);
        from = clock_ms();
        arena_reset(&a);
        top_open(&t, k, 0, &a);
        if (dense_shard(v, query, share < 1 ? &only : NULL, &a, &t, &matched, &e))
            stop("search", &e);
        top_prune(&t);
        ms[i] = clock_ms() - from;
    }
    printf("vectors k=%u, %3.0f %% pass: p50 %.3f ms\n", k, share * 100, p50(ms, QUERIES));
    arena_free(&a);
    mem_give(only.bits);
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    double post_ms = 0, vec_ms = 0, commit_ms = 0, from;
    uint64_t terms, postings, live, len, bytes = 0, rows, vec_bytes;
    char *dir = test_mkdir();
    struct store *s;
    struct txn *t;
    struct shard_view *v;
    struct err e = { 0 };

    if (store_open(&s, dir, 1, &e))
        stop("store", &e);
    build(s, n, &post_ms, &vec_ms, &commit_ms);
    printf("stored %u chunks: postings %.0f ms, vectors %.0f ms, commits of %d %.0f ms\n", n,
           post_ms, vec_ms, BATCH, commit_ms);
    if (txn_read(s, &t, &e))
        stop("read", &e);
    from = clock_ms();
    if (shard_view_open(t, DIM, &v, &e) || postings_stat(t, &terms, &postings, &live, &len, &e) ||
        txn_stat(t, T_VEC, &rows, &vec_bytes, &e))
        stop("view", &e);
    printf("view opened in %.2f ms, %u segments\n", clock_ms() - from, v->post.m.n_seg);
    for (uint32_t i = 0; i < v->post.m.n_seg; i++)
        bytes += v->post.m.seg[i].bytes;
    printf("%llu postings, %.2f bytes each with terms and lengths; %.0f bytes a vector\n",
           (unsigned long long)postings, (double)(bytes + 2 * live) / (double)postings,
           (double)vec_bytes / n);
    bench_words(v, 10);
    bench_words(v, 100);
    bench_dense(v, 10, 1);
    bench_dense(v, 100, 1);
    bench_dense(v, 10, 0.1);
    bench_dense(v, 10, 0.01);
    shard_view_close(v);
    txn_abort(t);
    store_close(s);
    test_rmdir(dir);
    mem_give(dir);
    return 0;
}
