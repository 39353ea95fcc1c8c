/* test_metrics.c - ranking measures against trec_eval's own example, answers against cases worked by hand. */
#include "tests/support/test.h"

#include <math.h>

#include "base/buf.h"
#include "base/file.h"
#include "coordinator/metrics.h"

static struct arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static void test_a_small_ranking_scores_as_worked_by_hand(void **state)
{
    static const int gains[] = {0, 2, 0, 1};
    static const int judged[] = {1, 0, 2, 1};
    struct rank_scores s;
    struct err e = {0};

    (void)state;
    assert_ok(metrics_rank(gains, 4, judged, 4, &a, &s, &e), e);
    assert_float_equal(s.mrr10, 0.5, 1e-9);
    assert_float_equal(s.map, (1.0 / 2 + 2.0 / 4) / 3, 1e-9);
    assert_float_equal(s.recall100, 2.0 / 3, 1e-9);
    assert_float_equal(s.ndcg10, (2 / log2(3) + 1 / log2(5)) / (2 + 1 / log2(3) + 0.5), 1e-9);
}

static void test_a_query_without_relevant_documents_scores_zero(void **state)
{
    static const int gains[] = {0, 0};
    struct rank_scores s;
    struct err e = {0};

    (void)state;
    assert_ok(metrics_rank(gains, 2, NULL, 0, &a, &s, &e), e);
    assert_true(s.map == 0 && s.ndcg10 == 0 && s.mrr10 == 0 && s.recall100 == 0);
}

static void test_a_hit_behind_rank_ten_has_no_reciprocal_rank(void **state)
{
    int gains[11] = {0};
    static const int judged[] = {1};
    struct rank_scores s;
    struct err e = {0};

    (void)state;
    gains[10] = 1;
    assert_ok(metrics_rank(gains, 11, judged, 1, &a, &s, &e), e);
    assert_true(s.mrr10 == 0 && s.ndcg10 == 0);
    assert_float_equal(s.map, 1.0 / 11, 1e-9);
}

static void check_text(const char *gold, const char *said, int em, double f1, int contains)
{
    struct text_scores s;
    struct err e = {0};

    assert_ok(metrics_text(&gold, 1, said, &a, &s, &e), e);
    assert_int_equal(s.em, em);
    assert_float_equal(s.f1, f1, 1e-9);
    assert_int_equal(s.contains, contains);
}

static void test_answers_are_normalised_as_the_squad_script_does(void **state)
{
    (void)state;
    check_text("The U.S.", "us", 1, 1.0, 1);
    check_text("October 1973", "It began in October 1973.", 0, 2.0 * 2 / 7, 1);
    check_text("12", "in 2012", 0, 0.0, 0);
    check_text("nearly $12", "nearly 12", 1, 1.0, 1);
}

static void test_chinese_answers_count_by_character(void **state)
{
    (void)state;
    check_text("踢爆", "踢爆。", 1, 1.0, 1);
    check_text("308", "只丢了 308分", 0, 2.0 / 6, 1);
    check_text("１２人", "12人", 1, 1.0, 1);
}

static void test_the_best_of_several_golds_counts(void **state)
{
    static const char *const golds[] = {"October", "1973"};
    struct text_scores s;
    struct err e = {0};

    (void)state;
    assert_ok(metrics_text(golds, 2, "1973", &a, &s, &e), e);
    assert_int_equal(s.em, 1);
    assert_ok(metrics_text(NULL, 0, "", &a, &s, &e), e);
    assert_true(s.em == 1 && s.f1 == 1.0);
    assert_ok(metrics_text(NULL, 0, "something", &a, &s, &e), e);
    assert_true(s.em == 0 && s.f1 == 0.0);
}

static void test_percentiles_are_values_by_nearest_rank(void **state)
{
    double v[] = {5, 1, 4, 2, 3};

    (void)state;
    assert_float_equal(metrics_percentile(v, 5, 50), 3, 0);
    assert_float_equal(metrics_percentile(v, 5, 99), 5, 0);
    assert_float_equal(metrics_percentile(v, 0, 50), 0, 0);
}

/* ---- trec_eval's example: three queries, graded by its printed numbers ---- */

struct line {
    int query, rel;
    char doc[32];
    double score;
};

static size_t read_lines(const char *path, int is_run, struct line *out, size_t most)
{
    struct buf b;
    struct err e = {0};
    size_t n = 0;
    char *save = NULL;

    buf_init(&b, 64 << 20);
    assert_ok(file_read(&b, path, &e), e);
    for (char *l = strtok_r(b.data, "\n", &save); l && n < most; l = strtok_r(NULL, "\n", &save)) {
        struct line *t = &out[n];
        int rank;
        int k = is_run ? sscanf(l, "%d %*s %31s %d %lf", &t->query, t->doc, &rank, &t->score)
                       : sscanf(l, "%d %*s %31s %d", &t->query, t->doc, &t->rel);
        n += k >= 3;
    }
    buf_free(&b);
    return n;
}

