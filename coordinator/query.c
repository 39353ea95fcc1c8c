/* query.c - the life of one question. Start reading here.
 *
 *   query_search  check -> snapshot -> terms -> embed -> two lists -> fuse -> pages -> load
 *   query_ask     rewrite -> query_search's steps -> gate -> sentences -> citations -> generate -> attribute -> assemble
 *
 *   step            function                              file
 *   check ... load  retrieve                              retrieve.c
 *   terms           search_terms                          index/search.c
 *   embed           embedder_embed                        embedder/
 *   two lists       search_bm25, search_dense             index/search.c
 *   fuse, pages     fuse_join, fuse_scores, fuse_pages    fuse.c
 *   gate            evidence_of, evidence_gate            evidence.c
 *   sentences       select_sentences                      select.c
 *   citations       cite                                  cite.c
 *   generate        prompt_build, generator_run           prompt.c, generator/
 *   attribute       attribute                             attribute.c
 *   assemble        answer_extract, ..._generated         answer.c
 *
 * One snapshot from the first list to the last citation, given back before the generator runs (which takes seconds):
 * what is quoted is what was searched. All memory is the caller's arena. */
#include "coordinator/query.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "coordinator/query_impl.h"
#include "ingest/ingest.h"

#define GENERATED_TOKENS 48 /* one short sentence; the evidence says the rest */
#define CITATIONS 3

const char *search_mode_name(enum search_mode m)
{
    static const char *const names[] = {"hybrid", "dense", "bm25"};

    return (unsigned)m < sizeof names / sizeof *names ? names[m] : "unknown";
}

const char *answer_mode_name(enum answer_mode m)
{
    static const char *const names[] = {"auto", "extract", "generate"};

    return (unsigned)m < sizeof names / sizeof *names ? names[m] : "unknown";
}

void steps_add(struct steps *s, const char *name, double ms)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (!strcmp(s->at[i].name, name)) {
            s->at[i].ms += ms;
            return;
        }
    if (s->n < sizeof s->at / sizeof *s->at) {
        s->at[s->n].name = name;
        s->at[s->n++].ms = ms;
    }
}

struct asking { /* one answer on its way */
    const struct ask *ask;
    struct query query;
    struct search s;
    struct answer *out;
    struct sentence *sentences;
    uint32_t n_sentences;
    const char *generated; /* proven text, NULL: none */
};

static void lap_ask(struct asking *k, const char *name)
{
    double now = clock_ms();

    steps_add(&k->out->steps, name, now - k->s.t);
    k->s.t = now;
}

static int find(struct asking *k, struct err *e)
{
    int rc = rewrite(k->ask->query.text, k->ask->history, k->ask->n_history, k->s.a, &k->out->asked,
                     e);

    k->query = k->ask->query;
    k->query.text = k->out->asked;
    k->query.no_text = 0;
    if (!rc)
        rc = retrieve(&k->s, e);
    k->out->steps = k->out->results.steps;
    k->s.t = clock_ms();
    return rc;
}

static int cite_nearest(struct asking *k, struct err *e)
{
    const struct results *r = &k->out->results;
    uint32_t n = r->n < CITATIONS ? r->n : CITATIONS;
    int rc = 0;

    k->out->nearest = arena_zero(k->s.a, n ? n : 1, sizeof *k->out->nearest);
    if (!k->out->nearest)
        return err_set(e, ERR_NOMEM, "%u citations", n);
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct citation *c = &k->out->nearest[i];
        rc = cite(k->s.s, &r->at[i], 0, r->at[i].chunk.n_text, k->s.a, c, e);
        c->n = ++k->out->n_nearest;
    }
    return rc;
}

/* Below the gate nothing is quoted as an answer. */
static int gate(struct asking *k, struct err *e)
{
    struct answer *out = k->out;

    evidence_gate(&out->results, &out->evidence, &out->threshold);
    out->abstained = out->results.n == 0 || out->evidence < out->threshold;
    return out->abstained ? cite_nearest(k, e) : 0;
}

static int quote(struct asking *k, struct err *e)
{
    struct answer *out = k->out;
    int rc;

    if (out->abstained)
        return 0;
    rc = select_sentences(k->s.en->emb, out->asked, k->s.vec, &out->results, CITATIONS, k->s.a,
                          &k->sentences, &k->n_sentences, e);
    lap_ask(k, "select");
    if (rc)
        return rc;
    if (!k->n_sentences) {
        out->abstained = 1;
        return cite_nearest(k, e);
    }
    out->citations = arena_zero(k->s.a, k->n_sentences, sizeof *out->citations);
    if (!out->citations)
        return err_set(e, ERR_NOMEM, "%u citations", k->n_sentences);
    for (uint32_t i = 0; i < k->n_sentences && !rc; i++) {
        const struct sentence *s = &k->sentences[i];
        struct citation *c = &out->citations[i];
        rc = cite(k->s.s, &out->results.at[s->passage], s->from, s->to, k->s.a, c, e);
        c->n = ++out->n_citations;
        c->score = s->score;
        c->mark_start = s->start - s->from;
        c->mark_end = s->end - s->from;
    }
    lap_ask(k, "cite");
    return rc;
}

