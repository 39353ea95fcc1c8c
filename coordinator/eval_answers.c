/* eval_answers.c - answers against judged questions: EM, F1, the evidence page among the hits, and whether each
 * citation can be proven from its source file. Uses query_search() for the pages and query_ask() for the answer: the
 * journeys that users get. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "coordinator/eval.h"
#include "coordinator/eval_lines.h"
#include "coordinator/json_out.h"
#include "coordinator/metrics.h"
#include "coordinator/proof.h"

#define PAGES_DEEP 10
#define MOST_GOLDS 64
#define MOST_PAGES 64

struct question {
    const char *text;
    const char *golds[MOST_GOLDS];
    size_t n_golds;
    const char *document; /* NULL: not named */
    uint32_t pages[MOST_PAGES]; /* from 1 */
    uint32_t n_pages;
    int unanswerable;
};

struct totals {
    uint64_t questions, with_pages, answerable, unanswerable;
    uint64_t hit1, hit5, hit10, doc1;
    uint64_t em, contains, quotes_contain;
    double f1;
    uint64_t abstained, abstained_right, generated, dropped;
    uint64_t citations, proven, proven_library;
};

struct run {
    struct engine *en;
    const struct eval_opts *o;
    struct prover *prover;
    struct arena a; /* one question */
    struct totals t;
    double *ms; /* [n_ms] of each answer, or search */
    size_t n_ms;
    json_t *each;
};

/* ---- a question from its JSON ---- */

static void add_gold(struct question *q, const json_t *v)
{
    if (json_is_string(v) && q->n_golds < MOST_GOLDS)
        q->golds[q->n_golds++] = json_string_value(v);
}

static void add_page(struct question *q, const json_t *v, json_int_t from)
{
    json_int_t page = json_is_integer(v) ? json_integer_value(v) - from + 1 : 0;

    if (page > 0 && page <= LIM_DOC_PAGES && q->n_pages < MOST_PAGES)
        q->pages[q->n_pages++] = (uint32_t)page;
}

static void read_pages(struct question *q, const json_t *o)
{
    const json_t *evidence = json_object_get(o, "evidence");
    const json_t *pages = json_object_get(o, "pages");

    for (size_t i = 0; i < json_array_size(evidence); i++)
        add_page(q, json_object_get(json_array_get(evidence, i), "evidence_page_num"), 0);
    for (size_t i = 0; i < json_array_size(pages); i++)
        add_page(q, json_array_get(pages, i), 1);
    add_page(q, json_object_get(o, "page"), 1);
}

/* Strings stay in o. */
static int read_question(const json_t *o, struct question *q, struct err *e)
{
    const json_t *answers = json_object_get(o, "answers");

    memset(q, 0, sizeof *q);
    q->text = json_str(o, "question", NULL);
    if (!q->text)
        return err_set(e, ERR_FORMAT, "an entry without \"question\"");
    if (!answers)
        answers = json_object_get(o, "answer");
    add_gold(q, answers);
    for (size_t i = 0; i < json_array_size(answers); i++)
        add_gold(q, json_array_get(answers, i));
    q->document = json_str(o, "doc_name", json_str(o, "document", json_str(o, "doc", NULL)));
    q->unanswerable = json_is_true(json_object_get(o, "unanswerable")) ||
                      json_is_true(json_object_get(o, "is_impossible")) ||
                      (json_is_array(answers) && !q->n_golds);
    read_pages(q, o);
    return 0;
}

/* ---- the document that a question names ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* "3M_2022_10K" names ".../3M_2022_10K.pdf". */
static int is_document(const struct doc_view *d, const char *name)
{
    size_t n = strlen(name);

    for (uint32_t i = 0; i < d->n_paths; i++) {
        const char *base = base_name(d->paths[i]);
        if (!strncmp(base, name, n) && (!base[n] || base[n] == '.'))
            return 1;
    }
    return 0;
}

