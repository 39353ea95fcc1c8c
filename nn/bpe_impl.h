/* bpe_impl.h - the tables of a byte-level BPE tokenizer, shared by tok_bpe.c and the bpe_ files.
 * Threads: read only once loaded. */
#ifndef DOCENT_NN_BPE_IMPL_H
#define DOCENT_NN_BPE_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "nn/pretok.h"
#include "nn/tokenizer.h"

enum bpe_kind {
    BPE_ABSENT, /* no token has this id */
    BPE_NORMAL, /* spelled in the byte alphabet */
    BPE_ADDED, /* spelled as it is; never made by merging */
    BPE_SPECIAL /* as BPE_ADDED, and left out of decoded text */
};

struct bpe_str {
    uint32_t at, len; /* in blob */
};

struct bpe_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free slot */
    uint32_t rank;
    int32_t id;
};

#define BPE_ENDS_MAX 4

struct bpe {
    enum pretok pre;
    int prefix_space; /* a blank goes in front of text that has none */
    int nfc;
    int ignore_merges; /* a piece that is a token is that token */
    int32_t n; /* ids 0..n-1 */
    int32_t unk;
    uint8_t *kind; /* [n] enum bpe_kind */
    struct bpe_str *text; /* [n] as the file spells it */
    struct bpe_str *bytes; /* [n] what it stands for */
    struct buf blob;
    uint32_t *names; /* [name_mask + 1] id + 1 by text, 0: free */
    size_t name_mask;
    struct bpe_merge *merges; /* [merge_mask + 1] */
    size_t merge_mask;
    int32_t byte_id[256]; /* -1: the vocabulary lacks it */
    uint8_t added_first[256]; /* 1: an added token begins with this byte */
    uint32_t *added_len; /* [n_added_len] lengths of added tokens, longest first */
    size_t n_added_len;
    int32_t front[BPE_ENDS_MAX], back[BPE_ENDS_MAX]; /* TOK_ADD_ENDS */
    int n_front, n_back;
};

/* bpe_table.c */
struct bpe *bpe_new(int32_t n, size_t n_merges); /* NULL: out of memory */
void bpe_free(struct bpe *b);
/* Gives an id its text. ERR_FORMAT when the id is taken by another text. */
int bpe_set(struct bpe *b, int32_t id, const char *text, size_t len, enum bpe_kind kind,
            const char *path, struct err *e);
/* After all bpe_set: what the tokens decode to, the bytes' ids, the search for added tokens. */
int bpe_finish(struct bpe *b, const char *path, struct err *e);
/* The merge of two texts ("a b" with one blank), ranks in the order of the calls. */
int bpe_add_merge(struct bpe *b, uint32_t rank, const char *pair, size_t len, const char *path,
                  struct err *e);
int32_t bpe_find(const struct bpe *b, const char *text, size_t len); /* -1: none */
const struct bpe_merge *bpe_find_merge(const struct bpe *b, int32_t left, int32_t right);

/* bpe_text.c: text made fit for the matcher: valid UTF-8, NFC where the model wants it. */
struct bpe_text {
    const char *s;
    size_t n;
    const uint32_t *from, *to; /* [n] the source bytes of each byte; NULL: byte i is byte i */
};
int bpe_clean(const struct bpe *b, const char *s, size_t n, struct arena *a, struct bpe_text *out,
              struct err *e);

/* bpe_merge.c: the tokens of one piece. out has room for n tokens; start and end count from s. */
struct bpe_work {
    struct bpe_symbol *symbols;
    struct bpe_pair *heap;
    size_t cap;
};
int bpe_piece(const struct bpe *b, const char *s, size_t n, struct bpe_work *w, struct arena *a,
              struct token *out, size_t *n_out);

#endif
