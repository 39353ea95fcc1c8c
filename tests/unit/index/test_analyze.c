/* test_analyze.c: what becomes of words, numbers and scripts without spaces; and that both readers agree. */
#include "tests/support/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "index/index.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, GIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* The terms joined by '|'. */
static const char *terms(const char *text, const char *lang, int is_query)
{
    static char line[4096];
    struct err e = { 0 };
    struct term_at *t;
    uint32_t n;
    size_t len = 0;

    arena_reset(&arena);
    assert_ok(analyze(text, strlen(text), lang, is_query, &arena, &t, &n, &e), e);
    line[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(t[i].n, strlen(t[i].term));
        assert_true(t[i].start < t[i].end && t[i].end <= strlen(text));
        assert_true(len + t[i].n + 2 < sizeof line);
        len += (size_t)sprintf(line + len, "%s%s", i ? "|" : "", t[i].term);
    }
    return line;
}

static void test_english_words_are_folded_and_stemmed(void **state)
{
    (void)state;
    assert_string_equal(terms("The Companies were RUNNING", "en", 0), "the|compani|were|run");
    assert_string_equal(terms("The Companies were RUNNING", "", 0), "the|compani|were|run");
    assert_string_equal(terms("company's don't O'Neil's", "en", 0), "compani|dont|oneil");
    assert_string_equal(terms("company\xe2\x80\x99s", "en", 0), "compani");
    assert_string_equal(terms("state-of-the-art snake_case end.Next", "en", 0),
                        "state|of|the|art|snake|case|end|next");
    assert_string_equal(terms("U.S.A. and e.g. this", "en", 0), "usa|and|eg|this");
    assert_string_equal(terms("", "en", 0), "");
    assert_string_equal(terms(" .,;:!?\t\n", "en", 0), "");
}

static void test_other_languages_use_their_stemmer(void **state)
{
    (void)state;
    assert_string_equal(terms("Häuser", "de", 0), "haus");
    assert_string_equal(terms("l'homme", "fr", 0), "l|homm");
    assert_string_equal(terms("книгами", "ru", 0), "книг");
    assert_string_equal(terms("running", "zh", 0), "run");
}

static void test_numbers_lose_their_thousands_commas(void **state)
{
    (void)state;
    assert_string_equal(terms("1,234.5 1234.5", "en", 0), "1234.5|1234.5");
    assert_string_equal(terms("$12,345,678.", "en", 0), "12345678");
    assert_string_equal(terms("1,2,3", "en", 0), "1|2|3");
    assert_string_equal(terms("v1.2 covid-19 3D 50%", "en", 0), "v1.2|covid|19|3d|50");
    assert_string_equal(terms("10.1038/s41586", "en", 0), "10.1038|s41586");
}

static void test_runs_become_characters_and_pairs(void **state)
{
    (void)state;
    assert_string_equal(terms("中国银行", "zh", 0), "中|中国|国|国银|银|银行|行");
    assert_string_equal(terms("中国银行", "zh", 1), "中国|国银|银行");
    assert_string_equal(terms("我 A股", "zh", 1), "我|a|股");
    assert_string_equal(terms("東京タワー", "ja", 1), "東京|京タ|タワ|ワー");
    assert_string_equal(terms("한국어", "ko", 1), "한국|국어");
    assert_string_equal(terms("2023年，增长5.5%", "zh", 1), "2023|年|增长|5.5");
}

static void test_compatibility_forms_are_folded(void **state)
{
    (void)state;
    assert_string_equal(terms("ＡＢＣ１２３", "en", 0), "abc123");
    assert_string_equal(terms("ﬁnal", "en", 0), "final");
    assert_string_equal(terms("㍿", "ja", 1), "株式|式会|会社");
    assert_string_equal(terms("ｶﾞｷﾞ", "ja", 1), "ガギ");
    assert_string_equal(terms("infor\xc2\xadmation", "en", 0), terms("information", "en", 0));
    assert_string_equal(terms("Stra\xc3\x9f" "e", "xx", 0), "strass");
    assert_string_equal(terms("e\xcc\x81t\xc3\xa9", "xx", 0), "\xc3\xa9t\xc3\xa9");
}

static void test_offsets_name_the_bytes_of_the_text(void **state)
{
    static const char text[] = "Ein ﬁne  中国!";
    struct err e = { 0 };
    struct term_at *t;
    uint32_t n;

    (void)state;
    assert_ok(analyze(text, strlen(text), "xx", 0, &arena, &t, &n, &e), e);
    assert_int_equal(n, 5);
    assert_int_equal(t[1].start, 4);
    assert_int_equal(t[1].end, 9); /* the ligature has three bytes */
    assert_int_equal(t[3].start, 11);
    assert_int_equal(t[3].end, 17);
    assert_string_equal(t[3].term, "中国");
}

static void test_long_terms_are_cut_and_stay_distinct(void **state)
{
    char word[600];
    struct err e = { 0 };
    struct term_at *a, *b;
    uint32_t n;

    (void)state;
    memset(word, 'x', sizeof word);
    assert_ok(analyze(word, 400, "en", 0, &arena, &a, &n, &e), e);
    assert_int_equal(n, 1);
    assert_true(a->n <= 255);
    word[399] = 'y';
    assert_ok(analyze(word, 400, "en", 0, &arena, &b, &n, &e), e);
    assert_string_not_equal(a->term, b->term);
    assert_ok(analyze(word, 600, "en", 0, &arena, &b, &n, &e), e);
    assert_int_equal(n, 2);
}

