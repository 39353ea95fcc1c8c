/* bert_load.c - config.json and tensors to a packed model (see bert.h). */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "embedder/bert.h"

static int known(const json_t *o, const char *key, const char *only, struct err *e)
{
    const char *v = json_str(o, key, only);

    if (strcmp(v, only) == 0)
        return 0;
    return err_set(e, ERR_UNSUPPORTED, "%s %.40s; the embedder knows %s", key, v, only);
}

static int read_numbers(struct bert_config *c, const json_t *o, struct err *e)
{
    const struct {
        const char *key;
        long long most, fallback; /* 0: must be there */
        uint32_t *to;
    } keys[] = {
        {"hidden_size", LIM_DIM, 0, &c->hidden},
        {"num_attention_heads", 1024, 0, &c->heads},
        {"num_hidden_layers", LIM_LAYERS, 0, &c->layers},
        {"intermediate_size", LIM_DIM * 8, 0, &c->ffn},
        {"vocab_size", LIM_VOCAB, 0, &c->vocab},
        {"max_position_embeddings", 1 << 20, 0, &c->positions},
        {"type_vocab_size", 1024, 2, &c->types},
    };
    double eps;
    int rc = json_num(o, "layer_norm_eps", 1e-12, &eps, e);

    for (size_t i = 0; i < sizeof keys / sizeof *keys && !rc; i++) {
        long long v;
        rc = json_int(o, keys[i].key, 1, keys[i].most, keys[i].fallback, &v, e);
        if (!rc && v == 0)
            rc = err_set(e, ERR_FORMAT, "\"%s\" is missing", keys[i].key);
        if (!rc)
            *keys[i].to = (uint32_t)v;
    }
    if (rc)
        return rc;
    if (!(eps >= 0 && eps < 1))
        return err_set(e, ERR_FORMAT, "layer_norm_eps is %g", eps);
    c->eps = (float)eps;
    if (c->hidden % c->heads)
        return err_set(e, ERR_FORMAT, "hidden_size %u is no multiple of %u heads", c->hidden,
                       c->heads);
    if (c->hidden % KERN_PANEL) /* query, key and value share panels */
        return err_set(e, ERR_UNSUPPORTED, "hidden_size %u is no multiple of %d", c->hidden,
                       KERN_PANEL);
    c->head = c->hidden / c->heads;
    return 0;
}

int bert_config_read(struct bert_config *c, const char *model_dir, struct err *e)
{
    char path[LIM_PATH + 32];
    json_t *o;
    int rc;

    snprintf(path, sizeof path, "%s/config.json", model_dir);
    rc = json_parse_file(&o, path, e);
    if (rc)
        return rc;
    rc = known(o, "model_type", "bert", e);
    if (!rc)
        rc = known(o, "hidden_act", "gelu", e);
    if (!rc)
        rc = known(o, "position_embedding_type", "absolute", e);
    if (!rc)
        rc = read_numbers(c, o, e);
    json_decref(o);
    return rc ? err_wrap(e, "%s", path) : 0;
}

/* The tensor under its name, with "bert." in front, or as old files call a LayerNorm's. */
static int need(const struct bert *b, const char *name, int n_dims, uint64_t d0, uint64_t d1,
                const struct tensor **out, struct err *e)
{
    static const char *const old[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                         {"LayerNorm.bias", "LayerNorm.beta"}};
    const uint64_t dims[2] = {d0, d1};
    size_t n = strlen(name);
    char alias[160];

    for (int k = 0; k < 4 && !weights_find(b->w, name); k++) {
        const char *front = k & 1 ? "bert." : "";
        int cut = (int)n;
        const char *end = "";
        for (int i = 0; i < 2 && k & 2; i++) {
            size_t m = strlen(old[i][0]);
            if (n > m && strcmp(name + n - m, old[i][0]) == 0) {
                cut = (int)(n - m);
                end = old[i][1];
            }
        }
        snprintf(alias, sizeof alias, "%s%.*s%s", front, cut, name, end);
        if (weights_find(b->w, alias))
            return weights_need(b->w, alias, n_dims, dims, out, e);
    }
    return weights_need(b->w, name, n_dims, dims, out, e);
}

static int vector(struct bert *b, const char *name, uint64_t n, float *to, struct err *e)
{
    const struct tensor *t;
    int rc = need(b, name, 1, n, 0, &t, e);

    return rc ? rc : tensor_to_f32(t, 0, n, to, e);
}

