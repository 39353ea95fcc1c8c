/* retrieve.c - the retrieval half of a question: check -> snapshot -> terms -> embed -> two lists -> fuse -> pages -> load ->
 * evidence. query_search() stops behind it; query_ask() (query.c) goes on with what it found. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "coordinator/query_impl.h"

/* Candidates of each list. Fixed for every k up to it, so that a larger k only adds hits and never changes their order. */
#define LIST_DEPTH 200
#define K_DEFAULT 10

static void lap(struct search *s, const char *name)
{
    double now = clock_ms();

    steps_add(&s->out->steps, name, now - s->t);
    s->t = now;
}

static int has_word(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] > ' ')
            return 1;
    return 0;
}

static int check(struct search *s, struct err *e)
{
    size_t n = strlen(s->q->text);

    if (n > LIM_QUERY_BYTES)
        return err_set(e, ERR_LIMIT, "the question has %zu bytes; at most %zu are read", n,
                       LIM_QUERY_BYTES);
    if (utf8_valid(s->q->text, n) != n)
        return err_set(e, ERR_INVALID, "the question is not UTF-8 text (byte %zu)",
                       utf8_valid(s->q->text, n));
    if (!has_word(s->q->text, n))
        return err_set(e, ERR_INVALID, "the question is empty");
    if (s->q->k > LIM_K)
        return err_set(e, ERR_LIMIT, "%u hits were asked for; at most %d come back", s->q->k, LIM_K);
    if (!s->en->lib)
        return err_set(e, ERR_INVALID, "no library is open");
    s->k = s->q->k ? s->q->k : K_DEFAULT;
    return 0;
}

/* The idf of a word that no chunk has (search_terms says 0): that of df 0, by the N that the known words tell. Such a word
 * is what the library cannot answer, so it must weigh in the evidence. */
static float idf_of_none(const struct query_term *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (t[i].df) {
            double df = (double)t[i].df;
            double chunks = (exp((double)t[i].idf) - 1) * (df + 0.5) + df - 0.5;
            return (float)log(1 + (chunks + 0.5) / 0.5);
        }
    return 1; /* nothing is known: BM25 finds nothing either */
}

/* The question's words but those without content; all of it when nothing else is left. In a small library "how" and "must" are
 * rare: they would weigh like names and hide that every word that matters was found. */
static const char *content_of(const char *text, struct arena *a)
{
    size_t n = strlen(text);
    char *out = arena_take(a, n + 1, 1);
    size_t k = 0;

    for (size_t i = 0; out && i < n;) {
        size_t j = i;
        while (j < n && (isalnum((unsigned char)text[j]) || text[j] == '\'' || (unsigned char)text[j] >= 0x80))
            j++;
        if (j == i)
            out[k++] = text[i++];
        else if (!stopword(text + i, j - i)) {
            memcpy(out + k, text + i, j - i);
            k += j - i;
        }
        i = j > i ? j : i;
    }
    if (out)
        out[k] = '\0';
    return out && has_word(out, k) ? out : text;
}

static int terms(struct search *s, struct err *e)
{
    struct results *r = s->out;
    struct query_term *t = NULL;
    uint32_t n = 0;
    float none;
    int rc = search_terms(s->s, s->q->text, s->a, &t, &r->n_terms, e);

    r->terms = t;
    s->content = content_of(s->q->text, s->a);
    if (!rc)
        rc = search_terms(s->s, s->content, s->a, &t, &n, e);
    none = rc ? 0 : idf_of_none(r->terms, r->n_terms);
    for (uint32_t i = 0; !rc && i < n; i++)
        r->idf_sum += (t[i].df ? t[i].idf : none) * (float)t[i].count;
    r->index_version = snapshot_version(s->s);
    lap(s, "terms");
    return rc;
}