/* trec_eval's order: score down, ties by document number down. */
static int by_run(const void *x, const void *y)
{
    const struct line *p = x;
    const struct line *q = y;

    if (p->query != q->query)
        return p->query - q->query;
    if ((float)p->score != (float)q->score)
        return (float)p->score < (float)q->score ? 1 : -1;
    return strcmp(q->doc, p->doc);
}

static int by_doc(const void *x, const void *y)
{
    const struct line *p = x;
    const struct line *q = y;

    return p->query != q->query ? p->query - q->query : strcmp(p->doc, q->doc);
}

static double expected(const char *text, const char *measure, const char *query)
{
    size_t n = strlen(measure);

    for (const char *l = text; l; l = strchr(l, '\n')) {
        char q[32];
        double v;
        l += *l == '\n';
        if (!strncmp(l, measure, n) && (l[n] == ' ' || l[n] == '\t') &&
            sscanf(l + n, " %31s %lf", q, &v) == 2 && !strcmp(q, query))
            return v;
    }
    return -1;
}

static void test_measures_equal_trec_eval_to_four_digits(void **state)
{
    const char *dir = test_shared("data/metrics/trec_eval");
    static struct line run[4000];
    static struct line judged[20000];
    static int gains[4000];
    static int rels[20000];
    char path[1200];
    struct rank_scores sum = {0};
    struct buf want;
    struct err e = {0};
    size_t n_run;
    size_t n_judged;
    size_t queries = 0;

    (void)state;
    if (!dir)
        skip();
    snprintf(path, sizeof path, "%s/results.test", dir);
    n_run = read_lines(path, 1, run, 4000);
    snprintf(path, sizeof path, "%s/qrels.test", dir);
    n_judged = read_lines(path, 0, judged, 20000);
    snprintf(path, sizeof path, "%s/out.test.aq", dir);
    buf_init(&want, 8 << 20);
    assert_ok(file_read(&want, path, &e), e);
    qsort(run, n_run, sizeof *run, by_run);
    qsort(judged, n_judged, sizeof *judged, by_doc);
    for (size_t i = 0; i < n_run;) {
        struct rank_scores s;
        char name[16];
        size_t n = 0;
        size_t m = 0;
        int q = run[i].query;
        for (; i < n_run && run[i].query == q; i++) {
            const struct line *j = bsearch(&run[i], judged, n_judged, sizeof *judged, by_doc);
            gains[n++] = j ? j->rel : 0;
        }
        for (size_t k = 0; k < n_judged; k++)
            if (judged[k].query == q)
                rels[m++] = judged[k].rel;
        if (!m)
            continue;
        assert_ok(metrics_rank(gains, n, rels, m, &a, &s, &e), e);
        snprintf(name, sizeof name, "%d", q);
        assert_float_equal(s.ndcg10, expected(want.data, "ndcg_cut_10", name), 5.1e-5);
        assert_float_equal(s.map, expected(want.data, "map", name), 5.1e-5);
        assert_float_equal(s.recall100, expected(want.data, "recall_100", name), 5.1e-5);
        if (s.mrr10 > 0) /* trec_eval has no cut */
            assert_float_equal(s.mrr10, expected(want.data, "recip_rank", name), 5.1e-5);
        metrics_sum(&sum, &s);
        queries++;
    }
    metrics_mean(&sum, queries);
    assert_int_equal(queries, 3);
    assert_float_equal(sum.map, expected(want.data, "map", "all"), 5.1e-5);
    assert_float_equal(sum.ndcg10, expected(want.data, "ndcg_cut_10", "all"), 5.1e-5);
    assert_float_equal(sum.recall100, expected(want.data, "recall_100", "all"), 5.1e-5);
    buf_free(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_ranking_scores_as_worked_by_hand),
        cmocka_unit_test(test_a_query_without_relevant_documents_scores_zero),
        cmocka_unit_test(test_a_hit_behind_rank_ten_has_no_reciprocal_rank),
        cmocka_unit_test(test_answers_are_normalised_as_the_squad_script_does),
        cmocka_unit_test(test_chinese_answers_count_by_character),
        cmocka_unit_test(test_the_best_of_several_golds_counts),
        cmocka_unit_test(test_percentiles_are_values_by_nearest_rank),
        cmocka_unit_test(test_measures_equal_trec_eval_to_four_digits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
