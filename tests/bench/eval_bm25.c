/* eval_bm25.c - quality and speed of word search on a retrieval set, and proof against the naive scorer.
 * usage: eval_bm25 FOLDER [proof]   FOLDER holds corpus.jsonl, queries.jsonl, qrels.tsv
 * Prints nDCG@10 (all queries, and the odd and even ones apart, for choosing defaults on one half), build time,
 * bytes a posting, queries a second. With "proof" every query's scores are compared with the naive scorer's. */
#include "tests/support/naive.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "index/shard_view.h"

#define K 10
#define BATCH 512

struct set {
    char **id, **title, **text;
    uint32_t n;
};

struct rel {
    char *query, *doc;
    int grade;
};

static void stop(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e->msg);
    exit(1);
}

static char *read_all(const char *folder, const char *name)
{
    char path[1024];
    struct err e = { 0 };
    struct buf b;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    buf_init(&b, 256 * MIB);
    if (file_read(&b, path, &e))
        stop(path, &e);
    return buf_take(&b, &n);
}

static struct set read_set(const char *folder, const char *name)
{
    struct set s = { 0 };
    char *all = read_all(folder, name), *line, *next;
    uint32_t cap = 0;
    struct err e = { 0 };

    for (line = all; *line; line = next) {
        json_t *v;
        next = strchr(line, '\n');
        next = next ? next + 1 : line + strlen(line);
        if (json_parse(&v, line, (size_t)(next - line), name, &e))
            stop(name, &e);
        if (s.n == cap) {
            cap = cap ? 2 * cap : 1024;
            s.id = mem_again(s.id, cap, sizeof *s.id);
            s.title = mem_again(s.title, cap, sizeof *s.title);
            s.text = mem_again(s.text, cap, sizeof *s.text);
        }
        s.id[s.n] = mem_strdup(json_str(v, "_id", ""));
        s.title[s.n] = mem_strdup(json_str(v, "title", ""));
        s.text[s.n++] = mem_strdup(json_str(v, "text", ""));
        json_decref(v);
    }
    mem_give(all);
    return s;
}

static struct rel *read_rels(const char *folder, uint32_t *n)
{
    char *all = read_all(folder, "qrels.tsv"), *save = NULL;
    struct rel *r = mem_take(100000, sizeof *r);

    *n = 0;
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char q[256], d[256];
        int g;
        if (sscanf(line, "%255s %255s %d", q, d, &g) == 3 && *n < 100000) {
            r[*n].query = mem_strdup(q);
            r[*n].doc = mem_strdup(d);
            r[(*n)++].grade = g;
        }
    }
    mem_give(all);
    return r;
}

static int by_query(const void *a, const void *b)
{
    return strcmp(((const struct rel *)a)->query, ((const struct rel *)b)->query);
}

static double ndcg(const struct rel *r, uint32_t n, const char *query, char **ids, uint32_t got,
                   int *judged)
{
    double dcg = 0, ideal = 0;
    int counts[16] = { 0 };
    uint32_t from = 0, to;

    while (from < n && strcmp(r[from].query, query) != 0)
        from++;
    for (to = from; to < n && strcmp(r[to].query, query) == 0; to++)
        counts[r[to].grade > 15 ? 15 : r[to].grade < 0 ? 0 : r[to].grade]++;
    *judged = 0;
    for (int g = 15, at = 0; g > 0; g--) {
        *judged |= counts[g] > 0;
        for (int i = 0; i < counts[g] && at < K; i++, at++)
            ideal += g / log2(at + 2.0);
    }
    for (uint32_t i = 0; i < got; i++) {
        for (uint32_t k = from; k < to; k++) {
            if (r[k].grade > 0 && strcmp(r[k].doc, ids[i]) == 0)
                dcg += r[k].grade / log2(i + 2.0);
        }
    }
    return ideal > 0 ? dcg / ideal : 0;
}

static double build(struct store *s, const struct set *docs, struct err *e)
{
    double from = clock_ms();

    for (uint32_t d = 0; d < docs->n;) {
        struct postings_batch *b;
        struct txn *t;

        if (txn_write(s, &t, e) || postings_begin(t, &b, e))
            stop("begin", e);
        for (uint32_t i = 0; i < BATCH && d < docs->n; i++, d++) {
            struct part_text p = { .cid = d, .body = docs->text[d], .title = docs->title[d],
                                   .section = "", .lang = "" };
            p.n_body = (uint32_t)strlen(p.body);
            p.n_title = (uint32_t)strlen(p.title);
            if (postings_add(b, &p, e))
                stop("add", e);
        }
        if (postings_flush(b, e) || txn_commit(t, e))
            stop("flush", e);
    }
    return clock_ms() - from;
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return x->score > y->score ? -1 : x->score < y->score ? 1 : x->cid < y->cid ? -1 : 1;
}

