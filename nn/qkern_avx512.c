/* qkern_avx512.c - the kernels for AVX-512 with VNNI (Zen 4, Ice Lake and later).
 * One zmm holds 4 columns of 16 outputs; a product instruction takes the row's 4 bytes as a
 * broadcast from memory, so nothing is shuffled. Up to 12 rows share each weight load. The packed
 * 4-bit form is unpacked in registers for few rows, once into scratch (k * 16 bytes, L1) for many.
 * Each float step of a row is the same for every number of rows: see qkern.h.
 * The product is inline assembly because GCC 12 spills the accumulators round the intrinsic
 * (240 instead of 400 GOPS on Zen 4). */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "nn/qkern.h"

#define AHEAD 4096 /* bytes of weights that are asked for in advance */
#define INLINE static inline __attribute__((always_inline))
/* The build zeroes locals (-ftrivial-auto-var-init): for accumulator arrays that is a rep stos a
 * block, which halved the speed of a single row. Every one below is set before it is read. */
#define RAW __attribute__((uninitialized))
#define MAX_ROWS 12

static int usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

INLINE __mmask16 lanes(size_t n)
{
    return n >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << n) - 1);
}

/* ---- int8 products ---- */

static void quantise(const float *x, size_t k, int8_t *q, float *d, float *ds, int32_t *sum)
{
    for (size_t b = 0; b < k / QBLOCK; b++, x += QBLOCK, q += QBLOCK) {
        __m512 lo = _mm512_loadu_ps(x);
        __m512 hi = _mm512_loadu_ps(x + 16);
        float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(lo), _mm512_abs_ps(hi)));
        /* NaN and infinities, which the maximum may have lost (classes 0x01, 0x08, 0x10, 0x80) */
        int bad = _mm512_fpclass_ps_mask(lo, 0x99) | _mm512_fpclass_ps_mask(hi, 0x99);
        __m512 inverse = _mm512_set1_ps(most > QTINY ? 127.0f / most : 0);
        __mmask16 keep = bad ? 0 : 0xFFFF;
        __m512i a = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(lo, inverse));
        __m512i c = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(hi, inverse));
        int32_t s = _mm512_reduce_add_epi32(_mm512_add_epi32(a, c));
        _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtsepi32_epi8(a));
        _mm_storeu_si128((__m128i *)(void *)(q + 16), _mm512_cvtsepi32_epi8(c));
        d[b] = bad ? NAN : most > QTINY ? most / 127.0f : 0;
        ds[b] = d[b] * (float)s;
        sum[b] = s;
    }
}

/* acc += products of u (unsigned) with the 4 signed bytes at q, the same for each output */
INLINE __m512i products(__m512i acc, __m512i u, const int8_t *q)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(acc)
            : "v"(u), "m"(*(const int32_t *)(const void *)q));
    return acc;
}

INLINE __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)p));
}

