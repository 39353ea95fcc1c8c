/* test_qkern.c - every kernel set against sums in double over decoded weights. */
#include "tests/support/test.h"

#include <math.h>

#include "nn/qkern.h"
#include "nn/quant.h"

static const char *const sets[] = {"ref", "avx2", "avx512"};
static const enum wtype types[] = {W_Q4_0, W_Q4_1, W_Q5_0, W_Q5_1, W_Q8_0, W_Q4_K,
                                   W_Q5_K, W_Q6_K, W_F16,  W_BF16, W_F32};
static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 25, 31};

#define ROWS 31

static float uniform(uint64_t *seed)
{
    return (float)(test_rand(seed) >> 40) / (float)(1 << 23) - 1.0f;
}

/* Random blocks with scales between 2^-7 and 2^-5, of either sign. */
static void *random_weights(enum wtype t, size_t rows, size_t k, uint64_t *seed)
{
    size_t n = rows * k / wtype_block(t);
    size_t bytes = wtype_bytes(t);
    uint8_t *w = mem_take(n, bytes);

    assert_non_null(w);
    for (size_t i = 0; i < n * bytes; i++)
        w[i] = (uint8_t)test_rand(seed);
    for (size_t i = 0; i < n; i++) {
        uint8_t *b = w + i * bytes;
        uint16_t d = (uint16_t)(0x2000 | (test_rand(seed) & 0x87FF));
        uint16_t m = (uint16_t)(0x2000 | (test_rand(seed) & 0x87FF));
        float f = uniform(seed);
        if (t == W_F32)
            memcpy(b, &f, 4);
        else if (t == W_F16 || t == W_BF16)
            memcpy(b, (uint16_t[]){(uint16_t)(t == W_F16 ? d : 0x3D00 | (d & 0x807F))}, 2);
        else if (t == W_Q6_K)
            memcpy(b + 208, &d, 2);
        else
            memcpy(b, &d, 2);
        if (t == W_Q4_1 || t == W_Q5_1 || t == W_Q4_K || t == W_Q5_K)
            memcpy(b + 2, &m, 2);
    }
    return w;
}

struct problem {
    struct tensor t;
    struct qmat m;
    struct qslab slab;
    float *x; /* [ROWS, k] */
    struct qrows in;
    float *y; /* [ROWS, n] */
    uint8_t *scratch;
};

static void problem_open(struct problem *p, enum wtype type, size_t n, size_t k, int exact,
                         uint64_t *seed)
{
    struct err e = {0};

    memset(p, 0, sizeof *p);
    p->t = (struct tensor){.name = "w", .type = type, .n_dims = 2, .dims = {n, k}};
    p->t.data = random_weights(type, n, k, seed);
    p->t.bytes = n * k / wtype_block(type) * wtype_bytes(type);
    assert_ok(qslab_open(&p->slab, qmat_bytes(&p->t, exact), &e), e);
    assert_ok(qmat_pack(&p->m, &p->t, exact, &p->slab, NULL, &e), e);
    p->x = mem_take(ROWS * k, sizeof *p->x);
    for (size_t i = 0; i < ROWS * k; i++)
        p->x[i] = 3 * uniform(seed);
    p->in = (struct qrows){.k = k, .x = p->x};
    p->in.q = mem_take(ROWS * k, 1);
    p->in.d = mem_take(ROWS * (k / 32 + 1), sizeof(float));
    p->in.ds = mem_take(ROWS * (k / 32 + 1), sizeof(float));
    p->in.sum = mem_take(ROWS * (k / 32 + 1), sizeof(int32_t));
    p->y = mem_take(ROWS * n, sizeof *p->y);
    p->scratch = mem_take(qmat_scratch(k), 1);
}

static void problem_close(struct problem *p)
{
    mem_give((void *)(uintptr_t)p->t.data);
    qslab_close(&p->slab);
    mem_give(p->x);
    mem_give(p->in.q);
    mem_give(p->in.d);
    mem_give(p->in.ds);
    mem_give(p->in.sum);
    mem_give(p->y);
    mem_give(p->scratch);
}

static void quantise(const struct qkern *kern, struct problem *p)
{
    size_t b = p->in.k / 32;

    for (size_t r = 0; r < ROWS; r++)
        kern->quantise(p->x + r * p->in.k, p->in.k, p->in.q + r * p->in.k, p->in.d + r * b,
                       p->in.ds + r * b, p->in.sum + r * b);
}

static void multiply(const struct qkern *kern, struct problem *p, size_t rows, int add)
{
    struct qjob job = {&p->m, &p->in, p->y, p->m.rows, NULL, add};

    qmat_mul(kern, NULL, &job, 1, rows, p->scratch, qmat_scratch(p->in.k));
}

