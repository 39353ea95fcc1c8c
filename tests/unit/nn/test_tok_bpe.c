/* test_tok_bpe.c - byte-level BPE against ids of Hugging Face tokenizers, and its pieces. */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/json.h"
#include "nn/pretok.h"
#include "nn/tok_impl.h"

#define TINY "tests/golden/llama-tiny/"

static json_t *load(const char *path)
{
    json_t *j = NULL;
    struct err e = {0};

    assert_ok(json_parse_file(&j, path, &e), e);
    return j;
}

/* tokenizer.json of the fixture with another pre-tokenizer */
static void open_tiny(struct tokenizer *t, const json_t *pre, const json_t *normalizer)
{
    json_t *root = load(TINY "tokenizer.json");
    struct err e = {0};

    memset(t, 0, sizeof *t);
    if (pre)
        json_object_set(root, "pre_tokenizer", (json_t *)(uintptr_t)pre);
    if (normalizer)
        json_object_set(root, "normalizer", (json_t *)(uintptr_t)normalizer);
    assert_ok(tok_bpe_open_json(t, root, TINY "tokenizer.json", &e), e);
    json_decref(root);
}

static size_t encode(const struct tokenizer *t, const char *text, size_t n, int flags,
                     struct arena *a, struct token **out)
{
    struct err e = {0};
    size_t count = 0;

    assert_ok(t->kind->encode(t->self, text, n, flags, a, out, &count, &e), e);
    return count;
}

static void check_ids(const struct tokenizer *t, const char *text, size_t len, const json_t *want,
                      struct arena *a)
{
    struct token *out;
    size_t n;

    arena_reset(a);
    n = encode(t, text, len, 0, a, &out);
    if (n != json_array_size(want))
        print_error("'%s': %zu tokens, expected %zu\n", text, n, json_array_size(want));
    assert_int_equal(n, json_array_size(want));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(out[i].id, json_integer_value(json_array_get(want, i)));
}

static void test_ids_equal_hugging_face_under_every_pre_tokenizer(void **state)
{
    json_t *all = load(TINY "ids.json");
    const char *name;
    json_t *set;
    struct arena a;

    (void)state;
    arena_init(&a, 16 * 1024 * 1024);
    json_object_foreach(all, name, set)
    {
        struct tokenizer t;
        size_t i;
        json_t *c;
        open_tiny(&t, json_object_get(set, "pre_tokenizer"), json_object_get(set, "normalizer"));
        json_array_foreach(json_object_get(set, "cases"), i, c)
        {
            json_t *text = json_array_get(c, 0);
            check_ids(&t, json_string_value(text), json_string_length(text), json_array_get(c, 1),
                      &a);
        }
        t.kind->close(t.self);
    }
    arena_free(&a);
    json_decref(all);
}

static void test_pieces_equal_hugging_face(void **state)
{
    json_t *all = load(TINY "ids.json");
    const char *name;
    json_t *set;

    (void)state;
    json_object_foreach(all, name, set)
    {
        enum pretok kind;
        int prefix;
        struct err e = {0};
        size_t i;
        json_t *c;
        assert_ok(pretok_by_json(json_object_get(set, "pre_tokenizer"), &kind, &prefix, "x", &e),
                  e);
        json_array_foreach(json_object_get(set, "cases"), i, c)
        {
            json_t *text = json_array_get(c, 0);
            json_t *ends = json_array_get(c, 2);
            struct pretok_iter it = {kind, json_string_value(text), json_string_length(text), 0, 0};
            size_t start;
            size_t end;
            size_t n = 0;
            if (json_is_null(ends))
                continue;
            while (pretok_next(&it, &start, &end)) {
                if ((json_int_t)end != json_integer_value(json_array_get(ends, n)))
                    print_error("%s: '%s': piece %zu ends at %zu\n", name, it.s, n, end);
                assert_int_equal(end, json_integer_value(json_array_get(ends, n)));
                n++;
            }
            assert_int_equal(n, json_array_size(ends));
        }
    }
    json_decref(all);
}

