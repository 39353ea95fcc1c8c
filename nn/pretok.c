/* pretok.c - the pre-tokenizers of the BPE models as hand-written matchers (see pretok.h).
 * Each alternative of an expression is one branch below, in the expression's order; a matcher
 * sees one piece's worth of text and never goes back further than that piece. */
#include "nn/pretok.h"

#include <string.h>
#include <unicode/uchar.h>

#include "base/json.h"
#include "base/utf8.h"

enum class { C_LETTER = 1, C_NUMBER = 2, C_SPACE = 4, C_OTHER = 8 };

#define QWEN2_REGEX                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"      \
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_REGEX                                                                               \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+" \
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

int pretok_by_name(const char *name, enum pretok *out)
{
    static const struct {
        const char *name;
        enum pretok kind;
    } known[] = {
        {"gpt-2", PRETOK_GPT2},       {"gpt2", PRETOK_GPT2},     {"phi-2", PRETOK_GPT2},
        {"roberta-bpe", PRETOK_GPT2}, {"smollm", PRETOK_SMOLLM}, {"qwen2", PRETOK_QWEN2},
        {"llama-bpe", PRETOK_LLAMA3}, {"llama3", PRETOK_LLAMA3}, {"llama-v3", PRETOK_LLAMA3}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            *out = known[i].kind;
            return 0;
        }
    return -1;
}

static int unknown(const char *path, const char *what, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "%s: pre-tokenizer '%.200s' is not supported", path, what);
}

static int is_true(const json_t *obj, const char *key, int fallback)
{
    const json_t *v = json_object_get(obj, key);

    return v ? json_is_true(v) : fallback;
}

int pretok_by_json(const json_t *pre, enum pretok *out, int *prefix_space, const char *path,
                   struct err *e)
{
    const char *type = json_str(pre, "type", "none");
    const json_t *list = json_object_get(pre, "pretokenizers");
    const json_t *first;
    const json_t *last;
    const char *regex;

    if (strcmp(type, "ByteLevel") == 0) {
        *prefix_space = is_true(pre, "add_prefix_space", 1);
        *out = PRETOK_GPT2;
        return is_true(pre, "use_regex", 1) ? 0 : unknown(path, "ByteLevel without regex", e);
    }
    if (strcmp(type, "Sequence") != 0)
        return unknown(path, type, e);
    if (json_array_size(list) != 2)
        return unknown(path, "Sequence that is not of two", e);
    first = json_array_get(list, 0);
    last = json_array_get(list, 1);
    type = json_str(first, "type", "none");
    if (strcmp(json_str(last, "type", "none"), "ByteLevel") != 0)
        return unknown(path, json_str(last, "type", "none"), e);
    *prefix_space = is_true(last, "add_prefix_space", 1);
    if (strcmp(type, "Digits") == 0) {
        *out = PRETOK_SMOLLM;
        if (!is_true(first, "individual_digits", 0) || !is_true(last, "use_regex", 1))
            return unknown(path, "Digits in groups", e);
        return 0;
    }
    if (strcmp(type, "Split") != 0)
        return unknown(path, type, e);
    regex = json_str(json_object_get(first, "pattern"), "Regex", "no regex");
    if (strcmp(regex, QWEN2_REGEX) == 0)
        *out = PRETOK_QWEN2;
    else if (strcmp(regex, LLAMA3_REGEX) == 0)
        *out = PRETOK_LLAMA3;
    else
        return unknown(path, regex, e);
    if (strcmp(json_str(first, "behavior", ""), "Isolated") != 0 || is_true(first, "invert", 0) ||
        is_true(last, "use_regex", 1))
        return unknown(path, "Split with other options", e);
    return 0;
}

static enum class class_of(uint32_t cp) {
    uint32_t mask;

    if (cp < 0x80){if ((cp | 32) - 'a' < 26) return C_LETTER; if (cp - '0' < 10) return C_NUMBER;
                   return cp == ' ' || cp - 9 < 5 ? C_SPACE : C_OTHER;}
mask = U_GET_GC_MASK((UChar32)cp);
if (mask & U_GC_L_MASK)
    return C_LETTER;
if (mask & U_GC_N_MASK)
    return C_NUMBER;
return u_isUWhiteSpace((UChar32)cp) ? C_SPACE : C_OTHER;
}

/* Class and end of the character at at; 0 at the end of the text. */
static int look(const char *s, size_t n, size_t at, size_t *end)
{
    uint32_t cp;

    *end = at;
    if (at >= n)
        return 0;
    *end = at + utf8_next(s + at, n - at, &cp);
    return (int)class_of(cp);
}