static char *glob_of(const char *name, struct arena *a)
{
    char *g = arena_take(a, 2 * strlen(name) + 3, 1);
    size_t n = 0;

    if (!g)
        return NULL;
    for (const char *p = name; *p; p++) {
        if (strchr("*?[]\\", *p))
            g[n++] = '\\';
        g[n++] = *p;
    }
    memcpy(g + n, ".*", 3);
    return g;
}

/* ---- one question ---- */

static int is_evidence(const struct question *q, const struct passage *p)
{
    if (q->document && !is_document(&p->doc, q->document))
        return 0;
    for (uint32_t i = 0; i < q->n_pages; i++)
        if (q->pages[i] == p->hit.page)
            return 1;
    return q->n_pages == 0;
}

/* Rank from 1 of the first passage on an evidence page, counted in distinct pages; 0: none. */
static uint32_t page_rank(const struct question *q, const struct results *r)
{
    uint32_t places = 0;

    for (uint32_t i = 0; i < r->n; i++) {
        int again = 0;
        for (uint32_t k = 0; k < i; k++)
            again |= r->at[k].hit.page == r->at[i].hit.page &&
                     !memcmp(r->at[k].hit.doc, r->at[i].hit.doc, DOC_ID_BYTES);
        places += !again;
        if (is_evidence(q, &r->at[i]))
            return places;
    }
    return 0;
}

static void count_pages(struct totals *t, const struct question *q, const struct results *r,
                        uint32_t rank)
{
    if (!q->n_pages && !q->document)
        return;
    t->with_pages++;
    t->hit1 += rank == 1;
    t->hit5 += rank > 0 && rank <= 5;
    t->hit10 += rank > 0 && rank <= 10;
    t->doc1 += q->document && r->n && is_document(&r->at[0].doc, q->document);
}

static int prove_citations(struct run *r, const struct answer *a, struct err *e)
{
    int rc = 0;

    for (uint32_t i = 0; i < a->n_citations && !rc; i++) {
        const struct citation *c = &a->citations[i];
        struct claim claim = {.path = c->path, .page = c->page, .start = c->start, .end = c->end,
                              .quote = c->quote};
        struct verdict v;
        memcpy(claim.doc, c->doc, DOC_ID_BYTES);
        rc = prover_check(r->prover, &claim, &v, e);
        r->t.citations++;
        r->t.proven += !rc && v.proof == PROVEN;
        r->t.proven_library += !rc && v.proof == PROVEN_LIBRARY;
    }
    return rc;
}

/* Graded without its marks: by EM and F1 the first line, which is the answer proper (generated, or the best sentence); for
 * "contains" the whole text, and apart from it the quotes with their neighbours. */
static int grade(struct run *r, const struct question *q, const struct answer *a, struct err *e)
{
    char *said = arena_strdup(&r->a, a->text);
    char *line;
    struct text_scores s;
    int shown = 0;
    int rc = 0;

    if (!said)
        return err_set(e, ERR_NOMEM, "an answer");
    for (char *m = said; (m = strchr(m, '[')) != NULL; m++) {
        size_t n = strspn(m + 1, "0123456789");
        if (n && m[n + 1] == ']')
            memset(m, ' ', n + 2);
    }
    line = arena_strndup(&r->a, said, strcspn(said, "\n"));
    if (!line)
        return err_set(e, ERR_NOMEM, "an answer");
    rc = metrics_text(q->golds, q->n_golds, line, &r->a, &s, e);
    if (rc)
        return rc;
    r->t.em += (uint64_t)(s.em && !a->abstained);
    r->t.f1 += a->abstained ? 0 : s.f1;
    rc = metrics_text(q->golds, q->n_golds, said, &r->a, &s, e);
    if (rc)
        return rc;
    r->t.contains += (uint64_t)(s.contains && !a->abstained);
    shown = s.contains && !a->abstained;
    for (uint32_t i = 0; i < a->n_citations && !rc; i++) {
        rc = metrics_text(q->golds, q->n_golds, a->citations[i].quote, &r->a, &s, e);
        shown |= s.contains;
    }
    r->t.quotes_contain += (uint64_t)shown;
    return rc;
}

