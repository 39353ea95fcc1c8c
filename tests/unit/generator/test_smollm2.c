/* test_smollm2.c - the default model against the recorded outputs of the reference implementation
 * (torch, fp32). Skips without the model or the goldens. */
#include "tests/support/test.h"

#include <math.h>

#include "base/json.h"
#include "base/team.h"
#include "generator/generator.h"

#define MODEL "SmolLM2-135M-Instruct.Q4_1.gguf"
#define GOLDEN "data/golden/smollm2.json"

static json_t *golden;
static const char *model;
static struct team *team;

static int setup(void **state)
{
    struct err e = {0};
    const char *path = test_shared(GOLDEN);

    (void)state;
    model = test_model(MODEL);
    if (path && model && json_parse_file(&golden, path, &e))
        return -1;
    return team_open(&team, 2, &e);
}

static int teardown(void **state)
{
    (void)state;
    json_decref(golden);
    team_close(team);
    return 0;
}

static struct generator *open_model(int exact)
{
    struct generator_opts o = {.team = team, .fp32_activations = exact, .max_context = 2048};
    struct generator *g = NULL;
    struct err e = {0};

    if (!golden || !model)
        skip();
    assert_ok(generator_open(&g, model, &o, &e), e);
    return g;
}

static size_t ids_of(const json_t *list, int32_t *out, size_t most)
{
    size_t n = json_array_size(list);

    assert_true(n <= most);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return n;
}

/* The prompt and the reference's 48 tokens in one pass; logits: [48, V], what each is chosen from.
 */
static void forced(struct generator *g, const json_t *c, int32_t greedy[48], float *logits)
{
    struct gen_seq *s = NULL;
    struct err e = {0};
    int32_t ids[1024];
    size_t n = ids_of(json_object_get(c, "ids"), ids, 1024);
    struct gen_step step;

    assert_int_equal(ids_of(json_object_get(c, "greedy"), greedy, 48), 48);
    assert_ok(gen_seq_open(&s, g, (uint32_t)n + 48, &e), e);
    step = (struct gen_step){s, ids, (uint32_t)n, 0, logits};
    assert_ok(generator_forward(g, &step, 1, &e), e);
    step = (struct gen_step){s, greedy, 47, 1, logits + generator_info(g)->vocab};
    assert_ok(generator_forward(g, &step, 1, &e), e);
    gen_seq_close(s);
}

static int32_t best(const float *x, size_t n)
{
    size_t top = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[top])
            top = i;
    return (int32_t)top;
}

static double log_sum(const float *x, size_t n)
{
    double top = x[best(x, n)];
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - top);
    return top + log(sum);
}

static void test_ids_equal_the_reference(void **state)
{
    struct generator *g = open_model(0);
    struct arena a;
    size_t i;
    json_t *c;

    (void)state;
    arena_init(&a, 64 * 1024 * 1024);
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        const json_t *messages = json_object_get(c, "messages");
        struct err e = {0};
        int32_t want[1024];
        int32_t *ids = NULL;
        size_t n_want = ids_of(json_object_get(c, "ids"), want, 1024);
        size_t n = 0;
        arena_reset(&a);
        if (json_array_size(messages)) {
            struct gen_message m[8];
            size_t k = json_array_size(messages);
            for (size_t j = 0; j < k; j++) {
                m[j].role = json_str(json_array_get(messages, j), "role", "");
                m[j].text = json_str(json_array_get(messages, j), "content", "");
            }
            assert_ok(generator_chat_ids(g, m, k, &a, &ids, &n, &e), e);
        } else {
            const char *text = json_str(c, "text", "");
            struct token *t;
            assert_ok(
                tokenizer_encode(generator_tokenizer(g), text, strlen(text), 0, &a, &t, &n, &e), e);
            ids = arena_take(&a, n, sizeof *ids);
            for (size_t j = 0; j < n; j++)
                ids[j] = t[j].id;
        }
        assert_int_equal(n, n_want);
        assert_memory_equal(ids, want, n * sizeof *ids);
    }
    arena_free(&a);
    generator_close(g);
}

static void test_fp32_logits_and_choices_equal_the_reference(void **state)
{
    struct generator *g = open_model(1);
    size_t V = generator_info(g)->vocab;
    float *logits = mem_take(48 * V, sizeof *logits);
    double worst = 0;
    size_t misses = 0;
    size_t i;
    json_t *c;

    (void)state;
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        const json_t *top = json_object_get(c, "top");
        const json_t *margin = json_object_get(c, "greedy_margin");
        int32_t greedy[48];
        forced(g, c, greedy, logits);
        for (size_t j = 0; j < json_array_size(top); j++) {
            const json_t *pair = json_array_get(top, j);
            double want = json_number_value(json_array_get(pair, 1));
            double got = (double)logits[json_integer_value(json_array_get(pair, 0))];
            worst = fmax(worst, fabs(got - want));
        }
        for (size_t j = 0; j < 48; j++) {
            int same = best(logits + j * V, V) == greedy[j];
            double m = json_number_value(json_array_get(margin, j));
            misses += !same;
            if (!same && m > 0.01)
                print_error("case %zu step %zu: another token, margin %g\n", i, j, m);
            assert_true(same || m <= 0.01);
        }
    }
    print_message("fp32: largest difference of a top-10 logit %.2g, %zu of 576 choices differ\n",
                  worst, misses);
    assert_true(worst < 2e-3);
    mem_give(logits);
    generator_close(g);
}

static void test_int8_choices_stay_close_to_the_reference(void **state)
{
    struct generator *exact = open_model(1);
    struct generator *g = open_model(0);
    size_t V = generator_info(g)->vocab;
    float *logits = mem_take(48 * V, sizeof *logits);
    float *want = mem_take(48 * V, sizeof *want);
    double worst_kl = 0;
    double worst_margin = 0;
    size_t misses = 0;
    size_t i;
    json_t *c;

    (void)state;
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        const json_t *margin = json_object_get(c, "greedy_margin");
        int32_t greedy[48];
        double kl = 0;
        double a;
        double b;
        forced(exact, c, greedy, want);
        forced(g, c, greedy, logits);
        a = log_sum(want, V);
        b = log_sum(logits, V);
        for (size_t j = 0; j < V; j++)
            kl += exp(want[j] - a) * ((want[j] - a) - (logits[j] - b));
        worst_kl = fmax(worst_kl, kl);
        for (size_t j = 0; j < 48; j++) {
            double m = json_number_value(json_array_get(margin, j));
            if (best(logits + j * V, V) == greedy[j])
                continue;
            misses++;
            worst_margin = fmax(worst_margin, m);
        }
    }
    print_message("int8: %zu of 576 forced choices equal, worst margin of a miss %.3f, worst KL "
                  "%.4f\n",
                  576 - misses, worst_margin, worst_kl);
    assert_true(misses <= 17); /* 97 % */
    assert_true(worst_margin <= 0.3);
    assert_true(worst_kl < 0.03);
    mem_give(want);
    mem_give(logits);
    generator_close(g);
    generator_close(exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_equal_the_reference),
        cmocka_unit_test(test_fp32_logits_and_choices_equal_the_reference),
        cmocka_unit_test(test_int8_choices_stay_close_to_the_reference),
    };

    return cmocka_run_group_tests_name("SmolLM2", tests, setup, teardown);
}
