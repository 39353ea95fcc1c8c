/* rope.c - rotary positions: each pair of values of a head is turned by an angle that grows with
 * the position. Hugging Face pairs i with i + dim/2; GGUF files of the llama family have their rows
 * permuted so that the pairs are neighbours. */
#include <math.h>

#include "generator/gen_impl.h"

static const double pi = 3.14159265358979323846;

/* Llama 3: long waves are slowed by factor, short ones kept, those between blended. */
static double slow(const struct gen_config *c, double freq)
{
    double wave = 2 * pi / freq;
    double blend;

    if (c->scaling == ROPE_LINEAR)
        return freq / c->rope_factor;
    if (c->scaling != ROPE_LLAMA3 || wave < c->rope_context / c->rope_high)
        return freq;
    if (wave > c->rope_context / c->rope_low)
        return freq / c->rope_factor;
    blend = (c->rope_context / wave - c->rope_low) / (c->rope_high - c->rope_low);
    return (1 - blend) * freq / c->rope_factor + blend * freq;
}

void rope_frequencies(const struct gen_config *c, const float *factors, float *out)
{
    for (uint32_t i = 0; i < c->rope_dim / 2; i++) {
        double freq = slow(c, pow(c->rope_base, -2.0 * i / c->rope_dim));
        out[i] = (float)(factors ? freq / factors[i] : freq);
    }
}

void rope_turn(float *x, uint32_t heads, uint32_t dim, uint32_t rope_dim, int half,
               const float *freq, uint32_t pos)
{
    uint32_t pairs = rope_dim / 2;

    for (uint32_t i = 0; i < pairs; i++) {
        float angle = (float)pos * freq[i]; /* in fp32, as the reference has it */
        float s = sinf(angle);
        float c = cosf(angle);
        float *a = x + (half ? i : 2 * i);
        float *b = x + (half ? i + pairs : 2 * i + 1);
        for (uint32_t h = 0; h < heads; h++, a += dim, b += dim) {
            float u = *a;
            float v = *b;
            *a = u * c - v * s;
            *b = u * s + v * c;
        }
    }
}
