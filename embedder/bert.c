/* bert.c - the forward pass of BERT over packed sequences (see bert.h).
 * T tokens of all sequences, N of one, H hidden, D a head, F feed-forward. All matrices see one [T,
 * ...] block; attention stays inside a sequence, so nothing is padded and nothing is masked. Every
 * row's sums run in an order of their own, whatever stands beside it: a text's vector is the same
 * alone and in any batch. */
#include "embedder/bert.h"

#include <math.h>
#include <string.h>

#include "base/limits.h"

struct scratch {
    float *qkv; /* [T, 3H] */
    float *ctx; /* [T, H] */
    float *ffn; /* [T, F] */
    float *score; /* [N, N] */
    float *keys; /* panels [D, N] */
    float *values; /* panels [N, D] */
};

static int scratch_take(struct scratch *s, const struct bert_config *c, uint32_t T, uint32_t N,
                        struct arena *a, struct err *e)
{
    s->qkv = arena_take(a, (size_t)T * 3 * c->hidden, sizeof(float));
    s->ctx = arena_take(a, (size_t)T * c->hidden, sizeof(float));
    s->ffn = arena_take(a, (size_t)T * c->ffn, sizeof(float));
    s->score = arena_take(a, (size_t)N * N, sizeof(float));
    s->keys = arena_take(a, kern_panels(N, c->head), sizeof(float));
    s->values = arena_take(a, kern_panels(c->head, N), sizeof(float));
    if (!s->qkv || !s->ctx || !s->ffn || !s->score || !s->keys || !s->values)
        return err_set(e, ERR_NOMEM, "scratch for %u tokens", T);
    return 0;
}

/* y = act(x W + bias) + resid; x [T, k], y [T, n] */
static void linear(const struct kern *kern, const float *x, uint32_t T, uint32_t k,
                   const float *panels, const float *bias, uint32_t n, enum kern_act act,
                   const float *resid, float *y)
{
    const struct kern_gemm g = {.a = x,
                                .lda = k,
                                .rows = T,
                                .k = k,
                                .panels = panels,
                                .n = n,
                                .bias = bias,
                                .resid = resid,
                                .ldr = n,
                                .c = y,
                                .ldc = n,
                                .act = act};

    kern->gemm(&g);
}

static void norm(const struct bert *b, float *x, uint32_t T, const float *gamma, const float *beta)
{
    for (uint32_t t = 0; t < T; t++) {
        float *row = x + (size_t)t * b->c.hidden;
        b->k->layernorm(row, gamma, beta, b->c.hidden, b->c.eps, row);
    }
}

/* One head of one sequence: ctx = softmax(q k' / sqrt D) v. q, k, v are columns of qkv [N, 3H]. */
static void attend_head(const struct bert *b, struct scratch *s, const float *qkv, uint32_t N,
                        uint32_t head, float *ctx)
{
    const struct bert_config *c = &b->c;
    uint32_t D = c->head;
    size_t ld = 3 * (size_t)c->hidden;
    const float *q = qkv + (size_t)head * D;
    const struct kern_gemm scores = {
        .a = q, .lda = ld, .rows = N, .k = D, .panels = s->keys, .n = N, .c = s->score, .ldc = N};
    const struct kern_gemm mix = {.a = s->score,
                                  .lda = N,
                                  .rows = N,
                                  .k = N,
                                  .panels = s->values,
                                  .n = D,
                                  .c = ctx + (size_t)head * D,
                                  .ldc = c->hidden};

    kern_pack_rows(s->keys, q + c->hidden, ld, N, D);
    b->k->gemm(&scores);
    for (uint32_t i = 0; i < N; i++)
        b->k->softmax(s->score + (size_t)i * N, N, 1.0F / sqrtf((float)D));
    kern_pack_cols(s->values, q + 2 * (size_t)c->hidden, ld, D, N);
    b->k->gemm(&mix);
}

static void attend(const struct bert *b, struct scratch *s, const uint32_t *begin, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t head = 0; head < b->c.heads; head++)
            attend_head(b, s, s->qkv + (size_t)begin[i] * 3 * b->c.hidden, begin[i + 1] - begin[i],
                        head, s->ctx + (size_t)begin[i] * b->c.hidden);
}

static int embed(const struct bert *b, const int32_t *ids, const uint32_t *begin, uint32_t n,
                 float *x, struct err *e)
{
    uint32_t H = b->c.hidden;
    int rc = 0;

    for (uint32_t i = 0; i < n && !rc; i++)
        for (uint32_t t = begin[i]; t < begin[i + 1] && !rc; t++) {
            float *row = x + (size_t)t * H;
            const float *pos = b->positions + (size_t)(t - begin[i]) * H;
            rc = tensor_to_f32(b->words, (uint64_t)ids[t] * H, H, row, e);
            for (uint32_t j = 0; j < H; j++)
                row[j] += pos[j];
        }
    return rc;
}

int bert_run(const struct bert *b, const int32_t *ids, const uint32_t *begin, uint32_t n,
             struct arena *tmp, float *x, struct err *e)
{
    const struct bert_config *c = &b->c;
    const struct kern *k = b->k;
    struct arena_mark m = arena_mark(tmp);
    uint32_t T = begin[n];
    uint32_t N = 0;
    struct scratch s;
    int rc;

    for (uint32_t i = 0; i < n; i++)
        if (begin[i + 1] - begin[i] > N)
            N = begin[i + 1] - begin[i];
    if (N > c->positions)
        return err_set(e, ERR_INVALID, "a sequence of %u tokens; the model has %u positions", N,
                       c->positions);
    rc = scratch_take(&s, c, T, N, tmp, e);
    if (!rc)
        rc = embed(b, ids, begin, n, x, e);
    if (rc)
        return rc;
    norm(b, x, T, b->ln_g, b->ln_b);
    for (uint32_t i = 0; i < c->layers; i++) {
        const struct bert_layer *l = &b->layer[i];
        linear(k, x, T, c->hidden, l->qkv, l->qkv_b, 3 * c->hidden, KERN_LINEAR, NULL, s.qkv);
        attend(b, &s, begin, n);
        linear(k, s.ctx, T, c->hidden, l->out, l->out_b, c->hidden, KERN_LINEAR, x, x);
        norm(b, x, T, l->ln1_g, l->ln1_b);
        linear(k, x, T, c->hidden, l->up, l->up_b, c->ffn, KERN_GELU, NULL, s.ffn);
        linear(k, s.ffn, T, c->ffn, l->down, l->down_b, c->hidden, KERN_LINEAR, x, x);
        norm(b, x, T, l->ln2_g, l->ln2_b);
    }
    arena_rewind(tmp, m);
    return 0;
}