/* Against the decoded weights and, for packed forms, the rows as they were quantised. */
static void check(struct problem *p, size_t rows, const char *what)
{
    size_t k = p->in.k;
    float *w = mem_take(k, sizeof *w);
    struct err e = {0};

    for (size_t o = 0; o < p->m.rows; o++) {
        assert_ok(tensor_to_f32(&p->t, o * k, k, w, &e), e);
        for (size_t r = 0; r < rows; r++) {
            double want = 0;
            double size = 0;
            float got = p->y[r * p->m.rows + o];
            for (size_t c = 0; c < k; c++) {
                double x = p->m.form == QFORM_F32
                               ? (double)p->x[r * k + c]
                               : (double)p->in.q[r * k + c] * (double)p->in.d[(r * k + c) / 32];
                want += x * (double)w[c];
                size += fabs(x * (double)w[c]);
            }
            /* K types: their scales are kept as halves, 2^-11 off */
            size *= p->t.type == W_Q4_K || p->t.type == W_Q5_K ? 1e-3 : 4e-6;
            if (fabs((double)got - want) > size + 1e-6)
                print_error("%s %s row %zu output %zu: %g, expected %g\n", what,
                            wtype_name(p->t.type), r, o, (double)got, want);
            assert_true(fabs((double)got - want) <= size + 1e-6);
        }
    }
    mem_give(w);
}

static void test_products_equal_sums_in_double_for_every_type_and_set(void **state)
{
    uint64_t seed = 11;

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        const struct qkern *kern = qkern_pick(sets[s]);
        for (size_t i = 0; kern && i < sizeof types / sizeof *types; i++) {
            struct problem p;
            problem_open(&p, types[i], 37, 512, 0, &seed);
            quantise(kern, &p);
            multiply(kern, &p, ROWS, 0);
            check(&p, ROWS, sets[s]);
            problem_close(&p);
            problem_open(&p, types[i], 5, 256, 1, &seed);
            multiply(kern, &p, 3, 0);
            check(&p, 3, sets[s]);
            problem_close(&p);
        }
    }
}

static void test_a_row_is_bit_equal_for_every_number_of_rows(void **state)
{
    uint64_t seed = 12;

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        const struct qkern *kern = qkern_pick(sets[s]);
        for (size_t i = 0; kern && i < sizeof types / sizeof *types; i++) {
            struct problem p;
            float *all;
            problem_open(&p, types[i], 33, 256, 0, &seed);
            quantise(kern, &p);
            multiply(kern, &p, ROWS, 0);
            all = mem_take(ROWS * 33, sizeof *all);
            memcpy(all, p.y, ROWS * 33 * sizeof *all);
            for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
                memset(p.y, 0, ROWS * 33 * sizeof *p.y);
                multiply(kern, &p, counts[n], 0);
                assert_memory_equal(all, p.y, counts[n] * 33 * sizeof *all);
            }
            multiply(kern, &p, 4, 1); /* y += */
            for (size_t j = 0; j < 4 * 33; j++)
                assert_true(fabsf(p.y[j] - 2 * all[j]) <= 1e-6f * fabsf(all[j]));
            mem_give(all);
            problem_close(&p);
        }
    }
}

static void test_largest_values_do_not_saturate(void **state)
{
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        const struct qkern *kern = qkern_pick(sets[s]);
        for (int t = W_Q4_0; kern && t <= W_Q8_0; t++) {
            struct problem p;
            uint64_t seed = 1;
            uint8_t *w;
            problem_open(&p, (enum wtype)t, 16, 64, 0, &seed);
            w = (uint8_t *)(uintptr_t)p.t.data;
            for (size_t b = 0; b < 32; b++) { /* all bits 1; then, for bytes, all -128 */
                uint8_t *block = w + b * wtype_bytes((enum wtype)t);
                memset(block, t == W_Q8_0 ? 0x80 : 0xFF, wtype_bytes((enum wtype)t));
                memcpy(block, (uint8_t[]){0, 0x3C, 0, 0x3C}, t == W_Q4_1 || t == W_Q5_1 ? 4 : 2);
            }
            for (size_t c = 0; c < ROWS * 64; c++)
                p.x[c] = c / 64 % 2 ? 127.0f : -127.0f;
            p.slab.used = 0; /* packed again over the same room */
            qslab_close(&p.slab);
            {
                struct err e = {0};
                assert_ok(qslab_open(&p.slab, qmat_bytes(&p.t, 0), &e), e);
                assert_ok(qmat_pack(&p.m, &p.t, 0, &p.slab, NULL, &e), e);
            }
            quantise(kern, &p);
            multiply(kern, &p, ROWS, 0);
            check(&p, ROWS, sets[s]);
            problem_close(&p);
        }
    }
}

static void close_to(const float *a, const float *b, size_t n, float tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(a[i] - b[i]) <= tolerance * (1 + fabsf(b[i]))))
            print_error("%s: value %zu is %g, expected %g\n", what, i, (double)a[i], (double)b[i]);
        assert_true(fabsf(a[i] - b[i]) <= tolerance * (1 + fabsf(b[i])));
    }
}

