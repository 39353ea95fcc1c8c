/* tok_bpe.c - byte-level BPE from tokenizer.json or from the keys of a GGUF.
 * text -> stretches between special tokens (TOK_SPECIAL only) -> bpe_clean -> pieces (pretok.c) ->
 * merges (bpe_merge.c). Every byte has a token, so no text is unknown. */
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "nn/bpe_impl.h"
#include "nn/tok_impl.h"

/* ---- text to tokens ---- */

/* The added token that begins at s[0], the longest one; -1: none. */
static int32_t added_at(const struct bpe *b, const char *s, size_t n, size_t *len)
{
    if (!b->added_first[(unsigned char)*s])
        return -1;
    for (size_t i = 0; i < b->n_added_len; i++) {
        int32_t id;
        if (b->added_len[i] > n)
            continue;
        id = bpe_find(b, s, b->added_len[i]);
        if (id >= 0 && b->kind[id] >= BPE_ADDED) {
            *len = b->added_len[i];
            return id;
        }
    }
    return -1;
}

struct encoding {
    const struct bpe *b;
    struct arena *a;
    struct bpe_work work;
    struct token *out;
    size_t n, cap;
};

/* Room for more tokens: the array moves inside the arena as it grows. */
static int room(struct encoding *en, size_t more, struct err *e)
{
    size_t cap = en->cap ? en->cap : 64;
    struct token *t;

    if (more <= en->cap - en->n)
        return 0;
    while (cap < en->n + more)
        cap *= 2;
    t = arena_take(en->a, cap, sizeof *t);
    if (!t)
        return err_set(e, ERR_LIMIT, "too many tokens (more than %zu) for the request's memory",
                       en->n);
    if (en->n)
        memcpy(t, en->out, en->n * sizeof *t);
    en->out = t;
    en->cap = cap;
    return 0;
}

/* The token that is this piece as it stands; -1: none. */
static int32_t whole_piece(const struct bpe *b, const char *s, size_t n)
{
    char text[512];
    size_t len = 0;
    int32_t id;

    for (size_t i = 0; i < n; i++) {
        int32_t byte = b->byte_id[(unsigned char)s[i]];
        if (byte < 0 || len + b->text[byte].len > sizeof text)
            return -1;
        memcpy(text + len, b->blob.data + b->text[byte].at, b->text[byte].len);
        len += b->text[byte].len;
    }
    id = bpe_find(b, text, len);
    return id >= 0 && b->kind[id] == BPE_NORMAL ? id : -1;
}

/* text[from..to) holds no added token. */
static int encode_stretch(struct encoding *en, const char *text, size_t from, size_t to,
                          struct err *e)
{
    struct bpe_text t;
    struct pretok_iter it = {.kind = en->b->pre};
    size_t start;
    size_t end;
    int rc = bpe_clean(en->b, text + from, to - from, en->a, &t, e);

    if (rc)
        return rc;
    it.s = t.s;
    it.n = t.n;
    while (pretok_next(&it, &start, &end)) {
        struct token *out;
        size_t n = 1;
        rc = room(en, end - start, e);
        if (rc)
            return rc;
        out = en->out + en->n;
        out->id = en->b->ignore_merges ? whole_piece(en->b, t.s + start, end - start) : -1;
        out->start = 0;
        out->end = (uint32_t)(end - start);
        if (out->id < 0 && bpe_piece(en->b, t.s + start, end - start, &en->work, en->a, out, &n))
            return err_set(e, ERR_LIMIT, "a word of %zu bytes is too long to tokenize",
                           end - start);
        for (size_t i = 0; i < n; i++) {
            size_t first = start + out[i].start;
            size_t last = start + out[i].end;
            out[i].start = (uint32_t)(from + (t.from ? t.from[first] : first));
            out[i].end = (uint32_t)(from + (t.to ? t.to[last - 1] : last));
        }
        en->n += n;
    }
    return 0;
}

static int put_token(struct encoding *en, int32_t id, size_t start, size_t end, struct err *e)
{
    int rc = room(en, 1, e);

    if (!rc)
        en->out[en->n++] = (struct token){id, (uint32_t)start, (uint32_t)end};
    return rc;
}

static int bpe_encode(const void *self, const char *text, size_t n, int flags, struct arena *a,
                      struct token **out, size_t *n_out, struct err *e)
{
    const struct bpe *b = self;
    struct encoding en = {.b = b, .a = a};
    size_t from = 0;
    int rc = 0;

