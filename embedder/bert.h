/* bert.h - the BERT encoder: weights from a model folder, and the forward pass over packed
 * sequences. Devlin et al. 2018; post-norm, learned positions, erf GELU. Inside embedder only. */
#ifndef DOCENT_EMBEDDER_BERT_H
#define DOCENT_EMBEDDER_BERT_H

#include "base/err.h"
#include "base/mem.h"
#include "base/team.h"
#include "nn/kern.h"
#include "nn/weights.h"

struct bert_config {
    uint32_t hidden, heads, head; /* hidden = heads * head */
    uint32_t layers, ffn, vocab, positions, types;
    float eps;
};

struct bert_layer { /* panels: packed for kern.gemm */
    const float *qkv, *qkv_b; /* [hidden, 3 hidden], [3 hidden] */
    const float *out, *out_b; /* [hidden, hidden] */
    const float *up, *up_b; /* [hidden, ffn] */
    const float *down, *down_b; /* [ffn, hidden] */
    const float *ln1_g, *ln1_b, *ln2_g, *ln2_b; /* [hidden] */
};

struct bert {
    struct bert_config c;
    const struct kern *k;
    const struct weights *w; /* borrowed: the word embeddings are read from its mapping */
    const struct tensor *words; /* [vocab, hidden] */
    const float *positions; /* [positions, hidden], token type 0 added */
    const float *ln_g, *ln_b;
    struct bert_layer *layer; /* [layers] */
    struct arena a; /* packed weights */
};

int bert_config_read(struct bert_config *c, const char *model_dir, struct err *e);
/* b->k and b->w are set by the caller. Packs all matrices once, on the team. */
int bert_load(struct bert *b, const char *model_dir, struct team *team, struct err *e);
void bert_free(struct bert *b);

/* ids: [T] of all sequences in a row, checked by the caller; begin: [n + 1] token offsets.
 * x: out, [T, hidden] last hidden states. Scratch from tmp, rewound before the return. */
int bert_run(const struct bert *b, const int32_t *ids, const uint32_t *begin, uint32_t n,
             struct arena *tmp, float *x, struct err *e);

#endif
