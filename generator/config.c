/* config.c - the sizes of a model, from GGUF keys or from config.json.
 * Every number is held against a ceiling and against the others before anything is sized by it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "generator/gen_impl.h"

static const struct gen_family families[] = {
    {.name = "llama"},
    {.name = "qwen2", .gguf_half = 1},
    {.name = "qwen3", .gguf_half = 1, .qk_norm = 1},
};

static int find_family(struct gen_config *c, const char *name, const char *key, struct err *e)
{
    for (size_t i = 0; name && i < sizeof families / sizeof *families; i++)
        if (strcmp(name, families[i].name) == 0) {
            c->family = &families[i];
            return 0;
        }
    if (!name)
        return err_set(e, ERR_FORMAT, "%s is missing or no text", key);
    return err_set(e, ERR_UNSUPPORTED, "architecture '%.60s' (%s) is not supported", name, key);
}

static int check(struct gen_config *c, struct err *e)
{
    if (c->heads == 0 || c->kv_heads == 0 || c->heads % c->kv_heads)
        return err_set(e, ERR_FORMAT, "%u attention heads over %u key heads", c->heads,
                       c->kv_heads);
    if (c->head_dim == 0 || c->head_dim > 1024)
        return err_set(e, ERR_FORMAT, "heads of %u values", c->head_dim);
    if (c->rope_dim == 0 || c->rope_dim > c->head_dim || c->rope_dim % 2)
        return err_set(e, ERR_FORMAT, "rope over %u values in heads of %u", c->rope_dim,
                       c->head_dim);
    if (!(c->eps > 0 && c->eps < 1) || !(c->rope_base > 1) || !isfinite(c->rope_base))
        return err_set(e, ERR_FORMAT, "norm epsilon %g or rope base %g makes no sense",
                       (double)c->eps, c->rope_base);
    if (c->scaling != ROPE_PLAIN && !(c->rope_factor >= 1 && isfinite(c->rope_factor)))
        return err_set(e, ERR_FORMAT, "rope scaling factor %g", c->rope_factor);
    if (c->scaling == ROPE_LLAMA3 &&
        !(c->rope_low > 0 && c->rope_high > c->rope_low && c->rope_context > 0))
        return err_set(e, ERR_FORMAT, "rope scaling llama3 with factors %g to %g", c->rope_low,
                       c->rope_high);
    return 0;
}

/* ---- GGUF ---- */

struct keys {
    const struct weights *w;
    const char *arch;
    struct err *e;
    int rc; /* the first failure */
};

static const json_t *meta(struct keys *k, const char *name, char key[128])
{
    snprintf(key, 128, "%s.%s", k->arch, name);
    return weights_meta(k->w, key);
}

/* fallback 0: the key must be there. */
static uint32_t key_int(struct keys *k, const char *name, json_int_t most, uint32_t fallback)
{
    char key[128];
    const json_t *v = meta(k, name, key);

    if (k->rc)
        return 0;
    if (!v && fallback)
        return fallback;
    if (!v)
        k->rc = err_set(k->e, ERR_FORMAT, "metadata %s is missing", key);
    else if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > most)
        k->rc = err_set(k->e, ERR_FORMAT, "metadata %s is no number from 1 to %lld", key,
                        (long long)most);
    return k->rc ? 0 : (uint32_t)json_integer_value(v);
}

static double key_num(struct keys *k, const char *name, double fallback)
{
    char key[128];
    const json_t *v = meta(k, name, key);

    if (k->rc || !v)
        return fallback;
    if (!json_is_number(v))
        k->rc = err_set(k->e, ERR_FORMAT, "metadata %s is no number", key);
    return json_number_value(v);
}

