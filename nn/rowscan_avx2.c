/* rowscan_avx2.c - two rows at a time with AVX2: int8 widened to int16, pairs multiplied and added exactly
 * (maddubs would saturate: 127 * 255 * 2 leaves int16). */
#include <immintrin.h>

#include "nn/rowscan.h"

static inline __m256i wide(const int8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}

static inline int32_t reduce(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t n_rows, size_t n,
                 int32_t *out)
{
    size_t whole = n / 16 * 16;

    for (size_t r = 0; r < n_rows; r += 2) {
        const int8_t *p = rows + r * stride, *p1 = r + 1 < n_rows ? p + stride : p;
        __m256i s0 = _mm256_setzero_si256(), s1 = s0;
        int32_t t0, t1;

        for (size_t i = 0; i < whole; i += 16) {
            __m256i q = wide(query + i);
            s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(q, wide(p + i)));
            s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(q, wide(p1 + i)));
        }
        t0 = reduce(s0);
        t1 = reduce(s1);
        for (size_t i = whole; i < n; i++) {
            t0 += query[i] * p[i];
            t1 += query[i] * p1[i];
        }
        out[r] = t0;
        if (r + 1 < n_rows)
            out[r + 1] = t1;
    }
}

const struct rowscan rowscan_avx2 = { .name = "avx2", .dots = dots };
