/* model.c - the tensors of a decoder by name, under the names of GGUF and of Hugging Face. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "generator/gen_impl.h"

enum slot {
    ATTN_NORM,
    Q_PROJ,
    K_PROJ,
    V_PROJ,
    O_PROJ,
    Q_BIAS,
    K_BIAS,
    V_BIAS,
    O_BIAS,
    Q_NORM,
    K_NORM,
    FFN_NORM,
    GATE,
    UP,
    DOWN,
    GATE_BIAS,
    UP_BIAS,
    DOWN_BIAS
};

static const struct {
    const char *gguf, *hf;
} names[] = {
    [ATTN_NORM] = {"attn_norm.weight", "input_layernorm.weight"},
    [Q_PROJ] = {"attn_q.weight", "self_attn.q_proj.weight"},
    [K_PROJ] = {"attn_k.weight", "self_attn.k_proj.weight"},
    [V_PROJ] = {"attn_v.weight", "self_attn.v_proj.weight"},
    [O_PROJ] = {"attn_output.weight", "self_attn.o_proj.weight"},
    [Q_BIAS] = {"attn_q.bias", "self_attn.q_proj.bias"},
    [K_BIAS] = {"attn_k.bias", "self_attn.k_proj.bias"},
    [V_BIAS] = {"attn_v.bias", "self_attn.v_proj.bias"},
    [O_BIAS] = {"attn_output.bias", "self_attn.o_proj.bias"},
    [Q_NORM] = {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    [K_NORM] = {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    [FFN_NORM] = {"ffn_norm.weight", "post_attention_layernorm.weight"},
    [GATE] = {"ffn_gate.weight", "mlp.gate_proj.weight"},
    [UP] = {"ffn_up.weight", "mlp.up_proj.weight"},
    [DOWN] = {"ffn_down.weight", "mlp.down_proj.weight"},
    [GATE_BIAS] = {"ffn_gate.bias", "mlp.gate_proj.bias"},
    [UP_BIAS] = {"ffn_up.bias", "mlp.up_proj.bias"},
    [DOWN_BIAS] = {"ffn_down.bias", "mlp.down_proj.bias"},
};

struct loading {
    const struct weights *w;
    int exact;
    struct team *team;
    struct arena *keep;
    struct qslab *slab;
    uint8_t *used; /* [weights_count] */
    struct err *e;
    int rc; /* the first failure; everything after it does nothing */
};

static void mark(struct loading *l, const struct tensor *t)
{
    l->used[t - weights_at(l->w, 0)] = 1;
}

static const struct tensor *need(struct loading *l, const char *name, int n_dims, uint64_t a,
                                 uint64_t b)
{
    uint64_t dims[2] = {a, b};
    const struct tensor *t = NULL;

    if (!l->rc)
        l->rc = weights_need(l->w, name, n_dims, dims, &t, l->e);
    if (t)
        mark(l, t);
    return t;
}

static float *vector(struct loading *l, const char *name, uint64_t n)
{
    const struct tensor *t = need(l, name, 1, n, 0);
    float *out = NULL;

    if (l->rc)
        return NULL;
    out = arena_take(l->keep, (size_t)n, sizeof *out);
    l->rc = out ? tensor_to_f32(t, 0, n, out, l->e) : err_set(l->e, ERR_NOMEM, "tensor %s", name);
    return out;
}

/* NULL when the file has none. */
static float *vector_if(struct loading *l, const char *name, uint64_t n)
{
    return l->rc || !weights_find(l->w, name) ? NULL : vector(l, name, n);
}

static void matrix(struct loading *l, const char *name, uint64_t rows, uint64_t k, struct qmat *out)
{
    const struct tensor *t = need(l, name, 2, rows, k);

    if (!l->rc)
        l->rc = qmat_pack(out, t, l->exact, l->slab, l->team, l->e);
}

static const char *name_of(const struct loading *l, enum slot s, uint32_t layer, char out[128])
{
    if (weights_is_gguf(l->w))
        snprintf(out, 128, "blk.%u.%s", layer, names[s].gguf);
    else
        snprintf(out, 128, "model.layers.%u.%s", layer, names[s].hf);
    return out;
}

static void load_layer(struct loading *l, const struct gen_config *c, uint32_t i,
                       struct gen_layer *y)
{
    uint64_t wide = (uint64_t)c->heads * c->head_dim;
    uint64_t narrow = (uint64_t)c->kv_heads * c->head_dim;
    char n[128];

