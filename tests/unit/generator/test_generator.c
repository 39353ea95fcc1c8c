/* test_generator.c - the decoder on tiny models: logits, independence of batch and threads,
 * answers. */
#include "tests/support/test.h"

#include <math.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/team.h"
#include "base/utf8.h"
#include "generator/generator.h"

#define TINY "tests/golden/llama-tiny/"
#define V 320

static struct generator *open_tiny(const char *file, int exact, struct team *team)
{
    struct generator_opts o = {.team = team, .fp32_activations = exact};
    struct generator *g = NULL;
    struct err e = {0};
    char path[256];

    snprintf(path, sizeof path, TINY "%s.gguf", file);
    assert_ok(generator_open(&g, path, &o, &e), e);
    return g;
}

static json_t *golden(void)
{
    json_t *j = NULL;
    struct err e = {0};

    assert_ok(json_parse_file(&j, TINY "golden.json", &e), e);
    return j;
}

static size_t ids_of(const json_t *list, int32_t *out, size_t most)
{
    size_t n = json_array_size(list);

    assert_true(n <= most);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

static struct gen_seq *seq(struct generator *g, uint32_t cap)
{
    struct gen_seq *s = NULL;
    struct err e = {0};

    assert_ok(gen_seq_open(&s, g, cap, &e), e);
    return s;
}

static void forward(struct generator *g, struct gen_seq *s, const int32_t *ids, uint32_t n, int all,
                    float *logits)
{
    struct gen_step step = {s, ids, n, all, logits};
    struct err e = {0};

    assert_ok(generator_forward(g, &step, 1, &e), e);
}

static int32_t best(const float *x, size_t n)
{
    size_t top = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[top])
            top = i;
    return (int32_t)top;
}

static void test_logits_equal_the_golden_for_each_file_and_kernel_set(void **state)
{
    static const char *const files[] = {"f32", "q4_1", "q8_0"};
    static const char *const sets[] = {"ref", "avx2", "avx512"};
    json_t *j = golden();
    int32_t ids[64];
    uint32_t n = (uint32_t)ids_of(json_object_get(j, "ids"), ids, 64);

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        const json_t *f = json_object_get(json_object_get(j, "files"), files[i % 3]);
        struct generator_opts o = {.fp32_activations = 1, .kern = sets[i / 3]};
        struct generator *g = NULL;
        struct gen_seq *s;
        struct err e = {0};
        char path[256];
        int32_t greedy[16];
        float row[V];
        float *y;
        snprintf(path, sizeof path, TINY "%s.gguf", files[i % 3]);
        if (generator_open(&g, path, &o, &e) == ERR_INVALID)
            continue; /* a set that this processor lacks */
        assert_non_null(g);
        s = seq(g, 100);
        y = mem_take(n * V, sizeof *y);
        forward(g, s, ids, n, 1, y);
        for (uint32_t t = 0; t < n; t++) {
            assert_int_equal(best(y + t * V, V),
                             json_integer_value(json_array_get(json_object_get(f, "best"), t)));
            assert_float_equal(
                y[t * V + (size_t)best(y + t * V, V)],
                json_number_value(json_array_get(json_object_get(f, "best_logit"), t)), 1e-4);
        }
        for (size_t v = 0; v < V; v++)
            assert_float_equal(y[(n - 1) * V + v],
                               json_number_value(json_array_get(json_object_get(f, "last"), v)),
                               1e-4);
        ids_of(json_object_get(f, "greedy"), greedy, 16);
        for (size_t t = 0; t < 16; t++) {
            assert_int_equal(best(t ? row : y + (n - 1) * V, V), greedy[t]);
            forward(g, s, &greedy[t], 1, 0, row);
        }
        mem_give(y);
        gen_seq_close(s);
        generator_close(g);
    }
    json_decref(j);
}

static void fill(int32_t *ids, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(test_rand(&seed) % V);
}

/* Three sequences of 5, 150 (longer than a piece) and 1 tokens. */
static const uint32_t lengths[3] = {5, 150, 1};

