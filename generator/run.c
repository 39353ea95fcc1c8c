/* run.c - one answer: prompt in, text out, piece by piece.
 * The sequence of the last run stays; a prompt that begins like it (system message, passages) only
 * pays for what is new. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "generator/gen_impl.h"

/* Text on its way out: bytes of tokens become whole characters; an end that could still become a
 * stop text waits. */
struct output {
    struct buf raw; /* bytes of a character that is not whole yet */
    struct buf text; /* valid UTF-8 */
    size_t sent; /* bytes of text given to on_piece */
    const struct gen_params *p;
    gen_piece_fn *on_piece;
    void *arg;
};

/* 1: s could be the beginning of a character that n bytes do not finish. */
static int unfinished(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];
    size_t want = c >= 0xF5 ? 0 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 0;

    if (n >= want)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return 0;
    return 1;
}

/* Moves whole characters from raw to text; last: nothing more comes, a rest becomes U+FFFD. */
static void settle(struct output *o, int last)
{
    size_t at = 0;

    while (at < o->raw.len) {
        char text[4];
        uint32_t cp;
        size_t used = utf8_next(o->raw.data + at, o->raw.len - at, &cp);
        if (!last && cp == 0xFFFD && used == 1 && unfinished(o->raw.data + at, o->raw.len - at))
            break;
        buf_add(&o->text, text, utf8_put(text, cp));
        at += used;
    }
    if (at)
        memmove(o->raw.data, o->raw.data + at, o->raw.len - at);
    o->raw.len -= at;
}

/* Cuts text at the first stop; 1: found. *hold: bytes at the end that may be the start of one. */
static int find_stop(struct output *o, size_t from, size_t *hold)
{
    size_t first = o->text.len;
    int found = 0;

    *hold = 0;
    for (size_t i = 0; i < o->p->n_stops; i++) {
        const char *stop = o->p->stops[i];
        size_t n = strlen(stop);
        size_t start = from >= n ? from - n + 1 : 0;
        const char *hit;
        if (!n || !o->text.len)
            continue;
        hit = memmem(o->text.data + start, o->text.len - start, stop, n);
        if (hit && (size_t)(hit - o->text.data) < first) {
            first = (size_t)(hit - o->text.data);
            found = 1;
        }
        for (size_t k = n - 1; k > *hold; k--)
            if (k <= o->text.len && memcmp(o->text.data + o->text.len - k, stop, k) == 0)
                *hold = k;
    }
    if (found) {
        first = utf8_floor(o->text.data, first); /* a stop that begins inside a character */
        o->text.len = first;
        o->text.data[first] = 0;
        *hold = 0;
    }
    return found;
}

static int send(struct output *o, size_t hold)
{
    size_t ready = o->text.len > hold ? utf8_floor(o->text.data, o->text.len - hold) : 0;
    int stop = 0;

    if (ready > o->sent) {
        if (o->on_piece)
            stop = o->on_piece(o->arg, o->text.data + o->sent, ready - o->sent);
        o->sent = ready;
    }
    return stop;
}

static int is_end(const struct generator *g, int32_t id)
{
    for (int i = 0; i < g->n_eos; i++)
        if (g->eos[i] == id)
            return 1;
    return 0;
}

/* The sequence that is kept, cut to what it shares with the prompt. One token at least must go
 * through the model: its logits are wanted. */
static int take_sequence(struct generator *g, const int32_t *prompt, size_t n, uint32_t *reused,
                         struct err *e)
{
    uint32_t same = 0;
    int rc = 0;

    if (!g->run) {
        rc = gen_seq_open(&g->run, g, 0, e);
        if (!rc && !g->run_ids) {
            g->run_ids = mem_take(g->max_context, sizeof *g->run_ids);
            rc = g->run_ids ? 0 : err_set(e, ERR_NOMEM, "token list");
        }
        if (rc)
            return rc;
    }
    while (same < g->run->len && same + 1 < n && g->run_ids[same] == prompt[same])
        same++;
    *reused = same;
    return gen_seq_cut(g->run, same, e);
}

struct running {
    struct generator *g;
    const struct gen_params *p;
    struct arena *a;
    struct gen_sampler sampler;
    struct output out;
    float *logits;
    double logprobs;
    uint32_t new_tokens;
    const char *finish;
};

