/* test_tok_vocab.c - a folder with vocab.txt in place of tokenizer.json gives the same ids. */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "nn/tokenizer.h"

#define TINY "tests/golden/wordpiece-tiny/"

static struct arena arena;
static char *dir;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 * MIB);
    dir = test_mkdir();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir(dir);
    mem_give(dir);
    arena_free(&arena);
    return 0;
}

static json_t *load(const char *path)
{
    json_t *j = NULL;
    struct err e = {0};

    assert_ok(json_parse_file(&j, path, &e), e);
    return j;
}

static void put(const char *name, const char *text, size_t n)
{
    char path[1200];
    struct err e = {0};

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(file_replace(path, text, n, &e), e);
}

/* The fixture's vocabulary, one token a line in the order of the ids. */
static void put_vocab(const char *kind, const char *line_end)
{
    char path[200];
    json_t *root, *v;
    const json_t *vocab;
    const char **by_id;
    const char *key;
    struct buf b;

    snprintf(path, sizeof path, TINY "%s/tokenizer.json", kind);
    root = load(path);
    vocab = json_object_get(json_object_get(root, "model"), "vocab");
    by_id = mem_take(json_object_size(vocab), sizeof *by_id);
    buf_init(&b, MIB);
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v) by_id[json_integer_value(v)] = key;
    for (size_t i = 0; i < json_object_size(vocab); i++) {
        buf_str(&b, by_id[i]);
        buf_str(&b, line_end);
    }
    put("vocab.txt", b.data, b.len);
    buf_free(&b);
    mem_give(by_id);
    json_decref(root);
}

static void check_ids(const char *kind)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    char path[200];
    json_t *cases, *c;
    size_t i;

    assert_ok(tokenizer_open_dir(&t, dir, &e), e);
    snprintf(path, sizeof path, TINY "%s/ids.json", kind);
    cases = load(path);
    assert_true(json_array_size(cases) > 20);
    json_array_foreach(cases, i, c)
    {
        const json_t *text = json_object_get(c, "text");
        const json_t *want = json_object_get(c, "ids");
        struct token *got;
        size_t n;
        assert_ok(tokenizer_encode(t, json_string_value(text), json_string_length(text), 0, &arena,
                                   &got, &n, &e),
                  e);
        assert_int_equal(n, json_array_size(want));
        for (size_t k = 0; k < n; k++)
            assert_int_equal(got[k].id, json_integer_value(json_array_get(want, k)));
    }
    json_decref(cases);
    tokenizer_close(t);
}

static void test_vocab_txt_gives_the_ids_of_tokenizer_json(void **state)
{
    static const char cased[] = "{\"do_lower_case\":false,\"strip_accents\":null}";

    (void)state;
    put_vocab("uncased", "\n");
    check_ids("uncased");
    put_vocab("uncased", "\r\n");
    check_ids("uncased");
    put_vocab("cased", "\n");
    put("tokenizer_config.json", cased, strlen(cased));
    check_ids("cased");
}

static void test_special_tokens_of_vocab_txt_are_known(void **state)
{
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n[MASK]";
    struct tokenizer *t = NULL;
    struct token *got;
    struct err e = {0};
    size_t n;

    (void)state;
    put("vocab.txt", vocab, strlen(vocab));
    assert_ok(tokenizer_open_dir(&t, dir, &e), e);
    assert_int_equal(tokenizer_vocab(t), 6);
    assert_ok(tokenizer_encode(t, "a [MASK] a", 10, TOK_SPECIAL, &arena, &got, &n, &e), e);
    assert_int_equal(n, 3);
    assert_int_equal(got[1].id, 5);
    tokenizer_close(t);
}

static void test_what_is_wrong_in_vocab_txt_is_named_by_its_line(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *words;
    } cases[] = {
        {"", 0, "0 entries"},
        {"[UNK]\n[CLS]\n[SEP]\na\na\n", 22, "line 5 repeats"},
        {"[UNK]\n\xff\n", 8, "line 2 is not UTF-8"},
        {"[UNK]\na\0b\n", 10, "line 2 holds a zero byte"},
        {"[CLS]\n[SEP]\n", 12, "unknown token"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *t = NULL;
        struct err e = {0};
        put("vocab.txt", cases[i].text, cases[i].n);
        assert_int_equal(tokenizer_open_dir(&t, dir, &e), ERR_FORMAT);
        assert_non_null(strstr(e.msg, cases[i].words));
        assert_non_null(strstr(e.msg, "vocab.txt"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vocab_txt_gives_the_ids_of_tokenizer_json),
        cmocka_unit_test(test_special_tokens_of_vocab_txt_are_known),
        cmocka_unit_test(test_what_is_wrong_in_vocab_txt_is_named_by_its_line),
    };

    return cmocka_run_group_tests_name("vocab.txt", tests, setup, teardown);
}