static int answer_one(struct run *r, const struct question *q, const struct query *query,
                      struct answer *a, struct err *e)
{
    struct ask ask = {.query = *query, .mode = r->o->answer_mode};
    double begin = clock_ms();
    int rc = query_ask(r->en, &ask, &r->a, a, e);

    r->ms[r->n_ms++] = clock_ms() - begin;
    if (rc)
        return rc;
    r->t.abstained += (uint64_t)a->abstained;
    r->t.abstained_right += (uint64_t)(a->abstained && q->unanswerable);
    r->t.generated += a->mode == ANSWER_GENERATE;
    r->t.dropped += a->dropped;
    rc = prove_citations(r, a, e);
    return rc || q->unanswerable || !q->n_golds ? rc : grade(r, q, a, e);
}

static int search_one(struct run *r, const struct query *query, struct results *res, struct err *e)
{
    double begin = clock_ms();
    int rc = query_search(r->en, query, &r->a, res, e);

    r->ms[r->n_ms++] = clock_ms() - begin;
    return rc;
}

static int tell(struct run *r, const struct question *q, const struct answer *a,
                const struct results *res, uint32_t rank, struct err *e)
{
    json_t *o;

    if (!r->each)
        return 0;
    o = json_pack("{s:s,s:b,s:i,s:o,s:o}", "question", q->text, "unanswerable", q->unanswerable, "page_rank",
                  (int)rank, "top_cosine", json_round(res->top_cosine, 4), "top_bm25_share",
                  json_round(res->top_bm25_share, 4));
    if (o && a->text) {
        json_object_set_new(o, "answer", json_text(a->text, strlen(a->text)));
        json_object_set_new(o, "abstained", json_boolean(a->abstained));
        json_object_set_new(o, "evidence", json_round(a->evidence, 4));
    }
    return o && !json_array_append_new(r->each, o) ? 0 : err_set(e, ERR_NOMEM, "the report");
}

static int one_question(struct run *r, const json_t *o, struct err *e)
{
    struct question q;
    struct query query = {.k = PAGES_DEEP};
    struct answer a;
    struct results *res = &a.results;
    uint32_t rank;
    int rc = read_question(o, &q, e);

    if (rc)
        return rc;
    memset(&a, 0, sizeof a);
    query.text = q.text;
    if (r->o->known && q.document) {
        query.filter.path_glob = glob_of(q.document, &r->a);
        if (!query.filter.path_glob)
            return err_set(e, ERR_NOMEM, "a question");
    }
    rc = r->o->no_answers ? search_one(r, &query, res, e) : answer_one(r, &q, &query, &a, e);
    if (rc)
        return rc;
    rank = page_rank(&q, res);
    r->t.questions++;
    r->t.unanswerable += (uint64_t)q.unanswerable;
    r->t.answerable += !q.unanswerable && q.n_golds > 0;
    if (!q.unanswerable)
        count_pages(&r->t, &q, res, rank);
    return tell(r, &q, &a, res, rank, e);
}

/* ---- the file ---- */

static json_t *share(uint64_t part, uint64_t whole)
{
    return whole ? json_round((double)part / (double)whole, 4) : json_null();
}

