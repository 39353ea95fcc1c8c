/* chat.c - messages to prompt ids by the model's own template.
 * The template's text is only looked at, never executed: ChatML is known by its markers. The
 * markers are put as tokens; what people wrote is encoded without special tokens, so that a text
 * that spells a marker cannot end its message. */
#include <string.h>

#include "generator/gen_impl.h"

struct ids {
    int32_t *v;
    size_t n, cap;
    struct arena *a;
};

static int put(struct ids *o, const struct token *t, size_t n, struct err *e)
{
    if (n > o->cap - o->n) {
        size_t cap = o->cap ? o->cap : 256;
        int32_t *v;
        while (cap < o->n + n)
            cap *= 2;
        v = arena_take(o->a, cap, sizeof *v);
        if (!v)
            return err_set(e, ERR_LIMIT, "prompt: the request's memory is used up");
        if (o->n)
            memcpy(v, o->v, o->n * sizeof *v);
        o->v = v;
        o->cap = cap;
    }
    for (size_t i = 0; i < n; i++)
        o->v[o->n++] = t[i].id;
    return 0;
}

static int put_marker(struct ids *o, const struct tokenizer *t, const char *marker, struct err *e)
{
    struct token k = {.id = tokenizer_id(t, marker)};

    if (k.id < 0)
        return err_set(e, ERR_FORMAT, "the chat template wants %s, which is no token", marker);
    return put(o, &k, 1, e);
}

static int put_text(struct ids *o, const struct tokenizer *t, const char *text, size_t n,
                    struct err *e)
{
    struct token *v;
    size_t count;
    int rc = tokenizer_encode(t, text, n, 0, o->a, &v, &count, e);

    return rc ? rc : put(o, v, count, e);
}

/* <|im_start|>role NEWLINE text<|im_end|>NEWLINE */
static int put_message(struct ids *o, const struct tokenizer *t, const char *role, const char *text,
                       size_t n, struct err *e)
{
    char *whole = arena_printf(o->a, "%s\n%.*s", role, (int)n, text);
    int rc;

    if (!whole || n > INT32_MAX)
        return err_set(e, ERR_LIMIT, "prompt: the request's memory is used up");
    rc = put_marker(o, t, "<|im_start|>", e);
    if (!rc)
        rc = put_text(o, t, whole, strlen(whole), e);
    if (!rc)
        rc = put_marker(o, t, "<|im_end|>", e);
    if (!rc)
        rc = put_text(o, t, "\n", 1, e);
    return rc;
}

/* The system message that the template puts in front when the messages have none: the literal
 * between "<|im_start|>system NEWLINE" and "<|im_end|>" that does not begin with a quote (there the
 * template goes on with a variable). NULL: none. */
static const char *default_system(const char *template, size_t *n)
{
    static const char mark[] = "<|im_start|>system";
    const char *p = template;

    while ((p = strstr(p, mark)) != NULL) {
        const char *end;
        p += sizeof mark - 1;
        if (*p == '\n')
            p++;
        else if (p[0] == '\\' && p[1] == 'n')
            p += 2;
        else
            continue;
        end = strstr(p, "<|im_end|>");
        if (!end || *p == '\'' || *p == '"' || memchr(p, '{', (size_t)(end - p)))
            continue;
        *n = (size_t)(end - p);
        return p;
    }
    return NULL;
}

int generator_chat_ids(const struct generator *g, const struct gen_message *m, size_t n,
                       struct arena *a, int32_t **ids, size_t *n_ids, struct err *e)
{
    struct ids o = {.a = a};
    const char *system;
    size_t system_n;
    int rc = 0;

    if (!g->tok)
        return err_set(e, ERR_INVALID, "%s was opened without its tokenizer", g->info.name);
    if (!g->chat)
        return err_set(e, ERR_UNSUPPORTED, "%s has no chat template", g->info.name);
    if (!strstr(g->chat, "<|im_start|>") || !strstr(g->chat, "<|im_end|>"))
        return err_set(e, ERR_UNSUPPORTED, "the chat template of %s is not known (ChatML is)",
                       g->info.name);
    for (size_t i = 0; i < n; i++)
        if (strcmp(m[i].role, "system") != 0 && strcmp(m[i].role, "user") != 0 &&
            strcmp(m[i].role, "assistant") != 0)
            return err_set(e, ERR_INVALID, "message with role '%.40s'", m[i].role);
    system = default_system(g->chat, &system_n);
    if (system && (n == 0 || strcmp(m[0].role, "system") != 0))
        rc = put_message(&o, g->tok, "system", system, system_n, e);
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_message(&o, g->tok, m[i].role, m[i].text, strlen(m[i].text), e);
    if (!rc)
        rc = put_marker(&o, g->tok, "<|im_start|>", e);
    if (!rc)
        rc = put_text(&o, g->tok, "assistant\n", 10, e);
    *ids = o.v;
    *n_ids = rc ? 0 : o.n;
    return rc;
}
