/* tok_wordpiece.c - BERT's tokenizer: clean, fold, split at spaces and punctuation, then longest
 * pieces first. Behaviour: the BertNormalizer, BertPreTokenizer and WordPiece of the Hugging Face
 * tokenizers documentation; proven by ids in tests/golden and shared data. Truncation and padding
 * in tokenizer.json are ignored: the caller knows its window. Cost: linear; a word of more than 100
 * characters is one [UNK] without a search. */
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "nn/tok_impl.h"

struct piece {
    const char *text; /* without the prefix; NULL: free slot */
    uint32_t n;
    int32_t id;
    uint8_t inner; /* continues a word */
};

struct special {
    const char *text;
    size_t n;
    int32_t id;
};

struct wordpiece {
    struct arena a; /* texts */
    struct piece *slots; /* [mask + 1], open addressing */
    uint32_t mask;
    uint32_t longest; /* bytes of the longest piece */
    struct piece *by_id; /* [vocab] for decoding */
    int32_t vocab;
    int32_t unk, cls, sep;
    struct special *special;
    size_t n_special;
    uint32_t max_chars; /* of a word */
    int clean, chinese, strip, lower;
    const UNormalizer2 *nfd;
};

/* ---- loading ---- */

static uint32_t slot_of(const struct wordpiece *w, const char *s, size_t n, int inner)
{
    return (uint32_t)(hash_xxh3(s, n) + (inner ? 0x9E3779B9u : 0)) & w->mask;
}

static int32_t find(const struct wordpiece *w, const char *s, size_t n, int inner)
{
    uint32_t i = slot_of(w, s, n, inner);

    while (w->slots[i].text) {
        const struct piece *p = &w->slots[i];
        if (p->n == n && p->inner == inner && !memcmp(p->text, s, n))
            return p->id;
        i = (i + 1) & w->mask;
    }
    return -1;
}

static void insert(struct wordpiece *w, const struct piece *p)
{
    uint32_t i = slot_of(w, p->text, p->n, p->inner);

    while (w->slots[i].text)
        i = (i + 1) & w->mask;
    w->slots[i] = *p;
}

static int load_vocab(struct wordpiece *w, const json_t *model, const char *path, struct err *e)
{
    const json_t *vocab = json_object_get(model, "vocab");
    const char *prefix = json_str(model, "continuing_subword_prefix", "##");
    size_t n_prefix = strlen(prefix);
    size_t n = json_object_size(vocab);
    const char *key;
    json_t *v;

    if (!n || n > LIM_VOCAB)
        return err_set(e, ERR_FORMAT, "%s: model.vocab has %zu entries", path, n);
    w->mask = 1;
    while (w->mask < 2 * n)
        w->mask *= 2;
    w->slots = arena_zero(&w->a, w->mask--, sizeof *w->slots);
    w->by_id = arena_zero(&w->a, n, sizeof *w->by_id);
    if (!w->slots || !w->by_id)
        return err_set(e, ERR_NOMEM, "%s", path);
    w->vocab = (int32_t)n;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, v) {
        struct piece p = {.text = key, .n = (uint32_t)strlen(key)};
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= (json_int_t)n)
            return err_set(e, ERR_FORMAT, "%s: the id of token \"%.60s\" is outside 0..%zu", path,
                           key, n - 1);
        if (w->by_id[id].text)
            return err_set(e, ERR_FORMAT, "%s: id %lld is given twice", path, (long long)id);
        if (n_prefix && p.n > n_prefix && !strncmp(key, prefix, n_prefix)) {
            p.inner = 1;
            p.text += n_prefix;
            p.n -= (uint32_t)n_prefix;
        }
        p.text = arena_strndup(&w->a, p.text, p.n);
        p.id = (int32_t)id;
        if (!p.text)
            return err_set(e, ERR_NOMEM, "%s", path);
        if (p.n > w->longest)
            w->longest = p.n;
        w->by_id[id] = p;
        insert(w, &p);
    }
    w->unk = find(w, json_str(model, "unk_token", "[UNK]"),
                  strlen(json_str(model, "unk_token", "[UNK]")), 0);
    if (w->unk < 0)
        return err_set(e, ERR_FORMAT, "%s: the unknown token is not in the vocabulary", path);
    return 0;
}

