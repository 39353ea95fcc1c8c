/* test_embedder.c - vectors against the numbers of a model written in numpy
 * (tests/golden/bert-tiny) and, when they are there, against those of the default model in the
 * reference implementation; the same alone, in any batch and on any number of threads; and what is
 * said when a model folder is not sound. */
#include "tests/support/test.h"

#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "embedder/embedder.h"

#define TINY "tests/golden/bert-tiny"
#define DIM 64

static struct arena arena;
static json_t *golden;

static int setup(void **state)
{
    struct err e = {0};

    (void)state;
    arena_init(&arena, GIB);
    return json_parse_file(&golden, TINY "/golden.json", &e);
}

static int teardown(void **state)
{
    (void)state;
    json_decref(golden);
    arena_free(&arena);
    return 0;
}

static struct embedder *open_with(const char *dir, const char *kern, struct team *team)
{
    struct embedder_opts o = {.team = team, .kern = kern};
    struct embedder *em = NULL;
    struct err e = {0};

    assert_ok(embedder_open(&em, dir, &o, &e), e);
    return em;
}

static struct embed_text text_of(const json_t *c)
{
    const json_t *t = json_object_get(c, "text");

    return (struct embed_text){json_string_value(t), json_string_length(t)};
}

static size_t all_texts(struct embed_text *out, size_t most)
{
    size_t n = json_array_size(golden);

    assert_true(n <= most && n > 20);
    for (size_t i = 0; i < n; i++)
        out[i] = text_of(json_array_get(golden, i));
    return n;
}

static void embed(struct embedder *em, const struct embed_text *t, size_t n, float *v,
                  struct embed_stat *st)
{
    struct err e = {0};
    size_t used = arena.used;

    assert_ok(embedder_embed(em, t, n, &arena, v, st, &e), e);
    assert_int_equal(arena.used, used); /* scratch is given back */
}

static double distance(const float *v, const json_t *want)
{
    double worst = 0;

    for (size_t i = 0; i < json_array_size(want); i++)
        worst = fmax(worst, fabs((double)v[i] - json_number_value(json_array_get(want, i))));
    return worst;
}

static void test_vectors_equal_the_reference_with_every_kernel_set(void **state)
{
    static const char *const kerns[] = {"ref", "avx2", "avx512"};
    struct embed_text t[64];
    struct embed_stat st[64];
    float v[64][DIM];
    size_t n = all_texts(t, 64);

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct embedder_opts o = {.kern = kerns[k]};
        struct embedder *em = NULL;
        struct err e = {0};
        double worst = 0;
        int rc = embedder_open(&em, TINY, &o, &e);
        if (rc) { /* not on this processor */
            assert_true(k && rc == ERR_INVALID);
            continue;
        }
        assert_int_equal(embedder_info(em)->dim, DIM);
        assert_int_equal(embedder_info(em)->max_tokens, 48);
        assert_string_equal(embedder_info(em)->name, "bert-tiny");
        embed(em, t, n, v[0], st);
        for (size_t i = 0; i < n; i++) {
            const json_t *c = json_array_get(golden, i);
            worst = fmax(worst, distance(v[i], json_object_get(c, "embedding")));
            assert_int_equal(st[i].n_tokens, json_integer_value(json_object_get(c, "n_tokens")));
            assert_int_equal(st[i].n_unknown, json_integer_value(json_object_get(c, "unknown")));
            assert_int_equal(st[i].truncated, json_integer_value(json_object_get(c, "truncated")));
        }
        print_message("%s: %zu texts, largest difference %.2g\n", kerns[k], n, worst);
        assert_true(worst < 2e-6);
        embedder_close(em);
    }
}

/* Every text alone, all together, in reverse and in random batches, on 1 to 3 threads: equal to the
 * bit. */
