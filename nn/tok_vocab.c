/* tok_vocab.c - a model folder of the first BERT days: vocab.txt, one token a line, its id is the line's
 * number from 0. It is read into the form of tokenizer.json, so that one loader checks both. The rules
 * come from tokenizer_config.json where it is there, else those of an uncased model. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "nn/tok_impl.h"

static int add_lines(json_t *vocab, const struct buf *b, const char *path, struct err *e)
{
    const char *at = b->data;
    const char *end = at + b->len;
    json_int_t line = 0;

    for (; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *next = stop ? stop + 1 : end;
        size_t n = (size_t)((stop ? stop : end) - at);
        if (n && at[n - 1] == '\r')
            n--;
        if (line == LIM_VOCAB)
            return err_set(e, ERR_LIMIT, "%s: more than %d lines", path, LIM_VOCAB);
        if (memchr(at, 0, n))
            return err_set(e, ERR_FORMAT, "%s: line %lld holds a zero byte", path, (long long)line + 1);
        if (json_object_getn(vocab, at, n))
            return err_set(e, ERR_FORMAT, "%s: line %lld repeats a token", path, (long long)line + 1);
        if (json_object_setn_new(vocab, at, n, json_integer(line)))
            return err_set(e, ERR_FORMAT, "%s: line %lld is not UTF-8", path, (long long)line + 1);
        at = next;
    }
    return 0;
}

/* Those that the format itself names; a vocab.txt does not mark its special tokens. */
static json_t *special_tokens(const json_t *vocab)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *id = json_object_get(vocab, names[i]);
        if (id)
            json_array_append_new(list, json_pack("{s:s, s:O}", "content", names[i], "id", id));
    }
    return list;
}

/* Absent or null: as the format's own default. */
static json_t *rule(const json_t *config, const char *key, json_t *fallback)
{
    json_t *v = json_object_get(config, key);

    return json_is_boolean(v) ? json_incref(v) : fallback;
}

int tok_vocab_read(json_t **root, const char *model_dir, struct err *e)
{
    char path[4200];
    struct buf b;
    json_t *vocab = json_object();
    json_t *config = NULL;
    int rc = 0;

    *root = NULL;
    buf_init(&b, 64 * MIB);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", model_dir);
    if (access(path, R_OK) == 0)
        rc = json_parse_file(&config, path, e);
    snprintf(path, sizeof path, "%s/vocab.txt", model_dir);
    if (!rc)
        rc = file_read(&b, path, e);
    if (!rc && !vocab)
        rc = err_set(e, ERR_NOMEM, "%s", path);
    if (!rc)
        rc = add_lines(vocab, &b, path, e);
    if (!rc) {
        *root = json_pack("{s:{s:s, s:O}, s:{s:s, s:o, s:o, s:o}, s:o}", "model", "type", "WordPiece",
                          "vocab", vocab, "normalizer", "type", "BertNormalizer", "lowercase",
                          rule(config, "do_lower_case", json_true()), "handle_chinese_chars",
                          rule(config, "tokenize_chinese_chars", json_true()), "strip_accents",
                          rule(config, "strip_accents", json_null()), "added_tokens",
                          special_tokens(vocab));
        if (!*root)
            rc = err_set(e, ERR_NOMEM, "%s", path);
    }
    json_decref(config);
    json_decref(vocab);
    buf_free(&b);
    return rc;
}