    if (n > INT32_MAX)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes is too large to tokenize", n);
    rc = room(&en, n / 3 + 8, e);
    for (int i = 0; !rc && flags & TOK_ADD_ENDS && i < b->n_front; i++)
        rc = put_token(&en, b->front[i], 0, 0, e);
    for (size_t at = 0; !rc && flags & TOK_SPECIAL && at < n;) {
        size_t len = 1;
        int32_t id = added_at(b, text + at, n - at, &len);
        if (id >= 0) {
            rc = encode_stretch(&en, text, from, at, e);
            if (!rc)
                rc = put_token(&en, id, at, at + len, e);
            from = at + len;
        }
        at += len;
    }
    if (!rc)
        rc = encode_stretch(&en, text, from, n, e);
    for (int i = 0; !rc && flags & TOK_ADD_ENDS && i < b->n_back; i++)
        rc = put_token(&en, b->back[i], n, n, e);
    *out = en.out;
    *n_out = rc ? 0 : en.n;
    return rc;
}

static int bpe_decode(const void *self, const int32_t *ids, size_t n, int keep_special,
                      struct buf *out, struct err *e)
{
    const struct bpe *b = self;

    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= b->n)
            return err_set(e, ERR_INVALID,
                           "token id %" PRId32 " is outside the vocabulary of %" PRId32, ids[i],
                           b->n);
        if (b->kind[ids[i]] == BPE_SPECIAL && !keep_special)
            continue;
        buf_add(out, b->blob.data + b->bytes[ids[i]].at, b->bytes[ids[i]].len);
    }
    return out->failed ? err_set(e, out->failed, "decoded text") : 0;
}

static int32_t bpe_id(const void *self, const char *token, size_t n)
{
    return bpe_find(self, token, n);
}

static void bpe_close(void *self)
{
    bpe_free(self);
}

static const struct tok_kind kind_bpe = {"BPE", bpe_encode, bpe_decode, bpe_id, bpe_close};

static void fill(struct tokenizer *t, struct bpe *b)
{
    t->kind = &kind_bpe;
    t->self = b;
    t->vocab = b->n;
    t->unk = b->unk;
}

/* ---- tokenizer.json ---- */

/* One more than the largest id; that may not be far above the number of tokens, for it sizes
 * tables. */
static int count_ids(const json_t *vocab, const json_t *added, int32_t *n, const char *path,
                     struct err *e)
{
    size_t count = json_object_size(vocab) + json_array_size(added);
    json_int_t most = -1;
    const char *key;
    json_t *v;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)vocab, key, v)
    {
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= LIM_VOCAB)
            return err_set(e, ERR_FORMAT, "%s: token '%.40s' has a bad id", path, key);
        most = id > most ? id : most;
    }
    json_array_foreach(added, i, v)
    {
        json_t *id = json_object_get(v, "id");
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= LIM_VOCAB || !json_is_string(json_object_get(v, "content")))
            return err_set(e, ERR_FORMAT, "%s: added token %zu has no id or no content", path, i);
        most = json_integer_value(id) > most ? json_integer_value(id) : most;
    }
    if (most < 0 || (size_t)most >= 2 * count + 1024)
        return err_set(e, ERR_FORMAT, "%s: %zu tokens with ids up to %lld", path, count,
                       (long long)most);
    *n = (int32_t)most + 1;
    return 0;
}

