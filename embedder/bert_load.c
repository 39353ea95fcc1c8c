/* bert_load.c - config.json and tensors to a packed model (see bert.h). */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/json.h"
#include "base/limits.h"
#include "embedder/bert.h"

int bert_config_read(struct bert_config *c, const char *model_dir, struct err *e)
{
    static const struct {
        const char *key;
        long long most;
    } keys[] = {{"hidden_size", LIM_DIM},      {"num_attention_heads", 1024}, {"num_hidden_layers", LIM_LAYERS},
                {"intermediate_size", LIM_DIM * 8}, {"vocab_size", LIM_VOCAB},     {"max_position_embeddings", 1 << 20}};
    long long v[6];
    double eps = 1e-12;
    char path[4200];
    json_t *o;
    int rc;

    snprintf(path, sizeof path, "%s/config.json", model_dir);
    rc = json_parse_file(&o, path, e);
    if (rc)
        return rc;
    for (int i = 0; i < 6 && !rc; i++) {
        rc = json_int(o, keys[i].key, 1, keys[i].most, 0, &v[i], e);
        if (!rc && v[i] == 0)
            rc = err_set(e, ERR_FORMAT, "\"%s\" is missing", keys[i].key);
    }
    if (!rc)
        rc = json_num(o, "layer_norm_eps", 1e-12, &eps, e);
    if (!rc && strcmp(json_str(o, "model_type", "bert"), "bert") != 0)
        rc = err_set(e, ERR_UNSUPPORTED, "model_type %.40s; the embedder runs bert", json_str(o, "model_type", ""));
    if (!rc && strcmp(json_str(o, "hidden_act", "gelu"), "gelu") != 0)
        rc = err_set(e, ERR_UNSUPPORTED, "hidden_act %.40s; the embedder knows gelu", json_str(o, "hidden_act", ""));
    if (!rc && strcmp(json_str(o, "position_embedding_type", "absolute"), "absolute") != 0)
        rc = err_set(e, ERR_UNSUPPORTED, "position_embedding_type %.40s", json_str(o, "position_embedding_type", ""));
    if (!rc && v[0] % v[1] != 0)
        rc = err_set(e, ERR_FORMAT, "hidden_size %lld is no multiple of %lld heads", v[0], v[1]);
    if (!rc)
        *c = (struct bert_config){.hidden = (uint32_t)v[0], .heads = (uint32_t)v[1],
                                  .head = (uint32_t)(v[0] / v[1]), .layers = (uint32_t)v[2],
                                  .ffn = (uint32_t)v[3], .vocab = (uint32_t)v[4],
                                  .positions = (uint32_t)v[5], .eps = (float)eps};
    json_decref(o);
    return rc ? err_wrap(e, "%s", path) : 0;
}

/* The tensor under its name, with "bert." in front, or (old files) with LayerNorm's gamma and beta. */
static int need(const struct bert *b, const char *name, int n_dims, uint64_t d0, uint64_t d1,
                const struct tensor **out, struct err *e)
{
    const uint64_t dims[2] = {d0, d1};
    char alias[160];

    snprintf(alias, sizeof alias, "bert.%s", name);
    if (!weights_find(b->w, name) && weights_find(b->w, alias))
        return weights_need(b->w, alias, n_dims, dims, out, e);
    return weights_need(b->w, name, n_dims, dims, out, e);
}

static int vector(struct bert *b, const char *name, uint64_t n, float *to, struct err *e)
{
    const struct tensor *t;
    int rc = need(b, name, 1, n, 0, &t, e);

    return rc ? rc : tensor_to_f32(t, 0, n, to, e);
}

static int take_vector(struct bert *b, const char *name, uint64_t n, const float **out, struct err *e)
{
    float *v = arena_take(&b->a, n, sizeof *v);

    *out = v;
    return v ? vector(b, name, n, v, e) : err_set(e, ERR_NOMEM, "tensor %s", name);
}

/* One matrix to be packed: rows [n, k] of the file's tensor, as columns first..first+n-1 of the panels. */
struct pack {
    const struct tensor *t;
    float *panels;
    uint32_t n, k, first;
};

struct packing {
    struct pack *at;
    size_t n;
    int failed;
};

#define PACK_ROWS KERN_PANEL /* one panel a step: 32 rows decoded, then packed */

static void pack_one(void *arg, size_t task, int worker)
{
    struct packing *p = arg;
    const struct pack *m = &p->at[task];
    float *rows = mem_take((size_t)PACK_ROWS * m->k, sizeof *rows);
    struct err e;

    (void)worker;
    for (uint32_t i = 0; rows && i < m->n; i += PACK_ROWS) {
        uint32_t n = m->n - i < PACK_ROWS ? m->n - i : PACK_ROWS;
        if (tensor_to_f32(m->t, (uint64_t)i * m->k, (uint64_t)n * m->k, rows, &e)) {
            p->failed = 1;
            break;
        }
        kern_pack_rows(m->panels + (size_t)(m->first + i) * m->k, rows, m->k, n, m->k);
    }
    if (!rows)
        p->failed = 1;
    mem_give(rows);
}

static int take_matrix(struct bert *b, struct packing *p, const char *name, uint32_t n, uint32_t k,
                       float *panels, uint32_t first, struct err *e)
{
    struct pack *m = &p->at[p->n];
    int rc = need(b, name, 2, n, k, &m->t, e);

    if (rc)
        return rc;
    m->panels = panels;
    m->n = n;
    m->k = k;
    m->first = first;
    p->n++;
    return 0;
}

static float *panels_of(struct bert *b, uint32_t n, uint32_t k)
{
    return arena_take(&b->a, kern_panels(n, k), sizeof(float));
}

