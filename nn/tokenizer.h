/* tokenizer.h - text to ids and back, from the model's own files.
 * Kinds: WordPiece (BERT), byte-level BPE (gpt2, smollm, qwen2, llama3 pre-tokenizers compiled in).
 * Special tokens inside a text are plain text unless TOK_SPECIAL is given.
 * Threads: a loaded tokenizer is read only, any number at once. Cost: linear in the text (times log
 * for BPE). */
#ifndef DOCENT_NN_TOKENIZER_H
#define DOCENT_NN_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "nn/weights.h"

struct tokenizer;

struct token {
    int32_t id;
    uint32_t start,
        end; /* bytes of the text it came from; equal for tokens put in front or behind */
};

#define TOK_ADD_ENDS 1 /* what the model's post-processor adds ([CLS] ... [SEP], BOS) */
#define TOK_SPECIAL 2 /* special tokens spelled in the text are recognised (chat templates only)   \
                       */

int tokenizer_open_dir(struct tokenizer **out, const char *model_dir,
                       struct err *e); /* tokenizer.json, else vocab.txt */
int tokenizer_open_gguf(struct tokenizer **out, const struct weights *w, struct err *e);
void tokenizer_close(struct tokenizer *t);

/* Tokens of text[0..n) in a (scratch and result). Bytes that are not UTF-8 are read as U+FFFD. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, int flags,
                     struct arena *a, struct token **out, size_t *n_out, struct err *e);
/* How many tokens without building them where the kind allows; SIZE_MAX on error. */
size_t tokenizer_count(const struct tokenizer *t, const char *text, size_t n, struct arena *tmp);

/* Appends the text of ids; special ids are skipped unless keep_special. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, int keep_special,
                     struct buf *out, struct err *e);

int32_t tokenizer_vocab(const struct tokenizer *t); /* number of ids */
int32_t tokenizer_id(const struct tokenizer *t, const char *token); /* -1: no such token */
int32_t tokenizer_unk(const struct tokenizer *t); /* -1: none */
int32_t tokenizer_bos(const struct tokenizer *t);
int32_t tokenizer_eos(const struct tokenizer *t);

#endif
