/* qkern.h - matrix products on quantised weights, and the vector loops of a decoder.
 * A weight matrix is packed once: tiles of 16 output rows, in each tile blocks of 32 columns, in
 * each block the 4 bytes that one output needs beside those of the next output, so that one 512-bit
 * (or two 256-bit) product instruction serves 16 outputs and nothing is summed across lanes. The
 * packed bytes are those of the file: reading them is what bounds a single token's speed.
 * Arithmetic of one output, the same for any number of rows, so that a row's result never depends
 * on the other rows: for each block in order: sum of u8 * s8 products (exact), then acc += sum *
 * (weight scale * row scale); acc += weight offset * (row scale * sum of the row's block). Threads:
 * kernels are pure; the packed matrix is read only. */
#ifndef DOCENT_NN_QKERN_H
#define DOCENT_NN_QKERN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/team.h"
#include "nn/weights.h"

#define QTILE 16 /* outputs of a tile */
#define QBLOCK 32 /* columns that share a scale */
#define QTINY 1e-30f /* 127 / x overflows soon below it */

enum qform {
    QFORM_4, /* two values a byte, 0..15 */
    QFORM_8, /* a value a byte, 0..255 */
    QFORM_F32 /* not packed: tiles are decoded to fp32 as they are used */
};

/* One tile: k/32 blocks in a row, each [16] scales, [16] offsets (both halves, one cache line),
 * data. QFORM_8: [8 groups of 4 columns][16 outputs][4]; QFORM_4: 4 such groups, the low halves of
 * the bytes are groups 0-3, the high ones groups 4-7. One stream, so that it can be prefetched:
 * scales apart from data cost a third of the speed of a single row. */
struct qtile {
    const uint8_t *blocks;
    enum qform form;
    int has_offset;
    int zero; /* is subtracted from each value: value = scale * (u - zero) + offset */
    size_t k;
};

#define QHEAD 64 /* bytes in front of a block's data */

static inline size_t qblock_bytes(enum qform form)
{
    return QHEAD + (form == QFORM_8 ? QBLOCK * QTILE : QBLOCK * QTILE / 2);
}

/* Rows of activations in int8, a scale for each 32. */
struct qrows {
    size_t k;
    int8_t *q; /* [rows, k] */
    float *d; /* [rows, k/32] scale */
    float *ds; /* [rows, k/32] scale * sum of q */
    int32_t *sum; /* [rows, k/32] sum of q */
    const float *x; /* [rows, k], what QFORM_F32 matrices read */
};

struct qout {
    float *y; /* [rows, stride] at the tile's first output */
    size_t stride;
    float *const *each; /* not NULL: row r goes to each[r] + at instead */
    size_t at;
    int n; /* outputs wanted, 1..16 */
    int add; /* 1: y += */
};

static inline float *qout_row(const struct qout *out, size_t row)
{
    return out->each ? out->each[row] + out->at : out->y + row * out->stride;
}

struct qkern {
    const char *name; /* "ref", "avx2", "avx512" */
    int (*usable)(void);
    /* k is a multiple of 32; |q| <= 127. A block that is not finite gets q 0 and the scale NaN, so
     * that its outputs are NaN; one below QTINY gets 0. */
    void (*quantise)(const float *x, size_t k, int8_t *q, float *d, float *ds, int32_t *sum);
    /* Rows row0 .. row0+rows-1 times the tile. scratch: 16 * k bytes. */
    void (*mul)(const struct qtile *w, const struct qrows *x, size_t row0, size_t rows,
                const struct qout *out, uint8_t *scratch);
    /* panel: [k][16]; x: [rows, k]. Any k. */
    void (*mul_f32)(const float *panel, size_t k, const float *x, size_t rows,
                    const struct qout *out);
    /* out[r][n] = q[r] . key n for n in 0 .. 16*blocks-1; kt: [blocks][dim][16], halves or floats.
     * q: [rows, dim]; out: [rows, stride]. */
    void (*scores)(const float *q, size_t rows, size_t dim, const void *kt, int half, size_t blocks,
                   float *out, size_t stride);
    /* s[i] = exp(scale * (s[i] - max)) / sum for i < n. */
    void (*softmax)(float *s, size_t n, float scale);
    /* out[r] = sum over n of p[r][n] * v[n]; v: [count, dim]; out: [rows, dim] by out_stride. */
    void (*mix)(const float *p, size_t rows, size_t stride, const void *v, int half, size_t count,
                size_t dim, float *out, size_t out_stride);
    void (*rms_norm)(const float *x, const float *weight, size_t n, float eps, float *out);
    void (*swiglu)(const float *gate, const float *up, size_t n, float *out); /* silu(gate) * up */
    void (*to_half)(const float *x, size_t n, uint16_t *out);
};

extern const struct qkern qkern_ref;
extern const struct qkern qkern_avx2;
extern const struct qkern qkern_avx512;

/* By name, by DOCENT_KERN when want is NULL, else the best that this processor has. NULL: the name
 * is unknown or not usable here. */
const struct qkern *qkern_pick(const char *want);

struct qmat {
    size_t rows, k;
    const struct tensor *t; /* borrowed */
    enum qform form;
    int zero;
    int has_offset;
    size_t tile_bytes;
    const uint8_t
        *packed; /* [tiles][tile_bytes] in the slab, 64-byte aligned; NULL for QFORM_F32 */
};

/* One stretch of memory for all packed matrices of a model, in huge pages where the kernel has
 * them: with 4 KiB pages one core read 20 GB/s here, with 2 MiB pages 31, and the weights are all a
 * single token's time. Pages that are not packed into are never touched. */
struct qslab {
    uint8_t *base;
    size_t size, used;
};
int qslab_open(struct qslab *s, size_t size, struct err *e); /* size 0: nothing */
void qslab_close(struct qslab *s);
size_t qmat_bytes(const struct tensor *t, int exact); /* what qmat_pack will take of the slab */

/* Packs a two-dimensional tensor [rows, k]. exact: keep fp32 arithmetic (QFORM_F32), which is also
 * what types without a packed form get (F32, F16, BF16, Q6_K). */
int qmat_pack(struct qmat *m, const struct tensor *t, int exact, struct qslab *slab,
              struct team *team, struct err *e);
size_t qmat_scratch(size_t k); /* bytes a worker needs for matrices of k columns */

struct qjob {
    const struct qmat *w;
    const struct qrows *x;
    float *y; /* [rows, stride] */
    size_t stride;
    float *const *each; /* not NULL: [rows], where each row goes */
    int add;
};

/* All jobs over the same rows in one round of the team. scratch: [team_size][scratch_stride]. */
void qmat_mul(const struct qkern *kern, struct team *team, const struct qjob *jobs, size_t n_jobs,
              size_t rows, uint8_t *scratch, size_t scratch_stride);

#endif
