/* tokenizer.c - finds the kind of a model's tokenizer and passes calls on (see tokenizer.h). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "nn/tok_impl.h"

static int open_kind(struct tokenizer *t, const json_t *root, const char *path, struct err *e)
{
    const char *type = json_str(json_object_get(root, "model"), "type", NULL);

    if (!type) /* old files leave it out: a byte-pair model has merges */
        type = json_object_get(json_object_get(root, "model"), "merges") ? "BPE" : "WordPiece";
    if (!strcmp(type, "WordPiece"))
        return tok_wordpiece_open(t, root, path, e);
    if (!strcmp(type, "BPE"))
        return tok_bpe_open_json(t, root, path, e);
    return err_set(e, ERR_UNSUPPORTED, "%s: tokenizer of kind %.40s", path, type);
}

int tokenizer_open_dir(struct tokenizer **out, const char *model_dir, struct err *e)
{
    struct tokenizer *t = mem_take(1, sizeof *t);
    char path[4200];
    json_t *root = NULL;
    int rc;

    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "%s", model_dir);
    snprintf(path, sizeof path, "%s/tokenizer.json", model_dir);
    t->unk = t->bos = t->eos = -1;
    rc = json_parse_file(&root, path, e);
    if (rc == ERR_NOTFOUND) { /* folders of the first BERT days */
        snprintf(path, sizeof path, "%s/vocab.txt", model_dir);
        if (access(path, F_OK) == 0)
            rc = tok_vocab_read(&root, model_dir, e);
    }
    if (!rc)
        rc = open_kind(t, root, path, e);
    json_decref(root);
    if (rc) {
        tokenizer_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

int tokenizer_open_gguf(struct tokenizer **out, const struct weights *w, struct err *e)
{
    struct tokenizer *t = mem_take(1, sizeof *t);
    const char *model = json_string_value(weights_meta(w, "tokenizer.ggml.model"));
    int rc;

    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "tokenizer");
    t->unk = t->bos = t->eos = -1;
    if (model && !strcmp(model, "gpt2"))
        rc = tok_bpe_open_gguf(t, w, e);
    else
        rc = err_set(e, ERR_UNSUPPORTED,
                     "tokenizer.ggml.model is %.40s; docent reads gpt2 (byte-level BPE)",
                     model ? model : "missing");
    if (rc) {
        tokenizer_close(t);
        return rc;
    }
    *out = t;
    return 0;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    if (t->self && t->kind)
        t->kind->close(t->self);
    mem_give(t);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, int flags,
                     struct arena *a, struct token **out, size_t *n_out, struct err *e)
{
    if (n > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "text of %zu bytes", n);
    return t->kind->encode(t->self, text, n, flags, a, out, n_out, e);
}

size_t tokenizer_count(const struct tokenizer *t, const char *text, size_t n, struct arena *tmp)
{
    struct arena_mark m = arena_mark(tmp);
    struct token *tokens;
    size_t k;
    struct err ignored;
    int rc = tokenizer_encode(t, text, n, 0, tmp, &tokens, &k, &ignored);

    arena_rewind(tmp, m);
    return rc ? SIZE_MAX : k;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, int keep_special,
                     struct buf *out, struct err *e)
{
    return t->kind->decode(t->self, ids, n, keep_special, out, e);
}

int32_t tokenizer_vocab(const struct tokenizer *t)
{
    return t->vocab;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    return t->kind->id(t->self, token, strlen(token));
}

int32_t tokenizer_unk(const struct tokenizer *t)
{
    return t->unk;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}