static int gguf_scaling(struct gen_config *c, struct keys *k)
{
    char key[128];
    const char *type = json_string_value(meta(k, "rope.scaling.type", key));

    if (type && strcmp(type, "linear") == 0) {
        c->scaling = ROPE_LINEAR;
        c->rope_factor = key_num(k, "rope.scaling.factor", 1);
    } else if (type && strcmp(type, "none") != 0) {
        return err_set(k->e, ERR_UNSUPPORTED, "%s '%.60s' is not supported", key, type);
    }
    return k->rc;
}

/* The vocabulary's lists must have the same length as the embedding table. */
static int gguf_vocab(struct gen_config *c, const struct weights *w, struct err *e)
{
    static const char *const lists[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                                        "tokenizer.ggml.token_type"};
    static const char *const ids[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"};
    const struct tensor *t = weights_find(w, "token_embd.weight");
    size_t n;

    if (!t || t->n_dims != 2 || t->dims[0] > LIM_VOCAB)
        return err_set(e, ERR_FORMAT, "tensor token_embd.weight is missing or of a wrong shape");
    c->vocab = (uint32_t)t->dims[0];
    for (size_t i = 0; i < 3; i++) {
        size_t have = weights_meta_len(w, lists[i]);
        if (have && have != c->vocab)
            return err_set(e, ERR_FORMAT, "%s has %zu entries, token_embd.weight %u", lists[i],
                           have, c->vocab);
    }
    if (weights_meta_len(w, lists[0]) && !weights_meta_item(w, lists[0], 0, &n))
        return err_set(e, ERR_FORMAT, "%s is no list of texts", lists[0]);
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = weights_meta(w, ids[i]);
        if (v &&
            (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= c->vocab))
            return err_set(e, ERR_FORMAT, "%s is outside the vocabulary of %u", ids[i], c->vocab);
    }
    return 0;
}

int gen_config_gguf(struct gen_config *c, const struct weights *w, struct err *e)
{
    struct keys k = {.w = w, .e = e};
    int rc;

    memset(c, 0, sizeof *c);
    k.arch = json_string_value(weights_meta(w, "general.architecture"));
    rc = find_family(c, k.arch, "general.architecture", e);
    if (rc)
        return rc;
    c->layers = key_int(&k, "block_count", LIM_LAYERS, 0);
    c->hidden = key_int(&k, "embedding_length", LIM_DIM, 0);
    c->ffn = key_int(&k, "feed_forward_length", 8 * LIM_DIM, 0);
    c->heads = key_int(&k, "attention.head_count", LIM_DIM, 0);
    c->kv_heads = key_int(&k, "attention.head_count_kv", LIM_DIM, k.rc ? 1 : c->heads);
    c->context = key_int(&k, "context_length", INT32_MAX, 0);
    if (!k.rc)
        c->head_dim = key_int(&k, "attention.key_length", 1024,
                              c->hidden >= c->heads ? c->hidden / c->heads : 1);
    if (!k.rc && key_int(&k, "attention.value_length", 1024, c->head_dim) != c->head_dim)
        return err_set(e, ERR_UNSUPPORTED, "key and value heads of different sizes");
    if (!k.rc)
        c->rope_dim = key_int(&k, "rope.dimension_count", 1024, c->head_dim);
    c->eps = (float)key_num(&k, "attention.layer_norm_rms_epsilon", 1e-5);
    c->rope_base = key_num(&k, "rope.freq_base", 10000);
    if (k.rc)
        return k.rc;
    c->rope_half = c->family->gguf_half;
    rc = gguf_scaling(c, &k);
    if (!rc)
        rc = gguf_vocab(c, w, e);
    return rc ? rc : check(c, e);
}

/* ---- config.json ---- */

static int get(const json_t *j, const char *key, json_int_t most, json_int_t fallback,
               uint32_t *out, struct err *e)
{
    long long v;
    const json_t *have = json_object_get(j, key);
    int rc;

    if (!fallback && !have)
        return err_set(e, ERR_FORMAT, "config.json: %s is missing", key);
    if (have && json_is_null(have))
        v = fallback;
    else {
        rc = json_int(j, key, 1, most, fallback, &v, e);
        if (rc)
            return rc;
    }
    *out = (uint32_t)v;
    return 0;
}

