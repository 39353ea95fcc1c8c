/* kern_avx512.c - AVX-512 F/BW/DQ/VL/VNNI.
 * gemm: a tile of up to 12 rows by 32 columns keeps its 24 sums in registers; one step of k costs
 * two loads of B and a broadcast a row, so the FMA units are the limit. Short tails use the same
 * steps with fewer rows, hence the same sums. dot_i8: the product instruction wants unsigned times
 * signed, so a + 128 goes in and 128 * sum(b) is taken off again; exact. Tolerance against ref:
 * 1e-5 relative for sums, 4e-7 for erf. */
#include <immintrin.h>
#include <math.h>

#include "nn/kern.h"

#define TILE_ROWS 12

static int usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

/* The first n of 16 lanes (n may be more). */
static inline __mmask16 first16(size_t n)
{
    return n >= 16 ? 0xFFFF : (__mmask16)((1u << n) - 1);
}

static float dot(const float *a, const float *b, size_t n)
{
    __m512 s0 = _mm512_setzero_ps();
    __m512 s1 = _mm512_setzero_ps();
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        s0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), s1);
    }
    for (; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, a + i), _mm512_maskz_loadu_ps(m, b + i), s0);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(s0, s1));
}

static void quant_i8(const float *x, size_t n, int8_t *q, float *scale)
{
    __m512 most = _mm512_setzero_ps();
    float top;
    __m512 by;

    for (size_t i = 0; i < n; i += 16)
        most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(first16(n - i), x + i)));
    top = _mm512_reduce_max_ps(most);
    *scale = top < 1e-30f ? 0 : top / 127;
    by = _mm512_set1_ps(*scale > 0 ? *scale : INFINITY);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        __m512 v = _mm512_div_ps(_mm512_maskz_loadu_ps(m, x + i), by);
        _mm_mask_storeu_epi8(q + i, m, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
    }
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
    __m512i off = _mm512_setzero_si512();

    for (size_t i = 0; i < n; i += 64) {
        __mmask64 m = n - i >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - i)) - 1;
        __m512i va = _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, a + i), flip);
        __m512i vb = _mm512_maskz_loadu_epi8(m, b + i);
        sum = _mm512_dpbusd_epi32(sum, va, vb);
        off = _mm512_dpbusd_epi32(off, ones, vb);
    }
    sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(off, 7));
    return _mm512_reduce_add_epi32(sum);
}

static float dot_f32_i8(const float *q, const int8_t *b, size_t n)
{
    __m512 s0 = _mm512_setzero_ps();

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        __m512i v = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(m, b + i));
        s0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, q + i), _mm512_cvtepi32_ps(v), s0);
    }
    return _mm512_reduce_add_ps(s0);
}

/* erf by a quotient of polynomials in x^2 on |x| <= 3.92, where fp32 has reached 1: error 4e-7 */
static inline __m512 erf16(__m512 x)
{
    const __m512 edge = _mm512_set1_ps(3.92f);
    __m512 v = _mm512_max_ps(_mm512_min_ps(x, edge), _mm512_sub_ps(_mm512_setzero_ps(), edge));
    __m512 u = _mm512_mul_ps(v, v);
    __m512 p = _mm512_set1_ps(1.992102323e-08f);
    __m512 q = _mm512_set1_ps(1.024129464e-03f);

    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(-1.994276397e-06f));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(1.489866052e-04f));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(3.972930794e-03f));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(5.139744213e-02f));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(2.061154499e-01f));
    p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(1.128378778e+00f));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1.488931438e-02f));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1.175650639e-01f));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(5.159938278e-01f));
    q = _mm512_fmadd_ps(q, u, _mm512_set1_ps(1));
    return _mm512_div_ps(_mm512_mul_ps(v, p), q);
}

static inline __m512 gelu16(__m512 x)
{
    __m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));

    return _mm512_fmadd_ps(half, erf16(_mm512_mul_ps(x, _mm512_set1_ps(0.70710678f))), half);
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        _mm512_mask_storeu_ps(x + i, m, gelu16(_mm512_maskz_loadu_ps(m, x + i)));
    }
}

/* exp by 2^n * polynomial of degree 6 on half an octave to each side: 1 ulp. x <= 0. */
static inline __m512 exp16(__m512 x)
{
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    __m512 p = _mm512_set1_ps(1.38888889e-3f);

    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.33333333e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.16666667e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.66666667e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

static void softmax(float *s, size_t n, float scale)
{
    const __m512 low = _mm512_set1_ps(-INFINITY);
    __m512 most = low;
    __m512 sum = _mm512_setzero_ps();
    __m512 by = _mm512_set1_ps(scale);
    __m512 inv;

    for (size_t i = 0; i < n; i += 16)
        most = _mm512_max_ps(most, _mm512_mask_loadu_ps(low, first16(n - i), s + i));
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        __m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, s + i), most), by);
        /* -200 first: of two operands max gives the second when one is NaN, so NaN stays visible */
        v = exp16(_mm512_max_ps(_mm512_set1_ps(-200), v));
        sum = _mm512_mask_add_ps(sum, m, sum, v);
        _mm512_mask_storeu_ps(s + i, m, v);
    }
    inv = _mm512_div_ps(_mm512_set1_ps(1), _mm512_set1_ps(_mm512_reduce_add_ps(sum)));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        _mm512_mask_storeu_ps(s + i, m, _mm512_mul_ps(_mm512_maskz_loadu_ps(m, s + i), inv));
    }
}

