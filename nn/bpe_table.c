/* bpe_table.c - vocabulary and merges of byte-level BPE (see bpe_impl.h).
 * The byte alphabet: 188 printable bytes stand for themselves, the other 68 are written as U+0100
 * and up in byte order; so every token is printable text in the model file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "nn/bpe_impl.h"

static int printable(unsigned byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* out: the code point that stands for each byte. */
static void alphabet(uint32_t out[256])
{
    uint32_t next = 256;

    for (unsigned b = 0; b < 256; b++)
        out[b] = printable(b) ? b : next++;
}

static size_t slots_for(size_t n)
{
    size_t s = 16;

    while (s < n + n / 2)
        s *= 2;
    return s;
}

struct bpe *bpe_new(int32_t n, size_t n_merges)
{
    struct bpe *b = mem_take(1, sizeof *b);
    size_t slots = slots_for((size_t)n);
    size_t merge_slots = slots_for(n_merges);

    if (!b)
        return NULL;
    b->n = n;
    b->unk = -1;
    buf_init(&b->blob, LIM_JSON_BYTES);
    b->kind = mem_take((size_t)n, sizeof *b->kind);
    b->text = mem_take((size_t)n, sizeof *b->text);
    b->bytes = mem_take((size_t)n, sizeof *b->bytes);
    b->names = mem_take(slots, sizeof *b->names);
    b->merges = mem_take(merge_slots, sizeof *b->merges);
    if (!b->kind || !b->text || !b->bytes || !b->names || !b->merges) {
        bpe_free(b);
        return NULL;
    }
    b->name_mask = slots - 1;
    b->merge_mask = merge_slots - 1;
    for (size_t i = 0; i < merge_slots; i++)
        b->merges[i].pair = UINT64_MAX;
    return b;
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    mem_give(b->kind);
    mem_give(b->text);
    mem_give(b->bytes);
    mem_give(b->names);
    mem_give(b->merges);
    mem_give(b->added_len);
    buf_free(&b->blob);
    mem_give(b);
}

static int same(const struct bpe *b, struct bpe_str s, const char *text, size_t len)
{
    return s.len == len && memcmp(b->blob.data + s.at, text, len) == 0;
}

/* The slot that holds text, or the free one where it belongs. */
static uint32_t *name_slot(const struct bpe *b, const char *text, size_t len)
{
    size_t i = hash_xxh3(text, len) & b->name_mask;

    while (b->names[i] && !same(b, b->text[b->names[i] - 1], text, len))
        i = (i + 1) & b->name_mask;
    return &b->names[i];
}

int32_t bpe_find(const struct bpe *b, const char *text, size_t len)
{
    return (int32_t)*name_slot(b, text, len) - 1;
}

int bpe_set(struct bpe *b, int32_t id, const char *text, size_t len, enum bpe_kind kind,
            const char *path, struct err *e)
{
    uint32_t *slot;

    if (id < 0 || id >= b->n)
        return err_set(e, ERR_FORMAT,
                       "%s: token '%.40s' has id %" PRId32 ", the vocabulary has %" PRId32, path,
                       text, id, b->n);
    if (b->kind[id] != BPE_ABSENT) {
        if (!same(b, b->text[id], text, len))
            return err_set(e, ERR_FORMAT, "%s: two tokens have id %" PRId32, path, id);
        b->kind[id] = (uint8_t)kind;
        return 0;
    }
    if (b->blob.len + len > UINT32_MAX || buf_add(&b->blob, text, len))
        return err_set(e, ERR_LIMIT, "%s: vocabulary of more than %zu bytes", path,
                       b->blob.ceiling);
    b->kind[id] = (uint8_t)kind;
    b->text[id] = (struct bpe_str){(uint32_t)(b->blob.len - len), (uint32_t)len};
    slot = name_slot(b, text, len);
    if (!*slot) /* the first of two equal texts keeps the name */
        *slot = (uint32_t)id + 1;
    return 0;
}