static int forward(struct running *r, const int32_t *ids, size_t n, struct err *e)
{
    struct gen_step step = {r->g->run, ids, (uint32_t)n, 0, r->logits};
    uint32_t at = gen_seq_len(r->g->run);
    int rc = generator_forward(r->g, &step, 1, e);

    if (!rc)
        memcpy(r->g->run_ids + at, ids, n * sizeof *ids);
    return rc;
}

static int decode_all(struct running *r, struct err *e)
{
    uint32_t most = r->p->max_new ? r->p->max_new : 256;
    int rc = 0;

    r->finish = "length";
    while (!rc && r->new_tokens < most) {
        size_t before = r->out.text.len;
        size_t hold;
        float logprob;
        int32_t id;
        rc = gen_sample(&r->sampler, r->g->kern, r->logits, r->g->c.vocab, r->a, &id, &logprob, e);
        if (rc)
            break;
        r->new_tokens++;
        r->logprobs += (double)logprob;
        if (is_end(r->g, id)) {
            r->finish = "stop";
            break;
        }
        rc = tokenizer_decode(r->g->tok, &id, 1, 0, &r->out.raw, e);
        if (rc)
            break;
        settle(&r->out, 0);
        if (find_stop(&r->out, before, &hold)) {
            r->finish = "stop";
            break;
        }
        if (send(&r->out, hold)) {
            r->finish = "cancelled";
            break;
        }
        if (r->new_tokens == most || gen_seq_len(r->g->run) == r->g->run->cap)
            break;
        rc = forward(r, &id, 1, e);
    }
    return rc;
}

static int finish(struct running *r, struct gen_result *out, struct err *e)
{
    size_t hold;

    if (strcmp(r->finish, "stop") != 0 || r->out.raw.len) {
        size_t before = r->out.text.len;
        settle(&r->out, 1);
        if (find_stop(&r->out, before, &hold))
            r->finish = "stop";
    }
    if (strcmp(r->finish, "cancelled") != 0)
        send(&r->out, 0);
    if (r->out.text.failed || r->out.raw.failed)
        return err_set(e, ERR_NOMEM, "text of the answer");
    out->text = arena_strndup(r->a, r->out.text.len ? r->out.text.data : "", r->out.text.len);
    if (!out->text)
        return err_set(e, ERR_LIMIT, "answer: the request's memory is used up");
    out->n = r->out.text.len;
    out->new_tokens = r->new_tokens;
    out->finish = r->finish;
    out->mean_logprob = r->new_tokens ? (float)(r->logprobs / r->new_tokens) : 0;
    return 0;
}

int generator_run(struct generator *g, const int32_t *prompt, size_t n_prompt,
                  const struct gen_params *p, gen_piece_fn *on_piece, void *arg, struct arena *a,
                  struct gen_result *out, struct err *e)
{
    struct running r = {.g = g, .p = p, .a = a};
    double start = clock_ms();
    uint32_t reused = 0;
    int rc;

    memset(out, 0, sizeof *out);
    if (!g->tok)
        return err_set(e, ERR_INVALID, "%s was opened without its tokenizer", g->info.name);
    if (n_prompt == 0)
        return err_set(e, ERR_INVALID, "an empty prompt");
    if (n_prompt >= g->max_context)
        return err_set(e, ERR_LIMIT, "a prompt of %zu tokens, the context has %u", n_prompt,
                       g->max_context);
    r.sampler = (struct gen_sampler){p->temperature, p->top_p, p->top_k, p->seed};
    r.out.p = p;
    r.out.on_piece = on_piece;
    r.out.arg = arg;
    buf_init(&r.out.raw, MIB);
    buf_init(&r.out.text, 64 * MIB);
    r.logits = arena_take(a, g->c.vocab, sizeof *r.logits);
    rc = r.logits ? 0 : err_set(e, ERR_LIMIT, "answer: the request's memory is used up");
    if (!rc)
        rc = take_sequence(g, prompt, n_prompt, &reused, e);
    if (!rc)
        rc = forward(&r, prompt + reused, n_prompt - reused, e);
    out->prefill_ms = clock_ms() - start;
    out->prompt_tokens = (uint32_t)n_prompt;
    out->reused_tokens = reused;
    if (!rc)
        rc = decode_all(&r, e);
    if (!rc)
        rc = finish(&r, out, e);
    out->decode_ms = clock_ms() - start - out->prefill_ms;
    buf_free(&r.out.raw);
    buf_free(&r.out.text);
    return rc;
}
