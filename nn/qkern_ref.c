/* qkern_ref.c - the products and vector loops in plain C: the truth for the other variants. */
#include <math.h>
#include <string.h>

#include "nn/qkern.h"
#include "nn/quant.h"

static int always(void)
{
    return 1;
}

static void quantise(const float *x, size_t k, int8_t *q, float *d, float *ds, int32_t *sum)
{
    for (size_t b = 0; b < k / QBLOCK; b++, x += QBLOCK, q += QBLOCK) {
        float most = 0;
        float inverse;
        int32_t s = 0;
        int bad = 0;
        for (int i = 0; i < QBLOCK; i++) {
            most = fmaxf(most, fabsf(x[i]));
            bad |= !isfinite(x[i]);
        }
        inverse = most > QTINY ? 127.0f / most : 0;
        for (int i = 0; i < QBLOCK; i++) {
            q[i] = (int8_t)(bad ? 0 : lrintf(x[i] * inverse));
            s += q[i];
        }
        d[b] = bad ? NAN : most > QTINY ? most / 127.0f : 0;
        ds[b] = d[b] * (float)s;
        sum[b] = s;
    }
}

static int value_at(const struct qtile *w, size_t block, size_t j, size_t o)
{
    const uint8_t *p;

    if (w->form == QFORM_8)
        return w->blocks[block * qblock_bytes(QFORM_8) + QHEAD + j / 4 * 64 + o * 4 + j % 4];
    p = w->blocks + block * qblock_bytes(QFORM_4) + QHEAD + j / 4 % 4 * 64 + o * 4 + j % 4;
    return j < 16 ? *p & 15 : *p >> 4;
}

static void mul(const struct qtile *w, const struct qrows *x, size_t row0, size_t rows,
                const struct qout *out, uint8_t *scratch)
{
    size_t blocks = w->k / QBLOCK;

    (void)scratch;
    for (size_t r = 0; r < rows; r++) {
        const int8_t *q = x->q + (row0 + r) * x->k;
        const float *d = x->d + (row0 + r) * blocks;
        const float *ds = x->ds + (row0 + r) * blocks;
        const int32_t *sum = x->sum + (row0 + r) * blocks;
        float *y = qout_row(out, row0 + r);
        for (int o = 0; o < out->n; o++) {
            float acc = 0;
            for (size_t b = 0; b < blocks; b++) {
                const uint16_t *head =
                    (const uint16_t *)(const void *)(w->blocks + b * qblock_bytes(w->form));
                int32_t s = -w->zero * sum[b];
                for (size_t j = 0; j < QBLOCK; j++)
                    s += value_at(w, b, j, (size_t)o) * q[b * QBLOCK + j];
                acc += (float)s * (half_to_float(head[o]) * d[b]);
                if (w->has_offset)
                    acc += half_to_float(head[QTILE + o]) * ds[b];
            }
            y[o] = out->add ? y[o] + acc : acc;
        }
    }
}

static void mul_f32(const float *panel, size_t k, const float *x, size_t rows,
                    const struct qout *out)
{
    for (size_t r = 0; r < rows; r++, x += k) {
        float acc[QTILE] = {0};
        float *y = qout_row(out, r);
        for (size_t c = 0; c < k; c++)
            for (int o = 0; o < QTILE; o++)
                acc[o] += panel[c * QTILE + (size_t)o] * x[c];
        for (int o = 0; o < out->n; o++)
            y[o] = out->add ? y[o] + acc[o] : acc[o];
    }
}

static float load(const void *p, int half, size_t i)
{
    return half ? half_to_float(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static void scores(const float *q, size_t rows, size_t dim, const void *kt, int half, size_t blocks,
                   float *out, size_t stride)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < blocks * 16; n++) {
            float acc = 0;
            for (size_t c = 0; c < dim; c++)
                acc += q[r * dim + c] * load(kt, half, (n / 16 * dim + c) * 16 + n % 16);
            out[r * stride + n] = acc;
        }
}

static void softmax(float *s, size_t n, float scale)
{
    float most = -INFINITY;
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, s[i]);
    for (size_t i = 0; i < n; i++) {
        s[i] = expf(scale * (s[i] - most));
        sum += s[i];
    }
    for (size_t i = 0; i < n; i++)
        s[i] /= sum;
}

static void mix(const float *p, size_t rows, size_t stride, const void *v, int half, size_t count,
                size_t dim, float *out, size_t out_stride)
{
    for (size_t r = 0; r < rows; r++) {
        float *y = out + r * out_stride;
        memset(y, 0, dim * sizeof *y);
        for (size_t n = 0; n < count; n++)
            for (size_t c = 0; c < dim; c++)
                y[c] += p[r * stride + n] * load(v, half, n * dim + c);
    }
}

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *out)
{
    float sum = 0;
    float scale;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    scale = 1.0f / sqrtf(sum / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * weight[i];
}

static void swiglu(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void to_half(const float *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = float_to_half(x[i]);
}

const struct qkern qkern_ref = {"ref",   always, quantise, mul,    mul_f32, scores,
                                softmax, mix,    rms_norm, swiglu, to_half};