static void test_both_readers_agree_on_ascii(void **state)
{
    static const char bits[] = "aZ09 .,'-_sx.1;:e";
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char plain[64], mixed[80], want[4096];
        size_t n = test_rand(&seed) % 40 + 1;

        for (size_t i = 0; i < n; i++)
            plain[i] = bits[test_rand(&seed) % (sizeof bits - 1)];
        plain[n] = 0;
        /* a word joiner (default ignorable) in front sends the whole stretch to the slow reader */
        strcpy(mixed, "");
        for (size_t i = 0, m = 0; i <= n; i++) {
            if ((i == 0 || plain[i - 1] == ' ') && plain[i] && plain[i] != ' ') {
                memcpy(mixed + m, "\xe2\x81\xa0", 3);
                m += 3;
                if (m + n - i + 4 >= sizeof mixed)
                    break;
            }
            mixed[m++] = plain[i];
            mixed[m] = 0;
        }
        if (strlen(mixed) < n)
            continue;
        strcpy(want, terms(plain, "en", 0));
        if (strcmp(terms(mixed, "en", 0), want) != 0) {
            print_error("\"%s\": %s / %s\n", plain, want, terms(mixed, "en", 0));
            fail();
        }
    }
}

static void test_long_runs_have_no_seams(void **state)
{
    enum { N = 5000 };
    char *text = mem_take(3 * N + 1, 1);
    struct err e = { 0 };
    struct term_at *t;
    uint32_t n;

    (void)state;
    for (size_t i = 0; i < N; i++)
        utf8_put(text + 3 * i, 0x4e00 + (uint32_t)(i * 7 % 5000));
    assert_ok(analyze(text, 3 * N, "zh", 1, &arena, &t, &n, &e), e);
    assert_int_equal(n, N - 1);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(t[i].start, 3 * i);
        assert_int_equal(t[i].end, 3 * i + 6);
    }
    assert_ok(analyze(text, 3 * N, "zh", 0, &arena, &t, &n, &e), e);
    assert_int_equal(n, 2 * N - 1);
    mem_give(text);
}

static void test_any_bytes_are_survived(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char s[200];
        size_t n = test_rand(&seed) % sizeof s;
        struct err e = { 0 };
        struct term_at *t;
        uint32_t k;

        for (size_t i = 0; i < n; i++)
            s[i] = (char)(test_rand(&seed) >> (round % 2 ? 0 : 57));
        arena_reset(&arena);
        assert_ok(analyze(s, n, "en", round & 1, &arena, &t, &k, &e), e);
        for (uint32_t i = 0; i < k; i++) {
            assert_true(t[i].n > 0 && t[i].n <= 255 && t[i].end <= n);
            assert_int_equal(utf8_valid(t[i].term, t[i].n), t[i].n);
        }
    }
}

static void test_failed_allocations_are_reported(void **state)
{
    static const char text[] = "Running 中国银行 é words that need memory";
    struct err e = { 0 };
    struct term_at *t;
    uint32_t n;
    int rc = ERR_NOMEM;

    (void)state;
    for (long k = 0; rc; k++) {
        struct arena a;
        arena_init(&a, MIB);
        mem_fail_after(k);
        rc = analyze(text, strlen(text), "en", 0, &a, &t, &n, &e);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        arena_free(&a);
    }
}

static void test_scifact_is_read_faster_than_20_mb_a_second(void **state)
{
    const char *path = test_shared("data/retrieval/scifact/corpus.jsonl");
    struct buf b;
    struct err e = { 0 };
    struct term_at *t;
    uint32_t n;
    double best = 1e9;

    (void)state;
    if (!path)
        skip();
    buf_init(&b, 64 * MIB);
    if (file_read(&b, path, &e))
        fail();
    for (int round = 0; round < 3; round++) {
        double from = clock_ms(), ms;
        arena_reset(&arena);
        assert_ok(analyze(b.data, b.len, "en", 0, &arena, &t, &n, &e), e);
        ms = clock_ms() - from;
        best = ms < best ? ms : best;
    }
    print_message("%.1f MB/s, %u terms\n", (double)b.len / best / 1000, n);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_allocations_are_reported),
        cmocka_unit_test(test_english_words_are_folded_and_stemmed),
        cmocka_unit_test(test_other_languages_use_their_stemmer),
        cmocka_unit_test(test_numbers_lose_their_thousands_commas),
        cmocka_unit_test(test_runs_become_characters_and_pairs),
        cmocka_unit_test(test_compatibility_forms_are_folded),
        cmocka_unit_test(test_offsets_name_the_bytes_of_the_text),
        cmocka_unit_test(test_long_terms_are_cut_and_stay_distinct),
        cmocka_unit_test(test_both_readers_agree_on_ascii),
        cmocka_unit_test(test_long_runs_have_no_seams),
        cmocka_unit_test(test_any_bytes_are_survived),
        cmocka_unit_test(test_scifact_is_read_faster_than_20_mb_a_second),
    };
    return cmocka_run_group_tests_name("analyze", tests, setup, teardown);
}
