/* test_kern.c - every kernel table that this processor can run, against kern_ref.
 * Lengths stand around every vector width (8, 16, 32, 64) and at the two that the models use. Every
 * block has its exact size and begins one item behind an aligned address, so that AddressSanitizer
 * sees a load beyond the end.
 * Tolerances: dots 2e-6 of the sum of absolute products against kern_ref (both round; order differs);
 * gemm and gelu 1e-6 against doubles; softmax 1e-6 and layernorm 3e-6 absolute against kern_ref
 * (layernorm from 8 values on: the variance of fewer may vanish); quant_i8 and dot_i8 equal. */
#include "tests/support/test.h"

#include <math.h>

#include "nn/kern.h"

static const size_t lengths[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 96, 384, 768, 1536};
#define N_LENGTHS (sizeof lengths / sizeof *lengths)

static const struct kern *sets[3];
static size_t n_sets;

static int setup(void **state)
{
    static const struct kern *const all[] = {&kern_ref, &kern_avx2, &kern_avx512};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int usable = all[i]->usable();
        print_message("kernels %s: %s\n", all[i]->name,
                      usable ? "tested" : "not on this processor");
        if (usable)
            sets[n_sets++] = all[i];
    }
    return 0;
}

static uint64_t seed = 42;

static float number(void)
{
    return (float)((double)(test_rand(&seed) >> 11) / 9007199254740992.0 * 2 - 1);
}

/* n floats in -1..1 that begin one float behind an aligned address; freed by drop(). */
static float *floats(size_t n)
{
    float *p = mem_take(n + 1, sizeof *p);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i + 1] = number();
    return p + 1;
}

static void drop(float *p)
{
    mem_give(p - 1);
}

static int8_t *bytes(size_t n)
{
    int8_t *p = mem_take(n + 1, 1);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++) /* both ends of the range come often */
        p[i + 1] = (int8_t)(test_rand(&seed) % 4   ? (int)(test_rand(&seed) % 255) - 127
                            : test_rand(&seed) % 2 ? 127
                                                   : -127);
    return p + 1;
}

static void near(const char *what, const struct kern *k, size_t n, double got, double want,
                 double most)
{
    if (!(fabs(got - want) <= most)) {
        print_error("%s, %s, n %zu: %.9g, reference %.9g, allowed %.2g\n", what, k->name, n, got,
                    want, most);
        fail();
    }
}

static void test_dots_match_the_reference_at_every_length(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < N_LENGTHS; i++) {
            size_t n = lengths[i];
            float *a = floats(n);
            float *b = floats(n);
            int8_t *q = bytes(n);
            double size = 0;
            double size_q = 0;
            for (size_t j = 0; j < n; j++) {
                size += fabs((double)a[j] * b[j]);
                size_q += fabs((double)a[j] * q[j]);
            }
            near("dot", sets[s], n, sets[s]->dot(a, b, n), kern_ref.dot(a, b, n), 2e-6 * size);
            near("dot_f32_i8", sets[s], n, sets[s]->dot_f32_i8(a, q, n),
                 kern_ref.dot_f32_i8(a, q, n), 2e-6 * size_q);
            drop(a);
            drop(b);
            mem_give(q - 1);
        }
}

static void test_int8_dots_are_exact_at_every_length(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i <= N_LENGTHS; i++) {
            size_t n = i < N_LENGTHS ? lengths[i] : 131071; /* the longest allowed */
            int8_t *a = bytes(n);
            int8_t *b = bytes(n);
            int32_t want = 0;
            for (size_t j = 0; j < n; j++)
                want += a[j] * b[j];
            assert_int_equal(sets[s]->dot_i8(a, b, n), want);
            memset(a, -128, n); /* what quant_i8 never makes must not saturate either */
            memset(b, -128, n);
            assert_int_equal(sets[s]->dot_i8(a, b, n), (int32_t)(n * 16384));
            memset(b, 127, n);
            assert_int_equal(sets[s]->dot_i8(a, b, n), -(int32_t)(n * 16256));
            mem_give(a - 1);
            mem_give(b - 1);
        }
}