/* Memory is taken only once the file has shown a tensor of that size: config.json alone claims what
 * it likes. */
static int take_vector(struct bert *b, const char *name, uint64_t n, const float **out,
                       struct err *e)
{
    const struct tensor *t;
    float *v;
    int rc = need(b, name, 1, n, 0, &t, e);

    if (rc)
        return rc;
    v = arena_take(&b->a, n, sizeof *v);
    *out = v;
    return v ? tensor_to_f32(t, 0, n, v, e) : err_set(e, ERR_NOMEM, "tensor %s", name);
}

/* One matrix to be packed: rows [n, k] of the file's tensor, as columns first..first+n-1 of the
 * panels. */
struct pack {
    const struct tensor *t;
    float *panels;
    uint32_t n, k, first;
};

struct packing {
    struct pack *at;
    size_t n;
    atomic_int failed; /* an enum err_code */
};

/* 32 rows decoded, then packed as one panel. */
static void pack_one(void *arg, size_t task, int worker)
{
    struct packing *p = arg;
    const struct pack *m = &p->at[task];
    float *rows = mem_take((size_t)KERN_PANEL * m->k, sizeof *rows);
    struct err e;
    int rc = rows ? 0 : ERR_NOMEM;

    (void)worker;
    for (uint32_t i = 0; !rc && i < m->n; i += KERN_PANEL) {
        uint32_t n = m->n - i < KERN_PANEL ? m->n - i : KERN_PANEL;
        rc = tensor_to_f32(m->t, (uint64_t)i * m->k, (uint64_t)n * m->k, rows, &e);
        if (!rc)
            kern_pack_rows(m->panels + (size_t)(m->first + i) * m->k, rows, m->k, n, m->k);
    }
    if (rc)
        atomic_store(&p->failed, rc);
    mem_give(rows);
}

/* names: n_parts tensors [n, k] that become one matrix [k, n_parts * n]. */
static int take_matrix(struct bert *b, struct packing *p, char names[][128], int n_parts,
                       uint32_t n, uint32_t k, const float **out, struct err *e)
{
    float *panels;

    for (int i = 0; i < n_parts; i++) {
        struct pack *m = &p->at[p->n + (size_t)i];
        int rc = need(b, names[i], 2, n, k, &m->t, e);
        if (rc)
            return rc;
        *m = (struct pack){m->t, NULL, n, k, (uint32_t)i * n};
    }
    panels = arena_take(&b->a, kern_panels((size_t)n_parts * n, k), sizeof *panels);
    if (!panels)
        return err_set(e, ERR_NOMEM, "tensor %s", names[0]);
    for (int i = 0; i < n_parts; i++)
        p->at[p->n++].panels = panels;
    *out = panels;
    return 0;
}

/* One linear layer of block i: its matrix and its bias. */
static int take_linear(struct bert *b, struct packing *p, uint32_t i, const char *part, uint32_t n,
                       uint32_t k, const float **w, const float **bias, struct err *e)
{
    char name[1][128];
    int rc;

    snprintf(name[0], sizeof name[0], "encoder.layer.%u.%s.weight", i, part);
    rc = take_matrix(b, p, name, 1, n, k, w, e);
    snprintf(name[0], sizeof name[0], "encoder.layer.%u.%s.bias", i, part);
    return rc ? rc : take_vector(b, name[0], n, bias, e);
}

static int take_norm(struct bert *b, const char *front, const float **gamma, const float **beta,
                     struct err *e)
{
    char name[128];
    int rc;

    snprintf(name, sizeof name, "%sLayerNorm.weight", front);
    rc = take_vector(b, name, b->c.hidden, gamma, e);
    snprintf(name, sizeof name, "%sLayerNorm.bias", front);
    return rc ? rc : take_vector(b, name, b->c.hidden, beta, e);
}

/* Query, key and value side by side: one product instead of three. */
static int take_qkv(struct bert *b, struct packing *p, uint32_t i, struct bert_layer *l,
                    struct err *e)
{
    static const char *const part[3] = {"query", "key", "value"};
    uint32_t H = b->c.hidden;
    char name[3][128];
    float *bias;
    int rc;

    for (int j = 0; j < 3; j++)
        snprintf(name[j], sizeof name[j], "encoder.layer.%u.attention.self.%s.weight", i, part[j]);
    rc = take_matrix(b, p, name, 3, H, H, &l->qkv, e);
    if (rc)
        return rc;
    bias = arena_take(&b->a, 3 * (size_t)H, sizeof *bias);
    if (!bias)
        return err_set(e, ERR_NOMEM, "layer %u", i);
    l->qkv_b = bias;
    for (int j = 0; j < 3 && !rc; j++) {
        snprintf(name[j], sizeof name[j], "encoder.layer.%u.attention.self.%s.bias", i, part[j]);
        rc = vector(b, name[j], H, bias + (size_t)j * H, e);
    }
    return rc;
}