static int embed(struct search *s, struct err *e)
{
    struct embed_text text = {.text = s->q->text, .n = strlen(s->q->text)};
    struct embed_stat stat = {0};
    uint32_t dim = library_conf(s->en->lib)->dim;
    uint32_t special;
    int rc;

    s->out->mode = s->q->mode;
    if (!s->en->emb || !dim)
        s->out->mode = SEARCH_BM25; /* said in the results: keyword search only */
    if (s->out->mode == SEARCH_BM25)
        return 0;
    if (embedder_info(s->en->emb)->dim != dim)
        return err_set(e, ERR_VERSION, "the library has vectors of %u numbers, the model makes %u",
                       dim, embedder_info(s->en->emb)->dim);
    s->vec = arena_take(s->a, dim, sizeof *s->vec);
    if (!s->vec)
        return err_set(e, ERR_NOMEM, "the question's vector");
    rc = embedder_embed(s->en->emb, &text, 1, s->a, s->vec, &stat, e);
    special = embedder_info(s->en->emb)->special_tokens;
    if (!rc && stat.n_tokens > special)
        s->about.unknown_share = (float)stat.n_unknown / (float)(stat.n_tokens - special);
    lap(s, "embed");
    return rc;
}

/* Both lists, their union, and each candidate's true score in the list that did not bring it. */
static int lists(struct search *s, struct err *e)
{
    const struct query *q = s->q;
    uint32_t depth = s->k > LIST_DEPTH ? s->k : LIST_DEPTH;
    uint32_t dim = library_conf(s->en->lib)->dim;
    struct hits words = {0};
    struct hits dense = {0};
    int rc = 0;

    if (s->out->mode != SEARCH_DENSE)
        rc = search_bm25(s->s, q->text, &q->filter, depth, s->a, &words, e);
    lap(s, "bm25");
    if (!rc && s->vec)
        rc = search_dense(s->s, s->vec, dim, &q->filter, depth, s->a, &dense, e);
    lap(s, "dense");
    if (!rc)
        rc = fuse_join(&words, &dense, s->a, &s->c, &s->n_c, e);
    return rc;
}

static int true_scores(struct search *s, struct err *e)
{
    struct hit *of = arena_take(s->a, s->n_c ? s->n_c : 1, sizeof *of);
    float *bm25 = arena_zero(s->a, s->n_c ? s->n_c : 1, sizeof *bm25);
    float *cosine = arena_zero(s->a, s->n_c ? s->n_c : 1, sizeof *cosine);
    int rc;

    if (!of || !bm25 || !cosine)
        return err_set(e, ERR_NOMEM, "%u candidates", s->n_c);
    for (uint32_t i = 0; i < s->n_c; i++)
        of[i] = s->c[i].hit;
    if (s->out->mode == SEARCH_BM25)
        return 0; /* the only list has them all */
    rc = search_bm25_of(s->s, s->q->text, of, s->n_c, s->a, bm25, e);
    if (!rc && s->vec)
        rc = search_dense_of(s->s, s->vec, library_conf(s->en->lib)->dim, of, s->n_c, s->a, cosine,
                             e);
    for (uint32_t i = 0; !rc && i < s->n_c; i++) {
        s->c[i].bm25 = bm25[i];
        s->c[i].cosine = cosine[i];
    }
    return rc;
}

/* Documents with several candidates, read once each (candidates are in the order of documents here): only those can have
 * two chunks on a page, and whether a page is a place to look at depends on the document. */
static int read_docs(struct search *s, struct err *e)
{
    int rc = 0;

    for (uint32_t i = 1; i < s->n_c && !rc; i++) {
        struct candidate *last = &s->c[i - 1];
        struct doc_view *d;
        if (memcmp(last->hit.doc, s->c[i].hit.doc, DOC_ID_BYTES))
            continue;
        if (!last->doc) {
            d = arena_take(s->a, 1, sizeof *d);
            rc = d ? snapshot_doc(s->s, last->hit.doc, s->a, d, e) : err_set(e, ERR_NOMEM, "documents");
            last->doc = d;
        }
        s->c[i].doc = last->doc;
    }
    return rc;
}

