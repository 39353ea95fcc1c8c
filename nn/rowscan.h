/* rowscan.h - one int8 query against many int8 rows: the inner loop of a flat vector scan.
 * Exact integers, so every table gives the same numbers. Rows stand stride bytes apart; n is at most 131071.
 * Threads: pure functions. */
#ifndef DOCENT_NN_ROWSCAN_H
#define DOCENT_NN_ROWSCAN_H

#include <stddef.h>
#include <stdint.h>

struct rowscan {
    const char *name; /* as in struct kern */
    /* out[r] = sum over i < n of query[i] * row r [i]. Reads nothing behind n. */
    void (*dots)(const int8_t *query, const int8_t *rows, size_t stride, size_t n_rows, size_t n,
                 int32_t *out);
};
extern const struct rowscan rowscan_ref, rowscan_avx2, rowscan_avx512;

/* The table that belongs to a struct kern's name; rowscan_ref for names unknown here. */
const struct rowscan *rowscan_for(const char *kern_name);

#endif