static void alone(struct generator *g, int32_t ids[3][160], float y[3][V])
{
    for (size_t i = 0; i < 3; i++) {
        struct gen_seq *s = seq(g, 200);
        forward(g, s, ids[i], lengths[i], 0, y[i]);
        gen_seq_close(s);
    }
}

static void together(struct generator *g, int32_t ids[3][160], float y[3][V])
{
    struct gen_step steps[3];
    struct err e = {0};

    for (size_t i = 0; i < 3; i++)
        steps[i] = (struct gen_step){seq(g, 200), ids[i], lengths[i], 0, y[i]};
    assert_ok(generator_forward(g, steps, 3, &e), e);
    for (size_t i = 0; i < 3; i++)
        gen_seq_close(steps[i].seq);
}

static void test_logits_do_not_depend_on_batch_mates_or_threads(void **state)
{
    static const char *const files[] = {"f32", "q4_1", "q8_0"};
    int32_t ids[3][160];
    struct team *team = NULL;
    struct err e = {0};

    (void)state;
    assert_ok(team_open(&team, 3, &e), e);
    for (size_t i = 0; i < 3; i++)
        fill(ids[i], lengths[i], i + 1);
    for (int exact = 0; exact < 2; exact++)
        for (size_t f = 0; f < 3; f++) {
            struct generator *one = open_tiny(files[f], exact, NULL);
            struct generator *three = open_tiny(files[f], exact, team);
            float a[3][V];
            float b[3][V];
            alone(one, ids, a);
            together(one, ids, b);
            assert_memory_equal(a, b, sizeof a);
            alone(three, ids, b);
            assert_memory_equal(a, b, sizeof a);
            together(three, ids, b);
            assert_memory_equal(a, b, sizeof a);
            generator_close(one);
            generator_close(three);
        }
    team_close(team);
}

static void test_one_pass_equals_token_by_token_and_a_cut_sequence(void **state)
{
    struct generator *g = open_tiny("q4_1", 0, NULL);
    struct gen_seq *s = seq(g, 64);
    struct err e = {0};
    int32_t ids[40];
    float whole[40 * V];
    float row[V];

    (void)state;
    fill(ids, 40, 9);
    forward(g, s, ids, 40, 1, whole);
    assert_int_equal(gen_seq_len(s), 40);
    assert_ok(gen_seq_cut(s, 17, &e), e);
    for (uint32_t i = 17; i < 40; i++) {
        forward(g, s, ids + i, 1, 0, row);
        assert_memory_equal(row, whole + i * V, sizeof row);
    }
    assert_int_equal(gen_seq_cut(s, 41, &e), ERR_INVALID);
    gen_seq_close(s);
    generator_close(g);
}

static void test_bad_steps_are_refused_and_change_nothing(void **state)
{
    struct generator *g = open_tiny("q8_0", 0, NULL);
    struct gen_seq *a = seq(g, 4);
    struct gen_seq *b = seq(g, 4);
    struct gen_seq *none = NULL;
    int32_t ids[5] = {1, 2, 3, 4, 5};
    int32_t bad[2] = {1, V};
    struct err e = {0};
    struct gen_step steps[2] = {{a, ids, 2, 0, NULL}, {b, bad, 2, 0, NULL}};

    (void)state;
    assert_int_equal(generator_forward(g, steps, 2, &e), ERR_INVALID);
    steps[1] = (struct gen_step){b, ids, 5, 0, NULL};
    assert_int_equal(generator_forward(g, steps, 2, &e), ERR_LIMIT);
    steps[1] = (struct gen_step){a, ids, 1, 0, NULL};
    assert_int_equal(generator_forward(g, steps, 2, &e), ERR_INVALID);
    bad[1] = -1;
    steps[1] = (struct gen_step){b, bad, 2, 0, NULL};
    assert_int_equal(generator_forward(g, steps, 2, &e), ERR_INVALID);
    assert_int_equal(gen_seq_len(a), 0);
    assert_int_equal(gen_seq_len(b), 0);
    assert_int_equal(gen_seq_open(&none, g, 257, &e), ERR_LIMIT);
    assert_null(none);
    gen_seq_close(a);
    gen_seq_close(b);
    generator_close(g);
}

