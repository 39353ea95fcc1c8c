/* quant.c - block formats of quantised weights to fp32 (see quant.h).
 * Plain loops: this is the truth that the matrix kernels are tested against, and the fp32 mode of
 * the generator. */
#include "nn/quant.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t block, bytes;
} types[W_TYPE_COUNT] = {
    [W_F32] = {"F32", 1, 4},
    [W_F16] = {"F16", 1, 2},
    [W_BF16] = {"BF16", 1, 2},
    [W_Q4_0] = {"Q4_0", 32, sizeof(struct q4_0)},
    [W_Q4_1] = {"Q4_1", 32, sizeof(struct q4_1)},
    [W_Q5_0] = {"Q5_0", 32, sizeof(struct q5_0)},
    [W_Q5_1] = {"Q5_1", 32, sizeof(struct q5_1)},
    [W_Q8_0] = {"Q8_0", 32, sizeof(struct q8_0)},
    [W_Q4_K] = {"Q4_K", 256, sizeof(struct q4_k)},
    [W_Q5_K] = {"Q5_K", 256, sizeof(struct q5_k)},
    [W_Q6_K] = {"Q6_K", 256, sizeof(struct q6_k)},
    [W_I64] = {"I64", 1, 8},
    [W_I32] = {"I32", 1, 4},
    [W_U8] = {"U8", 1, 1},
    [W_BOOL] = {"BOOL", 1, 1},
};

_Static_assert(sizeof(struct q4_0) == 18 && sizeof(struct q4_1) == 20, "block of 4 bits");
_Static_assert(sizeof(struct q5_0) == 22 && sizeof(struct q5_1) == 24, "block of 5 bits");
_Static_assert(sizeof(struct q8_0) == 34 && sizeof(struct q6_k) == 210, "block of 8 and 6 bits");
_Static_assert(sizeof(struct q4_k) == 144 && sizeof(struct q5_k) == 176, "K block");

uint32_t wtype_block(enum wtype t)
{
    return types[t].block;
}

uint32_t wtype_bytes(enum wtype t)
{
    return types[t].bytes;
}

const char *wtype_name(enum wtype t)
{
    return types[t].name;
}

float bf16_to_float(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;

    memcpy(&f, &u, sizeof f);
    return f;
}

float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exp = h >> 10 & 31;
    uint32_t frac = h & 1023;
    uint32_t u;
    float f;

    if (exp == 0) { /* zero and subnormal: frac * 2^-24 is exact in fp32 */
        f = (float)frac * 0x1p-24f;
        memcpy(&u, &f, sizeof u);
        u |= sign;
    } else {
        u = sign | (exp == 31 ? 255u : exp + 112) << 23 | frac << 13;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

uint16_t float_to_half(float f)
{
    uint32_t u;
    uint32_t sign;
    uint32_t mag;

    memcpy(&u, &f, sizeof u);
    sign = u >> 16 & 0x8000;
    mag = u & 0x7FFFFFFF;
    if (mag >= 0x7F800000)
        return (uint16_t)(sign | 0x7C00 | (mag > 0x7F800000 ? 0x200 : 0));
    if (mag >= 0x477FF000) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7C00);
    if (mag < 0x38800000) { /* below 2^-14: the half is a multiple of 2^-24 */
        float scaled;
        memcpy(&scaled, &mag, sizeof scaled);
        scaled += 0.5f; /* 2^-24 is the last bit of a number in [0.5, 1): the sum rounds for us */
        memcpy(&mag, &scaled, sizeof mag);
        return (uint16_t)(sign | (mag - 0x3F000000));
    }
    mag += 0xFFF + (mag >> 13 & 1);
    return (uint16_t)(sign | (mag - 0x38000000) >> 13);
}

static uint32_t load_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The j-th of eight 6-bit scales and minima. */
static void k_scale(const uint8_t *s, int j, int *sc, int *mn)
{
    if (j < 4) {
        *sc = s[j] & 63;
        *mn = s[j + 4] & 63;
    } else {
        *sc = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *mn = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

static void split_nibbles(const uint8_t *qs, uint32_t high, int8_t *q)
{
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)((qs[j] & 15) | (high >> j & 1) << 4);
        q[j + 16] = (int8_t)(qs[j] >> 4 | (high >> (j + 16) & 1) << 4);
    }
}

static void split_k(const uint8_t *scales, const uint8_t *qh, const uint8_t *qs, float d,
                    float dmin, int8_t *q, float *scale, float *offset)
{
    for (int g = 0; g < 8; g++) {
        const uint8_t *p = qs + g / 2 * 32;
        int sc;
        int mn;
        k_scale(scales, g, &sc, &mn);
        scale[g] = d * (float)sc;
        offset[g] = -(dmin * (float)mn);
        for (int l = 0; l < 32; l++) {
            int v = g & 1 ? p[l] >> 4 : p[l] & 15;
            if (qh)
                v |= (qh[l] >> g & 1) << 4;
            q[g * 32 + l] = (int8_t)v;
        }
    }
}

