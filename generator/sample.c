/* sample.c - the next token from the logits: the best one, or drawn from the top. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "generator/gen_impl.h"

struct candidate {
    int32_t id;
    float logit;
};

/* Uniform in [0, 1) with 53 bits (splitmix64). */
static double draw(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int better_first(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;

    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Ties go to the smaller id. */
static int32_t best(const float *logits, uint32_t vocab)
{
    uint32_t top = 0;

    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[top] || logits[top] != logits[top])
            top = i;
    return (int32_t)top;
}

/* Candidates worth drawing: with less than e^-16 of the best one's chance at temperature t a token
 * is left out, so that the sort sees hundreds, not the whole vocabulary. */
static size_t shortlist(const float *logits, uint32_t vocab, float least, struct candidate *out)
{
    size_t n = 0;

    for (uint32_t i = 0; i < vocab; i++)
        if (logits[i] >= least)
            out[n++] = (struct candidate){(int32_t)i, logits[i]};
    qsort(out, n, sizeof *out, better_first);
    return n;
}

static int32_t drawn(struct gen_sampler *s, struct candidate *c, size_t n)
{
    double total = 0;
    double kept = 0;
    double at;
    size_t last = 0;

    if (s->top_k && n > s->top_k)
        n = s->top_k;
    for (size_t i = 0; i < n; i++)
        total += exp((double)(c[i].logit - c[0].logit) / (double)s->temperature);
    for (size_t i = 0; i < n; i++) {
        kept += exp((double)(c[i].logit - c[0].logit) / (double)s->temperature);
        last = i;
        if (s->top_p > 0 && s->top_p < 1 && kept >= (double)s->top_p * total)
            break;
    }
    at = draw(&s->rng) * kept;
    for (size_t i = 0; i < last; i++) {
        at -= exp((double)(c[i].logit - c[0].logit) / (double)s->temperature);
        if (at < 0)
            return c[i].id;
    }
    return c[last].id;
}

int gen_sample(struct gen_sampler *s, const struct qkern *k, float *logits, uint32_t vocab,
               struct arena *tmp, int32_t *id, float *logprob, struct err *e)
{
    struct arena_mark mark = arena_mark(tmp);
    struct candidate *c;

    *id = best(logits, vocab);
    if (!isfinite(logits[*id]))
        return err_set(e, ERR_CORRUPT, "the model's logits are not finite");
    if (s->temperature > 0) {
        c = arena_take(tmp, vocab, sizeof *c);
        if (!c)
            return err_set(e, ERR_LIMIT, "sampling: the request's memory is used up");
        *id = drawn(s, c, shortlist(logits, vocab, logits[*id] - 16 * s->temperature, c));
        arena_rewind(tmp, mark);
    }
    k->softmax(logits, vocab, 1);
    *logprob = logf(fmaxf(logits[*id], 1e-30f));
    return 0;
}