/* ---- answers ---- */

struct heard {
    struct buf text;
    int calls, stop_at;
};

static int hear(void *arg, const char *text, size_t n)
{
    struct heard *h = arg;

    assert_true(n > 0);
    assert_int_equal(utf8_valid(text, n), n); /* never half a character */
    buf_add(&h->text, text, n);
    return ++h->calls == h->stop_at;
}

static void run(struct generator *g, const int32_t *ids, size_t n, const struct gen_params *p,
                struct heard *h, struct arena *a, struct gen_result *r)
{
    struct err e = {0};

    buf_clear(&h->text);
    h->calls = 0;
    assert_ok(generator_run(g, ids, n, p, hear, h, a, r, &e), e);
}

static void test_an_answer_streams_whole_characters_and_reuses_its_prefix(void **state)
{
    struct generator *g = open_tiny("q4_1", 0, NULL);
    struct gen_params p = {.max_new = 60, .temperature = 1.5f, .seed = 3};
    struct heard h = {.stop_at = 0};
    struct gen_result first;
    struct gen_result again;
    struct arena a;
    int32_t ids[32];

    (void)state;
    arena_init(&a, 16 * MIB);
    buf_init(&h.text, MIB);
    fill(ids, 32, 5);
    for (uint64_t seed = 1; seed <= 40; seed++) { /* random models write broken characters */
        p.seed = seed;
        run(g, ids, 32, &p, &h, &a, &first);
        assert_int_equal(utf8_valid(first.text, first.n), first.n);
        assert_int_equal(h.text.len, first.n);
        if (first.n)
            assert_memory_equal(h.text.data, first.text, first.n);
        arena_reset(&a);
    }
    run(g, ids, 32, &p, &h, &a, &first);
    assert_int_equal(first.prompt_tokens, 32);
    assert_int_equal(first.reused_tokens, 31);
    ids[20] = (ids[20] + 1) % V;
    run(g, ids, 32, &p, &h, &a, &first);
    assert_int_equal(first.reused_tokens, 20);
    generator_close(g);
    g = open_tiny("q4_1", 0, NULL); /* a fresh model gives the same: reuse changes nothing */
    run(g, ids, 32, &p, &h, &a, &again);
    assert_int_equal(again.reused_tokens, 0);
    assert_int_equal(again.n, first.n);
    assert_memory_equal(again.text, first.text, first.n);
    assert_true(again.mean_logprob < 0 && again.mean_logprob == first.mean_logprob);
    buf_free(&h.text);
    arena_free(&a);
    generator_close(g);
}

static void test_stops_limits_and_cancelling_end_an_answer(void **state)
{
    struct generator *g = open_tiny("q8_0", 0, NULL);
    struct gen_params p = {.max_new = 40};
    struct heard h = {.stop_at = 0};
    struct gen_result r;
    struct arena a;
    struct err e = {0};
    int32_t ids[250];
    char stop[5] = {0};
    const char *stops[1] = {stop};
    char whole[1024];

    (void)state;
    arena_init(&a, 16 * MIB);
    buf_init(&h.text, MIB);
    fill(ids, 250, 8);
    run(g, ids, 30, &p, &h, &a, &r);
    assert_string_equal(r.finish, "length");
    assert_int_equal(r.new_tokens, 40);
    assert_true(r.n > 20 && r.n < sizeof whole);
    memcpy(whole, r.text, r.n + 1);
    {
        size_t at = utf8_floor(whole, r.n / 2);
        uint32_t cp;
        memcpy(stop, whole + at, utf8_next(whole + at, r.n - at, &cp));
    }
    p.stops = stops;
    p.n_stops = 1;
    run(g, ids, 30, &p, &h, &a, &r);
    assert_string_equal(r.finish, "stop");
    assert_int_equal(r.n, (size_t)(strstr(whole, stop) - whole));
    assert_memory_equal(r.text, whole, r.n);
    assert_int_equal(h.text.len, r.n); /* nothing of the stop text was shown */
    p.n_stops = 0;
    h.stop_at = 2;
    run(g, ids, 30, &p, &h, &a, &r);
    assert_string_equal(r.finish, "cancelled");
    h.stop_at = 0;
    run(g, ids, 250, &p, &h, &a, &r); /* 256 is the context */
    assert_int_equal(r.new_tokens, 7);
    assert_int_equal(generator_run(g, ids, 0, &p, NULL, NULL, &a, &r, &e), ERR_INVALID);
    assert_int_equal(generator_run(g, ids, 256, &p, NULL, NULL, &a, &r, &e), ERR_LIMIT);
    buf_free(&h.text);
    arena_free(&a);
    generator_close(g);
}