static int load_layer(struct bert *b, uint32_t i, struct packing *p, struct err *e)
{
    static const char *const qkv[] = {"query", "key", "value"};
    const struct bert_config *c = &b->c;
    struct bert_layer *l = &b->layer[i];
    float *qkv_w = panels_of(b, 3 * c->hidden, c->hidden);
    float *qkv_b = arena_take(&b->a, 3 * c->hidden, sizeof *qkv_b);
    float *out = panels_of(b, c->hidden, c->hidden);
    float *up = panels_of(b, c->ffn, c->hidden);
    float *down = panels_of(b, c->hidden, c->ffn);
    char name[128];
    int rc = 0;

    if (!qkv_w || !qkv_b || !out || !up || !down)
        return err_set(e, ERR_NOMEM, "layer %u", i);
    if (c->hidden % KERN_PANEL)
        return err_set(e, ERR_UNSUPPORTED, "hidden_size %u is no multiple of %d", c->hidden, KERN_PANEL);
    l->qkv = qkv_w;
    l->qkv_b = qkv_b;
    l->out = out;
    l->up = up;
    l->down = down;
#define NAME(...) (snprintf(name, sizeof name, "encoder.layer.%u." __VA_ARGS__), name)
    for (uint32_t j = 0; j < 3 && !rc; j++) {
        rc = take_matrix(b, p, NAME("attention.self.%s.weight", i, qkv[j]), c->hidden, c->hidden, qkv_w, j * c->hidden, e);
        if (!rc)
            rc = vector(b, NAME("attention.self.%s.bias", i, qkv[j]), c->hidden, qkv_b + j * c->hidden, e);
    }
    if (!rc) rc = take_matrix(b, p, NAME("attention.output.dense.weight", i), c->hidden, c->hidden, out, 0, e);
    if (!rc) rc = take_vector(b, NAME("attention.output.dense.bias", i), c->hidden, &l->out_b, e);
    if (!rc) rc = take_vector(b, NAME("attention.output.LayerNorm.weight", i), c->hidden, &l->ln1_g, e);
    if (!rc) rc = take_vector(b, NAME("attention.output.LayerNorm.bias", i), c->hidden, &l->ln1_b, e);
    if (!rc) rc = take_matrix(b, p, NAME("intermediate.dense.weight", i), c->ffn, c->hidden, up, 0, e);
    if (!rc) rc = take_vector(b, NAME("intermediate.dense.bias", i), c->ffn, &l->up_b, e);
    if (!rc) rc = take_matrix(b, p, NAME("output.dense.weight", i), c->hidden, c->ffn, down, 0, e);
    if (!rc) rc = take_vector(b, NAME("output.dense.bias", i), c->hidden, &l->down_b, e);
    if (!rc) rc = take_vector(b, NAME("output.LayerNorm.weight", i), c->hidden, &l->ln2_g, e);
    if (!rc) rc = take_vector(b, NAME("output.LayerNorm.bias", i), c->hidden, &l->ln2_b, e);
#undef NAME
    return rc;
}

/* Positions with the row of token type 0 added: every text of docent has type 0. */
static int load_positions(struct bert *b, struct err *e)
{
    const struct bert_config *c = &b->c;
    const struct tensor *t, *types;
    float *pos = arena_take(&b->a, (size_t)c->positions * c->hidden, sizeof *pos);
    float *type = arena_take(&b->a, c->hidden, sizeof *type);
    int rc = need(b, "embeddings.position_embeddings.weight", 2, c->positions, c->hidden, &t, e);

    if (!pos || !type)
        return err_set(e, ERR_NOMEM, "positions");
    if (!rc)
        rc = tensor_to_f32(t, 0, (uint64_t)c->positions * c->hidden, pos, e);
    if (!rc)
        rc = need(b, "embeddings.token_type_embeddings.weight", 2, 2, c->hidden, &types, e);
    if (!rc)
        rc = tensor_to_f32(types, 0, c->hidden, type, e);
    for (size_t i = 0; !rc && i < c->positions; i++)
        for (uint32_t j = 0; j < c->hidden; j++)
            pos[i * c->hidden + j] += type[j];
    b->positions = pos;
    return rc;
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
        rc = err_set(e, ERR_NOMEM, "%s", model_dir);
    if (!rc)
        rc = need(b, "embeddings.word_embeddings.weight", 2, b->c.vocab, b->c.hidden, &b->words, e);
    if (!rc)
        rc = load_positions(b, e);
    if (!rc)
        rc = take_vector(b, "embeddings.LayerNorm.weight", b->c.hidden, &b->ln_g, e);
    if (!rc)
        rc = take_vector(b, "embeddings.LayerNorm.bias", b->c.hidden, &b->ln_b, e);
    for (uint32_t i = 0; i < b->c.layers && !rc; i++)
        rc = load_layer(b, i, &p, e);
    if (!rc) {
        team_run(team, pack_one, &p, p.n);
        if (p.failed)
            rc = err_set(e, ERR_NOMEM, "%s: packing the weights", model_dir);
    }
    for (size_t i = 0; i < p.n && !rc; i++) { /* the file's copy of what is packed need not stay in memory */
        uintptr_t from = ((uintptr_t)p.at[i].t->data + 4095) & ~(uintptr_t)4095;
        uintptr_t to = ((uintptr_t)p.at[i].t->data + p.at[i].t->bytes) & ~(uintptr_t)4095;
        if (to > from)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
    mem_give(p.at);
    return rc ? err_wrap(e, "%s", model_dir) : 0;
}

void bert_free(struct bert *b)
{
    arena_free(&b->a);
}
