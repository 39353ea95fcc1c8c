/* gen_impl.h - what the files of generator/ share. Inside generator only.
 * Dimension words: T rows (new tokens) of a piece, H hidden, D head_dim, V vocab. */
#ifndef DOCENT_GENERATOR_GEN_IMPL_H
#define DOCENT_GENERATOR_GEN_IMPL_H

#include "generator/generator.h"
#include "nn/qkern.h"
#include "nn/weights.h"

#define GEN_PIECE 128 /* rows of one trip through the layers: activations stay in the L2 cache */
#define GEN_EOS_MAX 8

/* A model family is a row of this table; the pass over the layers is one for all. */
struct gen_family {
    const char *name; /* general.architecture and model_type */
    int gguf_half; /* 1: GGUF keeps q/k rows as Hugging Face does; 0: permuted to adjacent pairs */
    int qk_norm; /* a norm over each head's q and k before they are turned */
};

enum gen_rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_LLAMA3 };

struct gen_config {
    const struct gen_family *family;
    uint32_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context;
    float eps;
    double rope_base;
    uint32_t rope_dim;
    int rope_half; /* 1: pairs (i, i + dim/2); 0: pairs (2i, 2i + 1) */
    enum gen_rope_scaling scaling;
    double rope_factor, rope_low, rope_high, rope_context; /* of LINEAR and LLAMA3 */
};

/* config.c */
int gen_config_gguf(struct gen_config *c, const struct weights *w, struct err *e);
int gen_config_dir(struct gen_config *c, const char *dir, struct err *e); /* config.json */

struct gen_layer {
    float *attn_norm, *ffn_norm; /* [H] */
    float *q_norm, *k_norm; /* [D] or NULL */
    float *bq, *bk, *bv, *bo, *bgate, *bup, *bdown; /* biases, or NULL */
    struct qmat q, k, v, o, gate, up, down;
};

struct gen_model {
    struct gen_layer *layers;
    struct qslab slab; /* the packed matrices */
    const struct tensor *embed; /* [V, H] */
    struct qmat head; /* [V, H]: output, or embed when the two are tied */
    float *final_norm; /* [H] */
    float *rope; /* [rope_dim / 2] radians a position */
};

/* model.c: tensors by the family's table; an unknown or a missing one is an error that names it. */
int gen_model_load(struct gen_model *m, const struct gen_config *c, const struct weights *w,
                   int exact, struct team *team, struct arena *keep, struct err *e);
void gen_model_free(struct gen_model *m);

/* rope.c */
/* factors: [rope_dim / 2] or NULL, divide each frequency (rope_freqs.weight). */
void rope_frequencies(const struct gen_config *c, const float *factors, float *out);
void rope_turn(float *x, uint32_t heads, uint32_t dim, uint32_t rope_dim, int half,
               const float *freq, uint32_t pos);

/* kvcache.c: keys by blocks of 16 positions [16-block][D][16], values [position][D], a plane for
 * each layer and kv head; halves, or floats in fp32 mode. */
struct gen_seq {
    struct generator *g;
    uint32_t len, cap; /* tokens held, tokens that fit */
    int marked; /* is in the running generator_forward */
    int half;
    size_t key_plane, value_plane; /* elements of one layer and head */
    void *keys, *values;
};
void *kv_keys(const struct gen_seq *s, uint32_t layer, uint32_t head);
void *kv_values(const struct gen_seq *s, uint32_t layer, uint32_t head);
void kv_put(struct gen_seq *s, uint32_t layer, uint32_t pos, const float *k, const float *v);

/* One new token on its way through the layers. */
struct gen_row {
    struct gen_seq *seq;
    uint32_t pos;
    int32_t id;
    float *logits; /* [V] or NULL */
};

struct attend_task {
    uint32_t row, rows; /* of one sequence, consecutive */
    uint32_t head; /* kv head */
};

/* Scratch of one piece of GEN_PIECE rows. */
struct gen_work {
    float *x, *h; /* [T, H] residual stream, normed */
    float *q, *att; /* [T, heads * D] */
    float *k, *v; /* [T, kv_heads * D] */
    float *gate, *up; /* [T, ffn] */
    struct qrows in; /* the input of the next product */
    float **each; /* [T] */
    struct gen_row *rows; /* [T] */
    struct attend_task *tasks;
    uint8_t *mul; /* [team_size][mul_stride] */
    size_t mul_stride;
    float *attend; /* [team_size][attend_stride] */
    size_t attend_stride;
    uint32_t attend_rows; /* rows of a task: about 12 query vectors, the kernels' widest */
};

struct generator {
    struct generator_info info;
    struct gen_config c;
    struct gen_model m;
    struct gen_work work;
    struct weights *w;
    struct tokenizer *tok;
    const struct qkern *kern;
    struct team *team;
    int exact; /* fp32 mode */
    uint32_t max_context;
    struct arena keep; /* norms, biases, scratch: as long as the generator */
    char *name;
    char id[33];
    char *chat; /* the template's text, NULL: none */
    int32_t eos[GEN_EOS_MAX]; /* tokens that end an answer */
    int n_eos;
    /* the last run's sequence, for the prefix that the next one shares */
    struct gen_seq *run;
    int32_t *run_ids; /* [run->cap] */
};

/* decoder.c */
int decoder_work_init(struct generator *g, struct err *e);
/* rows: at most GEN_PIECE, those of one sequence consecutive. */
int decoder_pass(struct generator *g, struct gen_row *rows, size_t n, struct err *e);

/* sample.c */
struct gen_sampler {
    float temperature, top_p;
    uint32_t top_k;
    uint64_t rng;
};
/* Takes logits [V] and leaves probabilities there. *logprob: of the token chosen, at temperature 1.
 * ERR_CORRUPT when the logits are not finite. */
int gen_sample(struct gen_sampler *s, const struct qkern *k, float *logits, uint32_t vocab,
               struct arena *tmp, int32_t *id, float *logprob, struct err *e);

#endif
