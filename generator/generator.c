/* generator.c - the face: opening a model, and sequences through it in batches. */
#include "generator/generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "generator/gen_impl.h"

#define KEEP_BYTES (4 * GIB) /* norms and scratch; a ceiling, not a size */

/* "models/SmolLM2.Q4_1.gguf" -> "SmolLM2.Q4_1" */
static char *name_from(const char *path)
{
    const char *end = path + strlen(path);
    const char *start;

    while (end > path + 1 && end[-1] == '/')
        end--;
    start = end;
    while (start > path && start[-1] != '/')
        start--;
    if (end - start > 5 && strncmp(end - 5, ".gguf", 5) == 0)
        end -= 5;
    return mem_strndup(start, (size_t)(end - start));
}

static int is_gguf(const char *path)
{
    size_t n = strlen(path);

    return n > 5 && strcmp(path + n - 5, ".gguf") == 0;
}

/* The template of a folder: tokenizer_config.json, or chat_template.jinja in newer ones. */
static int dir_chat(struct generator *g, const char *dir, struct err *e)
{
    char path[LIM_PATH];
    struct buf b;
    json_t *j = NULL;
    const char *text;

    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    if (json_parse_file(&j, path, NULL) == 0) {
        text = json_str(j, "chat_template", NULL);
        g->chat = text ? mem_strdup(text) : NULL;
        json_decref(j);
        if (text)
            return g->chat ? 0 : err_set(e, ERR_NOMEM, "chat template");
    }
    buf_init(&b, MIB);
    snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    if (file_read(&b, path, NULL) == 0 && b.len)
        g->chat = buf_take(&b, NULL);
    buf_free(&b);
    return 0;
}

static int gguf_chat(struct generator *g, struct err *e)
{
    const char *text = json_string_value(weights_meta(g->w, "tokenizer.chat_template"));

    if (!text)
        return 0;
    g->chat = mem_strdup(text);
    return g->chat ? 0 : err_set(e, ERR_NOMEM, "chat template");
}

/* What ends an answer: the file's end token and the names that models give to ends of turns. */
static void find_ends(struct generator *g)
{
    static const char *const names[] = {"<|endoftext|>", "<|im_end|>",      "</s>",
                                        "<|eot_id|>",    "<|end_of_text|>", "<|end|>"};
    int32_t eos = tokenizer_eos(g->tok);

    if (eos >= 0)
        g->eos[g->n_eos++] = eos;
    for (size_t i = 0; i < sizeof names / sizeof *names && g->n_eos < GEN_EOS_MAX; i++) {
        int32_t id = tokenizer_id(g->tok, names[i]);
        if (id >= 0 && id != eos)
            g->eos[g->n_eos++] = id;
    }
}

static int open_tokenizer(struct generator *g, const char *path, int gguf, struct err *e)
{
    int rc = gguf ? tokenizer_open_gguf(&g->tok, g->w, e) : tokenizer_open_dir(&g->tok, path, e);

    if (rc)
        return rc;
    if ((uint32_t)tokenizer_vocab(g->tok) > g->c.vocab)
        return err_set(e, ERR_FORMAT, "the tokenizer has %" PRId32 " ids, the model %u",
                       tokenizer_vocab(g->tok), g->c.vocab);
    find_ends(g);
    return gguf ? gguf_chat(g, e) : dir_chat(g, path, e);
}

static void fill_info(struct generator *g)
{
    struct generator_info *i = &g->info;

    i->name = g->name;
    i->id = g->id;
    i->arch = g->c.family->name;
    i->vocab = g->c.vocab;
    i->context = g->max_context;
    i->layers = g->c.layers;
    i->hidden = g->c.hidden;
    i->has_chat_template = g->chat != NULL;
    for (size_t t = 0; t < weights_count(g->w); t++)
        i->weight_bytes += weights_at(g->w, t)->bytes;
}

static int fill(struct generator *g, const char *path, const struct generator_opts *o,
                struct err *e)
{
    int gguf = is_gguf(path);
    int rc;