static int load_special(struct wordpiece *w, const json_t *root, const char *path, struct err *e)
{
    const json_t *added = json_object_get(root, "added_tokens");
    size_t n = json_array_size(added);

    if (n > LIM_VOCAB)
        return err_set(e, ERR_FORMAT, "%s: %zu added tokens", path, n);
    w->special = arena_zero(&w->a, n + 1, sizeof *w->special);
    if (!w->special)
        return err_set(e, ERR_NOMEM, "%s", path);
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(added, i);
        const char *text = json_str(t, "content", "");
        json_int_t id = json_integer_value(json_object_get(t, "id"));
        struct special *s = &w->special[w->n_special];
        if (!*text || id < 0 || id >= w->vocab)
            continue; /* beyond the vocabulary: no embedding row, so it cannot be used */
        s->text = arena_strdup(&w->a, text);
        s->n = strlen(text);
        s->id = (int32_t)id;
        if (!s->text)
            return err_set(e, ERR_NOMEM, "%s", path);
        w->n_special++;
    }
    return 0;
}

/* null stands for the default of the format: strip_accents follows lowercase. */
static int flag(const json_t *o, const char *key, int fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

static int load_rules(struct wordpiece *w, const json_t *root, const char *path, struct err *e)
{
    const json_t *norm = json_object_get(root, "normalizer");
    const char *type = json_str(norm, "type", "BertNormalizer");
    UErrorCode why = U_ZERO_ERROR;
    long long most;
    int rc;

    if (strcmp(type, "BertNormalizer") != 0)
        return err_set(e, ERR_UNSUPPORTED, "%s: normalizer %.40s with WordPiece", path, type);
    w->clean = flag(norm, "clean_text", 1);
    w->chinese = flag(norm, "handle_chinese_chars", 1);
    w->lower = flag(norm, "lowercase", 1);
    w->strip = flag(norm, "strip_accents", w->lower);
    w->nfd = unorm2_getNFDInstance(&why);
    if (U_FAILURE(why))
        return err_set(e, ERR_IO, "ICU has no NFD data: %s", u_errorName(why));
    rc = json_int(json_object_get(root, "model"), "max_input_chars_per_word", 1, 100000, 100, &most,
                  e);
    w->max_chars = (uint32_t)most;
    return rc ? err_wrap(e, "%s", path) : 0;
}

/* ---- folding: text to code points with their place ---- */

struct fold_char {
    uint32_t cp;
    uint32_t start, end; /* bytes of the text */
};

struct folded {
    const struct wordpiece *w;
    struct fold_char *at; /* the word being collected, [cap] */
    size_t n, cap;
    struct arena *a;
    struct token *out;
    size_t n_out, cap_out;
    int failed; /* ERR_NOMEM */
};

static int is_cjk(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static int is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    switch (u_charType((UChar32)c)) {
    case U_DASH_PUNCTUATION:
    case U_START_PUNCTUATION:
    case U_END_PUNCTUATION:
    case U_CONNECTOR_PUNCTUATION:
    case U_OTHER_PUNCTUATION:
    case U_INITIAL_PUNCTUATION:
    case U_FINAL_PUNCTUATION: return 1;
    default: return 0;
    }
}

static int is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13);
    return u_hasBinaryProperty((UChar32)c, UCHAR_WHITE_SPACE);
}

static int is_dropped(uint32_t c)
{
    int8_t t;

    if (c == 0 || c == 0xFFFD)
        return 1;
    if (c < 0x7F)
        return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
    t = u_charType((UChar32)c);
    return t == U_CONTROL_CHAR || t == U_FORMAT_CHAR || t == U_PRIVATE_USE_CHAR;
}

static void emit(struct folded *f, int32_t id, uint32_t start, uint32_t end)
{
    if (f->n_out == f->cap_out) {
        size_t cap = f->cap_out ? f->cap_out * 2 : 256;
        struct token *grown = arena_take(f->a, cap, sizeof *grown);
        if (!grown) {
            f->failed = ERR_NOMEM;
            return;
        }
        if (f->n_out)
            memcpy(grown, f->out, f->n_out * sizeof *grown);
        f->out = grown;
        f->cap_out = cap;
    }
    f->out[f->n_out++] = (struct token){id, start, end};
}

/* ---- one word to pieces ---- */

#define WORD_BYTES 4096

