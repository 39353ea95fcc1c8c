/* json_out.c - results and answers as JSON (see json_out.h). */
#include "coordinator/json_out.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"

json_t *json_round(double v, int decimals)
{
    double scale = pow(10, decimals);

    return json_real(isfinite(v) ? round(v * scale) / scale : 0);
}

/* json_object_set_new takes NULL as a failure and frees nothing: one flag for the whole object. */
static void put(json_t *o, const char *key, json_t *v, int *bad)
{
    *bad |= json_object_set_new(o, key, v) != 0;
}

static json_t *done(json_t *o, int bad)
{
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *text(const char *s)
{
    return json_text(s ? s : "", s ? strlen(s) : 0);
}

static json_t *doc_hex(const uint8_t id[DOC_ID_BYTES])
{
    char hex[2 * DOC_ID_BYTES + 1];

    hash_hex(hex, id, DOC_ID_BYTES);
    return json_string(hex);
}

json_t *steps_json(const struct steps *s)
{
    json_t *o = json_object();
    int bad = !o;

    for (uint32_t i = 0; i < s->n; i++)
        put(o, s->at[i].name, json_round(s->at[i].ms, 3), &bad);
    return done(o, bad);
}

static json_t *hit_json(const struct passage *p, uint32_t rank, int explain)
{
    json_t *o = json_object();
    int bad = !o;

    put(o, "rank", json_integer(rank), &bad);
    put(o, "score", json_round(p->hit.score, 6), &bad);
    put(o, "path", text(p->doc.n_paths ? p->doc.paths[0] : ""), &bad);
    put(o, "doc", doc_hex(p->hit.doc), &bad);
    put(o, "title", text(p->doc.title), &bad);
    put(o, "page", json_integer(p->hit.page), &bad);
    put(o, "section", text(p->chunk.section), &bad);
    put(o, "text", json_text(p->chunk.text ? p->chunk.text : "", p->chunk.n_text), &bad);
    put(o, "start", json_integer(p->chunk.start), &bad);
    put(o, "end", json_integer(p->chunk.end), &bad);
    put(o, "paged", json_boolean(p->doc.paged), &bad);
    put(o, "chunk", json_integer(p->hit.ord), &bad);
    if (explain) {
        put(o, "bm25", json_round(p->bm25, 6), &bad);
        put(o, "cosine", json_round(p->cosine, 6), &bad);
        put(o, "rank_bm25", p->in_bm25 ? json_integer(p->in_bm25) : json_null(), &bad);
        put(o, "rank_dense", p->in_dense ? json_integer(p->in_dense) : json_null(), &bad);
        put(o, "page_evidence", p->also ? json_integer(p->also - 1) : json_null(), &bad);
    }
    return done(o, bad);
}

static json_t *terms_json(const struct results *r)
{
    json_t *all = json_array();
    int bad = !all;

    for (uint32_t i = 0; i < r->n_terms && !bad; i++)
        bad |= json_array_append_new(
                   all, json_pack("{s:s,s:i,s:I,s:o}", "term", r->terms[i].term, "count",
                                  (int)r->terms[i].count, "df", (json_int_t)r->terms[i].df, "idf",
                                  json_round(r->terms[i].idf, 4))) != 0;
    return done(all, bad);
}

json_t *results_json(const struct query *q, const struct results *r, int explain)
{
    json_t *o = json_object();
    json_t *hits = json_array();
    int bad = !o || !hits;

    for (uint32_t i = 0; i < r->n && !bad; i++)
        bad |= json_array_append_new(hits, hit_json(&r->at[i], i + 1, explain)) != 0;
    put(o, "query", text(q->text), &bad);
    put(o, "mode", json_string(search_mode_name(r->mode)), &bad);
    put(o, "hits", hits, &bad);
    put(o, "dense_weight", json_round(r->dense_weight, 4), &bad);
    if (explain)
        put(o, "terms", terms_json(r), &bad);
    put(o, "index_version", json_integer((json_int_t)r->index_version), &bad);
    put(o, "ms", steps_json(&r->steps), &bad);
    return done(o, bad);
}

static json_t *boxes_json(const struct citation *c)
{
    json_t *all = json_array();
    int bad = !all;

    for (uint32_t i = 0; i < c->n_boxes && !bad; i++) {
        json_t *one = json_array();
        for (int k = 0; k < 4; k++)
            bad |= json_array_append_new(one, json_round(c->boxes[4 * i + (uint32_t)k], 5)) != 0;
        bad |= json_array_append_new(all, one) != 0;
    }
    return done(all, bad);
}

json_t *citation_json(const struct citation *c)
{
    json_t *o = json_object();
    int bad = !o;

    put(o, "n", json_integer(c->n), &bad);
    put(o, "path", text(c->path), &bad);
    put(o, "doc", doc_hex(c->doc), &bad);
    put(o, "paged", json_boolean(c->paged), &bad);
    put(o, "page", json_integer(c->page), &bad);
    put(o, "section", text(c->section), &bad);
    put(o, "start", json_integer(c->start), &bad);
    put(o, "end", json_integer(c->end), &bad);
    put(o, "quote", text(c->quote), &bad);
    put(o, "mark_start", json_integer(c->mark_start), &bad);
    put(o, "mark_end", json_integer(c->mark_end), &bad);
    put(o, "boxes", boxes_json(c), &bad);
    put(o, "score", json_round(c->score, 6), &bad);
    return done(o, bad);
}

static json_t *citations_json(const struct citation *c, uint32_t n)
{
    json_t *all = json_array();
    int bad = !all;

    for (uint32_t i = 0; i < n && !bad; i++)
        bad |= json_array_append_new(all, citation_json(&c[i])) != 0;
    return done(all, bad);
}

static json_t *models_json(const struct engine *en)
{
    json_t *o = json_object();
    int bad = !o;

    if (en->emb) {
        put(o, "embedder", json_string(embedder_info(en->emb)->name), &bad);
        put(o, "embedder_id", json_string(embedder_info(en->emb)->id), &bad);
    }
    if (en->gen) {
        put(o, "generator", json_string(generator_info(en->gen)->name), &bad);
        put(o, "generator_id", json_string(generator_info(en->gen)->id), &bad);
    }
    return done(o, bad);
}

json_t *answer_json(const struct ask *q, const struct answer *a, const struct engine *en)
{
    json_t *o = json_object();
    int bad = !o;

    put(o, "question", text(q->query.text), &bad);
    put(o, "searched", text(a->asked), &bad);
    put(o, "answer", text(a->text), &bad);
    put(o, "abstained", json_boolean(a->abstained), &bad);
    put(o, "mode", json_string(answer_mode_name(a->mode)), &bad);
    put(o, "citations", citations_json(a->citations, a->n_citations), &bad);
    put(o, "nearest", citations_json(a->nearest, a->n_nearest), &bad);
    put(o, "evidence", json_round(a->evidence, 4), &bad);
    put(o, "threshold", json_round(a->threshold, 4), &bad);
    put(o, "dropped", json_integer(a->dropped), &bad);
    put(o, "search_mode", json_string(search_mode_name(a->results.mode)), &bad);
    put(o, "prompt_tokens", json_integer(a->prompt_tokens), &bad);
    put(o, "new_tokens", json_integer(a->new_tokens), &bad);
    put(o, "index_version", json_integer((json_int_t)a->results.index_version), &bad);
    if (en)
        put(o, "models", models_json(en), &bad);
    put(o, "ms", steps_json(&a->steps), &bad);
    return done(o, bad);
}