static float weight(struct search *s)
{
    float best = 0;

    for (uint32_t i = 0; i < s->n_c; i++)
        best = s->c[i].bm25 > best ? s->c[i].bm25 : best;
    s->about.bm25_share = s->out->idf_sum > 0 ? best / s->out->idf_sum : 0;
    if (s->out->mode != SEARCH_HYBRID)
        return s->out->mode == SEARCH_DENSE;
    return fuse_weight(&s->about);
}

static int fuse(struct search *s, struct err *e)
{
    int rc = true_scores(s, e);

    if (!rc)
        rc = read_docs(s, e);
    if (rc)
        return rc;
    s->out->dense_weight = weight(s);
    fuse_scores(s->c, s->n_c, s->out->dense_weight);
    fuse_pages(s->c, s->n_c);
    lap(s, "fuse");
    return 0;
}

/* The first k candidates as passages. A page of a paged document comes once, by its best chunk: a list of
 * hits is a list of places to look at. Files without pages have parts of 16 KiB: there every chunk is a place. */
static int load(struct search *s, struct err *e)
{
    struct results *r = s->out;
    uint32_t most = s->k < s->n_c ? s->k : s->n_c;
    int rc = 0;

    r->at = arena_zero(s->a, most ? most : 1, sizeof *r->at);
    if (!r->at)
        return err_set(e, ERR_NOMEM, "%u passages", most);
    for (uint32_t i = 0; i < s->n_c && r->n < most && !rc; i++) {
        const struct candidate *c = &s->c[i];
        struct passage *p = &r->at[r->n];
        if (c->follower)
            continue;
        *p = (struct passage){.hit = c->hit, .bm25 = c->bm25, .cosine = c->cosine,
                              .in_bm25 = c->in_bm25, .in_dense = c->in_dense, .also = c->also};
        if (c->doc)
            p->doc = *c->doc;
        else if (!s->q->no_text)
            rc = snapshot_doc(s->s, c->hit.doc, s->a, &p->doc, e);
        if (!rc && !s->q->no_text)
            rc = snapshot_chunk(s->s, c->hit.doc, c->hit.ord, s->a, &p->chunk, e);
        r->n++;
    }
    lap(s, "load");
    return rc;
}

/* How much of the question's content the first passages hold, and how near they are. */
static int evidence(struct search *s, struct err *e)
{
    struct results *r = s->out;
    struct hit of[EVIDENCE_LOOK];
    float share[EVIDENCE_LOOK];
    uint32_t n = r->n < EVIDENCE_LOOK ? r->n : EVIDENCE_LOOK;
    int rc;

    for (uint32_t i = 0; i < n; i++)
        of[i] = r->at[i].hit;
    rc = n ? search_bm25_of(s->s, s->content, of, n, s->a, share, e) : 0;
    if (!rc)
        evidence_of(r, share);
    return rc;
}

int retrieve(struct search *s, struct err *e)
{
    int rc = check(s, e);

    if (!rc)
        rc = snapshot_take(s->en->lib, &s->s, e);
    if (!rc)
        rc = terms(s, e);
    if (!rc)
        rc = embed(s, e);
    if (!rc)
        rc = lists(s, e);
    if (!rc)
        rc = fuse(s, e);
    if (!rc)
        rc = load(s, e);
    if (!rc)
        rc = evidence(s, e);
    return rc;
}

void retrieve_end(struct search *s)
{
    if (s->s)
        snapshot_give(s->s);
    s->s = NULL;
}

int query_search(struct engine *en, const struct query *q, struct arena *a, struct results *out,
                 struct err *e)
{
    struct search s = {.en = en, .q = q, .a = a, .out = out, .t = clock_ms()};
    int rc;

    memset(out, 0, sizeof *out);
    rc = retrieve(&s, e);
    retrieve_end(&s);
    return rc;
}