static void test_a_text_has_one_vector_whatever_its_company(void **state)
{
    struct embed_text t[64], some[64];
    float want[64][DIM], v[64][DIM];
    size_t n = all_texts(t, 64);
    uint64_t seed = 11;
    struct err e = {0};

    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        struct team *team = NULL;
        struct embedder *em;
        assert_ok(team_open(&team, threads, &e), e);
        em = open_with(TINY, NULL, team);
        for (size_t i = 0; i < n; i++) {
            embed(em, &t[i], 1, v[i], NULL);
            if (threads == 1)
                memcpy(want[i], v[i], sizeof v[i]);
        }
        assert_memory_equal(v, want, n * sizeof v[0]);
        embed(em, t, n, v[0], NULL);
        assert_memory_equal(v, want, n * sizeof v[0]);
        for (int round = 0; round < 40; round++) {
            size_t from[64];
            size_t m = test_rand(&seed) % 64;
            for (size_t i = 0; i < m; i++) {
                from[i] = test_rand(&seed) % n;
                some[i] = t[from[i]];
            }
            embed(em, some, m, v[0], NULL);
            for (size_t i = 0; i < m; i++)
                assert_memory_equal(v[i], want[from[i]], sizeof v[i]);
        }
        embedder_close(em);
        team_close(team);
    }
}

static void test_vectors_have_unit_length(void **state)
{
    struct embed_text t[64];
    float v[64][DIM];
    size_t n = all_texts(t, 64);
    struct embedder *em = open_with(TINY, NULL, NULL);

    (void)state;
    embed(em, t, n, v[0], NULL);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < DIM; j++)
            sum += (double)v[i][j] * v[i][j];
        assert_true(fabs(sum - 1) < 1e-6);
    }
    embed(em, t, 0, v[0], NULL); /* nothing is fine */
    embedder_close(em);
}

static void test_tokens_are_counted_without_ends_and_without_truncation(void **state)
{
    static const char text[] = "ferry ferry ferry";
    struct embedder *em = open_with(TINY, NULL, NULL);
    char *longer = mem_take(600, 1);

    (void)state;
    for (int i = 0; i < 100; i++)
        memcpy(longer + 6 * i, "ferry ", 6);
    assert_int_equal(embedder_count_tokens(em, text, strlen(text), &arena), 3);
    assert_int_equal(embedder_count_tokens(em, longer, 600, &arena), 100);
    assert_int_equal(embedder_count_tokens(em, "", 0, &arena), 0);
    mem_give(longer);
    embedder_close(em);
}

static void test_scratch_that_is_too_small_is_an_error_not_a_crash(void **state)
{
    struct embedder *em = open_with(TINY, NULL, NULL);
    struct embed_text t[64];
    float v[64][DIM];
    size_t n = all_texts(t, 64);
    struct arena small;
    struct err e = {0};
    int rc = ERR_NOMEM;

    (void)state;
    for (size_t bytes = 64; rc && bytes < 64 * MIB; bytes *= 2) {
        arena_init(&small, bytes);
        rc = embedder_embed(em, t, n, &small, v[0], NULL, &e);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_int_equal(small.used, 0);
        arena_free(&small);
    }
    assert_int_equal(rc, 0);
    rc = ERR_NOMEM;
    for (long k = 0; rc; k++) {
        arena_init(&small, 64 * MIB);
        mem_fail_after(k);
        rc = embedder_embed(em, t, n, &small, v[0], NULL, &e);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        arena_free(&small);
    }
    embedder_close(em);
}

/* ---- folders that are not sound ---- */

static const char *const parts[] = {"config.json",           "model.safetensors",
                                    "tokenizer.json",        "sentence_bert_config.json",
                                    "1_Pooling/config.json", "modules.json"};

/* A copy of the tiny model in which the first `from` of one part is `to` (of equal length in
 * model.safetensors, whose header has a length); from NULL: the part is cut to half; to NULL: it is
 * left out. */
