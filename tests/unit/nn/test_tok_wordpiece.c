/* test_tok_wordpiece.c - WordPiece against recorded ids: our own small vocabularies always, the
 * real ones when they are there. */
#include "tests/support/test.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "nn/tokenizer.h"

#define V(vocab)                                                                                   \
    "{\"added_tokens\":[{\"id\":2,\"content\":\"[SEP]\"},{\"id\":9,\"content\":\"[X]\"}],"         \
    "\"model\":{\"type\":\"WordPiece\",\"vocab\":{" vocab "}}}"
#define TINY "tests/golden/wordpiece-tiny/"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 * MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct tokenizer *open_dir(const char *dir)
{
    struct tokenizer *t = NULL;
    struct err e = {0};

    assert_ok(tokenizer_open_dir(&t, dir, &e), e);
    return t;
}

static json_t *load(const char *path)
{
    struct err e = {0};
    json_t *o = NULL;

    assert_ok(json_parse_file(&o, path, &e), e);
    return o;
}

static size_t encode(const struct tokenizer *t, const char *text, size_t n, int flags,
                     struct token **out)
{
    struct err e = {0};
    size_t k = 0;

    arena_reset(&arena);
    assert_ok(tokenizer_encode(t, text, n, flags, &arena, out, &k, &e), e);
    return k;
}

/* 1 when the ids differ (and says so). */
static int differs(const char *name, const struct token *got, size_t n, const json_t *want)
{
    size_t i = 0;

    while (i < n && i < json_array_size(want) &&
           got[i].id == json_integer_value(json_array_get(want, i)))
        i++;
    if (i == n && n == json_array_size(want))
        return 0;
    print_error("%s: token %zu of %zu is %d, expected %d of %zu\n", name, i, n,
                i < n ? got[i].id : -1, (int)json_integer_value(json_array_get(want, i)),
                json_array_size(want));
    return 1;
}

/* Each token's bytes begin and end between characters and do not go back. */
static void offsets_sound(const char *text, size_t n, const struct token *t, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        assert_true(t[i].start <= t[i].end && t[i].end <= n);
        assert_int_equal(utf8_floor(text, t[i].start), t[i].start);
        assert_true(t[i].end == n || utf8_floor(text, t[i].end) == t[i].end);
        assert_true(i == 0 || t[i].start >= t[i - 1].start);
        assert_true(i == 0 || t[i].end >= t[i - 1].end);
    }
}

static void tiny(const char *name)
{
    char path[200];
    struct tokenizer *t;
    json_t *cases, *c;
    size_t i;
    size_t wrong = 0;

    snprintf(path, sizeof path, TINY "%s", name);
    t = open_dir(path);
    snprintf(path, sizeof path, TINY "%s/ids.json", name);
    cases = load(path);
    assert_true(json_array_size(cases) > 20);
    json_array_foreach(cases, i, c)
    {
        const json_t *text = json_object_get(c, "text");
        const json_t *offsets = json_object_get(c, "offsets");
        struct token *got;
        size_t n = encode(t, json_string_value(text), json_string_length(text), 0, &got);
        if (differs(json_string_value(text), got, n, json_object_get(c, "ids"))) {
            wrong++;
            continue;
        }
        offsets_sound(json_string_value(text), json_string_length(text), got, n);
        for (size_t j = 0; j < n; j++) {
            const json_t *pair = json_array_get(offsets, j);
            if (got[j].start != json_integer_value(json_array_get(pair, 0)) ||
                got[j].end != json_integer_value(json_array_get(pair, 1))) {
                print_error("%s: token %zu at [%u, %u), reference [%d, %d)\n",
                            json_string_value(text), j, got[j].start, got[j].end,
                            (int)json_integer_value(json_array_get(pair, 0)),
                            (int)json_integer_value(json_array_get(pair, 1)));
                wrong++;
                break;
            }
        }
    }
    json_decref(cases);
    tokenizer_close(t);
    assert_int_equal(wrong, 0);
}