static int report(struct run *r, json_t **out, struct err *e)
{
    const struct totals *t = &r->t;
    json_t *o = json_object();
    int bad = !o;

#define PUT(key, value) bad |= json_object_set_new(o, key, value) != 0
    PUT("questions", json_integer((json_int_t)t->questions));
    PUT("answerable", json_integer((json_int_t)t->answerable));
    PUT("unanswerable", json_integer((json_int_t)t->unanswerable));
    PUT("with_pages", json_integer((json_int_t)t->with_pages));
    PUT("page_hit@1", share(t->hit1, t->with_pages));
    PUT("page_hit@5", share(t->hit5, t->with_pages));
    PUT("page_hit@10", share(t->hit10, t->with_pages));
    PUT("document_hit@1", share(t->doc1, t->with_pages));
    if (!r->o->no_answers) {
        PUT("em", share(t->em, t->answerable));
        PUT("f1", t->answerable ? json_round(t->f1 / (double)t->answerable, 4) : json_null());
        PUT("contains", share(t->contains, t->answerable));
        PUT("quotes_contain", share(t->quotes_contain, t->answerable));
        PUT("citations", json_integer((json_int_t)t->citations));
        PUT("citations_proven", json_integer((json_int_t)t->proven));
        PUT("citations_proven_library", json_integer((json_int_t)t->proven_library));
        PUT("abstained", json_integer((json_int_t)t->abstained));
        PUT("abstained_right", json_integer((json_int_t)t->abstained_right));
        PUT("generated", json_integer((json_int_t)t->generated));
        PUT("dropped", json_integer((json_int_t)t->dropped));
    }
    PUT("p50_ms", json_round(metrics_percentile(r->ms, r->n_ms, 50), 2));
    PUT("p99_ms", json_round(metrics_percentile(r->ms, r->n_ms, 99), 2));
    if (r->each)
        PUT("each", json_incref(r->each));
#undef PUT
    if (bad) {
        json_decref(o);
        return err_set(e, ERR_NOMEM, "the report");
    }
    *out = o;
    return 0;
}

static int skipped(const struct eval_opts *o, size_t i)
{
    return (o->half == 1 && i % 2) || (o->half == 2 && i % 2 == 0);
}

static int ask_all(struct run *r, const json_t *all, struct err *e)
{
    size_t n = json_array_size(all);
    int rc = 0;

    r->ms = mem_take(n ? n : 1, sizeof *r->ms);
    if (!r->ms)
        return err_set(e, ERR_NOMEM, "%zu questions", n);
    for (size_t i = 0; i < n && !rc; i++) {
        if (skipped(r->o, i))
            continue;
        if (r->o->limit && r->t.questions == r->o->limit)
            break;
        if (r->o->stop && *r->o->stop)
            return err_set(e, ERR_CANCELLED, "stopped");
        rc = one_question(r, json_array_get(all, i), e);
        if (rc)
            err_wrap(e, "question %zu", i + 1);
        arena_reset(&r->a);
        if (r->o->on_progress)
            r->o->on_progress(r->o->arg, r->o->no_answers ? "search" : "ask", i + 1, n);
    }
    return rc;
}

/* A JSON array of questions, {"questions": [...]}, or one object a line. */
static int read_file(const char *path, json_t **all, struct arena *a, struct err *e)
{
    struct eval_lines l;
    json_t *whole = NULL;
    int rc = eval_lines_read(&l, path, a, e);

    if (rc)
        return rc;
    if (l.n && (l.at[0].text[0] == '[' || !strcmp(l.at[0].text, "{"))) {
        rc = json_parse_file(&whole, path, e);
        if (rc)
            return rc;
        *all = json_incref(json_is_array(whole) ? whole : json_object_get(whole, "questions"));
        json_decref(whole);
        return *all ? 0 : err_set(e, ERR_FORMAT, "%s holds no list of questions", path);
    }
    *all = json_array();
    for (size_t i = 0; i < l.n && !rc; i++) {
        json_t *o = NULL;
        rc = json_parse(&o, l.at[i].text, l.at[i].n, path, e);
        if (rc)
            err_wrap(e, "line %zu", i + 1);
        else if (json_array_append_new(*all, o))
            rc = err_set(e, ERR_NOMEM, "%zu questions", l.n);
    }
    return rc;
}

int eval_answers(struct engine *en, const struct eval_opts *o, json_t **out, struct err *e)
{
    struct run r = {.en = en, .o = o};
    json_t *all = NULL;
    int rc;

    *out = NULL;
    arena_init(&r.a, LIM_REQUEST_MEMORY);
    rc = read_file(o->path, &all, &r.a, e);
    arena_reset(&r.a);
    if (!rc)
        rc = prover_open(&r.prover, en->lib, o->extract_program, e);
    if (o->lines)
        r.each = json_array();
    if (!rc)
        rc = ask_all(&r, all, e);
    if (!rc)
        rc = report(&r, out, e);
    prover_close(r.prover);
    json_decref(all);
    json_decref(r.each);
    mem_give(r.ms);
    arena_free(&r.a);
    return rc;
}
