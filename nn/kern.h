/* kern.h - fp32 and int8 loops, one table an instruction set.
 * kern_ref is the truth: plain loops. The others equal it within the tolerance of tests/unit/nn/
 * test_kern.c; quant_i8 and dot_i8 are exactly equal. Every function takes any n and any alignment.
 * Within one table a result depends on the numbers of its own row only: not on the other rows of
 * the call, not on where the row stands, not on threads. That is what makes a text's vector the
 * same alone and in a batch. Threads: pure functions. */
#ifndef DOCENT_NN_KERN_H
#define DOCENT_NN_KERN_H

#include <stddef.h>
#include <stdint.h>

#define KERN_PANEL 32 /* columns of a packed panel */

enum kern_act { KERN_LINEAR, KERN_GELU };

/* C = act(A B + bias) + resid. B is packed by kern_pack_*(). bias and resid may be NULL;
 * c may be resid (same rows, same stride). Each output is one sum over k in order. */
struct kern_gemm {
    const float *a; /* [rows, k] by lda */
    size_t lda, rows, k;
    const float *panels; /* [ceil(n/32)][k][32] */
    size_t n;
    const float *bias; /* [n] */
    const float *resid; /* [rows, n] by ldr */
    size_t ldr;
    float *c; /* [rows, n] by ldc */
    size_t ldc;
    enum kern_act act;
};

struct kern {
    const char *name; /* "ref", "avx2", "avx512" */
    int (*usable)(void);
    float (*dot)(const float *a, const float *b, size_t n);
    /* scale = max|x| / 127, q = round to even of x / scale. A row whose max|x| is below 1e-30 is a
     * zero row: scale 0, q 0. x must be finite. */
    void (*quant_i8)(const float *x, size_t n, int8_t *q, float *scale);
    /* Exact; n at most 131071, so that no sum leaves int32. */
    int32_t (*dot_i8)(const int8_t *a, const int8_t *b, size_t n);
    float (*dot_f32_i8)(const float *q, const int8_t *b, size_t n);
    void (*gemm)(const struct kern_gemm *g);
    /* s[i] = exp(scale * (s[i] - max s)) / sum of these; scale >= 0. */
    void (*softmax)(float *s, size_t n, float scale);
    /* out = (x - mean) / sqrt(variance + eps) * gamma + beta; out may be x. */
    void (*layernorm)(const float *x, const float *gamma, const float *beta, size_t n, float eps,
                      float *out);
    void (*gelu)(float *x, size_t n); /* the exact one: x/2 * (1 + erf(x / sqrt 2)) */
};

extern const struct kern kern_ref; /* every machine */
extern const struct kern kern_avx2; /* AVX2, FMA */
extern const struct kern kern_avx512; /* AVX-512 F, BW, DQ, VL, VNNI */

/* By name; NULL: by DOCENT_KERN, else the best that this processor has. Returns NULL when the name
 * is unknown or not usable here (a bad DOCENT_KERN too). Once, at start. */
const struct kern *kern_pick(const char *want);

/* Floats of the panels of a [k, n] matrix, padding included. */
size_t kern_panels(size_t n, size_t k);
/* Packs B = transpose of w, w: [n, k] by ldw: how a linear layer's weight is stored. Columns above
 * n are zero. */
void kern_pack_rows(float *panels, const float *w, size_t ldw, size_t n, size_t k);
/* Packs B = b, b: [k, n] by ldb. */
void kern_pack_cols(float *panels, const float *b, size_t ldb, size_t n, size_t k);

#endif