static void test_lower_cased_ids_and_offsets_equal_the_reference(void **state)
{
    (void)state;
    tiny("uncased");
}

static void test_cased_ids_and_offsets_equal_the_reference(void **state)
{
    (void)state;
    tiny("cased");
}

static void test_ends_and_special_tokens_come_only_when_asked_for(void **state)
{
    static const char text[] = "a [SEP] b";
    struct tokenizer *t = open_dir(TINY "uncased");
    struct token *got;
    size_t n;

    (void)state;
    assert_int_equal(encode(t, "", 0, TOK_ADD_ENDS, &got), 2);
    assert_int_equal(got[0].id, tokenizer_bos(t));
    assert_int_equal(got[1].id, tokenizer_eos(t));
    assert_int_equal(encode(t, text, strlen(text), TOK_SPECIAL | TOK_ADD_ENDS, &got), 5);
    assert_int_equal(got[2].id, tokenizer_id(t, "[SEP]"));
    assert_int_equal(got[2].start, 2);
    assert_int_equal(got[2].end, 7);
    n = encode(t, text, strlen(text), 0, &got);
    for (size_t i = 0; i < n; i++) /* a text cannot forge the end of a sequence */
        assert_int_not_equal(got[i].id, tokenizer_eos(t));
    assert_int_equal(tokenizer_count(t, text, strlen(text), &arena), n);
    tokenizer_close(t);
}

static void test_ids_are_decoded_to_words(void **state)
{
    struct tokenizer *t = open_dir(TINY "uncased");
    static const char text[] = "The ferry leaves unable keys";
    struct token *got;
    struct buf b;
    struct err e = {0};
    int32_t ids[64];
    size_t n = encode(t, text, strlen(text), TOK_ADD_ENDS, &got);

    (void)state;
    for (size_t i = 0; i < n; i++)
        ids[i] = got[i].id;
    buf_init(&b, 1000);
    assert_ok(tokenizer_decode(t, ids, n, 0, &b, &e), e);
    assert_string_equal(b.data, "the ferry leaves unable keys");
    ids[0] = tokenizer_vocab(t);
    assert_int_equal(tokenizer_decode(t, ids, n, 0, &b, &e), ERR_INVALID);
    ids[0] = -1;
    assert_int_equal(tokenizer_decode(t, ids, n, 0, &b, &e), ERR_INVALID);
    buf_free(&b);
    tokenizer_close(t);
}

static void test_bytes_that_are_not_text_do_no_harm(void **state)
{
    struct tokenizer *t = open_dir(TINY "uncased");
    uint64_t seed = 5;
    char text[300];

    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t n = test_rand(&seed) % sizeof text;
        struct token *got;
        size_t k;
        for (size_t i = 0; i < n; i++) /* half letters and blanks, half any byte */
            text[i] =
                test_rand(&seed) % 2 ? (char)test_rand(&seed) : "ab e[]"[test_rand(&seed) % 6];
        k = encode(t, text, n, TOK_ADD_ENDS | (round % 2 ? TOK_SPECIAL : 0), &got);
        for (size_t i = 0; i < k; i++)
            assert_true(got[i].id >= 0 && got[i].id < tokenizer_vocab(t) &&
                        got[i].start <= got[i].end && got[i].end <= n);
    }
    tokenizer_close(t);
}

/* Backtracking over a text without a blank would take minutes. */
static void test_a_megabyte_without_a_blank_takes_less_than_a_second(void **state)
{
    static const char *const units[] = {"a", "ab",   "e\xcc\x81",       "\xe4\xb8\xad",
                                        "!", "[SEP", "\xf0\x9f\x99\x82"};
    struct tokenizer *t = open_dir(TINY "uncased");
    char *text = mem_take(MIB + 8, 1);

    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t unit = strlen(units[i]);
        int64_t from;
        struct token *got;
        size_t n = 0;
        while (n + unit <= MIB) {
            memcpy(text + n, units[i], unit);
            n += unit;
        }
        from = clock_ns();
        encode(t, text, n, TOK_ADD_ENDS | TOK_SPECIAL, &got);
        if (clock_ns() - from > 1000000000)
            print_error("\"%s\": %.2f s\n", units[i], (double)(clock_ns() - from) / 1e9);
#ifndef __SANITIZE_ADDRESS__
        assert_true(clock_ns() - from < 1000000000);
#endif
    }
    mem_give(text);
    tokenizer_close(t);
}