static void quant_equal(const struct kern *k, const float *x, size_t n)
{
    int8_t *q = bytes(n);
    int8_t *want = bytes(n);
    float scale = -1;
    float want_scale = -1;

    k->quant_i8(x, n, q, &scale);
    kern_ref.quant_i8(x, n, want, &want_scale);
    assert_memory_equal(&scale, &want_scale, sizeof scale);
    if (n)
        assert_memory_equal(q, want, n);
    mem_give(q - 1);
    mem_give(want - 1);
}

static void test_quantising_is_exactly_equal(void **state)
{
    static const float sizes[] = {1, 1e-3F, 1e6F, 1e-29F, 1e-31F, 1e-40F, 0, 3e38F};
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < N_LENGTHS; i++)
            for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
                size_t n = lengths[i];
                float *x = floats(n);
                for (size_t m = 0; m < n; m++)
                    x[m] *= sizes[j];
                quant_equal(sets[s], x, n);
                for (size_t m = 0; m < n; m++) /* halves: rounding to even */
                    x[m] = (float)(m % 255) - 127.0F + (m % 2 ? 0.5F : 0.0F);
                if (n)
                    x[n - 1] = 127;
                quant_equal(sets[s], x, n);
                drop(x);
            }
}

static void test_gelu_softmax_and_layernorm_match(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < N_LENGTHS; i++) {
            const struct kern *k = sets[s];
            size_t n = lengths[i];
            float *x = floats(n);
            float *y = floats(n);
            float *z = floats(n);
            float *g = floats(n);
            float *b = floats(n);
            for (size_t j = 0; j < n; j++)
                y[j] = z[j] = x[j] * 12; /* gelu bends between -5 and 5 */
            k->gelu(y, n);
            for (size_t j = 0; j < n; j++) {
                double want = 0.5 * z[j] * (1 + erf((double)z[j] / sqrt(2)));
                near("gelu", k, n, y[j], want, 1e-6 * (1 + fabs(want)));
            }
            for (size_t j = 0; j < n; j++)
                y[j] = z[j] = x[j] * 300; /* far differences underflow to 0 */
            k->softmax(y, n, 0.35F);
            kern_ref.softmax(z, n, 0.35F);
            for (size_t j = 0; j < n; j++)
                near("softmax", k, n, y[j], z[j], 1e-6);
            k->layernorm(x, g, b, n, 1e-12F, y);
            kern_ref.layernorm(x, g, b, n, 1e-12F, z);
            for (size_t j = 0; j < n && n > 7; j++)
                near("layernorm", k, n, y[j], z[j], 3e-6);
            k->layernorm(x, g, b, n, 1e-12F, x); /* in place */
            if (n)
                assert_memory_equal(x, y, n * sizeof *x);
            drop(x);
            drop(y);
            drop(z);
            drop(g);
            drop(b);
        }
}

static void test_gelu_and_softmax_keep_their_ends(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++) {
        float x[4] = {-60, 60, 0, -1e30F};
        float p[3] = {-3e38F, 0, 0};
        float one[1] = {-7};
        sets[s]->gelu(x, 4);
        assert_true(x[0] == 0 && x[1] == 60 && x[2] == 0 && x[3] == 0);
        sets[s]->softmax(p, 3, 1);
        assert_true(p[0] < 1e-37F && p[1] == 0.5F && p[2] == 0.5F); /* avx2 clamps at exp(-87) */
        sets[s]->softmax(one, 1, 1);
        assert_true(one[0] == 1);
    }
}

/* ---- gemm ---- */

struct shape {
    size_t rows, n, k;
};

/* Matrices of one product. Strides are wider than the rows; what stands between the rows is NaN. */
struct mats {
    struct shape d;
    size_t lda, ldr, ldc;
    float *a, *w, *panels, *bias, *resid, *c;
};