static void test_row_steps_equal_the_reference_at_every_length(void **state)
{
    static const size_t lengths[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 577};
    uint64_t seed = 13;
    float a[600];
    float b[600];
    float want[600];
    float got[600];

    (void)state;
    for (size_t i = 0; i < 600; i++) {
        a[i] = 40 * uniform(&seed); /* silu and softmax at their ends too */
        b[i] = uniform(&seed);
    }
    for (size_t s = 1; s < 3; s++) {
        const struct qkern *k = qkern_pick(sets[s]);
        for (size_t i = 0; k && i < sizeof lengths / sizeof *lengths; i++) {
            size_t n = lengths[i];
            qkern_ref.rms_norm(a, b, n, 1e-5f, want);
            k->rms_norm(a, b, n, 1e-5f, got);
            close_to(got, want, n, 1e-5f, "rms_norm");
            qkern_ref.swiglu(a, b, n, want);
            k->swiglu(a, b, n, got);
            close_to(got, want, n, 2e-6f, "swiglu");
            memcpy(want, a, sizeof a);
            memcpy(got, a, sizeof a);
            qkern_ref.softmax(want, n, 0.3f);
            k->softmax(got, n, 0.3f);
            close_to(got, want, 600, 1e-6f, "softmax");
        }
    }
}

static void attention_at(const struct qkern *k, size_t dim, size_t rows, int half, uint64_t *seed)
{
    size_t blocks = 5;
    size_t n = blocks * 16 * dim;
    float *kv = mem_take(n, sizeof *kv);
    uint16_t *kv16 = mem_take(n, sizeof *kv16);
    float *q = mem_take(rows * dim, sizeof *q);
    float *want = mem_take(rows * 80, sizeof *want);
    float *got = mem_take(rows * 80, sizeof *got);
    float *out = mem_take(2 * rows * dim, sizeof *out);
    const void *src = half ? (const void *)kv16 : (const void *)kv;

    for (size_t i = 0; i < n; i++)
        kv[i] = uniform(seed);
    for (size_t i = 0; i < rows * dim; i++)
        q[i] = uniform(seed);
    k->to_half(kv, n, kv16);
    qkern_ref.scores(q, rows, dim, src, half, blocks, want, 80);
    k->scores(q, rows, dim, src, half, blocks, got, 80);
    close_to(got, want, rows * 80, 2e-5f, "scores");
    qkern_ref.mix(want, rows, 80, src, half, 77, dim, out, dim);
    k->mix(want, rows, 80, src, half, 77, dim, out + rows * dim, dim);
    close_to(out + rows * dim, out, rows * dim, 2e-5f, "mix");
    mem_give(kv);
    mem_give(kv16);
    mem_give(q);
    mem_give(want);
    mem_give(got);
    mem_give(out);
}

static void test_attention_steps_equal_the_reference(void **state)
{
    static const size_t dims[] = {4, 8, 10, 16, 33, 64, 80, 128};
    uint64_t seed = 14;

    (void)state;
    for (size_t s = 1; s < 3; s++) {
        const struct qkern *k = qkern_pick(sets[s]);
        for (size_t d = 0; k && d < sizeof dims / sizeof *dims; d++)
            for (size_t rows = 1; rows <= 13; rows += 3)
                for (int half = 0; half < 2; half++)
                    attention_at(k, dims[d], rows, half, &seed);
    }
}

static void test_rows_that_are_not_finite_or_tiny_quantise_safely(void **state)
{
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        const struct qkern *k = qkern_pick(sets[s]);
        float x[4 * 32] = {0};
        int8_t q[4 * 32];
        float d[4];
        float ds[4];
        int32_t sum[4];
        if (!k)
            continue;
        for (size_t i = 0; i < 32; i++)
            x[i] = 1e-40f; /* 127 / x is infinite */
        x[32 + 3] = NAN;
        x[32 + 4] = 5;
        x[64 + 31] = -INFINITY;
        k->quantise(x, 4 * 32, q, d, ds, sum);
        assert_true(d[0] == 0 && d[3] == 0);
        assert_true(isnan(d[1]) && isnan(d[2]) && isnan(ds[1]) && isnan(ds[2]));
        for (size_t i = 0; i < 4 * 32; i++)
            assert_int_equal(q[i], 0);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(sum[i], 0);
    }
}

static void test_names_choose_and_unknown_names_give_nothing(void **state)
{
    (void)state;
    assert_string_equal(qkern_pick("ref")->name, "ref");
    assert_null(qkern_pick("sse9"));
    assert_non_null(qkern_pick(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_equal_sums_in_double_for_every_type_and_set),
        cmocka_unit_test(test_a_row_is_bit_equal_for_every_number_of_rows),
        cmocka_unit_test(test_largest_values_do_not_saturate),
        cmocka_unit_test(test_row_steps_equal_the_reference_at_every_length),
        cmocka_unit_test(test_attention_steps_equal_the_reference),
        cmocka_unit_test(test_rows_that_are_not_finite_or_tiny_quantise_safely),
        cmocka_unit_test(test_names_choose_and_unknown_names_give_nothing),
    };

    return cmocka_run_group_tests_name("qkern", tests, NULL, NULL);
}