static char *changed(const char *part, const char *from, const char *to)
{
    char *dir = test_mkdir();
    char path[1200];
    struct err e = {0};

    snprintf(path, sizeof path, "%s/1_Pooling", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int here = part && !strcmp(parts[i], part);
        struct buf in, out;
        char *at;
        buf_init(&in, MIB);
        buf_init(&out, MIB);
        snprintf(path, sizeof path, TINY "/%s", parts[i]);
        assert_ok(file_read(&in, path, &e), e);
        at = here && from ? memmem(in.data, in.len, from, strlen(from)) : NULL;
        assert_true(!here || !from || at);
        if (at) {
            buf_add(&out, in.data, (size_t)(at - in.data));
            buf_str(&out, to);
            buf_add(&out, at + strlen(from), in.len - (size_t)(at - in.data) - strlen(from));
        } else {
            buf_add(&out, in.data, here ? in.len / 2 : in.len);
        }
        snprintf(path, sizeof path, "%s/%s", dir, parts[i]);
        if (!here || to)
            assert_ok(file_replace(path, out.data, out.len, &e), e);
        buf_free(&in);
        buf_free(&out);
    }
    return dir;
}

static void test_what_is_wrong_with_a_folder_is_named(void **state)
{
    static const struct {
        const char *part, *from, *to;
        int code; /* 0: opens all the same */
        const char *words[2];
    } cases[] = {
        {"1_Pooling/config.json", NULL, NULL, 0, {"", ""}},
        {"sentence_bert_config.json", NULL, NULL, 0, {"", ""}},
        {"config.json", NULL, NULL, ERR_NOTFOUND, {"config.json", ""}},
        {"model.safetensors", NULL, NULL, ERR_NOTFOUND, {"model.safetensors", ""}},
        {"tokenizer.json", NULL, NULL, ERR_NOTFOUND, {"tokenizer.json", ""}},
        {"config.json", NULL, "cut", ERR_FORMAT, {"config.json", "line"}},
        {"model.safetensors", NULL, "cut", ERR_FORMAT, {"model.safetensors", "data_offsets"}},
        {"tokenizer.json", NULL, "cut", ERR_FORMAT, {"tokenizer.json", "line"}},
        {"model.safetensors",
         "encoder.layer.1.output.dense.bias",
         "encoder.layer.1.output.dense.bios",
         ERR_FORMAT,
         {"encoder.layer.1.output.dense.bias", "missing"}},
        {"model.safetensors",
         "embeddings.word_embeddings.weight",
         "embeddings.word_embeddings.height",
         ERR_FORMAT,
         {"embeddings.word_embeddings.weight", "missing"}},
        {"model.safetensors",
         "\"shape\":[96,64]",
         "\"shape\":[64,96]",
         ERR_FORMAT,
         {"encoder.layer.0.intermediate.dense.weight", "expected 96"}},
        {"config.json",
         "\"intermediate_size\":96",
         "\"intermediate_size\":97",
         ERR_FORMAT,
         {"intermediate.dense.weight", "97"}},
        {"config.json",
         "\"num_hidden_layers\":2",
         "\"num_hidden_layers\":3",
         ERR_FORMAT,
         {"encoder.layer.2.", "missing"}},
        {"config.json",
         "\"num_attention_heads\":4",
         "\"num_attention_heads\":7",
         ERR_FORMAT,
         {"config.json", "heads"}},
        {"config.json",
         "\"num_attention_heads\":4",
         "\"num_attention_heads\":0",
         ERR_FORMAT,
         {"config.json", "heads"}},
        {"config.json",
         "\"num_hidden_layers\":2",
         "\"num_hidden_layers\":2000000000",
         ERR_FORMAT,
         {"num_hidden_layers", ""}},
        {"config.json",
         "\"hidden_size\":64",
         "\"hidden_size\":\"64\"",
         ERR_FORMAT,
         {"hidden_size", ""}},
        {"config.json", "\"hidden_size\":64,", "", ERR_FORMAT, {"hidden_size", "missing"}},
        {"config.json", "\"bert\"", "\"roberta\"", ERR_UNSUPPORTED, {"roberta", ""}},
        {"config.json", "\"gelu\"", "\"relu\"", ERR_UNSUPPORTED, {"relu", ""}},
        {"sentence_bert_config.json", "48", "-1", ERR_FORMAT, {"max_seq_length", ""}},
        {"sentence_bert_config.json", "48", "100000", 0, {"", ""}},
        {"1_Pooling/config.json",
         "\"pooling_mode_mean_tokens\":true",
         "\"pooling_mode_mean_tokens\":false",
         ERR_UNSUPPORTED,
         {"1_Pooling/config.json", "mean"}},
        {"1_Pooling/config.json",
         "\"pooling_mode_cls_token\":false",
         "\"pooling_mode_cls_token\":true",
         ERR_UNSUPPORTED,
         {"1_Pooling/config.json", "pooling_mode_cls_token"}},
        {"modules.json",
         "models.Normalize",
         "models.Dense",
         ERR_UNSUPPORTED,
         {"modules.json", "models.Dense"}},
        {"tokenizer.json", "\"##al\":", "\"##all\":178,\"##al\":", ERR_FORMAT, {"179", "178"}},
        {"tokenizer.json",
         "\"##al\":",
         "\"##all\":7,\"##al\":",
         ERR_FORMAT,
         {"tokenizer.json", "twice"}},
        {"tokenizer.json",
         "\"##al\":",
         "\"##all\":-7,\"##al\":",
         ERR_FORMAT,
         {"tokenizer.json", "##all"}},
        {"tokenizer.json",
         "\"type\":\"WordPiece\",\"unk",
         "\"type\":\"Unigram\",\"unk",
         ERR_UNSUPPORTED,
         {"Unigram", ""}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *dir = changed(cases[i].part, cases[i].from, cases[i].to);
        struct embedder_opts o = {.kern = NULL};
        struct embedder *em = NULL;
        struct err e = {0};
        int rc = embedder_open(&em, dir, &o, &e);
        if (rc != cases[i].code ||
            (rc && (!strstr(e.msg, cases[i].words[0]) || !strstr(e.msg, cases[i].words[1]))))
            print_error("%s with %s: %s \"%s\"\n", cases[i].part, cases[i].to,
                        rc ? err_name(rc) : "opened", e.msg);
        assert_int_equal(rc, cases[i].code);
        assert_true(!rc || (strstr(e.msg, cases[i].words[0]) && strstr(e.msg, cases[i].words[1])));
        assert_true(!rc == !!em);
        embedder_close(em);
        test_rmdir(dir);
        mem_give(dir);
    }
}

static void test_open_survives_every_failed_allocation(void **state)
{
    struct embedder_opts o = {.kern = NULL};
    struct embedder *em = NULL;
    struct err e = {0};
    int rc = ERR_NOMEM;
    long k;

    (void)state;
    for (k = 0; rc; k++) {
        mem_fail_after(k);
        rc = embedder_open(&em, TINY, &o, &e);
        mem_fail_after(-1);
        if (rc && rc != ERR_NOMEM)
            print_error("allocation %ld: %s %s\n", k, err_name(rc), e.msg);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    print_message("%ld allocations\n", k - 1);
    assert_true(k > 20);
    embedder_close(em);
}

static void test_two_trainings_have_two_ids(void **state)
{
    char *dir = changed("model.safetensors", "\"format\":\"pt\"", "\"format\":\"np\"");
    struct embedder *a = open_with(TINY, NULL, NULL);
    struct embedder *b = open_with(dir, NULL, NULL);
    char path[1200];
    FILE *f;

    (void)state;
    assert_string_equal(embedder_info(a)->id,
                        embedder_info(b)->id); /* what is not weights does not count */
    embedder_close(b);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -4, SEEK_END), 0);
    assert_int_equal(fputc(1, f), 1);
    fclose(f);
    b = open_with(dir, NULL, NULL);
    assert_string_not_equal(embedder_info(a)->id, embedder_info(b)->id);
    embedder_close(a);
    embedder_close(b);
    test_rmdir(dir);
    mem_give(dir);
}