/* four: the blocks' data are 4-bit, else bytes. unpacked: not NULL: the data, as bytes. */
INLINE void mul_rows(const struct qtile *w, const uint8_t *unpacked, int four,
                     const struct qrows *x, size_t row0, const struct qout *out, const int R)
{
    const size_t step = qblock_bytes(w->form);
    const uint8_t *block = w->blocks;
    const size_t blocks = w->k / QBLOCK;
    const size_t k = w->k;
    const int8_t *q = x->q + row0 * k;
    const float *d = x->d + row0 * blocks;
    const float *ds = x->ds + row0 * blocks;
    const int32_t *sum = x->sum + row0 * blocks;
    const __m512i low = _mm512_set1_epi8(15);
    __mmask16 mask = lanes((size_t)out->n);
    __m512 acc[MAX_ROWS] RAW;

    for (int r = 0; r < R; r++)
        acc[r] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++, q += QBLOCK, block += step) {
        const uint8_t *data = unpacked ? unpacked + b * QBLOCK * QTILE : block + QHEAD;
        __m512 scale = halves(block);
        __m512i s[MAX_ROWS] RAW;
        if (R <= 4 && !unpacked) /* fewer rows than the memory needs time: it is the bound */
            for (size_t i = 0; i < step; i += 64)
                _mm_prefetch((const char *)block + AHEAD + i, _MM_HINT_T0);
        for (int r = 0; r < R; r++)
            s[r] = _mm512_set1_epi32(-w->zero * sum[(size_t)r * blocks + b]);
        if (four) {
#pragma GCC unroll 4
            for (int g = 0; g < 4; g++) {
                __m512i both = _mm512_load_si512(data + g * 64);
                __m512i lo = _mm512_and_si512(both, low);
                __m512i hi = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
                for (int r = 0; r < R; r++)
                    s[r] = products(s[r], lo, q + (size_t)r * k + g * 4);
                for (int r = 0; r < R; r++)
                    s[r] = products(s[r], hi, q + (size_t)r * k + g * 4 + 16);
            }
        } else {
#pragma GCC unroll 8
            for (int g = 0; g < 8; g++) {
                __m512i u = _mm512_loadu_si512(data + g * 64);
                for (int r = 0; r < R; r++)
                    s[r] = products(s[r], u, q + (size_t)r * k + g * 4);
            }
        }
        for (int r = 0; r < R; r++)
            acc[r] = _mm512_fmadd_ps(
                _mm512_cvtepi32_ps(s[r]),
                _mm512_mul_ps(scale, _mm512_set1_ps(d[(size_t)r * blocks + b])), acc[r]);
        if (w->has_offset) {
            __m512 offset = halves(block + QHEAD / 2);
            for (int r = 0; r < R; r++)
                acc[r] =
                    _mm512_fmadd_ps(offset, _mm512_set1_ps(ds[(size_t)r * blocks + b]), acc[r]);
        }
    }
    for (int r = 0; r < R; r++) {
        float *y = qout_row(out, row0 + (size_t)r);
        if (out->add)
            acc[r] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y), acc[r]);
        _mm512_mask_storeu_ps(y, mask, acc[r]);
    }
}

#define MUL_ROWS(name, four, R)                                                                    \
    static __attribute__((noinline)) void name(const struct qtile *w, const uint8_t *unpacked,     \
                                               const struct qrows *x, size_t row0,                 \
                                               const struct qout *out)                             \
    {                                                                                              \
        mul_rows(w, unpacked, four, x, row0, out, R);                                              \
    }
MUL_ROWS(mul4_1, 1, 1)
MUL_ROWS(mul4_2, 1, 2)
MUL_ROWS(mul4_4, 1, 4)
MUL_ROWS(mul8_1, 0, 1)
MUL_ROWS(mul8_2, 0, 2)
MUL_ROWS(mul8_4, 0, 4)
MUL_ROWS(mul8_8, 0, 8)
MUL_ROWS(mul8_12, 0, 12)

static void unpack(const struct qtile *w, uint8_t *u)
{
    const __m512i low = _mm512_set1_epi8(15);
    const uint8_t *block = w->blocks;

    for (size_t b = 0; b < w->k / QBLOCK; b++, u += 512, block += qblock_bytes(QFORM_4))
        for (int g = 0; g < 4; g++) {
            __m512i both = _mm512_load_si512(block + QHEAD + g * 64);
            _mm512_storeu_si512(u + g * 64, _mm512_and_si512(both, low));
            _mm512_storeu_si512(u + g * 64 + 256,
                                _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
        }
}

static void mul(const struct qtile *w, const struct qrows *x, size_t row0, size_t rows,
                const struct qout *out, uint8_t *scratch)
{
    const uint8_t *unpacked = NULL;
    size_t end = row0 + rows;

    if (w->form == QFORM_4 && rows <= 4) {
        for (; end - row0 >= 4; row0 += 4)
            mul4_4(w, unpacked, x, row0, out);
        for (; end - row0 >= 2; row0 += 2)
            mul4_2(w, unpacked, x, row0, out);
        if (row0 < end)
            mul4_1(w, unpacked, x, row0, out);
        return;
    }
    if (w->form == QFORM_4) {
        unpack(w, scratch);
        unpacked = scratch;
    }
    for (; end - row0 >= 12; row0 += 12)
        mul8_12(w, unpacked, x, row0, out);
    if (end - row0 >= 8) {
        mul8_8(w, unpacked, x, row0, out);
        row0 += 8;
    }
    if (end - row0 >= 4) {
        mul8_4(w, unpacked, x, row0, out);
        row0 += 4;
    }
    if (end - row0 >= 2) {
        mul8_2(w, unpacked, x, row0, out);
        row0 += 2;
    }
    if (row0 < end)
        mul8_1(w, unpacked, x, row0, out);
}

/* ---- fp32 products ---- */

INLINE void mul_f32_rows(const float *panel, size_t k, const float *x, const struct qout *out,
                         size_t row0, const int R)
{
    __mmask16 mask = lanes((size_t)out->n);
    __m512 acc[MAX_ROWS] RAW;

    for (int r = 0; r < R; r++)
        acc[r] = _mm512_setzero_ps();
    for (size_t c = 0; c < k; c++) {
        __m512 w = _mm512_loadu_ps(panel + c * QTILE);
        for (int r = 0; r < R; r++)
            acc[r] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[(size_t)r * k + c]), acc[r]);
    }
    for (int r = 0; r < R; r++) {
        float *y = qout_row(out, row0 + (size_t)r);
        if (out->add)
            acc[r] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y), acc[r]);
        _mm512_mask_storeu_ps(y, mask, acc[r]);
    }
}