static int dir_scaling(struct gen_config *c, const json_t *j, struct err *e)
{
    const json_t *s = json_object_get(j, "rope_scaling");
    const json_t *p = json_object_get(j, "rope_parameters"); /* the spelling of transformers 5 */
    const char *type;
    int rc = 0;

    if (json_is_object(p)) {
        rc = json_num(p, "rope_theta", c->rope_base, &c->rope_base, e);
        s = p;
    }
    if (rc || !json_is_object(s))
        return rc;
    type = json_str(s, "rope_type", json_str(s, "type", "default"));
    if (strcmp(type, "default") == 0)
        return 0;
    if (strcmp(type, "linear") == 0)
        c->scaling = ROPE_LINEAR;
    else if (strcmp(type, "llama3") == 0)
        c->scaling = ROPE_LLAMA3;
    else
        return err_set(e, ERR_UNSUPPORTED, "config.json: rope scaling '%.60s' is not supported",
                       type);
    rc = json_num(s, "factor", 1, &c->rope_factor, e);
    if (!rc)
        rc = json_num(s, "low_freq_factor", 1, &c->rope_low, e);
    if (!rc)
        rc = json_num(s, "high_freq_factor", 4, &c->rope_high, e);
    if (!rc)
        rc = json_num(s, "original_max_position_embeddings", c->context, &c->rope_context, e);
    return rc;
}

static int from_json(struct gen_config *c, const json_t *j, struct err *e)
{
    const char *act = json_str(j, "hidden_act", "silu");
    double eps = 1e-6;
    int rc = find_family(c, json_str(j, "model_type", NULL), "model_type", e);

    c->rope_base = 10000;
    c->rope_half = 1;
    if (!rc)
        rc = get(j, "num_hidden_layers", LIM_LAYERS, 0, &c->layers, e);
    if (!rc)
        rc = get(j, "hidden_size", LIM_DIM, 0, &c->hidden, e);
    if (!rc)
        rc = get(j, "intermediate_size", 8 * LIM_DIM, 0, &c->ffn, e);
    if (!rc)
        rc = get(j, "num_attention_heads", LIM_DIM, 0, &c->heads, e);
    if (!rc)
        rc = get(j, "num_key_value_heads", LIM_DIM, c->heads, &c->kv_heads, e);
    if (!rc)
        rc = get(j, "vocab_size", LIM_VOCAB, 0, &c->vocab, e);
    if (!rc)
        rc = get(j, "max_position_embeddings", INT32_MAX, 2048, &c->context, e);
    if (!rc)
        rc = get(j, "head_dim", 1024, c->hidden >= c->heads ? c->hidden / c->heads : 1,
                 &c->head_dim, e);
    if (!rc)
        rc = json_num(j, "rms_norm_eps", eps, &eps, e);
    if (!rc)
        rc = json_num(j, "rope_theta", c->rope_base, &c->rope_base, e);
    if (!rc)
        rc = dir_scaling(c, j, e);
    if (rc)
        return rc;
    if (strcmp(act, "silu") != 0)
        return err_set(e, ERR_UNSUPPORTED, "config.json: activation '%.60s' is not supported", act);
    if (json_is_true(json_object_get(j, "use_sliding_window")))
        return err_set(e, ERR_UNSUPPORTED, "config.json: sliding windows are not supported");
    c->eps = (float)eps;
    c->rope_dim = c->head_dim;
    return check(c, e);
}

int gen_config_dir(struct gen_config *c, const char *dir, struct err *e)
{
    char path[LIM_PATH];
    json_t *j = NULL;
    int rc;

    memset(c, 0, sizeof *c);
    snprintf(path, sizeof path, "%s/config.json", dir);
    rc = json_parse_file(&j, path, e);
    if (!rc)
        rc = from_json(c, j, e);
    json_decref(j);
    return rc;
}