/* What a normal token stands for; text with other characters stands for itself. */
static int decode_text(struct bpe *b, int32_t id, const int16_t byte_of[324])
{
    char tmp[256];
    struct bpe_str t = b->text[id];
    size_t n = 0;

    b->bytes[id] = t;
    if (b->kind[id] != BPE_NORMAL || t.len > sizeof tmp * 2)
        return 0;
    for (size_t i = 0; i < t.len;) {
        uint32_t cp;
        i += utf8_next(b->blob.data + t.at + i, t.len - i, &cp);
        if (cp >= 324 || byte_of[cp] < 0 || n == sizeof tmp)
            return 0;
        tmp[n++] = (char)byte_of[cp];
    }
    if (n == t.len && memcmp(tmp, b->blob.data + t.at, n) == 0)
        return 0;
    if (b->blob.len + n > UINT32_MAX)
        return ERR_LIMIT;
    b->bytes[id] = (struct bpe_str){(uint32_t)b->blob.len, (uint32_t)n};
    return buf_add(&b->blob, tmp, n);
}

static int longer_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x < y) - (x > y);
}

static int list_added(struct bpe *b)
{
    size_t n = 0;
    size_t kept = 0;

    for (int32_t id = 0; id < b->n; id++)
        n += b->kind[id] >= BPE_ADDED;
    b->added_len = mem_take(n ? n : 1, sizeof *b->added_len);
    if (!b->added_len)
        return ERR_NOMEM;
    n = 0;
    for (int32_t id = 0; id < b->n; id++) {
        if (b->kind[id] < BPE_ADDED || b->text[id].len == 0)
            continue;
        b->added_first[(unsigned char)b->blob.data[b->text[id].at]] = 1;
        b->added_len[n++] = b->text[id].len;
    }
    qsort(b->added_len, n, sizeof *b->added_len, longer_first);
    for (size_t i = 0; i < n; i++)
        if (!kept || b->added_len[kept - 1] != b->added_len[i])
            b->added_len[kept++] = b->added_len[i];
    b->n_added_len = kept;
    return 0;
}

int bpe_finish(struct bpe *b, const char *path, struct err *e)
{
    uint32_t cp_of[256];
    int16_t byte_of[324];
    int rc = 0;

    memset(byte_of, -1, sizeof byte_of);
    alphabet(cp_of);
    for (int i = 0; i < 256; i++) {
        char text[4];
        size_t n = utf8_put(text, cp_of[i]);
        byte_of[cp_of[i]] = (int16_t)i;
        b->byte_id[i] = bpe_find(b, text, n);
    }
    for (int32_t id = 0; !rc && id < b->n; id++)
        rc = decode_text(b, id, byte_of);
    if (!rc)
        rc = list_added(b);
    return rc ? err_set(e, rc, "%s: vocabulary", path) : 0;
}

static size_t pair_slot(const struct bpe *b, uint64_t pair)
{
    uint64_t z = pair * 0x9E3779B97F4A7C15u;

    return (size_t)((z ^ z >> 32) & b->merge_mask);
}

const struct bpe_merge *bpe_find_merge(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = pair_slot(b, pair);

    for (; b->merges[i].pair != UINT64_MAX; i = (i + 1) & b->merge_mask)
        if (b->merges[i].pair == pair)
            return &b->merges[i];
    return NULL;
}

int bpe_add_merge(struct bpe *b, uint32_t rank, const char *pair, size_t len, const char *path,
                  struct err *e)
{
    const char *blank = memchr(pair, ' ', len);
    size_t left_len = blank ? (size_t)(blank - pair) : 0;
    size_t right_len = blank ? len - left_len - 1 : 0;
    char joined[1024];
    int32_t left;
    int32_t right;
    int32_t id;
    uint64_t key;
    size_t i;

    if (!left_len || !right_len || memchr(blank + 1, ' ', right_len))
        return err_set(e, ERR_FORMAT, "%s: merge %" PRIu32 " '%.*s' has not two parts", path, rank,
                       len > 80 ? 80 : (int)len, pair);
    left = bpe_find(b, pair, left_len);
    right = bpe_find(b, blank + 1, right_len);
    id = -1;
    if (left_len + right_len <= sizeof joined) {
        memcpy(joined, pair, left_len);
        memcpy(joined + left_len, blank + 1, right_len);
        id = bpe_find(b, joined, left_len + right_len);
    }
    if (left < 0 || right < 0 || id < 0)
        return err_set(e, ERR_FORMAT, "%s: merge %" PRIu32 " '%.*s' names an unknown token", path,
                       rank, len > 80 ? 80 : (int)len, pair);
    key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (i = pair_slot(b, key); b->merges[i].pair != UINT64_MAX; i = (i + 1) & b->merge_mask)
        if (b->merges[i].pair == key)
            return 0; /* a repeated merge keeps its better rank */
    b->merges[i] = (struct bpe_merge){key, rank, id};
    return 0;
}
