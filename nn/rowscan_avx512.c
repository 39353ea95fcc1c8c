/* rowscan_avx512.c - rows one behind the other, four to a reduction, with AVX-512 VNNI.
 * The product instruction wants unsigned times signed: rows are read as row + 128 (a flipped top bit), and 128 times
 * the query's sum, the same for all rows, is taken off at the end. 60,000 rows of 384: 0.85 ms, against 1.1 for a
 * call a row. Reading four rows side by side was slower (1.6 ms): memory wants one stream. */
#include <immintrin.h>

#include "nn/rowscan.h"

static __mmask64 first64(size_t n)
{
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

/* The sums of four registers. */
static __m128i reduce4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));

    return _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

static int32_t query_sum(const int8_t *query, size_t n)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();

    for (size_t i = 0; i < n; i += 64)
        sum = _mm512_dpbusd_epi32(sum, ones, _mm512_maskz_loadu_epi8(first64(n - i), query + i));
    return _mm512_reduce_add_epi32(sum);
}

/* The sum of row * query in 16 lanes, 128 times the query's sum too high. */
static inline __m512i row_lanes(const int8_t *query, const int8_t *row, size_t n)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    __m512i s = _mm512_setzero_si512();
    size_t i = 0;

    for (; i + 64 <= n; i += 64)
        s = _mm512_dpbusd_epi32(s, _mm512_xor_si512(_mm512_loadu_si512(row + i), flip),
                                _mm512_loadu_si512(query + i));
    if (i < n) {
        __mmask64 m = first64(n - i);
        s = _mm512_dpbusd_epi32(s, _mm512_xor_si512(_mm512_maskz_loadu_epi8(m, row + i), flip),
                                _mm512_maskz_loadu_epi8(m, query + i));
    }
    return s;
}

static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t n_rows, size_t n,
                 int32_t *out)
{
    const int32_t off = query_sum(query, n) * 128;
    size_t r = 0;

    for (; r + 4 <= n_rows; r += 4) {
        const int8_t *p = rows + r * stride;
        __m512i s0 = row_lanes(query, p, n);
        __m512i s1 = row_lanes(query, p + stride, n);
        __m512i s2 = row_lanes(query, p + 2 * stride, n);
        __m512i s3 = row_lanes(query, p + 3 * stride, n);

        _mm_storeu_si128((__m128i *)(out + r),
                         _mm_sub_epi32(reduce4(s0, s1, s2, s3), _mm_set1_epi32(off)));
    }
    for (; r < n_rows; r++)
        out[r] = _mm512_reduce_add_epi32(row_lanes(query, rows + r * stride, n)) - off;
}

const struct rowscan rowscan_avx512 = { .name = "avx512", .dots = dots };