static void test_offsets_cover_the_text_and_decode_gives_it_back(void **state)
{
    static const char text[] = "The ferry, 1987:\n\n na\xC3\xAFve \xF0\x9F\x99\x82 don't  stop";
    struct tokenizer t;
    struct arena a;
    struct token *out;
    struct buf b;
    struct err e = {0};
    int32_t ids[128];
    size_t n;

    (void)state;
    open_tiny(&t, NULL, NULL);
    arena_init(&a, 1 << 20);
    buf_init(&b, 4096);
    n = encode(&t, text, sizeof text - 1, 0, &a, &out);
    assert_true(n < 128);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(out[i].start, i ? out[i - 1].end : 0);
        assert_true(out[i].end > out[i].start);
        ids[i] = out[i].id;
    }
    assert_int_equal(out[n - 1].end, sizeof text - 1);
    assert_ok(t.kind->decode(t.self, ids, n, 0, &b, &e), e);
    assert_string_equal(b.data, text);
    buf_free(&b);
    arena_free(&a);
    t.kind->close(t.self);
}

static void test_special_tokens_in_text_are_text_unless_asked_for(void **state)
{
    static const char text[] = "<|im_start|>user";
    struct tokenizer t;
    struct arena a;
    struct token *out;
    size_t n;

    (void)state;
    open_tiny(&t, NULL, NULL);
    arena_init(&a, 1 << 20);
    n = encode(&t, text, sizeof text - 1, 0, &a, &out);
    for (size_t i = 0; i < n; i++)
        assert_true(out[i].id > 2);
    n = encode(&t, text, sizeof text - 1, TOK_SPECIAL, &a, &out);
    assert_int_equal(out[0].id, t.kind->id(t.self, "<|im_start|>", 12));
    assert_int_equal(out[0].start, 0);
    assert_int_equal(out[0].end, 12);
    assert_int_equal(out[1].start, 12);
    arena_free(&a);
    t.kind->close(t.self);
}

static void test_bytes_that_are_not_utf8_become_the_replacement_character(void **state)
{
    static const char bad[] = "a\xFF\xC3(b";
    static const char good[] = "a\xEF\xBF\xBD\xEF\xBF\xBD(b";
    struct tokenizer t;
    struct arena a;
    struct token *x;
    struct token *y;
    size_t n;

    (void)state;
    open_tiny(&t, NULL, NULL);
    arena_init(&a, 1 << 20);
    n = encode(&t, bad, sizeof bad - 1, 0, &a, &x);
    assert_int_equal(n, encode(&t, good, sizeof good - 1, 0, &a, &y));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(x[i].id, y[i].id);
        assert_true(x[i].end <= sizeof bad - 1);
    }
    arena_free(&a);
    t.kind->close(t.self);
}

static void test_a_word_of_a_megabyte_is_not_quadratic(void **state)
{
    size_t n = 1 << 20;
    char *text = mem_take(n, 1);
    struct tokenizer t;
    struct arena a;
    struct token *out;

    (void)state;
    memset(text, 'e', n);
    open_tiny(&t, NULL, NULL);
    arena_init(&a, (size_t)1 << 30);
    assert_true(encode(&t, text, n, 0, &a, &out) > n / 64); /* seconds if each merge scanned it */
    arena_free(&a);
    mem_give(text);
    t.kind->close(t.self);
}

static void refuse(const char *json, enum err_code want, const char *says)
{
    struct tokenizer t = {0};
    struct err e = {0};
    json_error_t why;
    json_t *root = json_loads(json, 0, &why);

    assert_non_null(root);
    assert_int_equal(tok_bpe_open_json(&t, root, "x/tokenizer.json", &e), want);
    if (!strstr(e.msg, says))
        print_error("'%s' does not say '%s'\n", e.msg, says);
    assert_non_null(strstr(e.msg, says));
    json_decref(root);
}

#define HEAD "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":"

static void test_wrong_files_are_refused_by_name(void **state)
{
    (void)state;
    refuse(HEAD "{\"a\":0,\"b\":4000000000},\"merges\":[]}}", ERR_FORMAT, "'b'");
    refuse(HEAD "{\"a\":0,\"b\":-1},\"merges\":[]}}", ERR_FORMAT, "'b'");
    refuse(HEAD "{\"a\":0,\"b\":1999999},\"merges\":[]}}", ERR_FORMAT, "ids up to");
    refuse(HEAD "{\"a\":5,\"b\":5},\"merges\":[]}}", ERR_FORMAT, "id 5");
    refuse(HEAD "{\"a\":0,\"b\":1},\"merges\":[\"a z\"]}}", ERR_FORMAT, "a z");
    refuse(HEAD "{\"a\":0,\"b\":1},\"merges\":[\"ab\"]}}", ERR_FORMAT, "two parts");
    refuse(HEAD "{\"a\":0,\"b\":1},\"merges\":[[\"a\"]]}}", ERR_FORMAT, "merge 0");
    refuse(HEAD "{\"a\":0},\"merges\":[],\"byte_fallback\":true}}", ERR_UNSUPPORTED,
           "byte_fallback");
    refuse("{\"pre_tokenizer\":{\"type\":\"Magic\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
           ERR_UNSUPPORTED, "Magic");
    refuse("{\"model\":{\"vocab\":[],\"merges\":[]}}", ERR_FORMAT, "vocab");
}