static int load_vocab(struct bpe *b, const json_t *vocab, const json_t *added, const char *path,
                      struct err *e)
{
    const char *key;
    json_t *v;
    size_t i;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)vocab, key, v)
    {
        rc = bpe_set(b, (int32_t)json_integer_value(v), key, strlen(key), BPE_NORMAL, path, e);
        if (rc)
            return rc;
    }
    json_array_foreach(added, i, v)
    {
        json_t *text = json_object_get(v, "content");
        int special = json_is_true(json_object_get(v, "special"));
        rc = bpe_set(b, (int32_t)json_integer_value(json_object_get(v, "id")),
                     json_string_value(text), json_string_length(text),
                     special ? BPE_SPECIAL : BPE_ADDED, path, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* "a b" or ["a", "b"] */
static int load_merges(struct bpe *b, const json_t *merges, const char *path, struct err *e)
{
    json_t *m;
    size_t i;

    json_array_foreach(merges, i, m)
    {
        char pair[2048];
        int n = -1;
        int rc;
        if (json_is_string(m))
            n = snprintf(pair, sizeof pair, "%s", json_string_value(m));
        else if (json_array_size(m) == 2 && json_is_string(json_array_get(m, 0)) &&
                 json_is_string(json_array_get(m, 1)))
            n = snprintf(pair, sizeof pair, "%s %s", json_string_value(json_array_get(m, 0)),
                         json_string_value(json_array_get(m, 1)));
        if (n < 0 || (size_t)n >= sizeof pair)
            return err_set(e, ERR_FORMAT, "%s: merge %zu is no pair of tokens", path, i);
        rc = bpe_add_merge(b, (uint32_t)i, pair, (size_t)n, path, e);
        if (rc)
            return rc;
    }
    return 0;
}

/* What the post-processor puts round a single text: TemplateProcessing or RobertaProcessing. */
static int load_ends(struct bpe *b, const json_t *post, const char *path, struct err *e)
{
    const char *type = json_str(post, "type", "ByteLevel");
    const json_t *list = json_object_get(post, "processors");
    int behind = 0;
    json_t *v;
    size_t i;

    if (strcmp(type, "Sequence") == 0) {
        json_array_foreach(list, i, v)
        {
            int rc = strcmp(json_str(v, "type", ""), "Sequence") == 0
                         ? err_set(e, ERR_UNSUPPORTED, "%s: nested post-processors", path)
                         : load_ends(b, v, path, e);
            if (rc)
                return rc;
        }
        return 0;
    }
    if (strcmp(type, "RobertaProcessing") == 0) {
        b->front[0] = bpe_find(b, "<s>", 3);
        b->back[0] = bpe_find(b, "</s>", 4);
        b->n_front = b->front[0] >= 0;
        b->n_back = b->back[0] >= 0;
        return 0;
    }
    if (strcmp(type, "ByteLevel") == 0)
        return 0;
    if (strcmp(type, "TemplateProcessing") != 0)
        return err_set(e, ERR_UNSUPPORTED, "%s: post-processor '%.80s' is not supported", path,
                       type);
    json_array_foreach(json_object_get(post, "single"), i, v)
    {
        const char *text = json_str(json_object_get(v, "SpecialToken"), "id", NULL);
        int32_t id;
        if (!text) {
            behind = 1;
            continue;
        }
        id = bpe_find(b, text, strlen(text));
        if (id < 0 || b->n_front == BPE_ENDS_MAX || b->n_back == BPE_ENDS_MAX)
            return err_set(e, ERR_FORMAT, "%s: post-processor names '%.80s'", path, text);
        if (behind)
            b->back[b->n_back++] = id;
        else
            b->front[b->n_front++] = id;
    }
    return 0;
}

/* bos and eos stand in tokenizer_config.json beside path, as text or as {"content": text}. */
static int32_t config_token(const struct bpe *b, const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    const char *text = json_is_object(v) ? json_str(v, "content", NULL) : json_string_value(v);

    return text ? bpe_find(b, text, strlen(text)) : -1;
}

static void load_config(struct tokenizer *t, const struct bpe *b, const char *path)
{
    char folder[PATH_MAX];
    char name[PATH_MAX + 32];
    json_t *config = NULL;

    snprintf(folder, sizeof folder, "%s", path);
    snprintf(name, sizeof name, "%s/tokenizer_config.json", dirname(folder));
    if (json_parse_file(&config, name, NULL)) /* not every model has one */
        return;
    t->bos = config_token(b, config, "bos_token");
    t->eos = config_token(b, config, "eos_token");
    json_decref(config);
}

/* "normalizer": none, or NFC. */
static int load_normalizer(struct bpe *b, const json_t *norm, const char *path, struct err *e)
{
    const char *type = json_str(norm, "type", "none");

    if (!norm || json_is_null(norm))
        return 0;
    if (strcmp(type, "NFC") != 0)
        return err_set(e, ERR_UNSUPPORTED, "%s: normalizer '%.80s' is not supported for BPE", path,
                       type);
    b->nfc = 1;
    return 0;
}

int tok_bpe_open_json(struct tokenizer *t, const json_t *root, const char *path, struct err *e)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    const json_t *added = json_object_get(root, "added_tokens");
    const char *unk = json_str(model, "unk_token", NULL);
    enum pretok pre = PRETOK_GPT2;
    int prefix_space = 0;
    struct bpe *b = NULL;
    int32_t n;
    int rc;

    if (json_is_true(json_object_get(model, "byte_fallback")))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: BPE with byte_fallback (SentencePiece) is not supported", path);
    if (!json_is_object(vocab) || !json_is_array(merges))
        return err_set(e, ERR_FORMAT, "%s: the BPE model has no vocab or no merges", path);
    if (json_array_size(merges) > LIM_VOCAB)
        return err_set(e, ERR_LIMIT, "%s: %zu merges", path, json_array_size(merges));
    rc = pretok_by_json(json_object_get(root, "pre_tokenizer"), &pre, &prefix_space, path, e);
    if (!rc)
        rc = count_ids(vocab, added, &n, path, e);
    if (rc)
        return rc;
    b = bpe_new(n, json_array_size(merges));
    if (!b)
        return err_set(e, ERR_NOMEM, "%s: vocabulary of %" PRId32, path, n);
    b->pre = pre;
    b->prefix_space = prefix_space;
    b->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    rc = load_normalizer(b, json_object_get(root, "normalizer"), path, e);
    if (!rc)
        rc = load_vocab(b, vocab, added, path, e);
    if (!rc)
        rc = load_merges(b, merges, path, e);
    if (!rc)
        rc = bpe_finish(b, path, e);
    if (!rc)
        rc = load_ends(b, json_object_get(root, "post_processor"), path, e);
    if (rc) {
        bpe_free(b);
        return rc;
    }
    b->unk = unk ? bpe_find(b, unk, strlen(unk)) : -1;
    fill(t, b);
    t->bos = -1;
    t->eos = -1;
    load_config(t, b, path);
    return 0;
}

/* ---- GGUF ---- */

/* A token id among the keys: -1 when absent. */
static int meta_id(const struct weights *w, const char *key, int32_t n, int32_t *out, struct err *e)
{
    const json_t *v = weights_meta(w, key);

    *out = -1;
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= n)
        return err_set(e, ERR_FORMAT, "%s is no id of the vocabulary of %" PRId32, key, n);
    *out = (int32_t)json_integer_value(v);
    return 0;
}