/* The end of the run of characters of these classes, at most most of them. */
static size_t run(const char *s, size_t n, size_t at, int classes, size_t most)
{
    size_t end;

    while (most-- && look(s, n, at, &end) & classes)
        at = end;
    return at;
}

/* Bytes of 's 't 're 've 'm 'll 'd at at, 0 when there is none. */
static size_t contraction(const char *s, size_t n, size_t at, int any_case)
{
    char a = at + 1 < n ? s[at + 1] : 0;
    char b = at + 2 < n ? s[at + 2] : 0;

    if (s[at] != '\'')
        return 0;
    if (any_case) {
        /* U+017F, the long s, is a small s without case */
        if ((unsigned char)a == 0xC5 && (unsigned char)b == 0xBF)
            return 3;
        if (a >= 'A' && a <= 'Z')
            a = (char)(a | 32);
        if (b >= 'A' && b <= 'Z')
            b = (char)(b | 32);
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    return 0;
}

/* \s+(?!\S)|\s+ : a run of blanks gives its last one to what follows it. */
static size_t blanks(const char *s, size_t n, size_t at)
{
    size_t end = run(s, n, at, C_SPACE, SIZE_MAX);
    size_t last;
    size_t one;

    if (end == n)
        return end;
    last = utf8_floor(s, end - 1);
    look(s, n, at, &one);
    return last > at ? last : one;
}

static size_t gpt2_end(const char *s, size_t n, size_t at)
{
    size_t skip = contraction(s, n, at, 0);
    size_t body = at;
    size_t end;
    int c;

    if (skip)
        return at + skip;
    c = look(s, n, at, &end);
    if (s[at] == ' ' && end < n) {
        body = end;
        c = look(s, n, body, &end);
    }
    if (c & (C_LETTER | C_NUMBER | C_OTHER))
        return run(s, n, body, c, SIZE_MAX);
    return blanks(s, n, at);
}

/* The end of the last newline in the run of blanks at at; at when there is none. */
static size_t newlines(const char *s, size_t n, size_t at)
{
    size_t found = at;
    size_t end;

    while (look(s, n, at, &end) == C_SPACE) {
        if (s[at] == '\n' || s[at] == '\r')
            found = end;
        at = end;
    }
    return found;
}

static size_t qwen2_end(const char *s, size_t n, size_t at, size_t digits)
{
    size_t skip = contraction(s, n, at, 1);
    size_t next;
    size_t end;
    int c;

    if (skip)
        return at + skip;
    c = look(s, n, at, &next);
    if (c == C_LETTER)
        return run(s, n, at, C_LETTER, SIZE_MAX);
    if (c != C_NUMBER && s[at] != '\r' && s[at] != '\n' && look(s, n, next, &end) == C_LETTER)
        return run(s, n, next, C_LETTER, SIZE_MAX);
    if (c == C_NUMBER)
        return run(s, n, at, C_NUMBER, digits);
    if (c == C_OTHER || (s[at] == ' ' && look(s, n, next, &end) == C_OTHER)) {
        end = run(s, n, c == C_OTHER ? at : next, C_OTHER, SIZE_MAX);
        while (end < n && (s[end] == '\r' || s[end] == '\n'))
            end++;
        return end;
    }
    end = newlines(s, n, at);
    return end > at ? end : blanks(s, n, at);
}

int pretok_next(struct pretok_iter *it, size_t *start, size_t *end)
{
    size_t next;

    *start = it->at;
    if (it->at >= it->n)
        return 0;
    switch (it->kind) {
    case PRETOK_GPT2: it->at = gpt2_end(it->s, it->n, it->at); break;
    case PRETOK_SMOLLM:
        if (it->at >= it->segment) {
            /* the segment is kept over calls: looking for its end again each time is quadratic */
            it->segment = run(it->s, it->n, it->at, C_LETTER | C_SPACE | C_OTHER, SIZE_MAX);
            if (it->segment == it->at) {
                look(it->s, it->n, it->at, &next);
                it->segment = next;
            }
        }
        it->at = gpt2_end(it->s, it->segment, it->at);
        break;
    case PRETOK_QWEN2: it->at = qwen2_end(it->s, it->n, it->at, 1); break;
    default: it->at = qwen2_end(it->s, it->n, it->at, 3); break;
    }
    *end = it->at;
    return 1;
}