static struct tokenizer *open_minilm(void)
{
    const char *dir = test_model("all-MiniLM-L6-v2");

    return dir ? open_dir(dir) : NULL;
}

/* Recorded from the reference. One case differs on purpose: a text's own "[SEP]" is not the special
 * token here. */
static void test_ids_of_the_default_model_equal_the_reference(void **state)
{
    struct tokenizer *t = open_minilm();
    const char *path = test_shared("data/golden/minilm.jsonl");
    FILE *f = path ? fopen(path, "r") : NULL;
    char *line = NULL;
    size_t cap = 0;
    size_t wrong = 0;
    size_t n = 0;

    (void)state;
    while (t && f && getline(&line, &cap, f) > 0) {
        struct err e = {0};
        json_t *c;
        const json_t *text, *ids;
        struct token *got;
        size_t k;
        assert_ok(json_parse(&c, line, strlen(line), path, &e), e);
        text = json_object_get(c, "text");
        ids = json_object_get(c, "ids");
        k = encode(t, json_string_value(text), json_string_length(text), TOK_ADD_ENDS, &got);
        offsets_sound(json_string_value(text), json_string_length(text), got, k);
        if (k > 256) { /* the recorded ids end at the model's window */
            got[255] = got[k - 1];
            k = 256;
        }
        n++;
        if (strcmp(json_str(c, "name", ""), "special token text") != 0)
            wrong += (size_t)differs(json_str(c, "name", ""), got, k, ids);
        json_decref(c);
    }
    free(line);
    tokenizer_close(t);
    if (f)
        fclose(f);
    if (!n)
        skip();
    print_message("%zu texts\n", n);
    assert_int_equal(wrong, 0);
}

/* Cases of other projects for a vocabulary; those with special tokens in the text or with pairs are
 * left out. */
static size_t foreign(struct tokenizer *t, const json_t *cases, size_t *wrong)
{
    const char *name;
    json_t *c;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)cases, name, c)
    {
        const char *text = json_str(c, "text", NULL);
        struct token *got;
        size_t bytes;
        size_t k;
        if (!text || json_object_get(c, "text_pair") || strstr(text, "[SEP]") ||
            strstr(text, "[MASK]") || strstr(text, "[UNK]") || strstr(text, "[CLS]") ||
            strstr(text, "[PAD]"))
            continue;
        bytes = json_string_length(json_object_get(c, "text"));
        k = encode(t, text, bytes, TOK_ADD_ENDS, &got);
        offsets_sound(text, bytes, got, k);
        *wrong += (size_t)differs(name, got, k, json_object_get(c, "ids"));
        n++;
    }
    return n;
}

static void test_ids_of_other_projects_cases_are_equal(void **state)
{
    const char *path = test_shared("data/tokenizers/golden/bert.json");
    const char *chinese = test_shared("data/tokenizers/hf/bert-base-chinese");
    struct tokenizer *t = open_minilm();
    json_t *all = path ? load(path) : NULL;
    size_t wrong = 0;
    size_t n = 0;

    (void)state;
    if (t && all)
        n += foreign(t, json_object_get(all, "Xenova/bert-base-uncased"), &wrong);
    tokenizer_close(t);
    t = all && chinese ? open_dir(chinese) : NULL;
    if (t)
        n += foreign(t, json_object_get(all, "Xenova/bge-small-zh-v1.5"), &wrong);
    tokenizer_close(t);
    json_decref(all);
    if (!n)
        skip();
    print_message("%zu texts\n", n);
    assert_int_equal(wrong, 0);
}