static void test_load_survives_every_failed_allocation(void **state)
{
    json_t *root = load(TINY "tokenizer.json");
    struct tokenizer t = {0};
    struct err e = {0};
    int rc = ERR_NOMEM;

    (void)state;
    for (long k = 0; rc; k++) {
        mem_fail_after(k);
        rc = tok_bpe_open_json(&t, root, TINY "tokenizer.json", &e);
        assert_true(rc == 0 || rc == ERR_NOMEM || rc == ERR_LIMIT);
    }
    mem_fail_after(-1);
    t.kind->close(t.self);
    json_decref(root);
}

/* ---- recorded ids of the real vocabularies, when they are there ---- */

static void against_recorded(const char *dir, const char *set, const char *name)
{
    char path[256];
    char golden[256];
    const char *p;
    struct tokenizer t = {0};
    struct err e = {0};
    struct arena a;
    json_t *root;
    json_t *want;
    const char *key;
    json_t *c;

    snprintf(path, sizeof path, "data/tokenizers/hf/%s/tokenizer.json", dir);
    snprintf(golden, sizeof golden, "data/tokenizers/golden/%s", set);
    if (!test_shared(path) || !test_shared(golden))
        skip();
    p = test_shared(path);
    root = load(p);
    assert_ok(tok_bpe_open_json(&t, root, p, &e), e);
    want = load(test_shared(golden));
    arena_init(&a, 1 << 24);
    json_object_foreach(json_object_get(want, name), key, c)
    {
        json_t *text = json_object_get(c, "text");
        json_t *ids = json_object_get(c, "ids");
        struct token *out;
        size_t n;
        if (!json_is_string(text) || !json_is_array(ids))
            continue;
        arena_reset(&a);
        n = encode(&t, json_string_value(text), json_string_length(text),
                   TOK_ADD_ENDS | TOK_SPECIAL, &a, &out);
        if (n != json_array_size(ids))
            print_error("%s %s: %zu tokens of %zu\n", name, key, n, json_array_size(ids));
        assert_int_equal(n, json_array_size(ids));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(out[i].id, json_integer_value(json_array_get(ids, i)));
    }
    arena_free(&a);
    json_decref(want);
    json_decref(root);
    t.kind->close(t.self);
}

static void test_roberta_vocabulary_gives_the_recorded_ids(void **state)
{
    (void)state;
    against_recorded("roberta-base", "roberta.json", "Xenova/all-distilroberta-v1");
}

/* ---- a GGUF vocabulary with its list of texts (.inp) and ids (.out) ---- */

static void against_lists(const char *name)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char rel[256];
    const char *p;
    struct weights *w = NULL;
    struct tokenizer *t = NULL;
    struct buf texts;
    struct buf ids;
    struct arena a;
    struct err e = {0};
    char *at;
    char *line;
    size_t n_cases = 0;

    snprintf(rel, sizeof rel, "data/tokenizers/gguf/%s", name);
    p = test_shared(rel);
    if (!p)
        skip();
    assert_ok(weights_open(&w, p, &e), e);
    assert_ok(tokenizer_open_gguf(&t, w, &e), e);
    buf_init(&texts, 1 << 22);
    buf_init(&ids, 1 << 22);
    snprintf(rel, sizeof rel, "data/tokenizers/gguf/%s.inp", name);
    assert_ok(file_read(&texts, test_shared(rel), &e), e);
    snprintf(rel, sizeof rel, "data/tokenizers/gguf/%s.out", name);
    assert_ok(file_read(&ids, test_shared(rel), &e), e);
    arena_init(&a, 1 << 24);
    at = texts.data;
    line = ids.data;
    while (at && line && *line) {
        char *end = strstr(at, mark);
        size_t len = end ? (size_t)(end - at) : strlen(at);
        struct token *out;
        size_t n;
        arena_reset(&a);
        assert_ok(tokenizer_encode(t, at, len, 0, &a, &out, &n, &e), e);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(out[i].id, strtol(line, &line, 10));
        line += strspn(line, " ");
        if (*line != '\n')
            print_error("case %zu: fewer tokens than recorded\n", n_cases);
        assert_int_equal(*line, '\n');
        line++;
        at = end ? end + sizeof mark - 1 : NULL;
        n_cases++;
    }
    assert_true(n_cases > 30);
    arena_free(&a);
    buf_free(&texts);
    buf_free(&ids);
    tokenizer_close(t);
    weights_close(w);
}

