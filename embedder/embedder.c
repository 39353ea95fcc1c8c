/* embedder.c - texts to unit vectors: tokens, micro-batches by length, the encoder, pooling (see
 * embedder.h). Texts are sorted by length and cut into micro-batches of about BATCH_TOKENS tokens:
 * a batch's activations (256 x 1536 floats for the widest matrix) stay near the 1 MiB second-level
 * cache. Each batch is one task of the team, so threads meet only at the end. */
#include "embedder/embedder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "embedder/bert.h"
#include "nn/tokenizer.h"

#define BATCH_TOKENS 256

struct embedder {
    struct embedder_info info;
    char id[33];
    char *name;
    struct team *team;
    struct weights *w;
    struct tokenizer *tok;
    struct bert bert;
    struct arena *scratch; /* [team_size] */
    int n_scratch;
};

/* ---- opening ---- */

static int read_window(struct embedder *em, const char *dir, struct err *e)
{
    char path[4200];
    json_t *o;
    long long v = em->bert.c.positions;
    int rc = 0;

    snprintf(path, sizeof path, "%s/sentence_bert_config.json", dir);
    if (access(path, R_OK) == 0) {
        rc = json_parse_file(&o, path, e);
        if (!rc) {
            rc = json_int(o, "max_seq_length", 3, 1 << 20, v, &v, e);
            json_decref(o);
        }
    }
    if (v > em->bert.c.positions)
        v = em->bert.c.positions;
    em->info.max_tokens = (uint32_t)v;
    em->info.special_tokens = 2;
    return rc;
}

/* Only mean pooling over all tokens is run here; another kind, or two at once (their vectors would
 * be joined), is refused. */
static int read_pooling(const char *dir, struct err *e)
{
    static const char mean[] = "pooling_mode_mean_tokens";
    char path[4200];
    const char *key;
    json_t *o, *v;
    int rc;

    snprintf(path, sizeof path, "%s/1_Pooling/config.json", dir);
    if (access(path, R_OK) < 0)
        return 0;
    rc = json_parse_file(&o, path, e);
    if (rc)
        return rc;
    if (!json_is_true(json_object_get(o, mean)))
        rc = err_set(e, ERR_UNSUPPORTED, "%s: only mean pooling is supported", path);
    json_object_foreach(o, key, v) {
        if (!rc && json_is_true(v) && !strncmp(key, "pooling_mode_", 13) && strcmp(key, mean) != 0)
            rc = err_set(e, ERR_UNSUPPORTED, "%s: %.60s; only mean pooling is supported", path, key);
    }
    json_decref(o);
    return rc;
}

/* A module behind the pooling (a dense layer) would change every vector: refused, not left out. */
static int read_modules(const char *dir, struct err *e)
{
    static const char *const known[] = {"Transformer", "Pooling", "Normalize"};
    char path[4200];
    json_t *o, *m;
    size_t i;
    int rc;

    snprintf(path, sizeof path, "%s/modules.json", dir);
    if (access(path, R_OK) < 0)
        return 0;
    rc = json_parse_file(&o, path, e);
    if (rc)
        return rc;
    json_array_foreach(o, i, m) {
        const char *type = json_str(m, "type", "");
        const char *dot = strrchr(type, '.');
        size_t k = 0;
        while (k < 3 && strcmp(dot ? dot + 1 : type, known[k]) != 0)
            k++;
        if (k == 3 && !rc)
            rc = err_set(e, ERR_UNSUPPORTED, "%s: module %.80s is not supported", path, type);
    }
    json_decref(o);
    return rc;
}

static int open_scratch(struct embedder *em, struct err *e)
{
    int n = team_size(em->team);

    em->scratch = mem_take((size_t)n, sizeof *em->scratch);
    if (!em->scratch)
        return err_set(e, ERR_NOMEM, "embedder");
    for (int i = 0; i < n; i++)
        arena_init(&em->scratch[i], GIB);
    em->n_scratch = n;
    return 0;
}

static int open_parts(struct embedder *em, const char *dir, const struct embedder_opts *o,
                      struct err *e)
{
    const char *base = strrchr(dir, '/');
    int rc;

