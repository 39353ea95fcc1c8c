/* kern_avx2.c - AVX2 and FMA.
 * gemm: a tile of up to 6 rows by 16 columns keeps its 12 sums in registers, with two loads of B
 * and a broadcast a row in the rest; a panel of 32 columns is two such tiles side by side. Short
 * tails use the same steps with fewer rows, hence the same sums. dot_i8 widens to 16 bits, where
 * the product of pairs cannot saturate; exact. Tolerance against ref: 1e-5 relative for sums, 4e-7
 * for erf. */
#include <immintrin.h>
#include <math.h>

#include "nn/kern.h"

#define TILE_ROWS 6

static int usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
}

/* The first n of 8 lanes (n may be more). */
static inline __m256i first8(size_t n)
{
    static const int32_t edge[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

    return _mm256_loadu_si256((const __m256i *)(edge + (n >= 8 ? 0 : 8 - n)));
}

static inline float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float max8(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

static inline int32_t sum8i(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

static float dot(const float *a, const float *b, size_t n)
{
    __m256 s0 = _mm256_setzero_ps();
    __m256 s1 = _mm256_setzero_ps();
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
        s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s1);
    }
    for (; i < n; i += 8) {
        __m256i m = first8(n - i);
        s0 = _mm256_fmadd_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m), s0);
    }
    return sum8(_mm256_add_ps(s0, s1));
}

static void quant_i8(const float *x, size_t n, int8_t *q, float *scale)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 most = _mm256_setzero_ps();
    float top;
    size_t i = 0;

    for (; i < n; i += 8)
        most =
            _mm256_max_ps(most, _mm256_andnot_ps(sign, _mm256_maskload_ps(x + i, first8(n - i))));
    top = max8(most);
    *scale = top < 1e-30f ? 0 : top / 127;
    for (i = 0; i + 8 <= n && *scale > 0; i += 8) {
        __m256i v =
            _mm256_cvtps_epi32(_mm256_div_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(*scale)));
        __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        _mm_storel_epi64((__m128i *)(q + i), _mm_packs_epi16(w, w));
    }
    for (; i < n; i++)
        q[i] = *scale > 0 ? (int8_t)lrintf(x[i] / *scale) : 0;
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    __m256i sum = _mm256_setzero_si256();
    int32_t rest = 0;
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        __m256i va = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(a + i)));
        __m256i vb = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + i)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(va, vb));
    }
    for (; i < n; i++)
        rest += a[i] * b[i];
    return sum8i(sum) + rest;
}

static float dot_f32_i8(const float *q, const int8_t *b, size_t n)
{
    __m256 s0 = _mm256_setzero_ps();
    float rest = 0;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(b + i)));
        s0 = _mm256_fmadd_ps(_mm256_loadu_ps(q + i), _mm256_cvtepi32_ps(v), s0);
    }
    for (; i < n; i++)
        rest += q[i] * (float)b[i];
    return sum8(s0) + rest;
}

/* erf by a quotient of polynomials in x^2 on |x| <= 3.92, where fp32 has reached 1: error 4e-7 */
static inline __m256 erf8(__m256 x)
{
    const __m256 edge = _mm256_set1_ps(3.92f);
    __m256 v = _mm256_max_ps(_mm256_min_ps(x, edge), _mm256_sub_ps(_mm256_setzero_ps(), edge));
    __m256 u = _mm256_mul_ps(v, v);
    __m256 p = _mm256_set1_ps(1.992102323e-08f);
    __m256 q = _mm256_set1_ps(1.024129464e-03f);

    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(-1.994276397e-06f));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(1.489866052e-04f));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(3.972930794e-03f));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(5.139744213e-02f));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(2.061154499e-01f));
    p = _mm256_fmadd_ps(p, u, _mm256_set1_ps(1.128378778e+00f));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1.488931438e-02f));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1.175650639e-01f));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(5.159938278e-01f));
    q = _mm256_fmadd_ps(q, u, _mm256_set1_ps(1));
    return _mm256_div_ps(_mm256_mul_ps(v, p), q);
}

static inline __m256 gelu8(__m256 x)
{
    __m256 half = _mm256_mul_ps(x, _mm256_set1_ps(0.5f));

    return _mm256_fmadd_ps(half, erf8(_mm256_mul_ps(x, _mm256_set1_ps(0.70710678f))), half);
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first8(n - i);
        _mm256_maskstore_ps(x + i, m, gelu8(_mm256_maskload_ps(x + i, m)));
    }
}

/* exp by 2^n * polynomial of degree 6 on half an octave to each side: 1 ulp. -87 <= x <= 0. */
static inline __m256 exp8(__m256 x)
{
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    __m256 p = _mm256_set1_ps(1.38888889e-3f);
    __m256i power =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);

    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.33333333e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.16666667e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.66666667e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