static void test_chat_puts_the_default_system_message_and_no_markers_from_text(void **state)
{
    struct generator *g = open_tiny("q8_0", 0, NULL);
    struct gen_message m[2] = {{"user", "Hi <|im_end|>"}, {"assistant", "x"}};
    struct buf b;
    struct arena a;
    struct err e = {0};
    int32_t *ids;
    size_t n;
    size_t markers = 0;

    (void)state;
    arena_init(&a, MIB);
    buf_init(&b, MIB);
    assert_true(generator_info(g)->has_chat_template);
    assert_ok(generator_chat_ids(g, m, 1, &a, &ids, &n, &e), e);
    for (size_t i = 0; i < n; i++)
        markers += ids[i] == 2;
    assert_int_equal(markers, 2);
    assert_ok(tokenizer_decode(generator_tokenizer(g), ids, n, 1, &b, &e), e);
    assert_string_equal(b.data, "<|im_start|>system\nYou answer from the pages given.<|im_end|>\n"
                                "<|im_start|>user\nHi <|im_end|><|im_end|>\n"
                                "<|im_start|>assistant\n");
    m[1].role = "tool";
    assert_int_equal(generator_chat_ids(g, m, 2, &a, &ids, &n, &e), ERR_INVALID);
    buf_free(&b);
    arena_free(&a);
    generator_close(g);
}

static void test_open_survives_every_failed_allocation(void **state)
{
    struct generator *g = NULL;
    struct err e = {0};
    int rc = ERR_NOMEM;

    (void)state;
    for (long k = 0; rc; k++) {
        mem_fail_after(k);
        rc = generator_open(&g, TINY "q4_1.gguf", NULL, &e);
        assert_true(rc == 0 || rc == ERR_NOMEM || rc == ERR_LIMIT);
    }
    mem_fail_after(-1);
    generator_close(g);
}

/* ---- recorded tiny models, when they are there ---- */

static void check_recorded(struct generator *g, const json_t *cases, const char *what)
{
    uint32_t vocab = generator_info(g)->vocab;
    size_t i;
    json_t *c;

    json_array_foreach(cases, i, c)
    {
        const json_t *last = json_object_get(c, "last_logits");
        const json_t *top = json_object_get(c, "top10");
        int32_t ids[512];
        uint32_t n = (uint32_t)ids_of(json_object_get(c, "ids"), ids, 512);
        struct gen_seq *s = seq(g, n);
        float *y = mem_take((size_t)n * vocab, sizeof *y);
        double worst = 0;
        forward(g, s, ids, n, 1, y);
        for (size_t v = 0; v < json_array_size(last); v++)
            worst = fmax(worst, fabs((double)y[(n - 1) * (size_t)vocab + v] -
                                     json_number_value(json_array_get(last, v))));
        for (size_t t = 0; t < json_array_size(top); t++) {
            const json_t *row = json_array_get(top, t);
            const json_t *at = json_object_get(row, "ids");
            const json_t *want = json_object_get(row, "values");
            for (size_t k = 0; k < json_array_size(at); k++)
                worst = fmax(
                    worst,
                    fabs((double)y[t * vocab + (size_t)json_integer_value(json_array_get(at, k))] -
                         json_number_value(json_array_get(want, k))));
        }
        if (worst >= 1e-3)
            print_error("%s case %zu: logits differ by %g\n", what, i, worst);
        assert_true(worst < 1e-3);
        mem_give(y);
        gen_seq_close(s);
    }
}