static int load_gguf_tokens(struct bpe *b, const struct weights *w, size_t n_merges, struct err *e)
{
    int rc = 0;

    for (int32_t id = 0; !rc && id < b->n; id++) {
        size_t len;
        const char *s = weights_meta_item(w, "tokenizer.ggml.tokens", (size_t)id, &len);
        int type = (int)weights_meta_item_num(w, "tokenizer.ggml.token_type", (size_t)id);
        enum bpe_kind kind = type == 3 ? BPE_SPECIAL : type == 4 ? BPE_ADDED : BPE_NORMAL;
        rc = bpe_set(b, id, s, len, kind, "GGUF vocabulary", e);
    }
    for (size_t i = 0; !rc && i < n_merges; i++) {
        size_t len;
        const char *s = weights_meta_item(w, "tokenizer.ggml.merges", i, &len);
        rc = bpe_add_merge(b, (uint32_t)i, s, len, "GGUF merges", e);
    }
    return rc ? rc : bpe_finish(b, "GGUF vocabulary", e);
}

static int meta_flag(const struct weights *w, const char *key, int fallback)
{
    const json_t *v = weights_meta(w, key);

    return v ? json_is_true(v) : fallback;
}

int tok_bpe_open_gguf(struct tokenizer *t, const struct weights *w, struct err *e)
{
    const char *pre = json_string_value(weights_meta(w, "tokenizer.ggml.pre"));
    size_t n = weights_meta_len(w, "tokenizer.ggml.tokens");
    size_t n_types = weights_meta_len(w, "tokenizer.ggml.token_type");
    size_t n_merges = weights_meta_len(w, "tokenizer.ggml.merges");
    size_t len;
    enum pretok kind;
    struct bpe *b;
    int rc;

    if (!pre || pretok_by_name(pre, &kind))
        return err_set(e, ERR_UNSUPPORTED,
                       "pre-tokenizer '%.80s' (tokenizer.ggml.pre) is not "
                       "supported",
                       pre ? pre : "none given");
    if (n == 0 || n > LIM_VOCAB || n_merges > LIM_VOCAB ||
        !weights_meta_item(w, "tokenizer.ggml.tokens", 0, &len) ||
        (n_merges && !weights_meta_item(w, "tokenizer.ggml.merges", 0, &len)))
        return err_set(e, ERR_FORMAT,
                       "GGUF vocabulary of %zu tokens and %zu merges is no list of "
                       "texts",
                       n, n_merges);
    if (n_types && n_types != n)
        return err_set(e, ERR_FORMAT, "GGUF vocabulary: %zu tokens, %zu token types", n, n_types);
    b = bpe_new((int32_t)n, n_merges);
    if (!b)
        return err_set(e, ERR_NOMEM, "GGUF vocabulary of %zu", n);
    b->pre = kind;
    b->nfc = kind == PRETOK_QWEN2; /* GGUF has no key for it; the models' own files say NFC */
    b->ignore_merges = kind == PRETOK_LLAMA3;
    fill(t, b);
    rc = load_gguf_tokens(b, w, n_merges, e);
    if (!rc)
        rc = meta_id(w, "tokenizer.ggml.bos_token_id", b->n, &t->bos, e);
    if (!rc)
        rc = meta_id(w, "tokenizer.ggml.eos_token_id", b->n, &t->eos, e);
    if (!rc)
        rc = meta_id(w, "tokenizer.ggml.unknown_token_id", b->n, &t->unk, e);
    if (rc) {
        bpe_free(b);
        memset(t, 0, sizeof *t);
        return rc;
    }
    if (t->bos >= 0 && meta_flag(w, "tokenizer.ggml.add_bos_token", kind == PRETOK_LLAMA3))
        b->front[b->n_front++] = t->bos;
    if (t->eos >= 0 && meta_flag(w, "tokenizer.ggml.add_eos_token", 0))
        b->back[b->n_back++] = t->eos;
    return 0;
}