static void emit_word(struct folded *f)
{
    const struct wordpiece *w = f->w;
    char text[WORD_BYTES];
    uint32_t at[WORD_BYTES / 4 + 1]; /* byte where each character begins */
    size_t n = f->n;
    size_t bytes = 0;
    size_t first = f->n_out;
    size_t i = 0;

    f->n = 0;
    if (!n)
        return;
    if (n > w->max_chars || n > WORD_BYTES / 4) {
        emit(f, w->unk, f->at[0].start, f->at[n - 1].end);
        return;
    }
    for (size_t k = 0; k < n; k++) {
        at[k] = (uint32_t)bytes;
        bytes += utf8_put(text + bytes, f->at[k].cp);
    }
    at[n] = (uint32_t)bytes;
    while (i < n) {
        size_t j = n;
        int32_t id = -1;
        while (j > i && at[j] - at[i] > w->longest)
            j--;
        for (; j > i; j--) {
            id = find(w, text + at[i], at[j] - at[i], i > 0);
            if (id >= 0)
                break;
        }
        if (id < 0) { /* one piece is missing: the whole word is unknown */
            f->n_out = first;
            emit(f, w->unk, f->at[0].start, f->at[n - 1].end);
            return;
        }
        emit(f, id, f->at[i].start, f->at[j - 1].end);
        i = j;
    }
}

static void word_add(struct folded *f, uint32_t cp, uint32_t start, uint32_t end)
{
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 128;
        struct fold_char *grown = arena_take(f->a, cap, sizeof *grown);
        if (!grown) {
            f->failed = ERR_NOMEM;
            return;
        }
        if (f->n)
            memcpy(grown, f->at, f->n * sizeof *grown);
        f->at = grown;
        f->cap = cap;
    }
    if (f->n <= f->w->max_chars) /* a longer word is [UNK] anyway: only its end matters */
        f->at[f->n++] = (struct fold_char){cp, start, end};
    else
        f->at[f->n - 1].end = end;
}

static void put_folded(struct folded *f, uint32_t cp, uint32_t start, uint32_t end)
{
    if (is_space(cp)) {
        emit_word(f);
    } else if (is_punctuation(cp)) {
        emit_word(f);
        word_add(f, cp, start, end);
        emit_word(f);
    } else {
        word_add(f, cp, start, end);
    }
}

static void put_lower(struct folded *f, uint32_t cp, uint32_t start, uint32_t end)
{
    if (!f->w->lower) {
        put_folded(f, cp, start, end);
    } else if (cp == 0x130) { /* the one letter whose full lower case is two */
        put_folded(f, 'i', start, end);
        put_folded(f, 0x307, start, end);
    } else {
        put_folded(f, (uint32_t)u_tolower((UChar32)cp), start, end);
    }
}

/* A code point above ASCII: dropped, spaced, decomposed, stripped, lowered. */
static void put_unicode(struct folded *f, uint32_t cp, uint32_t start, uint32_t end)
{
    const struct wordpiece *w = f->w;
    UErrorCode why = U_ZERO_ERROR;
    UChar parts[32];
    int32_t n;
    int32_t i = 0;
    int alone = w->chinese && is_cjk(cp);

    if (w->clean && is_dropped(cp))
        return;
    if (alone)
        emit_word(f);
    n = w->strip ? unorm2_getDecomposition(w->nfd, (UChar32)cp, parts, 32, &why) : -1;
    if (n < 0 || U_FAILURE(why)) {
        if (!w->strip || u_charType((UChar32)cp) != U_NON_SPACING_MARK)
            put_lower(f, cp, start, end);
    } else {
        while (i < n) {
            UChar32 c;
            U16_NEXT(parts, i, n, c);
            if (u_charType(c) != U_NON_SPACING_MARK)
                put_lower(f, (uint32_t)c, start, end);
        }
    }
    if (alone)
        emit_word(f);
}

static void fold_text(struct folded *f, const char *text, size_t from, size_t to)
{
    size_t i = from;

    while (i < to && !f->failed) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80) {
            if (c >= 'A' && c <= 'Z' && f->w->lower)
                word_add(f, c + 32u, (uint32_t)i, (uint32_t)i + 1);
            else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))
                word_add(f, c, (uint32_t)i, (uint32_t)i + 1);
            else if (!f->w->clean || !is_dropped(c))
                put_folded(f, c, (uint32_t)i, (uint32_t)i + 1);
            i++;
        } else {
            uint32_t cp;
            size_t n = utf8_next(text + i, to - i, &cp);
            put_unicode(f, cp, (uint32_t)i, (uint32_t)(i + n));
            i += n;
        }
    }
    emit_word(f);
}

