/* qkern_avx2.c - the kernels for AVX2 with FMA and F16C.
 * The tile's 16 outputs are two ymm. AVX2 has no 8-bit product with a 32-bit sum: maddubs adds two
 * products in 16 bits and saturates, so its unsigned operand must stay small. 4-bit weights do
 * (15 * 127 * 2 = 3810, eight groups together 30480). Bytes are taken apart: |w| unsigned times the
 * row's byte with w's sign, at most 128 * 127 * 2 = 32512 < 32768, then widened at once. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "nn/qkern.h"

#define INLINE static inline __attribute__((always_inline))
/* The build zeroes locals (-ftrivial-auto-var-init): for accumulator arrays that is a rep stos a
 * block, which halved the speed of a single row. Every one below is set before it is read. */
#define RAW __attribute__((uninitialized))
#define MAX_ROWS 4

static int usable(void)
{
    return __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma"); /* all these have F16C */
}

INLINE __m256i mask8(size_t n)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : (int)n), index);
}

INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE float max8(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* ---- int8 products ---- */

static void quantise(const float *x, size_t k, int8_t *q, float *d, float *ds, int32_t *sum)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));

    for (size_t b = 0; b < k / QBLOCK; b++, x += QBLOCK, q += QBLOCK) {
        __m256 most = _mm256_setzero_ps();
        __m256 zero = _mm256_setzero_ps(); /* x * 0: not 0 where x is not finite */
        __m256 inverse;
        int bad;
        float top;
        int32_t s = 0;
        for (int i = 0; i < QBLOCK; i += 8) {
            __m256 v = _mm256_loadu_ps(x + i);
            most = _mm256_max_ps(most, _mm256_and_ps(magnitude, v));
            zero = _mm256_fmadd_ps(v, _mm256_setzero_ps(), zero);
        }
        bad = _mm256_movemask_ps(_mm256_cmp_ps(zero, zero, _CMP_UNORD_Q));
        top = max8(most);
        inverse = _mm256_set1_ps(!bad && top > QTINY ? 127.0f / top : 0);
        for (int i = 0; i < QBLOCK; i += 8) {
            int32_t v[8];
            _mm256_storeu_si256((__m256i *)(void *)v,
                                _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse)));
            for (int j = 0; j < 8; j++) {
                q[i + j] = (int8_t)(bad ? 0 : v[j]);
                s += q[i + j];
            }
        }
        d[b] = bad ? NAN : top > QTINY ? top / 127.0f : 0;
        ds[b] = d[b] * (float)s;
        sum[b] = s;
    }
}

INLINE __m256i four_bytes(const int8_t *q)
{
    int32_t v;

    memcpy(&v, q, sizeof v);
    return _mm256_set1_epi32(v);
}

/* One block, outputs 8 * half .. +7: the exact sums of w * q, w = u - zero. */
INLINE __m256i block4(const uint8_t *data, int half, const int8_t *q)
{
    const __m256i low = _mm256_set1_epi8(15);
    __m256i s = _mm256_setzero_si256();

    for (int g = 0; g < 4; g++) {
        __m256i both =
            _mm256_loadu_si256((const __m256i *)(const void *)(data + g * 64 + half * 32));
        __m256i lo = _mm256_and_si256(both, low);
        __m256i hi = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        s = _mm256_add_epi16(s, _mm256_maddubs_epi16(lo, four_bytes(q + g * 4)));
        s = _mm256_add_epi16(s, _mm256_maddubs_epi16(hi, four_bytes(q + g * 4 + 16)));
    }
    return _mm256_madd_epi16(s, _mm256_set1_epi16(1));
}

INLINE __m256i block8(const uint8_t *data, int half, const int8_t *q, int zero)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i s = _mm256_setzero_si256();

    for (int g = 0; g < 8; g++) {
        __m256i w = _mm256_sub_epi8(
            _mm256_loadu_si256((const __m256i *)(const void *)(data + g * 64 + half * 32)),
            _mm256_set1_epi8((char)zero));
        __m256i signed_q = _mm256_sign_epi8(four_bytes(q + g * 4), w);
        __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(w), signed_q);
        s = _mm256_add_epi32(s, _mm256_madd_epi16(p, ones));
    }
    return s;
}