static void mul_f32(const float *panel, size_t k, const float *x, size_t rows,
                    const struct qout *out)
{
    size_t r = 0;

    for (; rows - r >= 12; r += 12)
        mul_f32_rows(panel, k, x + r * k, out, r, 12);
    for (; rows - r >= 4; r += 4)
        mul_f32_rows(panel, k, x + r * k, out, r, 4);
    for (; r < rows; r++)
        mul_f32_rows(panel, k, x + r * k, out, r, 1);
}

/* ---- attention ---- */

INLINE __m512 load16(const void *p, int half, size_t i)
{
    if (half)
        return _mm512_cvtph_ps(
            _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)p + i)));
    return _mm512_loadu_ps((const float *)p + i);
}

INLINE void scores_rows(const float *q, size_t dim, const void *kt, int half, size_t blocks,
                        float *out, size_t stride, const int R)
{
    for (size_t b = 0; b < blocks; b++) {
        __m512 acc[MAX_ROWS] RAW;
        for (int r = 0; r < R; r++)
            acc[r] = _mm512_setzero_ps();
        for (size_t c = 0; c < dim; c++) {
            __m512 key = load16(kt, half, (b * dim + c) * 16);
            for (int r = 0; r < R; r++)
                acc[r] = _mm512_fmadd_ps(key, _mm512_set1_ps(q[(size_t)r * dim + c]), acc[r]);
        }
        for (int r = 0; r < R; r++)
            _mm512_storeu_ps(out + (size_t)r * stride + b * 16, acc[r]);
    }
}

#define EACH_ROWS(call)                                                                            \
    for (; rows - r >= 12; r += 12)                                                                \
        call(12);                                                                                  \
    for (; rows - r >= 6; r += 6)                                                                  \
        call(6);                                                                                   \
    for (; rows - r >= 3; r += 3)                                                                  \
        call(3);                                                                                   \
    for (; r < rows; r++)                                                                          \
    call(1)

static void scores(const float *q, size_t rows, size_t dim, const void *kt, int half, size_t blocks,
                   float *out, size_t stride)
{
    size_t r = 0;

#define SCORES(R) scores_rows(q + r * dim, dim, kt, half, blocks, out + r * stride, stride, R)
#define SCORES_HALF(R) scores_rows(q + r * dim, dim, kt, 1, blocks, out + r * stride, stride, R)
    if (half) {
        EACH_ROWS(SCORES_HALF);
    } else {
        EACH_ROWS(SCORES);
    }
}

/* e^x for x <= 0: 2^n * p(r), |r| <= ln2/2; the series to r^6 is exact to 1e-7. */
INLINE __m512 exp16(__m512 x)
{
    __m512 n;
    __m512 r;
    __m512 p;

    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0f)), _mm512_set1_ps(-104.0f));
    n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    p = _mm512_set1_ps(1.0f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

static void softmax(float *s, size_t n, float scale)
{
    __m512 top = _mm512_set1_ps(-INFINITY);
    __m512 sum = _mm512_setzero_ps();
    __m512 factor = _mm512_set1_ps(scale);

    for (size_t i = 0; i < n; i += 16)
        top =
            _mm512_mask_max_ps(top, lanes(n - i), top, _mm512_maskz_loadu_ps(lanes(n - i), s + i));
    top = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    for (size_t i = 0; i < n; i += 16) {
        __m512 e = _mm512_maskz_loadu_ps(lanes(n - i), s + i);
        e = exp16(_mm512_mul_ps(_mm512_sub_ps(e, top), factor));
        sum = _mm512_mask_add_ps(sum, lanes(n - i), sum, e);
        _mm512_mask_storeu_ps(s + i, lanes(n - i), e);
    }
    factor = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum));
    for (size_t i = 0; i < n; i += 16)
        _mm512_mask_storeu_ps(s + i, lanes(n - i),
                              _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(n - i), s + i), factor));
}

