/* embedder.h - the face of embedder: texts to unit vectors.
 * Packed sequences, no padding: one matrix of all tokens of a micro-batch, attention inside each
 * sequence. A text's vector does not depend on its batch mates, on the number of threads or on the
 * order; it does depend, in the last bits, on the kernel set.
 * Threads: embedder_embed() one caller at a time a struct embedder (it uses the team inside). */
#ifndef DOCENT_EMBEDDER_H
#define DOCENT_EMBEDDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/team.h"

struct embedder;

struct embedder_info {
    const char *name; /* folder name, "all-MiniLM-L6-v2" */
    const char *id; /* 32 hex digits over the weights; an index made with one id refuses another */
    uint32_t dim;
    uint32_t max_tokens; /* special tokens included (256 for MiniLM) */
    uint32_t special_tokens; /* of those, how many are added ([CLS], [SEP]: 2) */
    uint64_t weight_bytes;
};

struct embedder_opts {
    struct team *team; /* borrowed; NULL: one thread */
    const char *kern; /* NULL: DOCENT_KERN, else the best usable */
};

int embedder_open(struct embedder **out, const char *model_dir, const struct embedder_opts *o,
                  struct err *e);
void embedder_close(struct embedder *em);
const struct embedder_info *embedder_info(const struct embedder *em);

struct embed_text {
    const char *text;
    size_t n;
};

struct embed_stat {
    uint32_t n_tokens; /* as fed to the model, special tokens included, after truncation */
    uint32_t n_unknown; /* of those, [UNK] */
    uint32_t truncated; /* 1: the text was longer than the model reads */
};

/* vectors: out, [n, dim] fp32, unit length, caller's. stats: NULL or [n], caller's.
 * tmp: scratch, rewound before the return. */
int embedder_embed(struct embedder *em, const struct embed_text *texts, size_t n, struct arena *tmp,
                   float *vectors, struct embed_stat *stats, struct err *e);

/* Tokens the model makes of a text, without special tokens and without truncation. Any thread. */
size_t embedder_count_tokens(const struct embedder *em, const char *text, size_t n,
                             struct arena *tmp);

#endif