static float *strided(size_t rows, size_t n, size_t ld)
{
    float *p = floats(rows * ld);

    for (size_t r = 0; r < rows; r++)
        for (size_t j = n; j < ld; j++)
            p[r * ld + j] = NAN;
    return p;
}

static void mats_make(struct mats *m, struct shape d)
{
    m->d = d;
    m->lda = d.k + 3;
    m->ldr = d.n + 5;
    m->ldc = d.n + 1;
    m->a = strided(d.rows, d.k, m->lda);
    m->w = floats(d.n * d.k);
    m->panels = floats(kern_panels(d.n, d.k));
    m->bias = floats(d.n);
    m->resid = strided(d.rows, d.n, m->ldr);
    m->c = floats(d.rows * m->ldc);
    kern_pack_rows(m->panels, m->w, d.k, d.n, d.k);
}

static void mats_drop(struct mats *m)
{
    drop(m->a);
    drop(m->w);
    drop(m->panels);
    drop(m->bias);
    drop(m->resid);
    drop(m->c);
}

static struct kern_gemm product(const struct mats *m, int with)
{
    return (struct kern_gemm){.a = m->a,
                              .lda = m->lda,
                              .rows = m->d.rows,
                              .k = m->d.k,
                              .panels = m->panels,
                              .n = m->d.n,
                              .bias = with & 1 ? m->bias : NULL,
                              .resid = with & 2 ? m->resid : NULL,
                              .ldr = m->ldr,
                              .c = m->c,
                              .ldc = m->ldc,
                              .act = with & 4 ? KERN_GELU : KERN_LINEAR};
}

/* with: bit 0 bias, bit 1 residual, bit 2 gelu */
static void gemm_matches(const struct kern *k, struct mats *m, int with)
{
    struct kern_gemm g = product(m, with);

    for (size_t i = 0; i < m->d.rows * m->ldc; i++)
        m->c[i] = -77;
    k->gemm(&g);
    for (size_t r = 0; r < m->d.rows; r++) {
        for (size_t j = 0; j < m->d.n; j++) {
            double sum = 0;
            double size = 1;
            for (size_t i = 0; i < m->d.k; i++) {
                double p = (double)m->a[r * m->lda + i] * m->w[j * m->d.k + i];
                sum += p;
                size += fabs(p);
            }
            if (with & 1)
                sum += m->bias[j];
            if (with & 4)
                sum = 0.5 * sum * (1 + erf(sum / sqrt(2)));
            if (with & 2)
                sum += m->resid[r * m->ldr + j];
            near("gemm", k, j, m->c[r * m->ldc + j], sum, 1e-6 * size);
        }
        for (size_t j = m->d.n; j < m->ldc; j++)
            assert_true(m->c[r * m->ldc + j] ==
                        -77); /* what stands between the rows is not written */
    }
}

static void test_gemm_matches_for_odd_shapes_and_every_extra(void **state)
{
    static const struct shape shapes[] = {{1, 1, 1},    {2, 31, 7},    {3, 33, 0},   {5, 64, 64},
                                          {6, 17, 15},  {7, 65, 33},   {11, 16, 96}, {12, 32, 384},
                                          {13, 47, 5},  {25, 96, 9},   {37, 15, 65}, {1, 384, 32},
                                          {4, 100, 31}, {8, 48, 1536}, {24, 1, 63}};
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            struct mats m;
            mats_make(&m, shapes[i]);
            for (int with = 0; with < 8; with++)
                gemm_matches(sets[s], &m, with);
            mats_drop(&m);
        }
}

static void test_gemm_may_write_over_its_residual(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++) {
        struct mats m;
        struct kern_gemm g;
        mats_make(&m, (struct shape){13, 65, 40});
        m.ldc = m.ldr;
        drop(m.c);
        m.c = floats(m.d.rows * m.ldc);
        g = product(&m, 7);
        sets[s]->gemm(&g);
        g.c = m.resid;
        sets[s]->gemm(&g);
        for (size_t r = 0; r < m.d.rows; r++)
            assert_memory_equal(m.resid + r * m.ldr, m.c + r * m.ldc, m.d.n * sizeof *m.c);
        mats_drop(&m);
    }
}