static void search(struct shard_view *v, const char *query, struct arena *a, struct top *t)
{
    struct bm25_query q;
    struct err e = { 0 };
    uint64_t matched = 0;

    arena_reset(a);
    top_open(t, K, 0, a);
    if (bm25_parse(query, 1, a, &q, &e) || bm25_stats(v, &q, &e))
        stop("query", &e);
    bm25_weigh(&q);
    if (bm25_shard(v, &q, NULL, a, t, &matched, &e))
        stop("search", &e);
    top_prune(t);
    qsort(t->at, t->n, sizeof *t->at, by_score);
    if (t->n > K)
        t->n = K;
}

static void prove(struct shard_view *v, const struct set *docs, const struct set *queries)
{
    struct naive nv;
    struct arena a;
    float *want = mem_take(docs->n, sizeof *want);
    uint64_t scores = 0, wrong = 0;

    naive_open(&nv);
    arena_init(&a, 256 * MIB);
    for (uint32_t d = 0; d < docs->n; d++)
        naive_add(&nv, docs->text[d], docs->title[d], "", "");
    for (uint32_t i = 0; i < queries->n; i++) {
        struct top t;
        struct bm25_query q;
        struct err e = { 0 };
        uint64_t matched = 0;
        uint32_t matches = naive_search(&nv, queries->text[i], want);

        arena_reset(&a);
        top_open(&t, docs->n, 0, &a);
        if (bm25_parse(queries->text[i], 1, &a, &q, &e) || bm25_stats(v, &q, &e))
            stop("query", &e);
        bm25_weigh(&q);
        if (bm25_shard(v, &q, NULL, &a, &t, &matched, &e))
            stop("search", &e);
        wrong += matched != matches || t.n != matches;
        for (size_t k = 0; k < t.n; k++, scores++)
            wrong += t.at[k].score != want[t.at[k].cid];
    }
    printf("proof: %llu scores compared, %llu differ\n", (unsigned long long)scores,
           (unsigned long long)wrong);
    arena_free(&a);
    naive_close(&nv);
    mem_give(want);
}

int main(int argc, char **argv)
{
    struct set docs, queries;
    struct rel *rels;
    uint32_t n_rels, judged = 0;
    char *dir = test_mkdir();
    struct store *s;
    struct txn *t;
    struct shard_view *v;
    struct arena a;
    struct err e = { 0 };
    double half[2] = { 0 }, ms, best = 1e9;
    uint64_t terms, postings, n, len, bytes = 0, text = 0;
    uint32_t n_half[2] = { 0 };

    if (argc < 2)
        return 2;
    docs = read_set(argv[1], "corpus.jsonl");
    queries = read_set(argv[1], "queries.jsonl");
    rels = read_rels(argv[1], &n_rels);
    qsort(rels, n_rels, sizeof *rels, by_query);
    for (uint32_t d = 0; d < docs.n; d++)
        text += strlen(docs.text[d]) + strlen(docs.title[d]);
    arena_init(&a, 256 * MIB);
    if (store_open(&s, dir, 1, &e))
        stop("store", &e);
    ms = build(s, &docs, &e);
    if (txn_read(s, &t, &e) || shard_view_open(t, 0, &v, &e))
        stop("view", &e);
    if (postings_stat(t, &terms, &postings, &n, &len, &e))
        stop("stat", &e);
    for (uint32_t i = 0; i < v->post.m.n_seg; i++)
        bytes += v->post.m.seg[i].bytes;
    printf("%s: %u texts, %.1f MB, stored in %.0f ms (%.1f MB/s), %u segments\n", argv[1], docs.n,
           (double)text / 1e6, ms, (double)text / ms / 1e3, v->post.m.n_seg);
    printf("%llu postings, %llu terms, %.2f bytes a posting with terms and lengths, mean length %.1f\n",
           (unsigned long long)postings, (unsigned long long)terms,
           (double)(bytes + 2 * n) / (double)postings, (double)len / (double)n);
    for (uint32_t i = 0; i < queries.n; i++) {
        char *ids[K];
        struct top top;
        int has;
        double x;

        search(v, queries.text[i], &a, &top);
        for (size_t k = 0; k < top.n; k++)
            ids[k] = docs.id[top.at[k].cid];
        x = ndcg(rels, n_rels, queries.id[i], ids, (uint32_t)top.n, &has);
        if (!has)
            continue;
        half[judged & 1] += x;
        n_half[judged++ & 1]++;
    }
    printf("nDCG@10 %.4f (even %.4f, odd %.4f) over %u queries\n", (half[0] + half[1]) / judged,
           half[0] / n_half[0], half[1] / n_half[1], judged);
    for (int round = 0; round < 5; round++) {
        double from = clock_ms(), took;
        for (uint32_t i = 0; i < queries.n; i++) {
            struct top top;
            search(v, queries.text[i], &a, &top);
        }
        took = clock_ms() - from;
        best = took < best ? took : best;
    }
    printf("%.0f queries a second, %.1f us each\n", queries.n / best * 1000, best * 1000 / queries.n);
    if (argc > 2)
        prove(v, &docs, &queries);
    shard_view_close(v);
    txn_abort(t);
    store_close(s);
    test_rmdir(dir);
    return 0;
}