/* 64 columns of v, R rows: 4 * R accumulators */
INLINE void mix_rows(const float *p, size_t stride, const void *v, int half, size_t count,
                     size_t dim, size_t at, float *out, size_t out_stride, const int R)
{
    __m512 acc[6][4] RAW;

    for (int r = 0; r < R; r++)
        for (int j = 0; j < 4; j++)
            acc[r][j] = _mm512_setzero_ps();
    for (size_t n = 0; n < count; n++) {
        __m512 value[4] RAW;
        for (size_t j = 0; j < 4; j++)
            value[j] = load16(v, half, n * dim + at + 16 * j);
        for (int r = 0; r < R; r++) {
            __m512 w = _mm512_set1_ps(p[(size_t)r * stride + n]);
            for (int j = 0; j < 4; j++)
                acc[r][j] = _mm512_fmadd_ps(w, value[j], acc[r][j]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int j = 0; j < 4; j++)
            _mm512_storeu_ps(out + (size_t)r * out_stride + at + 16 * j, acc[r][j]);
}

/* The columns that do not fill 64: 16 or fewer at a time. */
static void mix_tail(const float *p, size_t stride, const void *v, int half, size_t count,
                     size_t dim, size_t at, float *out)
{
    for (; at < dim; at += 16) {
        __mmask16 mask = lanes(dim - at);
        __m512 acc = _mm512_setzero_ps();
        (void)stride;
        for (size_t n = 0; n < count; n++) {
            size_t i = n * dim + at;
            __m512 value =
                half ? _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)v + i))
                     : _mm512_maskz_loadu_ps(mask, (const float *)v + i);
            acc = _mm512_fmadd_ps(_mm512_set1_ps(p[n]), value, acc);
        }
        _mm512_mask_storeu_ps(out + at, mask, acc);
    }
}

static void mix(const float *p, size_t rows, size_t stride, const void *v, int half, size_t count,
                size_t dim, float *out, size_t out_stride)
{
    size_t at = 0;

    for (; dim - at >= 64; at += 64) {
        size_t r = 0;
        for (; rows - r >= 6; r += 6)
            if (half)
                mix_rows(p + r * stride, stride, v, 1, count, dim, at, out + r * out_stride,
                         out_stride, 6);
            else
                mix_rows(p + r * stride, stride, v, 0, count, dim, at, out + r * out_stride,
                         out_stride, 6);
        for (; rows - r >= 3; r += 3)
            mix_rows(p + r * stride, stride, v, half, count, dim, at, out + r * out_stride,
                     out_stride, 3);
        for (; r < rows; r++)
            mix_rows(p + r * stride, stride, v, half, count, dim, at, out + r * out_stride,
                     out_stride, 1);
    }
    for (size_t r = 0; at < dim && r < rows; r++)
        mix_tail(p + r * stride, stride, v, half, count, dim, at, out + r * out_stride);
}

/* ---- rows ---- */

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *out)
{
    __m512 sum = _mm512_setzero_ps();
    __m512 scale;

    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(lanes(n - i), x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    scale = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), scale);
        _mm512_mask_storeu_ps(out + i, m, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, weight + i)));
    }
}

static void swiglu(const float *gate, const float *up, size_t n, float *out)
{
    const __m512 one = _mm512_set1_ps(1.0f);

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(m, gate + i);
        __m512 e = exp16(_mm512_sub_ps(_mm512_setzero_ps(), g));
        __m512 s = _mm512_div_ps(g, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(out + i, m, _mm512_mul_ps(s, _mm512_maskz_loadu_ps(m, up + i)));
    }
}

static void to_half(const float *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = lanes(n - i);
        __m256i h = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(m, x + i), 0);
        _mm256_mask_storeu_epi16(out + i, m, h);
    }
}

const struct qkern qkern_avx512 = {"avx512", usable, quantise, mul,    mul_f32, scores,
                                   softmax,  mix,    rms_norm, swiglu, to_half};