    em->team = o->team;
    em->name = mem_strdup(base && base[1] ? base + 1 : dir);
    em->bert.k = kern_pick(o->kern);
    if (!em->name)
        return err_set(e, ERR_NOMEM, "%s", dir);
    if (!em->bert.k)
        return err_set(e, ERR_INVALID, "DOCENT_KERN names no kernels that this processor has");
    rc = weights_open(&em->w, dir, e);
    em->bert.w = em->w;
    if (!rc)
        rc = bert_load(&em->bert, dir, em->team, e);
    if (!rc)
        rc = weights_id(em->w, em->id, e);
    if (!rc)
        rc = tokenizer_open_dir(&em->tok, dir, e);
    if (!rc && tokenizer_vocab(em->tok) > (int32_t)em->bert.c.vocab)
        rc = err_set(e, ERR_FORMAT, "%s: the tokenizer has %d tokens, the model %u", dir,
                     tokenizer_vocab(em->tok), em->bert.c.vocab);
    if (!rc)
        rc = read_window(em, dir, e);
    if (!rc)
        rc = read_pooling(dir, e);
    if (!rc)
        rc = read_modules(dir, e);
    if (!rc)
        rc = open_scratch(em, e);
    return rc;
}

int embedder_open(struct embedder **out, const char *model_dir, const struct embedder_opts *o,
                  struct err *e)
{
    struct embedder *em = mem_take(1, sizeof *em);
    int rc;

    *out = NULL;
    if (!em)
        return err_set(e, ERR_NOMEM, "%s", model_dir);
    rc = open_parts(em, model_dir, o, e);
    if (rc) {
        embedder_close(em);
        return rc;
    }
    em->info.name = em->name;
    em->info.id = em->id;
    em->info.dim = em->bert.c.hidden;
    for (size_t i = 0; i < weights_count(em->w); i++)
        em->info.weight_bytes += weights_at(em->w, i)->bytes;
    *out = em;
    return 0;
}

void embedder_close(struct embedder *em)
{
    if (!em)
        return;
    for (int i = 0; i < em->n_scratch; i++)
        arena_free(&em->scratch[i]);
    mem_give(em->scratch);
    bert_free(&em->bert);
    tokenizer_close(em->tok);
    weights_close(em->w);
    mem_give(em->name);
    mem_give(em);
}

const struct embedder_info *embedder_info(const struct embedder *em)
{
    return &em->info;
}

size_t embedder_count_tokens(const struct embedder *em, const char *text, size_t n,
                             struct arena *tmp)
{
    return tokenizer_count(em->tok, text, n, tmp);
}

/* ---- embedding ---- */

struct seq { /* one text as ids */
    const int32_t *ids;
    uint32_t n;
    uint32_t at; /* place in the caller's arrays */
};

struct batch {
    uint32_t first, n; /* of the sorted sequences */
};

struct job {
    struct embedder *em;
    const struct seq *seqs;
    const struct batch *batches;
    float *vectors;
    struct err *errs; /* [n_batches] */
};

/* [CLS] ... [SEP], cut to the window with [SEP] kept at its end. The ids stay in a, the tokens go:
 * a batch of thousands of long texts holds 1 KiB a text. */
static int make_ids(const struct embedder *em, const struct embed_text *t, struct arena *a,
                    struct seq *s, struct embed_stat *stat, struct err *e)
{
    uint32_t window = em->info.max_tokens;
    int32_t unk = tokenizer_unk(em->tok);
    int32_t *ids = arena_take(a, window, sizeof *ids);
    struct arena_mark m = arena_mark(a);
    struct token *tokens;
    uint32_t unknown = 0;
    size_t n;
    int rc;

    if (!ids)
        return err_set(e, ERR_NOMEM, "texts for one call: their ids do not fit");
    rc = tokenizer_encode(em->tok, t->text, t->n, TOK_ADD_ENDS, a, &tokens, &n, e);
    if (rc)
        return rc;
    s->n = n > window ? window : (uint32_t)n;
    for (uint32_t i = 0; i + 1 < s->n; i++)
        ids[i] = tokens[i].id;
    ids[s->n - 1] = tokens[n - 1].id;
    for (uint32_t i = 0; i < s->n; i++)
        unknown += ids[i] == unk;
    s->ids = ids;
    if (stat)
        *stat = (struct embed_stat){s->n, unknown, n > window};
    arena_rewind(a, m);
    return 0;
}