static json_t *recorded(const char *model, char base[256])
{
    char rel[256];
    json_t *j = NULL;
    struct err e = {0};
    const char *p;

    snprintf(rel, sizeof rel, "data/models/tiny/%s/golden.json", model);
    p = test_shared(rel);
    if (!p)
        return NULL;
    assert_ok(json_parse_file(&j, p, &e), e);
    snprintf(base, 256, "%.*s", (int)(strlen(p) - strlen("/golden.json")), p);
    return j;
}

static void test_recorded_gguf_models_give_the_recorded_logits(void **state)
{
    static const char *const models[] = {"gguf-llama", "gguf-llama256", "gguf-llama3",
                                         "gguf-qwen2"};
    struct generator_opts o = {.fp32_activations = 1, .without_tokenizer = 1};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char base[256];
        json_t *j = recorded(models[i], base);
        const char *file;
        json_t *f;
        if (!j)
            skip();
        json_object_foreach(json_object_get(j, "files"), file, f)
        {
            struct generator *g = NULL;
            struct err e = {0};
            char path[400];
            snprintf(path, sizeof path, "%s/%s", base, file);
            assert_ok(generator_open(&g, path, &o, &e), e);
            check_recorded(g, json_object_get(f, "cases"), path);
            generator_close(g);
        }
        json_decref(j);
    }
}

static void test_recorded_folders_give_the_recorded_logits(void **state)
{
    static const char *const models[] = {
        "llama", "llama-linear-rope", "llama3-rope", "llama-sharded-bf16", "qwen2", "qwen3"};
    struct generator_opts o = {.fp32_activations = 1, .without_tokenizer = 1};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char base[256];
        json_t *j = recorded(models[i], base);
        struct generator *g = NULL;
        struct err e = {0};
        if (!j)
            skip();
        assert_ok(generator_open(&g, base, &o, &e), e);
        check_recorded(g, json_object_get(j, "cases"), models[i]);
        generator_close(g);
        json_decref(j);
    }
}

static void test_recorded_hostile_models_are_refused(void **state)
{
    const char *index = test_shared("data/models/hostile/index.tsv");
    char line[1024];
    FILE *f;

    (void)state;
    if (!index)
        skip();
    f = fopen(index, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct generator_opts o = {.without_tokenizer = 1};
        struct generator *g = NULL;
        struct err e = {0};
        char rel[1200];
        unsigned number = 0;
        int rc;
        line[strcspn(line, "\t\n")] = 0;
        if (sscanf(line, "g%u", &number) != 1 && sscanf(line, "d%u", &number) != 1 &&
            strcmp(line, "ok.gguf") != 0 && strcmp(line, "ok-folder") != 0)
            continue;
        snprintf(rel, sizeof rel, "data/models/hostile/%s", line);
        rc = generator_open(&g, test_shared(rel), &o, &e);
        generator_close(g);
        if (line[0] == 'o')
            assert_ok(rc, e);
        else if (line[0] == 'g' || number <= 15) { /* d16 and on: the tokenizer, or NaN weights */
            if (!rc)
                print_error("%s was accepted\n", line);
            assert_int_not_equal(rc, 0);
        }
    }
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_equal_the_golden_for_each_file_and_kernel_set),
        cmocka_unit_test(test_logits_do_not_depend_on_batch_mates_or_threads),
        cmocka_unit_test(test_one_pass_equals_token_by_token_and_a_cut_sequence),
        cmocka_unit_test(test_bad_steps_are_refused_and_change_nothing),
        cmocka_unit_test(test_an_answer_streams_whole_characters_and_reuses_its_prefix),
        cmocka_unit_test(test_stops_limits_and_cancelling_end_an_answer),
        cmocka_unit_test(test_chat_puts_the_default_system_message_and_no_markers_from_text),
        cmocka_unit_test(test_open_survives_every_failed_allocation),
        cmocka_unit_test(test_recorded_gguf_models_give_the_recorded_logits),
        cmocka_unit_test(test_recorded_folders_give_the_recorded_logits),
        cmocka_unit_test(test_recorded_hostile_models_are_refused),
    };

    return cmocka_run_group_tests_name("generator", tests, NULL, NULL);
}
