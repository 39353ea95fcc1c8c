/* generator.h - the face of generator: a decoder-only language model that continues token
 * sequences. The model face takes a batch: several sequences, each with any number of new tokens,
 * go through the layers in one pass. A sequence's logits do not depend on its batch mates or on the
 * number of threads. Threads: one caller at a time a struct generator (it uses the team inside). */
#ifndef DOCENT_GENERATOR_H
#define DOCENT_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/team.h"
#include "nn/tokenizer.h"

struct generator;
struct gen_seq; /* one running sequence: its tokens and its KV cache */

struct generator_info {
    const char *name; /* file name without folder and ending */
    const char *id; /* 32 hex digits over the weights */
    const char *arch; /* "llama" */
    uint32_t vocab, context, layers, hidden;
    uint64_t weight_bytes;
    int has_chat_template;
};

struct generator_opts {
    struct team *team; /* borrowed; NULL: one thread */
    const char *kern; /* NULL: DOCENT_KERN, else the best usable */
    int fp32_activations; /* 1: weights decoded to fp32, for parity with the reference */
    uint32_t max_context; /* 0: the model's, at most 8192 */
    int without_tokenizer; /* 1: ids only (tests, benches): no generator_run, no chat */
};

/* path: a .gguf file, or a Hugging Face folder. */
int generator_open(struct generator **out, const char *path, const struct generator_opts *o,
                   struct err *e);
void generator_close(struct generator *g);
const struct generator_info *generator_info(const struct generator *g);
const struct tokenizer *generator_tokenizer(const struct generator *g);

int gen_seq_open(struct gen_seq **out, struct generator *g, uint32_t max_tokens, struct err *e);
void gen_seq_close(struct gen_seq *s);
uint32_t gen_seq_len(const struct gen_seq *s);
/* Forgets all tokens behind the first n (for reuse of a common prefix). */
int gen_seq_cut(struct gen_seq *s, uint32_t n, struct err *e);

struct gen_step {
    struct gen_seq *seq;
    const int32_t *ids; /* new tokens, [n] */
    uint32_t n;
    int all_logits; /* 0: logits behind the last new token only; 1: behind each */
    float *logits; /* out, [vocab] or [n, vocab], caller's; NULL: not wanted */
};

/* One pass over all steps. Long inputs are cut into pieces inside. On error no sequence has changed
 * length. */
int generator_forward(struct generator *g, struct gen_step *steps, size_t n_steps, struct err *e);

/* Chat: messages to prompt ids by the model's own template (recognised by its text, never
 * executed). ids live in a. */
struct gen_message {
    const char *role; /* "system", "user", "assistant" */
    const char *text;
};
int generator_chat_ids(const struct generator *g, const struct gen_message *m, size_t n,
                       struct arena *a, int32_t **ids, size_t *n_ids, struct err *e);

struct gen_params {
    uint32_t max_new; /* 0: 256 */
    float temperature; /* 0: greedy */
    float top_p; /* 0 or 1: off */
    uint32_t top_k; /* 0: off */
    uint64_t seed;
    const char *const *stops; /* texts that end the output (not part of it), [n_stops] */
    size_t n_stops;
};

struct gen_result {
    char *text; /* in the arena; valid UTF-8 */
    size_t n;
    uint32_t prompt_tokens, new_tokens, reused_tokens;
    double prefill_ms, decode_ms;
    const char *finish; /* "stop", "length", "cancelled" */
    float mean_logprob; /* of the new tokens; 0 when none */
};

/* Called with whole characters as they are ready; non-zero stops the generation ("cancelled"). */
typedef int gen_piece_fn(void *arg, const char *text, size_t n);

/* Continues the prompt. Keeps the last prompt's KV cache inside g and reuses its longest common
 * prefix. */
int generator_run(struct generator *g, const int32_t *prompt, size_t n_prompt,
                  const struct gen_params *p, gen_piece_fn *on_piece, void *arg, struct arena *a,
                  struct gen_result *out, struct err *e);

#endif