static int longer(const void *a, const void *b)
{
    const struct seq *x = a, *y = b;

    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* Mean over all tokens, then unit length. Not finite when the weights hold a NaN or are so large
 * that the sums overflow: such a vector would be near to everything or to nothing, so it is an
 * error. */
static int pool(const float *x, uint32_t n, uint32_t H, float *v, struct err *e)
{
    double sum = 0;
    float scale;

    memset(v, 0, H * sizeof *v);
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t j = 0; j < H; j++)
            v[j] += x[(size_t)t * H + j];
    for (uint32_t j = 0; j < H; j++) {
        v[j] /= (float)n;
        sum += (double)v[j] * v[j];
    }
    if (!isfinite(sum))
        return err_set(e, ERR_CORRUPT, "the model gives a vector that is not finite");
    scale = sum > 1e-24 ? (float)(1 / sqrt(sum)) : 0;
    for (uint32_t j = 0; j < H; j++)
        v[j] *= scale;
    return 0;
}

static void run_batch(void *arg, size_t task, int worker)
{
    struct job *j = arg;
    const struct embedder *em = j->em;
    const struct batch *b = &j->batches[task];
    const struct seq *s = j->seqs + b->first;
    struct arena *a = &em->scratch[worker];
    struct err *e = &j->errs[task];
    uint32_t H = em->info.dim;
    uint32_t *begin = arena_take(a, (size_t)b->n + 1, sizeof *begin);
    uint32_t T = 0;
    int32_t *ids;
    float *x;

    for (uint32_t i = 0; begin && i < b->n; i++) {
        begin[i] = T;
        T += s[i].n;
    }
    ids = arena_take(a, T, sizeof *ids);
    x = arena_take(a, T, H * sizeof *x);
    if (!begin || !ids || !x) {
        err_set(e, ERR_NOMEM, "a batch of %u tokens", T);
    } else {
        begin[b->n] = T;
        for (uint32_t i = 0; i < b->n; i++)
            memcpy(ids + begin[i], s[i].ids, s[i].n * sizeof *ids);
        if (bert_run(&em->bert, ids, begin, b->n, a, x, e) == 0)
            for (uint32_t i = 0; i < b->n && !e->code; i++)
                pool(x + (size_t)begin[i] * H, s[i].n, H, j->vectors + (size_t)s[i].at * H, e);
    }
    arena_reset(a);
}

static uint32_t cut_batches(const struct seq *s, uint32_t n, struct batch *out)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < n;) {
        uint32_t T = 0;
        uint32_t first = i;
        while (i < n && (i == first || T + s[i].n <= BATCH_TOKENS))
            T += s[i++].n;
        out[k++] = (struct batch){first, i - first};
    }
    return k;
}

int embedder_embed(struct embedder *em, const struct embed_text *texts, size_t n, struct arena *tmp,
                   float *vectors, struct embed_stat *stats, struct err *e)
{
    struct arena_mark m = arena_mark(tmp);
    struct seq *s = arena_take(tmp, n, sizeof *s);
    struct batch *b = arena_take(tmp, n, sizeof *b);
    struct job j = {.em = em, .seqs = s, .batches = b, .vectors = vectors};
    uint32_t n_batches = 0;
    int rc = 0;

    if (!s || !b || n > UINT32_MAX)
        rc = err_set(e, ERR_NOMEM, "%zu texts", n);
    for (size_t i = 0; i < n && !rc; i++) {
        s[i].at = (uint32_t)i;
        rc = make_ids(em, &texts[i], tmp, &s[i], stats ? &stats[i] : NULL, e);
    }
    if (!rc && n) {
        qsort(s, n, sizeof *s, longer);
        n_batches = cut_batches(s, (uint32_t)n, b);
        j.errs = arena_zero(tmp, n_batches, sizeof *j.errs);
        if (!j.errs)
            rc = err_set(e, ERR_NOMEM, "%zu texts", n);
        else
            team_run(em->team, run_batch, &j, n_batches);
    }
    for (uint32_t i = 0; i < n_batches && !rc; i++)
        if (j.errs[i].code) {
            *e = j.errs[i];
            rc = (int)e->code;
        }
    arena_rewind(tmp, m);
    return rc;
}
