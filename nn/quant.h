/* quant.h - the block formats of quantised weights, and their decoding to fp32.
 * One block is wtype_block() values in wtype_bytes() bytes; fields in the order of the structs
 * below, little-endian, d and m in IEEE half. Threads: any number. */
#ifndef DOCENT_NN_QUANT_H
#define DOCENT_NN_QUANT_H

#include <stddef.h>
#include <stdint.h>

#include "nn/weights.h"

struct q4_0 {
    uint16_t d;
    uint8_t qs[16]; /* value j: low half of byte j; value j + 16: high half */
};
struct q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
};
struct q5_0 {
    uint16_t d;
    uint8_t qh[4]; /* fifth bits, value j in bit j */
    uint8_t qs[16];
};
struct q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
};
struct q8_0 {
    uint16_t d;
    int8_t qs[32];
};
struct q4_k {
    uint16_t d, dmin;
    uint8_t scales[12]; /* 8 scales and 8 minima of 6 bits */
    uint8_t qs[128];
};
struct q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
};
struct q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};

float half_to_float(uint16_t h);
float bf16_to_float(uint16_t h);
uint16_t float_to_half(float f); /* to nearest, ties to even */

/* n values (a multiple of the block) from blocks at src (any alignment). Types of integers
 * (W_I64 ...) are not decoded. Returns 0 or ERR_UNSUPPORTED. */
int quant_decode(enum wtype t, const void *src, size_t n, float *out);

/* Whole values of one block as small integers with one scale and offset for each 32:
 * value = scale[j / 32] * q[j] + offset[j / 32]; Q6_K has its scales by 16 and is not among them.
 * Types: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K. q: [block], scale, offset: [block / 32]. */
int quant_split(enum wtype t, const void *block, int8_t *q, float *scale, float *offset);

#endif