/* The first special token at or behind from; NULL: none. */
static const struct special *next_special(const struct wordpiece *w, const char *text, size_t from,
                                          size_t n, size_t *at)
{
    for (size_t i = from; i < n; i++)
        for (size_t k = 0; k < w->n_special; k++)
            if (w->special[k].n <= n - i && text[i] == w->special[k].text[0] &&
                !memcmp(text + i, w->special[k].text, w->special[k].n)) {
                *at = i;
                return &w->special[k];
            }
    return NULL;
}

/* ---- the kind ---- */

static int encode(const void *self, const char *text, size_t n, int flags, struct arena *a,
                  struct token **out, size_t *n_out, struct err *e)
{
    const struct wordpiece *w = self;
    struct folded f = {.w = w, .a = a};
    size_t from = 0;

    if (flags & TOK_ADD_ENDS)
        emit(&f, w->cls, 0, 0);
    while (from < n && !f.failed) {
        size_t at = n;
        const struct special *s = flags & TOK_SPECIAL ? next_special(w, text, from, n, &at) : NULL;
        fold_text(&f, text, from, at);
        if (!s)
            break;
        emit(&f, s->id, (uint32_t)at, (uint32_t)(at + s->n));
        from = at + s->n;
    }
    if (flags & TOK_ADD_ENDS)
        emit(&f, w->sep, (uint32_t)n, (uint32_t)n);
    if (f.failed)
        return err_set(e, ERR_NOMEM, "tokens of a text of %zu bytes", n);
    *out = f.out;
    *n_out = f.n_out;
    return 0;
}

static int is_special(const struct wordpiece *w, int32_t id)
{
    for (size_t i = 0; i < w->n_special; i++)
        if (w->special[i].id == id)
            return 1;
    return 0;
}

static int decode(const void *self, const int32_t *ids, size_t n, int keep_special, struct buf *out,
                  struct err *e)
{
    const struct wordpiece *w = self;
    int first = 1;

    for (size_t i = 0; i < n; i++) {
        const struct piece *p;
        if (ids[i] < 0 || ids[i] >= w->vocab)
            return err_set(e, ERR_INVALID, "token id %d is outside the vocabulary", ids[i]);
        if (!keep_special && is_special(w, ids[i]))
            continue;
        p = &w->by_id[ids[i]];
        if (!first && !p->inner)
            buf_char(out, ' ');
        if (first && p->inner)
            buf_str(out, "##");
        buf_add(out, p->text, p->n);
        first = 0;
    }
    return out->failed ? err_set(e, (enum err_code)out->failed, "decoded text") : 0;
}

static int32_t id_of(const void *self, const char *token, size_t n)
{
    const struct wordpiece *w = self;

    if (n > 2 && token[0] == '#' && token[1] == '#') {
        int32_t id = find(w, token + 2, n - 2, 1);
        if (id >= 0)
            return id;
    }
    return find(w, token, n, 0);
}

static void close_kind(void *self)
{
    struct wordpiece *w = self;

    arena_free(&w->a);
    mem_give(w);
}

static const struct tok_kind kind = {"WordPiece", encode, decode, id_of, close_kind};

int tok_wordpiece_open(struct tokenizer *t, const json_t *root, const char *path, struct err *e)
{
    struct wordpiece *w = mem_take(1, sizeof *w);
    int rc;

    if (!w)
        return err_set(e, ERR_NOMEM, "%s", path);
    arena_init(&w->a, GIB);
    t->kind = &kind;
    t->self = w; /* tokenizer_close() frees it, also after an error */
    rc = load_vocab(w, json_object_get(root, "model"), path, e);
    if (!rc)
        rc = load_special(w, root, path, e);
    if (!rc)
        rc = load_rules(w, root, path, e);
    if (rc)
        return rc;
    w->cls = find(w, "[CLS]", 5, 0);
    w->sep = find(w, "[SEP]", 5, 0);
    if (w->cls < 0 || w->sep < 0)
        return err_set(e, ERR_FORMAT, "%s: [CLS] or [SEP] is not in the vocabulary", path);
    t->vocab = w->vocab;
    t->unk = w->unk;
    t->bos = w->cls;
    t->eos = w->sep;
    return 0;
}
