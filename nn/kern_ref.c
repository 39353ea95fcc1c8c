/* kern_ref.c - the kernels as plain loops: what the other tables are tested against. */
#include <math.h>

#include "nn/kern.h"

static int usable(void)
{
    return 1;
}

static float dot(const float *a, const float *b, size_t n)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void quant_i8(const float *x, size_t n, int8_t *q, float *scale)
{
    float most = 0;

    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > most)
            most = fabsf(x[i]);
    /* near the smallest floats x / scale would round to more than 127 */
    *scale = most < 1e-30f ? 0 : most / 127;
    for (size_t i = 0; i < n; i++)
        q[i] = *scale > 0 ? (int8_t)lrintf(x[i] / *scale) : 0;
}

static int32_t dot_i8(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static float dot_f32_i8(const float *q, const int8_t *b, size_t n)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += q[i] * (float)b[i];
    return sum;
}

static void gelu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 0.5f * x[i] * (1 + erff(x[i] * 0.70710678f));
}

static void gemm(const struct kern_gemm *g)
{
    for (size_t r = 0; r < g->rows; r++) {
        float *c = g->c + r * g->ldc;
        for (size_t j = 0; j < g->n; j++) {
            const float *b = g->panels + j / KERN_PANEL * KERN_PANEL * g->k + j % KERN_PANEL;
            float sum = 0;
            for (size_t i = 0; i < g->k; i++)
                sum += g->a[r * g->lda + i] * b[i * KERN_PANEL];
            if (g->bias)
                sum += g->bias[j];
            if (g->act == KERN_GELU)
                gelu(&sum, 1);
            c[j] = g->resid ? sum + g->resid[r * g->ldr + j] : sum;
        }
    }
}

static void softmax(float *s, size_t n, float scale)
{
    float most = n ? s[0] : 0;
    float sum = 0;

    for (size_t i = 1; i < n; i++)
        if (s[i] > most)
            most = s[i];
    for (size_t i = 0; i < n; i++) {
        s[i] = expf(scale * (s[i] - most));
        sum += s[i];
    }
    for (size_t i = 0; i < n; i++)
        s[i] /= sum;
}

static void layernorm(const float *x, const float *gamma, const float *beta, size_t n, float eps,
                      float *out)
{
    float mean = 0;
    float var = 0;
    float inv;

    for (size_t i = 0; i < n; i++)
        mean += x[i];
    mean /= (float)n;
    for (size_t i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean);
    inv = 1 / sqrtf(var / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = (x[i] - mean) * inv * gamma[i] + beta[i];
}

const struct kern kern_ref = {
    .name = "ref",
    .usable = usable,
    .dot = dot,
    .quant_i8 = quant_i8,
    .dot_i8 = dot_i8,
    .dot_f32_i8 = dot_f32_i8,
    .gemm = gemm,
    .softmax = softmax,
    .layernorm = layernorm,
    .gelu = gelu,
};