static void test_recorded_hostile_tokenizers_are_refused(void **state)
{
    static const char *const names[] = {"d16-token-id-out-of-range",  "d17-token-id-negative",
                                        "d18-token-id-twice",         "d19-merge-unknown",
                                        "d20-merge-no-blank",         "d21-model-type-unknown",
                                        "d22-normalizer-nested-deep", "d23-charsmap-wild"};

    (void)state;
    if (!test_shared("data/models/hostile"))
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tokenizer *t = NULL;
        struct err e = {0};
        char rel[200];
        int rc;
        snprintf(rel, sizeof rel, "data/models/hostile/%s", names[i]);
        rc = tokenizer_open_dir(&t, test_shared(rel), &e);
        if (!rc || !strstr(e.msg, names[i]))
            print_error("%s: %s\n", names[i], rc ? e.msg : "was accepted");
        tokenizer_close(t);
        assert_true(rc && strstr(e.msg, names[i]));
    }
}

/* Vocabularies that the recorded cases do not break: holes, a missing [UNK], ids of added tokens
 * behind the vocabulary. */
static void test_vocabularies_that_lack_something_are_refused(void **state)
{
    static const struct {
        const char *json;
        int code;
        const char *words;
    } cases[] = {
        {V("\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3"), 0, ""},
        {V("\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":4"), ERR_FORMAT, "outside"},
        {V("\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":1,\"a\":3"), ERR_FORMAT, "twice"},
        {V("\"[CLS]\":0,\"[SEP]\":1"), ERR_FORMAT, "unknown token"},
        {V("\"[UNK]\":0,\"[SEP]\":1"), ERR_FORMAT, "[CLS]"},
        {V("\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3.5"), ERR_FORMAT, "outside"},
        {V(""), ERR_FORMAT, "0 entries"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":[]}}", ERR_FORMAT, "0 entries"},
        {"{\"model\":{\"type\":\"WordPiece\"}}", ERR_FORMAT, "0 entries"},
        {"[]", ERR_FORMAT, "0 entries"},
    };
    char *dir = test_mkdir();
    char path[1200];

    (void)state;
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *t = NULL;
        struct token *got;
        struct err e = {0};
        int rc;
        assert_ok(file_replace(path, cases[i].json, strlen(cases[i].json), &e), e);
        rc = tokenizer_open_dir(&t, dir, &e);
        if (rc != cases[i].code || (rc && !strstr(e.msg, cases[i].words)))
            print_error("%s: %s\n", cases[i].json, e.msg);
        assert_int_equal(rc, cases[i].code);
        assert_true(!rc || strstr(e.msg, cases[i].words));
        if (t) { /* an added token without a row is never given out */
            assert_int_equal(encode(t, "a [X] [SEP]", 11, TOK_SPECIAL, &got), 5);
            assert_int_equal(tokenizer_vocab(t), 4);
        }
        tokenizer_close(t);
    }
    test_rmdir(dir);
    mem_give(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_cased_ids_and_offsets_equal_the_reference),
        cmocka_unit_test(test_cased_ids_and_offsets_equal_the_reference),
        cmocka_unit_test(test_ends_and_special_tokens_come_only_when_asked_for),
        cmocka_unit_test(test_ids_are_decoded_to_words),
        cmocka_unit_test(test_bytes_that_are_not_text_do_no_harm),
        cmocka_unit_test(test_a_megabyte_without_a_blank_takes_less_than_a_second),
        cmocka_unit_test(test_ids_of_the_default_model_equal_the_reference),
        cmocka_unit_test(test_ids_of_other_projects_cases_are_equal),
        cmocka_unit_test(test_recorded_hostile_tokenizers_are_refused),
        cmocka_unit_test(test_vocabularies_that_lack_something_are_refused),
    };

    return cmocka_run_group_tests_name("WordPiece", tests, setup, teardown);
}