static void test_a_row_of_gemm_is_the_same_whatever_stands_beside_it(void **state)
{
    (void)state;
    for (size_t s = 0; s < n_sets; s++)
        for (size_t rows = 1; rows <= 27; rows++) {
            struct mats m;
            struct kern_gemm g;
            float alone[70];
            float *saved;
            mats_make(&m, (struct shape){rows, 70, 129});
            g = product(&m, 7);
            sets[s]->gemm(&g);
            for (size_t r = 0; r < rows; r++) {
                struct kern_gemm one = g;
                one.a += r * g.lda;
                one.resid += r * g.ldr;
                one.rows = 1;
                one.c = alone;
                sets[s]->gemm(&one);
                assert_memory_equal(alone, m.c + r * m.ldc, sizeof alone);
            }
            saved = floats(70);
            memcpy(saved, m.c + rows / 2 * m.ldc, 70 * sizeof *saved);
            for (size_t r = 0; r < rows; r++)
                for (size_t i = 0; r != rows / 2 && i < m.d.k; i++)
                    m.a[r * m.lda + i] = i % 2 ? NAN : INFINITY; /* a neighbour's NaN stays there */
            sets[s]->gemm(&g);
            assert_memory_equal(saved, m.c + rows / 2 * m.ldc, 70 * sizeof *saved);
            drop(saved);
            mats_drop(&m);
        }
}

static void test_both_packings_agree_and_pad_with_zeros(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 70; n += 3)
        for (size_t k = 1; k <= 40; k += 3) {
            size_t total = kern_panels(n, k);
            float *w = floats(n * k);
            float *t = floats(n * k);
            float *p = floats(total);
            float *q = floats(total);
            assert_int_equal(total, (n + 31) / 32 * 32 * k);
            for (size_t j = 0; j < n; j++)
                for (size_t i = 0; i < k; i++)
                    t[i * n + j] = w[j * k + i];
            kern_pack_rows(p, w, k, n, k);
            kern_pack_cols(q, t, n, n, k);
            assert_memory_equal(p, q, total * sizeof *p);
            for (size_t j = n; j < (n + 31) / 32 * 32; j++)
                for (size_t i = 0; i < k; i++)
                    assert_true(p[j / 32 * 32 * k + i * 32 + j % 32] == 0);
            drop(w);
            drop(t);
            drop(p);
            drop(q);
        }
}

static void test_picking_knows_the_names_and_refuses_others(void **state)
{
    (void)state;
    assert_ptr_equal(kern_pick("ref"), &kern_ref);
    assert_null(kern_pick("sse9"));
    assert_ptr_equal(kern_pick(""), sets[n_sets - 1]);
    for (size_t s = 0; s < n_sets; s++)
        assert_ptr_equal(kern_pick(sets[s]->name), sets[s]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dots_match_the_reference_at_every_length),
        cmocka_unit_test(test_int8_dots_are_exact_at_every_length),
        cmocka_unit_test(test_quantising_is_exactly_equal),
        cmocka_unit_test(test_gelu_softmax_and_layernorm_match),
        cmocka_unit_test(test_gelu_and_softmax_keep_their_ends),
        cmocka_unit_test(test_gemm_matches_for_odd_shapes_and_every_extra),
        cmocka_unit_test(test_gemm_may_write_over_its_residual),
        cmocka_unit_test(test_a_row_of_gemm_is_the_same_whatever_stands_beside_it),
        cmocka_unit_test(test_both_packings_agree_and_pad_with_zeros),
        cmocka_unit_test(test_picking_knows_the_names_and_refuses_others),
    };

    return cmocka_run_group_tests_name("kernels", tests, setup, NULL);
}