static int load_layer(struct bert *b, uint32_t i, struct packing *p, struct err *e)
{
    struct bert_layer *l = &b->layer[i];
    uint32_t H = b->c.hidden;
    uint32_t F = b->c.ffn;
    char norm1[96];
    char norm2[96];
    int rc = take_qkv(b, p, i, l, e);

    snprintf(norm1, sizeof norm1, "encoder.layer.%u.attention.output.", i);
    snprintf(norm2, sizeof norm2, "encoder.layer.%u.output.", i);
    if (!rc)
        rc = take_linear(b, p, i, "attention.output.dense", H, H, &l->out, &l->out_b, e);
    if (!rc)
        rc = take_norm(b, norm1, &l->ln1_g, &l->ln1_b, e);
    if (!rc)
        rc = take_linear(b, p, i, "intermediate.dense", F, H, &l->up, &l->up_b, e);
    if (!rc)
        rc = take_linear(b, p, i, "output.dense", H, F, &l->down, &l->down_b, e);
    if (!rc)
        rc = take_norm(b, norm2, &l->ln2_g, &l->ln2_b, e);
    return rc;
}

/* Positions with the row of token type 0 added: every text of docent has type 0. */
static int load_positions(struct bert *b, struct err *e)
{
    const struct bert_config *c = &b->c;
    size_t n = (size_t)c->positions * c->hidden;
    const struct tensor *t;
    const struct tensor *types;
    float *pos;
    float *type;
    int rc = need(b, "embeddings.position_embeddings.weight", 2, c->positions, c->hidden, &t, e);

    if (!rc)
        rc = need(b, "embeddings.token_type_embeddings.weight", 2, c->types, c->hidden, &types, e);
    if (rc)
        return rc;
    pos = arena_take(&b->a, n, sizeof *pos);
    type = arena_take(&b->a, c->hidden, sizeof *type);
    if (!pos || !type)
        return err_set(e, ERR_NOMEM, "positions");
    rc = tensor_to_f32(t, 0, n, pos, e);
    if (!rc)
        rc = tensor_to_f32(types, 0, c->hidden, type, e);
    for (size_t i = 0; !rc && i < n; i++)
        pos[i] += type[i % c->hidden];
    b->positions = pos;
    return rc;
}

/* What is packed need not stay in memory as the file's pages too: 42 MB of MiniLM's 90. */
static void forget_pages(const struct packing *p)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < p->n; i++) {
        uintptr_t from = ((uintptr_t)p->at[i].t->data + page - 1) & ~(page - 1);
        uintptr_t to = ((uintptr_t)p->at[i].t->data + p->at[i].t->bytes) & ~(page - 1);
        if (to > from)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
}

int bert_load(struct bert *b, const char *model_dir, struct team *team, struct err *e)
{
    struct packing p = {.n = 0};
    int rc = bert_config_read(&b->c, model_dir, e);

    if (rc)
        return rc;
    arena_init(&b->a, 64 * GIB);
    b->layer = arena_zero(&b->a, b->c.layers, sizeof *b->layer);
    p.at = mem_take((size_t)b->c.layers * 6, sizeof *p.at);
    if (!b->layer || !p.at)
        rc = err_set(e, ERR_NOMEM, "layers");
    if (!rc)
        rc = need(b, "embeddings.word_embeddings.weight", 2, b->c.vocab, b->c.hidden, &b->words, e);
    if (!rc)
        rc = load_positions(b, e);
    if (!rc)
        rc = take_norm(b, "embeddings.", &b->ln_g, &b->ln_b, e);
    for (uint32_t i = 0; i < b->c.layers && !rc; i++)
        rc = load_layer(b, i, &p, e);
    if (!rc) {
        team_run(team, pack_one, &p, p.n);
        rc = atomic_load(&p.failed);
        if (rc)
            rc = err_set(e, (enum err_code)rc, "packing the weights");
    }
    if (!rc)
        forget_pages(&p);
    mem_give(p.at);
    return rc ? err_wrap(e, "%s", model_dir) : 0;
}

void bert_free(struct bert *b)
{
    arena_free(&b->a);
}