/* The byte of model.safetensors where a tensor's data begins. */
static long data_at(const char *name)
{
    struct buf in;
    struct err e = {0};
    json_t *header;
    uint64_t n = 0;
    long at;

    buf_init(&in, MIB);
    assert_ok(file_read(&in, TINY "/model.safetensors", &e), e);
    memcpy(&n, in.data, 8);
    assert_ok(json_parse(&header, in.data + 8, n, "header", &e), e);
    at = (long)json_integer_value(
        json_array_get(json_object_get(json_object_get(header, name), "data_offsets"), 0));
    json_decref(header);
    buf_free(&in);
    return at + 8 + (long)n;
}

static void test_weights_that_are_not_numbers_give_an_error_not_a_vector(void **state)
{
    static const char *const kerns[] = {"ref", "avx2", "avx512"};
    static const char *const names[] = {"encoder.layer.0.attention.self.query.weight",
                                        "encoder.layer.1.intermediate.dense.weight"};
    static const unsigned char nans[4] = {0xFF, 0x7F, 0xFF, 0x7F}; /* as F32 and as two F16 */
    struct embed_text t = {"the ferry leaves", 16};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *dir = changed("model.safetensors", "\"format\":\"pt\"", "\"format\":\"np\"");
        char path[1200];
        FILE *f;
        snprintf(path, sizeof path, "%s/model.safetensors", dir);
        f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, data_at(names[i]), SEEK_SET), 0);
        assert_int_equal(fwrite(nans, 1, 4, f), 4);
        fclose(f);
        for (size_t k = 0; k < sizeof kerns / sizeof *kerns; k++) {
            struct embedder_opts o = {.kern = kerns[k]};
            struct embedder *em = NULL;
            struct err e = {0};
            float v[DIM];
            if (embedder_open(&em, dir, &o, &e) == ERR_INVALID)
                continue; /* not on this processor */
            assert_int_equal(embedder_embed(em, &t, 1, &arena, v, NULL, &e), ERR_CORRUPT);
            assert_non_null(strstr(e.msg, "not finite"));
            embedder_close(em);
        }
        test_rmdir(dir);
        mem_give(dir);
    }
}