INLINE __m256 half8(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

INLINE void store_out(const struct qout *out, size_t row, int half, __m256 acc)
{
    float *y = qout_row(out, row) + 8 * half;
    __m256i mask;

    if (out->n <= 8 * half)
        return;
    mask = mask8((size_t)(out->n - 8 * half));
    if (out->add)
        acc = _mm256_add_ps(_mm256_maskload_ps(y, mask), acc);
    _mm256_maskstore_ps(y, mask, acc);
}

static void mul(const struct qtile *w, const struct qrows *x, size_t row0, size_t rows,
                const struct qout *out, uint8_t *scratch)
{
    size_t blocks = w->k / QBLOCK;

    (void)scratch;
    for (size_t r = row0; r < row0 + rows; r++) {
        const int8_t *q = x->q + r * w->k;
        for (int half = 0; half < 2; half++) {
            __m256 acc = _mm256_setzero_ps();
            for (size_t b = 0; b < blocks; b++) {
                const uint8_t *block = w->blocks + b * qblock_bytes(w->form);
                const uint16_t *head = (const uint16_t *)(const void *)block + 8 * half;
                float d = x->d[r * blocks + b];
                __m256i s;
                if (w->form == QFORM_4) {
                    s = block4(block + QHEAD, half, q + b * QBLOCK);
                    s = _mm256_sub_epi32(s, _mm256_set1_epi32(w->zero * x->sum[r * blocks + b]));
                } else {
                    s = block8(block + QHEAD, half, q + b * QBLOCK, w->zero);
                }
                acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s),
                                      _mm256_mul_ps(half8(head), _mm256_set1_ps(d)), acc);
                if (w->has_offset)
                    acc = _mm256_fmadd_ps(half8(head + QTILE),
                                          _mm256_set1_ps(x->ds[r * blocks + b]), acc);
            }
            store_out(out, r, half, acc);
        }
    }
}

/* ---- fp32 products ---- */

INLINE void mul_f32_rows(const float *panel, size_t k, const float *x, const struct qout *out,
                         size_t row0, const int R)
{
    __m256 acc[MAX_ROWS][2] RAW;

    for (int r = 0; r < R; r++)
        acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (size_t c = 0; c < k; c++) {
        __m256 lo = _mm256_loadu_ps(panel + c * QTILE);
        __m256 hi = _mm256_loadu_ps(panel + c * QTILE + 8);
        for (int r = 0; r < R; r++) {
            __m256 v = _mm256_set1_ps(x[(size_t)r * k + c]);
            acc[r][0] = _mm256_fmadd_ps(lo, v, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(hi, v, acc[r][1]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int half = 0; half < 2; half++)
            store_out(out, row0 + (size_t)r, half, acc[r][half]);
}

static void mul_f32(const float *panel, size_t k, const float *x, size_t rows,
                    const struct qout *out)
{
    size_t r = 0;

    for (; rows - r >= 4; r += 4)
        mul_f32_rows(panel, k, x + r * k, out, r, 4);
    for (; r < rows; r++)
        mul_f32_rows(panel, k, x + r * k, out, r, 1);
}

/* ---- attention ---- */

INLINE __m256 load8(const void *p, int half, size_t i)
{
    return half ? half8((const uint16_t *)p + i) : _mm256_loadu_ps((const float *)p + i);
}

static void scores(const float *q, size_t rows, size_t dim, const void *kt, int half, size_t blocks,
                   float *out, size_t stride)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < blocks; b++) {
            __m256 lo = _mm256_setzero_ps();
            __m256 hi = _mm256_setzero_ps();
            for (size_t c = 0; c < dim; c++) {
                __m256 v = _mm256_set1_ps(q[r * dim + c]);
                lo = _mm256_fmadd_ps(load8(kt, half, (b * dim + c) * 16), v, lo);
                hi = _mm256_fmadd_ps(load8(kt, half, (b * dim + c) * 16 + 8), v, hi);
            }
            _mm256_storeu_ps(out + r * stride + b * 16, lo);
            _mm256_storeu_ps(out + r * stride + b * 16 + 8, hi);
        }
}

/* e^x: 2^n * p(r), |r| <= ln2/2; n is added to the exponent in two halves, so that results below
 * 2^-126 come out as subnormals or 0. */
INLINE __m256 exp8(__m256 x)
{
    __m256 n;
    __m256 r;
    __m256 p;
    __m256i i;
    __m256i first;
    __m256i bias = _mm256_set1_epi32(127);

    x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(88.0f)), _mm256_set1_ps(-104.0f));
    n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), 8);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    p = _mm256_set1_ps(1.0f / 720);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    i = _mm256_cvtps_epi32(n);
    first = _mm256_srai_epi32(i, 1);
    i = _mm256_sub_epi32(i, first);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(first, bias), 23)));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(i, bias), 23)));
}