static void layernorm(const float *x, const float *gamma, const float *beta, size_t n, float eps,
                      float *out)
{
    __m512 sum = _mm512_setzero_ps();
    __m512 var = _mm512_setzero_ps();
    __m512 mean;
    __m512 inv;

    for (size_t i = 0; i < n; i += 16)
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(first16(n - i), x + i));
    mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)n);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        __m512 d = _mm512_maskz_sub_ps(m, _mm512_maskz_loadu_ps(m, x + i), mean);
        var = _mm512_fmadd_ps(d, d, var);
    }
    inv = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(var) / (float)n + eps));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first16(n - i);
        __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), mean);
        d = _mm512_fmadd_ps(_mm512_mul_ps(d, inv), _mm512_maskz_loadu_ps(m, gamma + i),
                            _mm512_maskz_loadu_ps(m, beta + i));
        _mm512_mask_storeu_ps(out + i, m, d);
    }
}

static inline void finish(const struct kern_gemm *g, size_t r, size_t j, __m512 v)
{
    __mmask16 m = first16(g->n - j);

    if (g->bias)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, g->bias + j));
    if (g->act == KERN_GELU)
        v = gelu16(v);
    if (g->resid)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, g->resid + r * g->ldr + j));
    _mm512_mask_storeu_ps(g->c + r * g->ldc + j, m, v);
}

/* rows is a constant at each call, so that the sums live in registers */
__attribute__((always_inline)) static inline void tile(const struct kern_gemm *g, size_t r0,
                                                       size_t j0, const int rows)
{
    const float *a = g->a + r0 * g->lda;
    const float *b = g->panels + j0 * g->k;
    const size_t lda = g->lda;
    __m512 acc[TILE_ROWS][2];

#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
        acc[r][0] = acc[r][1] = _mm512_setzero_ps();
    for (size_t i = 0; i < g->k; i++, b += KERN_PANEL) {
        __m512 b0 = _mm512_loadu_ps(b);
        __m512 b1 = _mm512_loadu_ps(b + 16);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            __m512 x = _mm512_set1_ps(a[(size_t)r * lda + i]);
            acc[r][0] = _mm512_fmadd_ps(x, b0, acc[r][0]);
            acc[r][1] = _mm512_fmadd_ps(x, b1, acc[r][1]);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        finish(g, r0 + (size_t)r, j0, acc[r][0]);
        if (g->n - j0 > 16)
            finish(g, r0 + (size_t)r, j0 + 16, acc[r][1]);
    }
}

#define TILE_FN(rows)                                                                              \
    static void tile##rows(const struct kern_gemm *g, size_t r0, size_t j0)                        \
    {                                                                                              \
        tile(g, r0, j0, rows);                                                                     \
    }
TILE_FN(1)
TILE_FN(2)
TILE_FN(3)
TILE_FN(4)
TILE_FN(5)
TILE_FN(6)
TILE_FN(7)
TILE_FN(8)
TILE_FN(9)
TILE_FN(10)
TILE_FN(11)
TILE_FN(12)

static void gemm(const struct kern_gemm *g)
{
    static void (*const tiles[TILE_ROWS + 1])(const struct kern_gemm *, size_t, size_t) = {
        NULL,  tile1, tile2, tile3,  tile4,  tile5, tile6,
        tile7, tile8, tile9, tile10, tile11, tile12};
    size_t n_tiles = (g->rows + TILE_ROWS - 1) / TILE_ROWS;

    /* a panel stays in the second cache for all rows; rows are dealt evenly, 13 as 7 + 6 */
    for (size_t j = 0; j < g->n; j += KERN_PANEL)
        for (size_t t = 0, r = 0; t < n_tiles; t++) {
            size_t rows = g->rows / n_tiles + (t < g->rows % n_tiles);
            tiles[rows](g, r, j);
            r += rows;
        }
}

const struct kern kern_avx512 = {
    .name = "avx512",
    .usable = usable,
    .dot = dot,
    .quant_i8 = quant_i8,
    .dot_i8 = dot_i8,
    .dot_f32_i8 = dot_f32_i8,
    .gemm = gemm,
    .softmax = softmax,
    .layernorm = layernorm,
    .gelu = gelu,
};
