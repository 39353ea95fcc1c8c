/* rowscan_ref.c - the plain loop, and which table goes with which kernels. */
#include <string.h>

#include "nn/rowscan.h"

static void dots(const int8_t *query, const int8_t *rows, size_t stride, size_t n_rows, size_t n,
                 int32_t *out)
{
    for (size_t r = 0; r < n_rows; r++) {
        int32_t sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += query[i] * rows[r * stride + i];
        out[r] = sum;
    }
}

const struct rowscan rowscan_ref = { .name = "ref", .dots = dots };

const struct rowscan *rowscan_for(const char *kern_name)
{
    static const struct rowscan *const all[] = { &rowscan_avx512, &rowscan_avx2 };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(kern_name, all[i]->name) == 0)
            return all[i];
    }
    return &rowscan_ref;
}