    y->attn_norm = vector(l, name_of(l, ATTN_NORM, i, n), c->hidden);
    matrix(l, name_of(l, Q_PROJ, i, n), wide, c->hidden, &y->q);
    matrix(l, name_of(l, K_PROJ, i, n), narrow, c->hidden, &y->k);
    matrix(l, name_of(l, V_PROJ, i, n), narrow, c->hidden, &y->v);
    matrix(l, name_of(l, O_PROJ, i, n), c->hidden, wide, &y->o);
    y->bq = vector_if(l, name_of(l, Q_BIAS, i, n), wide);
    y->bk = vector_if(l, name_of(l, K_BIAS, i, n), narrow);
    y->bv = vector_if(l, name_of(l, V_BIAS, i, n), narrow);
    y->bo = vector_if(l, name_of(l, O_BIAS, i, n), c->hidden);
    if (c->family->qk_norm) {
        y->q_norm = vector(l, name_of(l, Q_NORM, i, n), c->head_dim);
        y->k_norm = vector(l, name_of(l, K_NORM, i, n), c->head_dim);
    }
    y->ffn_norm = vector(l, name_of(l, FFN_NORM, i, n), c->hidden);
    matrix(l, name_of(l, GATE, i, n), c->ffn, c->hidden, &y->gate);
    matrix(l, name_of(l, UP, i, n), c->ffn, c->hidden, &y->up);
    matrix(l, name_of(l, DOWN, i, n), c->hidden, c->ffn, &y->down);
    y->bgate = vector_if(l, name_of(l, GATE_BIAS, i, n), c->ffn);
    y->bup = vector_if(l, name_of(l, UP_BIAS, i, n), c->ffn);
    y->bdown = vector_if(l, name_of(l, DOWN_BIAS, i, n), c->hidden);
}

/* Every tensor of the file must have been asked for: one that was not would mean another model. */
static void no_strangers(struct loading *l)
{
    for (size_t i = 0; !l->rc && i < weights_count(l->w); i++) {
        const char *name = weights_at(l->w, i)->name;
        if (!l->used[i] && !strstr(name, "rotary_emb.inv_freq"))
            l->rc =
                err_set(l->e, ERR_UNSUPPORTED, "tensor %s has no place in this architecture", name);
    }
}

static void load_ends(struct loading *l, struct gen_model *m, const struct gen_config *c)
{
    int gguf = weights_is_gguf(l->w);
    const char *head = gguf ? "output.weight" : "lm_head.weight";
    const char *embed = gguf ? "token_embd.weight" : "model.embed_tokens.weight";
    float *factors;

    m->embed = need(l, embed, 2, c->vocab, c->hidden);
    m->final_norm = vector(l, gguf ? "output_norm.weight" : "model.norm.weight", c->hidden);
    matrix(l, weights_find(l->w, head) ? head : embed, c->vocab, c->hidden, &m->head);
    factors = gguf ? vector_if(l, "rope_freqs.weight", c->rope_dim / 2) : NULL;
    m->rope = arena_take(l->keep, c->rope_dim / 2, sizeof *m->rope);
    if (!l->rc && !m->rope)
        l->rc = err_set(l->e, ERR_NOMEM, "rope table");
    for (uint32_t i = 0; !l->rc && factors && i < c->rope_dim / 2; i++)
        if (!(factors[i] > 0))
            l->rc = err_set(l->e, ERR_FORMAT, "tensor rope_freqs.weight: factor %g",
                            (double)factors[i]);
    if (!l->rc)
        rope_frequencies(c, factors, m->rope);
}

int gen_model_load(struct gen_model *m, const struct gen_config *c, const struct weights *w,
                   int exact, struct team *team, struct arena *keep, struct err *e)
{
    struct loading l = {w, exact, team, keep, &m->slab, NULL, e, 0};
    size_t packed = 0;

    l.used = mem_take(weights_count(w) + 1, 1);
    m->layers = mem_take(c->layers, sizeof *m->layers);
    if (!l.used || !m->layers) {
        mem_give(l.used);
        return err_set(e, ERR_NOMEM, "model of %u layers", c->layers);
    }
    for (size_t i = 0; i < weights_count(w); i++) /* no more than the file's own size, about */
        packed += qmat_bytes(weights_at(w, i), exact);
    l.rc = qslab_open(&m->slab, packed, e);
    if (!l.rc)
        load_ends(&l, m, c);
    for (uint32_t i = 0; !l.rc && i < c->layers; i++)
        load_layer(&l, c, i, &m->layers[i]);
    no_strangers(&l);
    mem_give(l.used);
    return l.rc;
}

void gen_model_free(struct gen_model *m)
{
    qslab_close(&m->slab);
    mem_give(m->layers);
    m->layers = NULL;
}
