/* weights.h - tensors of a model file, mapped read only.
 * Formats: safetensors (one file, or shards by model.safetensors.index.json) and GGUF v2/v3.
 * Everything that a file claims (counts, names, dims, offsets) is checked against the bytes that
 * are there before it is used; an error names file, tensor and byte offset. Threads: read only
 * after open, any number. */
#ifndef DOCENT_NN_WEIGHTS_H
#define DOCENT_NN_WEIGHTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum wtype {
    W_F32,
    W_F16,
    W_BF16,
    W_Q4_0,
    W_Q4_1,
    W_Q5_0,
    W_Q5_1,
    W_Q8_0,
    W_Q4_K,
    W_Q5_K,
    W_Q6_K,
    W_I64,
    W_I32,
    W_U8,
    W_BOOL, /* safetensors buffers that no model reads (masks, position ids) */
    W_TYPE_COUNT
};

/* Values a block and bytes a block of a type (1 and the size for plain types). */
uint32_t wtype_block(enum wtype t);
uint32_t wtype_bytes(enum wtype t);
const char *wtype_name(enum wtype t);

struct tensor {
    const char *name;
    enum wtype type;
    int n_dims;
    uint64_t dims[4]; /* row-major: dims[n_dims-1] is contiguous (GGUF's order is turned round) */
    const void *data; /* in the mapping; may be unaligned in safetensors */
    size_t bytes;
};

struct weights;

/* path: a .gguf file, a .safetensors file, or a folder with model.safetensors[.index.json]. */
int weights_open(struct weights **out, const char *path, struct err *e);
void weights_close(struct weights *w);
size_t weights_count(const struct weights *w);
const struct tensor *weights_at(const struct weights *w, size_t i);
const struct tensor *weights_find(const struct weights *w, const char *name); /* NULL: not there */

/* The tensor with exactly these dims (n_dims of them), else ERR_FORMAT naming what is wrong. */
int weights_need(const struct weights *w, const char *name, int n_dims, const uint64_t *dims,
                 const struct tensor **out, struct err *e);

/* GGUF metadata; for safetensors all are absent. The json_t is borrowed (arrays of tokens too). */
int weights_is_gguf(const struct weights *w);
const json_t *weights_meta(const struct weights *w, const char *key); /* NULL: absent */
/* Arrays of strings are kept raw, not as json: the i-th string of array key. */
size_t weights_meta_len(const struct weights *w, const char *key); /* 0: absent or no array */
const char *weights_meta_item(const struct weights *w, const char *key, size_t i, size_t *n);
/* Numeric array item as double (scores, token types); 0 when absent. */
double weights_meta_item_num(const struct weights *w, const char *key, size_t i);

/* The model's id: BLAKE2b-128, hex, over all names, types, dims and sizes and three samples of 4
 * KiB a tensor: 1 ms, so that it can be taken at each start. Two trainings differ in every sample;
 * a damaged file is what a SHA-256 of the whole is for. */
int weights_id(const struct weights *w, char hex[33], struct err *e);

/* Decodes n values starting at element offset (a multiple of the block) to fp32. */
int tensor_to_f32(const struct tensor *t, uint64_t offset, uint64_t n, float *out, struct err *e);

#endif
