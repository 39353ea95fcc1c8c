/* kvcache.c - the keys and values of a sequence (see gen_impl.h).
 * Keys stand in blocks of 16 positions so that a score of 16 positions is one vector: no sum goes
 * across lanes. Halves cost the 135M model 23 KB a token and move its logits by less than int8
 * does; the fp32 mode keeps floats. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "generator/gen_impl.h"

int gen_seq_open(struct gen_seq **out, struct generator *g, uint32_t max_tokens, struct err *e)
{
    const struct gen_config *c = &g->c;
    size_t planes = (size_t)c->layers * c->kv_heads;
    struct gen_seq *s;

    *out = NULL;
    if (max_tokens == 0)
        max_tokens = g->max_context;
    if (max_tokens > g->max_context)
        return err_set(e, ERR_LIMIT, "a sequence of %u tokens, the context has %u", max_tokens,
                       g->max_context);
    s = mem_take(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "sequence");
    s->g = g;
    s->cap = max_tokens;
    s->half = !g->exact;
    s->key_plane = ((size_t)max_tokens + 15) / 16 * 16 * c->head_dim;
    s->value_plane = s->key_plane;
    /* zeroed pages are free until they are written: a long capacity costs what is used of it */
    s->keys = mem_take(planes * s->key_plane, s->half ? 2 : 4);
    s->values = mem_take(planes * s->value_plane, s->half ? 2 : 4);
    if (!s->keys || !s->values) {
        gen_seq_close(s);
        return err_set(e, ERR_NOMEM, "cache of %u tokens", max_tokens);
    }
    *out = s;
    return 0;
}

void gen_seq_close(struct gen_seq *s)
{
    if (!s)
        return;
    mem_give(s->keys);
    mem_give(s->values);
    mem_give(s);
}

uint32_t gen_seq_len(const struct gen_seq *s)
{
    return s->len;
}

int gen_seq_cut(struct gen_seq *s, uint32_t n, struct err *e)
{
    if (n > s->len)
        return err_set(e, ERR_INVALID, "cutting a sequence of %u tokens behind %u", s->len, n);
    s->len = n;
    return 0;
}

static void *plane(const struct gen_seq *s, void *base, size_t size, uint32_t layer, uint32_t head)
{
    size_t i = ((size_t)layer * s->g->c.kv_heads + head) * size;

    return s->half ? (void *)((uint16_t *)base + i) : (void *)((float *)base + i);
}

void *kv_keys(const struct gen_seq *s, uint32_t layer, uint32_t head)
{
    return plane(s, s->keys, s->key_plane, layer, head);
}

void *kv_values(const struct gen_seq *s, uint32_t layer, uint32_t head)
{
    return plane(s, s->values, s->value_plane, layer, head);
}

void kv_put(struct gen_seq *s, uint32_t layer, uint32_t pos, const float *k, const float *v)
{
    const struct qkern *kern = s->g->kern;
    size_t dim = s->g->c.head_dim;

    for (uint32_t h = 0; h < s->g->c.kv_heads; h++, k += dim, v += dim) {
        void *keys = kv_keys(s, layer, h);
        void *values = kv_values(s, layer, h);
        size_t at = pos / 16 * dim * 16 + pos % 16;
        if (s->half) {
            uint16_t tmp[1024]; /* head_dim is at most that */
            kern->to_half(k, dim, tmp);
            for (size_t c = 0; c < dim; c++)
                ((uint16_t *)keys)[at + c * 16] = tmp[c];
            kern->to_half(v, dim, (uint16_t *)values + pos * dim);
        } else {
            for (size_t c = 0; c < dim; c++)
                ((float *)keys)[at + c * 16] = k[c];
            memcpy((float *)values + pos * dim, v, dim * sizeof *v);
        }
    }
}
