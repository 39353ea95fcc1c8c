/* pretok.h - cutting text into the pieces inside which byte-level BPE merges.
 * The regular expressions of the known models are compiled in by hand; a model file only names one
 * of them, and none is ever executed. Threads: any number. */
#ifndef DOCENT_NN_PRETOK_H
#define DOCENT_NN_PRETOK_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

enum pretok {
    PRETOK_GPT2, /* GPT-2, RoBERTa, Phi-2 */
    PRETOK_SMOLLM, /* each digit alone, then as GPT-2 */
    PRETOK_QWEN2, /* Qwen2, Qwen3: contractions in any case, digits alone, newlines apart */
    PRETOK_LLAMA3 /* as Qwen2 with up to three digits together */
};

/* tokenizer.ggml.pre of a GGUF. 0, or -1: not known. */
int pretok_by_name(const char *name, enum pretok *out);

/* The "pre_tokenizer" of a tokenizer.json. ERR_UNSUPPORTED names the part that is not known. */
int pretok_by_json(const json_t *pre, enum pretok *out, int *prefix_space, const char *path,
                   struct err *e);

struct pretok_iter {
    enum pretok kind;
    const char *s; /* valid UTF-8 */
    size_t n;
    size_t at;
    size_t segment; /* end of the stretch without digits (PRETOK_SMOLLM) */
};

/* The next piece [*start, *end) of it->s; 0 at the end. Linear in the text over all calls. */
int pretok_next(struct pretok_iter *it, size_t *start, size_t *end);

#endif