static void test_the_default_model_equals_the_reference(void **state)
{
    const char *path = test_shared("data/golden/minilm.jsonl");
    const char *dir = test_model("all-MiniLM-L6-v2");
    FILE *f = path && dir ? fopen(path, "r") : NULL;
    struct embedder *em = f ? open_with(dir, NULL, NULL) : NULL;
    char *line = NULL;
    size_t cap = 0;
    double worst = 0;
    double least = 1;
    size_t n = 0;

    (void)state;
    while (f && getline(&line, &cap, f) > 0) {
        struct err e = {0};
        json_t *c;
        struct embed_text t;
        const json_t *want;
        float v[384];
        double dot = 0;
        assert_ok(json_parse(&c, line, strlen(line), path, &e), e);
        t = text_of(c);
        want = json_object_get(c, "embedding");
        if (strcmp(json_str(c, "name", ""), "special token text") != 0) {
            embed(em, &t, 1, v, NULL);
            for (size_t i = 0; i < 384; i++)
                dot += (double)v[i] * json_number_value(json_array_get(want, i));
            worst = fmax(worst, distance(v, want));
            least = fmin(least, dot);
            n++;
        }
        json_decref(c);
    }
    free(line);
    embedder_close(em);
    if (!f)
        skip();
    fclose(f);
    print_message("%zu texts: largest difference %.2g, least cosine %.8f\n", n, worst, least);
    assert_true(worst < 1e-5 && least > 0.999999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_equal_the_reference_with_every_kernel_set),
        cmocka_unit_test(test_a_text_has_one_vector_whatever_its_company),
        cmocka_unit_test(test_vectors_have_unit_length),
        cmocka_unit_test(test_tokens_are_counted_without_ends_and_without_truncation),
        cmocka_unit_test(test_scratch_that_is_too_small_is_an_error_not_a_crash),
        cmocka_unit_test(test_what_is_wrong_with_a_folder_is_named),
        cmocka_unit_test(test_open_survives_every_failed_allocation),
        cmocka_unit_test(test_two_trainings_have_two_ids),
        cmocka_unit_test(test_weights_that_are_not_numbers_give_an_error_not_a_vector),
        cmocka_unit_test(test_the_default_model_equals_the_reference),
    };

    return cmocka_run_group_tests_name("embedder", tests, setup, teardown);
}