int quant_split(enum wtype t, const void *block, int8_t *q, float *scale, float *offset)
{
    union {
        struct q4_0 q4_0;
        struct q4_1 q4_1;
        struct q5_0 q5_0;
        struct q5_1 q5_1;
        struct q8_0 q8_0;
        struct q4_k q4_k;
        struct q5_k q5_k;
    } b;

    if (t < W_Q4_0 || t > W_Q5_K)
        return ERR_UNSUPPORTED;
    memcpy(&b, block, types[t].bytes);
    switch (t) {
    case W_Q4_0:
        split_nibbles(b.q4_0.qs, 0, q);
        *scale = half_to_float(b.q4_0.d);
        break;
    case W_Q4_1:
        split_nibbles(b.q4_1.qs, 0, q);
        *scale = half_to_float(b.q4_1.d);
        break;
    case W_Q5_0:
        split_nibbles(b.q5_0.qs, load_u32(b.q5_0.qh), q);
        *scale = half_to_float(b.q5_0.d);
        break;
    case W_Q5_1:
        split_nibbles(b.q5_1.qs, load_u32(b.q5_1.qh), q);
        *scale = half_to_float(b.q5_1.d);
        break;
    case W_Q8_0:
        memcpy(q, b.q8_0.qs, 32);
        *scale = half_to_float(b.q8_0.d);
        break;
    case W_Q4_K:
        split_k(b.q4_k.scales, NULL, b.q4_k.qs, half_to_float(b.q4_k.d), half_to_float(b.q4_k.dmin),
                q, scale, offset);
        return 0;
    default:
        split_k(b.q5_k.scales, b.q5_k.qh, b.q5_k.qs, half_to_float(b.q5_k.d),
                half_to_float(b.q5_k.dmin), q, scale, offset);
        return 0;
    }
    *offset = t == W_Q4_1 ? half_to_float(b.q4_1.m) : t == W_Q5_1 ? half_to_float(b.q5_1.m) : 0;
    if (t == W_Q4_0 || t == W_Q5_0)
        for (int j = 0; j < 32; j++)
            q[j] = (int8_t)(q[j] - (t == W_Q4_0 ? 8 : 16));
    return 0;
}

static void decode_q6_k(const void *block, float *out)
{
    struct q6_k b;
    float d;

    memcpy(&b, block, sizeof b);
    d = half_to_float(b.d);
    for (int half = 0; half < 2; half++) {
        const uint8_t *ql = b.ql + 64 * half;
        const uint8_t *qh = b.qh + 32 * half;
        const int8_t *sc = b.scales + 8 * half;
        float *y = out + 128 * half;
        for (int l = 0; l < 32; l++) {
            y[l] = d * (float)sc[l / 16] * (float)(((ql[l] & 15) | (qh[l] & 3) << 4) - 32);
            y[l + 32] = d * (float)sc[l / 16 + 2] *
                        (float)(((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4) - 32);
            y[l + 64] =
                d * (float)sc[l / 16 + 4] * (float)((ql[l] >> 4 | (qh[l] >> 4 & 3) << 4) - 32);
            y[l + 96] =
                d * (float)sc[l / 16 + 6] * (float)((ql[l + 32] >> 4 | qh[l] >> 6 << 4) - 32);
        }
    }
}

static void decode_plain(enum wtype t, const unsigned char *src, size_t n, float *out)
{
    if (t == W_F32) {
        memcpy(out, src, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, sizeof h);
        out[i] = t == W_F16 ? half_to_float(h) : bf16_to_float(h);
    }
}

int quant_decode(enum wtype t, const void *src, size_t n, float *out)
{
    const unsigned char *p = src;
    size_t block = types[t].block;

    if (t <= W_BF16) {
        decode_plain(t, p, n, out);
        return 0;
    }
    if (t > W_Q6_K)
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < n; i += block, p += types[t].bytes) {
        int8_t q[256];
        float scale[8];
        float offset[8];
        if (t == W_Q6_K) {
            decode_q6_k(p, out + i);
            continue;
        }
        quant_split(t, p, q, scale, offset);
        for (size_t j = 0; j < block; j++) /* product and sum rounded apart, as the formats say */
            out[i + j] = scale[j / 32] * (float)q[j] + offset[j / 32];
    }
    return 0;
}

int tensor_to_f32(const struct tensor *t, uint64_t offset, uint64_t n, float *out, struct err *e)
{
    uint64_t block = wtype_block(t->type);
    uint64_t total = t->bytes / wtype_bytes(t->type) * block;

    if (offset % block || n % block || offset > total || n > total - offset)
        return err_set(e, ERR_INVALID,
                       "tensor %s: values %" PRIu64 " to +%" PRIu64 " of %" PRIu64
                       " (blocks of %" PRIu64 ")",
                       t->name, offset, n, total, block);
    if (quant_decode(t->type,
                     (const unsigned char *)t->data + offset / block * wtype_bytes(t->type),
                     (size_t)n, out))
        return err_set(e, ERR_UNSUPPORTED, "tensor %s: %s is not decoded to numbers", t->name,
                       wtype_name(t->type));
    return 0;
}