static void softmax(float *s, size_t n, float scale)
{
    float most = -INFINITY;
    __m256 sum = _mm256_setzero_ps();
    __m256 factor = _mm256_set1_ps(scale);

    for (size_t i = 0; i < n; i++)
        most = s[i] > most ? s[i] : most;
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = mask8(n - i);
        __m256 v = _mm256_sub_ps(_mm256_maskload_ps(s + i, m), _mm256_set1_ps(most));
        v = _mm256_and_ps(exp8(_mm256_mul_ps(v, factor)), _mm256_castsi256_ps(m));
        sum = _mm256_add_ps(sum, v);
        _mm256_maskstore_ps(s + i, m, v);
    }
    factor = _mm256_set1_ps(1.0f / sum8(sum));
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = mask8(n - i);
        _mm256_maskstore_ps(s + i, m, _mm256_mul_ps(_mm256_maskload_ps(s + i, m), factor));
    }
}

static void mix(const float *p, size_t rows, size_t stride, const void *v, int half, size_t count,
                size_t dim, float *out, size_t out_stride)
{
    for (size_t r = 0; r < rows; r++) {
        float *y = out + r * out_stride;
        size_t c = 0;
        for (; dim - c >= 32; c += 32) {
            __m256 acc[4] RAW;
            for (int j = 0; j < 4; j++)
                acc[j] = _mm256_setzero_ps();
            for (size_t n = 0; n < count; n++) {
                __m256 w = _mm256_set1_ps(p[r * stride + n]);
                for (size_t j = 0; j < 4; j++)
                    acc[j] = _mm256_fmadd_ps(w, load8(v, half, n * dim + c + 8 * j), acc[j]);
            }
            for (int j = 0; j < 4; j++)
                _mm256_storeu_ps(y + c + 8 * j, acc[j]);
        }
        for (; c < dim; c++) {
            float acc = 0;
            for (size_t n = 0; n < count; n++)
                acc += p[r * stride + n] * (half ? _cvtsh_ss(((const uint16_t *)v)[n * dim + c])
                                                 : ((const float *)v)[n * dim + c]);
            y[c] = acc;
        }
    }
}

/* ---- rows ---- */

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *out)
{
    __m256 sum = _mm256_setzero_ps();
    __m256 scale;

    for (size_t i = 0; i < n; i += 8) {
        __m256 v = _mm256_maskload_ps(x + i, mask8(n - i));
        sum = _mm256_fmadd_ps(v, v, sum);
    }
    scale = _mm256_set1_ps(1.0f / sqrtf(sum8(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = mask8(n - i);
        __m256 v = _mm256_mul_ps(_mm256_maskload_ps(x + i, m), scale);
        _mm256_maskstore_ps(out + i, m, _mm256_mul_ps(v, _mm256_maskload_ps(weight + i, m)));
    }
}

static void swiglu(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = mask8(n - i);
        __m256 g = _mm256_maskload_ps(gate + i, m);
        __m256 e = exp8(_mm256_sub_ps(_mm256_setzero_ps(), g));
        __m256 s = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
        _mm256_maskstore_ps(out + i, m, _mm256_mul_ps(s, _mm256_maskload_ps(up + i, m)));
    }
}

static void to_half(const float *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = _cvtss_sh(x[i], 0);
}

const struct qkern qkern_avx2 = {"avx2",  usable, quantise, mul,    mul_f32, scores,
                                 softmax, mix,    rms_norm, swiglu, to_half};
