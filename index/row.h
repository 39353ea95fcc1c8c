/* row.h - arithmetic on stored rows: int8 with one scale. The one place that says how a row is made and
 * scored, so that writing, searching and tests agree to the bit (on one kind of processor). */
#ifndef DOCENT_INDEX_ROW_H
#define DOCENT_INDEX_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "nn/kern.h"
#include "nn/rowscan.h"

/* This process's kernels; DOCENT_KERN is read once. Any thread. */
const struct kern *row_kern(void);
const struct rowscan *row_scan(void);

/* Returns the scale: the largest component over 127. */
static inline float row_quantise(int8_t *q, const float *x, size_t n)
{
    float scale;

    row_kern()->quant_i8(x, n, q, &scale);
    return scale;
}

static inline int32_t row_dot(const int8_t *a, const int8_t *b, size_t n)
{
    return row_kern()->dot_i8(a, b, n);
}

static inline float row_score(const float *query, const int8_t *row, size_t n)
{
    return row_kern()->dot_f32_i8(query, row, n);
}

#endif
