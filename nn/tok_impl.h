/* tok_impl.h - what tokenizer.c and the kinds share. Inside nn only. */
#ifndef DOCENT_NN_TOK_IMPL_H
#define DOCENT_NN_TOK_IMPL_H

#include <jansson.h>

#include "nn/tokenizer.h"

/* One kind of tokenizer: a table of functions over its own state. */
struct tok_kind {
    const char *name; /* "WordPiece", "BPE" */
    int (*encode)(const void *self, const char *text, size_t n, int flags, struct arena *a,
                  struct token **out, size_t *n_out, struct err *e);
    int (*decode)(const void *self, const int32_t *ids, size_t n, int keep_special, struct buf *out,
                  struct err *e);
    int32_t (*id)(const void *self, const char *token, size_t n); /* -1: none */
    void (*close)(void *self);
};

struct tokenizer {
    const struct tok_kind *kind;
    void *self;
    int32_t vocab, unk, bos, eos; /* -1: none */
};

/* Each looks at the parsed tokenizer.json (or the GGUF's keys) and fills t. root is borrowed for
 * the call. ERR_FORMAT with the place when the file is wrong, ERR_UNSUPPORTED naming the unknown
 * part. */
int tok_wordpiece_open(struct tokenizer *t, const json_t *root, const char *path, struct err *e);
int tok_bpe_open_json(struct tokenizer *t, const json_t *root, const char *path, struct err *e);
int tok_bpe_open_gguf(struct tokenizer *t, const struct weights *w, struct err *e);

/* The folder's vocab.txt and tokenizer_config.json in the form of a tokenizer.json; json_decref
 * *root. */
int tok_vocab_read(json_t **root, const char *model_dir, struct err *e);

#endif