static void softmax(float *s, size_t n, float scale)
{
    const __m256 low = _mm256_set1_ps(-INFINITY);
    __m256 most = low;
    __m256 sum = _mm256_setzero_ps();
    __m256 inv;

    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first8(n - i);
        __m256 v = _mm256_maskload_ps(s + i, m);
        most = _mm256_max_ps(most, _mm256_blendv_ps(low, v, _mm256_castsi256_ps(m)));
    }
    most = _mm256_set1_ps(max8(most));
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first8(n - i);
        __m256 v = _mm256_sub_ps(_mm256_maskload_ps(s + i, m), most);
        /* -87 first: of two operands max gives the second when one is NaN, so NaN stays visible */
        v = _mm256_max_ps(_mm256_set1_ps(-87), _mm256_mul_ps(v, _mm256_set1_ps(scale)));
        v = _mm256_and_ps(exp8(v), _mm256_castsi256_ps(m));
        sum = _mm256_add_ps(sum, v);
        _mm256_maskstore_ps(s + i, m, v);
    }
    inv = _mm256_set1_ps(1 / sum8(sum));
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first8(n - i);
        _mm256_maskstore_ps(s + i, m, _mm256_mul_ps(_mm256_maskload_ps(s + i, m), inv));
    }
}

static void layernorm(const float *x, const float *gamma, const float *beta, size_t n, float eps,
                      float *out)
{
    __m256 sum = _mm256_setzero_ps();
    __m256 var = _mm256_setzero_ps();
    __m256 mean, inv;

    for (size_t i = 0; i < n; i += 8)
        sum = _mm256_add_ps(sum, _mm256_maskload_ps(x + i, first8(n - i)));
    mean = _mm256_set1_ps(sum8(sum) / (float)n);
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first8(n - i);
        __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + i, m), mean);
        d = _mm256_and_ps(d, _mm256_castsi256_ps(m));
        var = _mm256_fmadd_ps(d, d, var);
    }
    inv = _mm256_set1_ps(1 / sqrtf(sum8(var) / (float)n + eps));
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first8(n - i);
        __m256 d = _mm256_mul_ps(_mm256_sub_ps(_mm256_maskload_ps(x + i, m), mean), inv);
        d = _mm256_fmadd_ps(d, _mm256_maskload_ps(gamma + i, m), _mm256_maskload_ps(beta + i, m));
        _mm256_maskstore_ps(out + i, m, d);
    }
}

static inline void finish(const struct kern_gemm *g, size_t r, size_t j, __m256 v)
{
    __m256i m = first8(g->n - j);

    if (g->bias)
        v = _mm256_add_ps(v, _mm256_maskload_ps(g->bias + j, m));
    if (g->act == KERN_GELU)
        v = gelu8(v);
    if (g->resid)
        v = _mm256_add_ps(v, _mm256_maskload_ps(g->resid + r * g->ldr + j, m));
    _mm256_maskstore_ps(g->c + r * g->ldc + j, m, v);
}

/* rows is a constant at each call, so that the sums live in registers. j0 is a multiple of 16. */
__attribute__((always_inline)) static inline void tile(const struct kern_gemm *g, size_t r0,
                                                       size_t j0, const int rows)
{
    const float *a = g->a + r0 * g->lda;
    const float *b = g->panels + j0 / KERN_PANEL * KERN_PANEL * g->k + j0 % KERN_PANEL;
    const size_t lda = g->lda;
    __m256 acc[TILE_ROWS][2];

#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (size_t i = 0; i < g->k; i++, b += KERN_PANEL) {
        __m256 b0 = _mm256_loadu_ps(b);
        __m256 b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            __m256 x = _mm256_broadcast_ss(a + (size_t)r * lda + i);
            acc[r][0] = _mm256_fmadd_ps(x, b0, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(x, b1, acc[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        finish(g, r0 + (size_t)r, j0, acc[r][0]);
        if (g->n - j0 > 8)
            finish(g, r0 + (size_t)r, j0 + 8, acc[r][1]);
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

static void gemm(const struct kern_gemm *g)
{
    static void (*const tiles[TILE_ROWS + 1])(const struct kern_gemm *, size_t, size_t) = {
        NULL, tile1, tile2, tile3, tile4, tile5, tile6};
    size_t n_tiles = (g->rows + TILE_ROWS - 1) / TILE_ROWS;

    /* half a panel stays in the second cache for all rows; rows are dealt evenly, 7 as 4 + 3 */
    for (size_t j = 0; j < g->n; j += KERN_PANEL / 2)
        for (size_t t = 0, r = 0; t < n_tiles; t++) {
            size_t rows = g->rows / n_tiles + (t < g->rows % n_tiles);
            tiles[rows](g, r, j);
            r += rows;
        }
}

const struct kern kern_avx2 = {
    .name = "avx2",
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