    g->kern = qkern_pick(o->kern);
    if (!g->kern)
        return err_set(e, ERR_INVALID, "no kernels '%.20s' here",
                       o->kern ? o->kern : "DOCENT_KERN");
    g->name = name_from(path);
    if (!g->name)
        return err_set(e, ERR_NOMEM, "model name");
    rc = weights_open(&g->w, path, e);
    if (!rc)
        rc = gguf ? gen_config_gguf(&g->c, g->w, e) : gen_config_dir(&g->c, path, e);
    if (!rc)
        rc = gen_model_load(&g->m, &g->c, g->w, o->fp32_activations, g->team, &g->keep, e);
    if (!rc && !o->without_tokenizer)
        rc = open_tokenizer(g, path, gguf, e);
    if (!rc)
        rc = weights_id(g->w, g->id, e);
    if (rc)
        return rc;
    g->max_context = o->max_context ? o->max_context : 8192;
    if (g->max_context > g->c.context)
        g->max_context = g->c.context;
    fill_info(g);
    return decoder_work_init(g, e);
}

int generator_open(struct generator **out, const char *path, const struct generator_opts *o,
                   struct err *e)
{
    static const struct generator_opts none;
    struct generator *g = mem_take(1, sizeof *g);
    int rc;

    *out = NULL;
    if (!g)
        return err_set(e, ERR_NOMEM, "model %s", path);
    if (!o)
        o = &none;
    arena_init(&g->keep, KEEP_BYTES);
    g->team = o->team;
    g->exact = o->fp32_activations;
    rc = fill(g, path, o, e);
    if (rc) {
        err_wrap(e, "model %s", path);
        generator_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

void generator_close(struct generator *g)
{
    if (!g)
        return;
    gen_seq_close(g->run);
    mem_give(g->run_ids);
    gen_model_free(&g->m);
    if (g->tok)
        tokenizer_close(g->tok);
    if (g->w)
        weights_close(g->w);
    arena_free(&g->keep);
    mem_give(g->chat);
    mem_give(g->name);
    mem_give(g);
}

const struct generator_info *generator_info(const struct generator *g)
{
    return &g->info;
}

const struct tokenizer *generator_tokenizer(const struct generator *g)
{
    return g->tok;
}

static int check_steps(struct generator *g, struct gen_step *steps, size_t n_steps, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < n_steps; i++) {
        struct gen_seq *s = steps[i].seq;
        if (!s || s->g != g || s->marked)
            rc = err_set(e, ERR_INVALID, "step %zu: a sequence of another model, or one twice", i);
        else if (steps[i].n > s->cap - s->len)
            rc = err_set(e, ERR_LIMIT, "step %zu: %u tokens behind %u, the sequence holds %u", i,
                         steps[i].n, s->len, s->cap);
        else
            s->marked = 1;
        for (uint32_t j = 0; !rc && j < steps[i].n; j++)
            if (steps[i].ids[j] < 0 || (uint32_t)steps[i].ids[j] >= g->c.vocab)
                rc = err_set(e, ERR_INVALID, "step %zu: token id %" PRId32 " of a vocabulary of %u",
                             i, steps[i].ids[j], g->c.vocab);
    }
    for (size_t i = 0; i < n_steps; i++)
        if (steps[i].seq)
            steps[i].seq->marked = 0;
    return rc;
}

int generator_forward(struct generator *g, struct gen_step *steps, size_t n_steps, struct err *e)
{
    struct gen_row rows[GEN_PIECE];
    size_t n = 0;
    int rc = check_steps(g, steps, n_steps, e);

    for (size_t i = 0; !rc && i < n_steps; i++) {
        const struct gen_step *s = &steps[i];
        for (uint32_t j = 0; !rc && j < s->n; j++) {
            int last = j + 1 == s->n;
            float *logits = NULL;
            if (s->logits && s->all_logits)
                logits = s->logits + (size_t)j * g->c.vocab;
            else if (s->logits && last)
                logits = s->logits;
            rows[n++] = (struct gen_row){s->seq, s->seq->len + j, s->ids[j], logits};
            if (n == GEN_PIECE) {
                rc = decoder_pass(g, rows, n, e);
                n = 0;
            }
        }
    }
    if (!rc && n)
        rc = decoder_pass(g, rows, n, e);
    for (size_t i = 0; !rc && i < n_steps; i++)
        steps[i].seq->len += steps[i].n;
    return rc;
}
