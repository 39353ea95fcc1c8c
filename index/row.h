/* row.h - arithmetic on stored rows: int8 with one scale. The one place that says how a row is made and
 * scored, so that writing, searching and tests agree to the bit. Sums of int8 products are exact; fp32 sums go in
 * eight lanes that are added in a fixed order. */
#ifndef DOCENT_INDEX_ROW_H
#define DOCENT_INDEX_ROW_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the scale: the largest component over 127. */
static inline float row_quantise(int8_t *q, const float *x, size_t n)
{
    float most = 0, inverse;

    for (size_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    inverse = most > 0 ? 127.0f / most : 0.0f;
    for (size_t i = 0; i < n; i++)
        q[i] = (int8_t)lrintf(x[i] * inverse);
    return most / 127.0f;
}

static inline int32_t row_dot(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static inline float row_score(const float *query, const int8_t *row, size_t n)
{
    float lane[8] = { 0 };
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++)
            lane[k] += query[i + k] * row[i + k];
    }
    for (size_t k = 0; i + k < n; k++)
        lane[k] += query[i + k] * row[i + k];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

#endif