/* What may prove a generated sentence. auto: the best sentence of the evidence and nothing else. Measured with SmolLM2-135M
 * on 102 questions of squad_v2_dev: told all quotes and proven by any, 43 outputs were shown and 11 right; told the first
 * quote and proven by its best sentence, 28 and 17, in a third of the time. */
static int sources(struct asking *k, int strict, struct citation **c, uint32_t *n, struct err *e)
{
    struct answer *out = k->out;
    struct citation *one;
    char *best;

    *c = out->citations;
    *n = out->n_citations;
    if (!strict)
        return 0;
    one = arena_take(k->s.a, 1, sizeof *one);
    best = arena_strndup(k->s.a, out->citations->quote + out->citations->mark_start,
                         out->citations->mark_end - out->citations->mark_start);
    if (!one || !best)
        return err_set(e, ERR_NOMEM, "an answer");
    *one = out->citations[0];
    one->quote = best;
    *c = one;
    *n = 1;
    return 0;
}

/* The output's sentences one by one; what has no proof is dropped and counted, and so is one that was cut off. */
static int prove(struct asking *k, const struct gen_result *g, int strict, struct err *e)
{
    struct answer *out = k->out;
    struct citation *quotes = NULL;
    const char *proven = "";
    uint32_t *ends = NULL;
    uint32_t n_quotes = 0;
    uint32_t n = 0;
    uint32_t at = 0;
    int cut = !strcmp(g->finish, "length");
    int rc = sources(k, strict, &quotes, &n_quotes, e);

    if (!rc)
        rc = sentences(g->text, g->n, k->s.a, &ends, &n, e);
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct support su = {.why = "it was cut off"};
        char *text = answer_plain(g->text + at, ends[i] - at, k->s.a);
        at = ends[i];
        if (!text)
            return err_set(e, ERR_NOMEM, "an answer");
        if (!*text)
            continue;
        if (!cut || i + 1 < n)
            rc = attribute(k->s.en->emb, out->asked, text, strlen(text), quotes, n_quotes, strict,
                           k->s.a, &su, e);
        if (rc)
            return rc;
        if (!su.proven) {
            out->dropped++;
            log_line(LOG_DEBUG, "query", "dropped a generated sentence: %s", su.why);
            continue;
        }
        proven = arena_printf(k->s.a, "%s%s%s [%u]", proven, *proven ? " " : "", text,
                              quotes[su.citation].n);
        if (!proven)
            return err_set(e, ERR_NOMEM, "an answer");
    }
    if (!rc && *proven && !(strict && out->dropped))
        k->generated = proven;
    return rc;
}

/* auto: a generated sentence may stand in front of the evidence only when every sentence is proven strictly. */
static int generate(struct asking *k, struct err *e)
{
    static const char *const stops[] = {"\n"};
    struct generator *gen = k->s.en->gen;
    struct gen_params p = {.max_new = GENERATED_TOKENS, .stops = stops, .n_stops = 1};
    struct gen_result g = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    int rc;

    if (k->out->abstained || k->ask->mode == ANSWER_EXTRACT || !gen)
        return 0;
    /* auto reads the first quote only: see sources() */
    rc = prompt_build(gen, k->out->asked, k->out->citations,
                      k->ask->mode == ANSWER_AUTO ? 1 : k->out->n_citations, k->s.a, &ids, &n, e);
    lap_ask(k, "prompt");
    if (!rc)
        rc = generator_run(gen, ids, n, &p, NULL, NULL, k->s.a, &g, e);
    k->out->prompt_tokens = g.prompt_tokens;
    k->out->new_tokens = g.new_tokens;
    steps_add(&k->out->steps, "prefill", g.prefill_ms);
    steps_add(&k->out->steps, "decode", g.decode_ms);
    k->s.t = clock_ms();
    if (!rc)
        rc = prove(k, &g, k->ask->mode == ANSWER_AUTO, e);
    lap_ask(k, "attribute");
    return rc;
}

static int assemble(struct asking *k, struct err *e)
{
    struct answer *out = k->out;
    int rc;

    out->mode = k->generated ? ANSWER_GENERATE : ANSWER_EXTRACT;
    if (out->abstained)
        rc = answer_abstain(out, k->s.a, e);
    else if (k->generated)
        rc = answer_generated(out, k->generated, k->sentences, k->n_sentences, k->s.a, e);
    else
        rc = answer_extract(out, k->sentences, k->n_sentences, k->s.a, e);
    if (!rc && k->ask->on_text && k->ask->on_text(k->ask->arg, out->text, strlen(out->text)))
        rc = err_set(e, ERR_CANCELLED, "stopped by the reader");
    return rc;
}

int query_ask(struct engine *en, const struct ask *q, struct arena *a, struct answer *out,
              struct err *e)
{
    struct asking k = {.ask = q, .out = out};
    int rc;

    memset(out, 0, sizeof *out);
    k.s = (struct search){.en = en, .q = &k.query, .a = a, .out = &out->results, .t = clock_ms()};
    rc = find(&k, e);
    if (!rc)
        rc = gate(&k, e);
    if (!rc)
        rc = quote(&k, e);
    retrieve_end(&k.s);
    if (!rc)
        rc = generate(&k, e);
    if (!rc)
        rc = assemble(&k, e);
    return rc;
}