static void test_gpt2_vocabulary_gives_the_listed_ids(void **state)
{
    (void)state;
    against_lists("ggml-vocab-gpt-2.gguf");
}

static void test_unknown_pre_tokenizer_is_refused_by_name(void **state)
{
    const char *p = test_shared("data/tokenizers/gguf/ggml-vocab-falcon.gguf");
    struct weights *w = NULL;
    struct tokenizer *t = NULL;
    struct err e = {0};

    (void)state;
    if (!p)
        skip();
    assert_ok(weights_open(&w, p, &e), e);
    assert_int_equal(tokenizer_open_gguf(&t, w, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "falcon"));
    weights_close(w);
}

/* golden.json of tiny models: text -> ids with the post-processor's additions */
static void test_tiny_models_give_the_recorded_ids(void **state)
{
    static const char *const models[] = {"gpt2", "qwen2", "qwen3", "llama3-rope", "gpt_neox"};

    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char rel[256];
        char golden[256];
        struct tokenizer t = {0};
        struct err e = {0};
        struct arena a;
        json_t *root;
        json_t *want;
        json_t *c;
        size_t i;
        snprintf(rel, sizeof rel, "data/models/tiny/%s/tokenizer.json", models[m]);
        snprintf(golden, sizeof golden, "data/models/tiny/%s/golden.json", models[m]);
        if (!test_shared(rel))
            skip();
        root = load(test_shared(rel));
        want = load(test_shared(golden));
        assert_ok(tok_bpe_open_json(&t, root, test_shared(rel), &e), e);
        arena_init(&a, 1 << 22);
        json_array_foreach(json_object_get(want, "tokenizer"), i, c)
        {
            const json_t *text = json_object_get(c, "text");
            const json_t *ids = json_object_get(c, "ids");
            struct token *out;
            size_t n;
            if (json_object_get(c, "pair"))
                continue;
            n = encode(&t, json_string_value(text), json_string_length(text),
                       TOK_ADD_ENDS | TOK_SPECIAL, &a, &out);
            if (n != json_array_size(ids))
                print_error("%s case %zu: %zu tokens\n", models[m], i, n);
            assert_int_equal(n, json_array_size(ids));
            for (size_t k = 0; k < n; k++)
                assert_int_equal(out[k].id, json_integer_value(json_array_get(ids, k)));
        }
        arena_free(&a);
        json_decref(root);
        json_decref(want);
        t.kind->close(t.self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_equal_hugging_face_under_every_pre_tokenizer),
        cmocka_unit_test(test_pieces_equal_hugging_face),
        cmocka_unit_test(test_offsets_cover_the_text_and_decode_gives_it_back),
        cmocka_unit_test(test_special_tokens_in_text_are_text_unless_asked_for),
        cmocka_unit_test(test_bytes_that_are_not_utf8_become_the_replacement_character),
        cmocka_unit_test(test_a_word_of_a_megabyte_is_not_quadratic),
        cmocka_unit_test(test_wrong_files_are_refused_by_name),
        cmocka_unit_test(test_load_survives_every_failed_allocation),
        cmocka_unit_test(test_roberta_vocabulary_gives_the_recorded_ids),
        cmocka_unit_test(test_gpt2_vocabulary_gives_the_listed_ids),
        cmocka_unit_test(test_unknown_pre_tokenizer_is_refused_by_name),
        cmocka_unit_test(test_tiny_models_give_the_recorded_ids),
    };

    return cmocka_run_group_tests_name("tok_bpe", tests, NULL, NULL);
}
