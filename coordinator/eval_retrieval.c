/* eval_retrieval.c - a judged collection (BEIR layout) through the real index and the real search.
 * The collection goes into a library of its own in a temporary folder, so that what is measured is what users get: the
 * stored int8 rows, the postings, query_search(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ftw.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "coordinator/context.h"
#include "coordinator/eval.h"
#include "coordinator/eval_lines.h"
#include "coordinator/json_out.h"
#include "coordinator/metrics.h"

#define DEPTH 200 /* of each ranking: the lists that fusion sees */
#define GROUP 64 /* documents embedded at once */
#define BATCH 1024 /* documents a transaction */

struct judgement {
    uint64_t query, doc; /* XXH3 of the ids */
    int rel;
};

struct bench {
    struct engine en; /* the caller's models with a library of our own */
    const struct eval_opts *o;
    struct arena a; /* lives as long as the run */
    struct arena tmp; /* a group of documents, or one query */
    char dir[512];
    struct index_batch *batch;
    uint64_t docs;
    struct eval_lines queries;
    struct judgement *judged; /* [n_judged] by query, then doc */
    size_t n_judged;
};

static uint64_t id_hash(const char *id)
{
    return hash_xxh3(id, strlen(id));
}

static int stopped(const struct bench *b, struct err *e)
{
    return b->o->stop && *b->o->stop ? err_set(e, ERR_CANCELLED, "stopped") : 0;
}

static void progress(const struct bench *b, const char *what, uint64_t at, uint64_t total)
{
    if (b->o->on_progress)
        b->o->on_progress(b->o->arg, what, at, total);
}

/* ---- the library ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    remove(path);
    return 0;
}

static int make_library(struct bench *b, struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    struct library_conf conf = {.name = "evaluation", .chunking = "whole"};
    char lib[600];
    int rc;

    snprintf(b->dir, sizeof b->dir, "%s/docent-eval-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(b->dir)) {
        b->dir[0] = '\0';
        return err_set(e, ERR_IO, "cannot make a folder in %s", tmp && *tmp ? tmp : "/tmp");
    }
    if (b->en.emb) {
        snprintf(conf.embedder, sizeof conf.embedder, "%s", embedder_info(b->en.emb)->id);
        snprintf(conf.embedder_name, sizeof conf.embedder_name, "%s",
                 embedder_info(b->en.emb)->name);
        conf.dim = embedder_info(b->en.emb)->dim;
    }
    snprintf(lib, sizeof lib, "%s/library", b->dir);
    rc = library_create(lib, &conf, e);
    return rc ? rc : library_open(&b->en.lib, lib, LIB_WRITE, e);
}

struct entry {
    const char *id, *title, *text;
    struct embed_text embed;
};

static int put_entry(struct bench *b, const struct entry *x, const float *vec, struct err *e)
{
    size_t n = strlen(x->text);
    struct index_page page = {.number = 1, .text = x->text, .n_text = (uint32_t)n};
    struct index_chunk chunk = {.end = (uint32_t)n, .section = "", .vec = vec};
    struct index_doc doc = {.title = x->title, .type = "text", .lang = "", .bytes = n,
                            .pages = &page, .n_pages = 1, .chunks = &chunk, .n_chunks = 1};
    struct index_path path = {.path = x->id, .size = n};
    int rc = 0;

    hash_id(doc.id, x->id, strlen(x->id));
    hash_id(chunk.hash, x->embed.text, x->embed.n);
    if (!b->batch)
        rc = index_begin(b->en.lib, 0, &b->batch, e);
    if (!rc)
        rc = index_put(b->batch, &doc, &path, e);
    if (!rc && ++b->docs % BATCH == 0) {
        rc = index_commit(b->batch, e);
        b->batch = NULL;
    }
    return rc ? err_wrap(e, "document %s", x->id) : 0;
}

static int put_group(struct bench *b, const struct entry *x, size_t n, struct err *e)
{
    struct embed_text texts[GROUP];
    size_t dim = library_conf(b->en.lib)->dim;
    float *vec = dim ? arena_take(&b->tmp, n, dim * sizeof *vec) : NULL;
    int rc = stopped(b, e);

    if (!rc && dim) {
        if (!vec)
            return err_set(e, ERR_NOMEM, "vectors");
        for (size_t i = 0; i < n; i++)
            texts[i] = x[i].embed;
        rc = embedder_embed(b->en.emb, texts, n, &b->tmp, vec, NULL, e);
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = put_entry(b, &x[i], dim ? vec + i * dim : NULL, e);
    arena_reset(&b->tmp);
    return rc;
}

static int read_entry(struct bench *b, const char *line, size_t n, struct entry *x, struct err *e)
{
    json_t *o = NULL;
    int rc = json_parse(&o, line, n, "corpus.jsonl", e);

    if (rc)
        return rc;
    x->id = arena_strdup(&b->tmp, json_str(o, "_id", ""));
    x->title = arena_strdup(&b->tmp, json_str(o, "title", ""));
    x->text = arena_strdup(&b->tmp, json_str(o, "text", ""));
    json_decref(o);
    if (x->title && x->text)
        x->embed.text = context_text(x->title, "", x->text, strlen(x->text), &x->embed.n, &b->tmp);
    if (!x->id || !x->embed.text)
        return err_set(e, ERR_NOMEM, "a document of %zu bytes", n);
    if (!*x->id)
        return err_set(e, ERR_FORMAT, "corpus.jsonl: a document without _id");
    return 0;
}

static int index_corpus(struct bench *b, struct err *e)
{
    struct eval_lines l = {0};
    struct entry group[GROUP];
    char path[4096];
    size_t n = 0;
    int rc;

    snprintf(path, sizeof path, "%s/corpus.jsonl", b->o->path);
    rc = eval_lines_read(&l, path, &b->a, e);
    for (size_t i = 0; i < l.n && !rc; i++) {
        rc = read_entry(b, l.at[i].text, l.at[i].n, &group[n], e);
        if (rc)
            err_wrap(e, "line %zu", i + 1);
        else if (++n == GROUP || i + 1 == l.n) {
            rc = put_group(b, group, n, e);
            n = 0;
            progress(b, "index", i + 1, l.n);
        }
    }
    if (b->batch && !rc) {
        rc = index_commit(b->batch, e);
        b->batch = NULL;
    }
    return rc;
}

/* ---- judgements ---- */

static int by_query(const void *x, const void *y)
{
    const struct judgement *p = x;
    const struct judgement *q = y;

    if (p->query != q->query)
        return p->query < q->query ? -1 : 1;
    return (p->doc > q->doc) - (p->doc < q->doc);
}

static int read_judgements(struct bench *b, struct err *e)
{
    struct eval_lines l = {0};
    char path[4096];
    int rc;

    snprintf(path, sizeof path, "%s/qrels.tsv", b->o->path);
    rc = eval_lines_read(&l, path, &b->a, e);
    if (rc)
        return rc;
    b->judged = arena_take(&b->a, l.n ? l.n : 1, sizeof *b->judged);
    if (!b->judged)
        return err_set(e, ERR_NOMEM, "%zu judgements", l.n);
    for (size_t i = 1; i < l.n; i++) { /* line 0 is the header */
        char query[256];
        char doc[256];
        int rel;
        if (sscanf(l.at[i].text, "%255[^\t]\t%255[^\t]\t%d", query, doc, &rel) != 3)
            return err_set(e, ERR_FORMAT, "qrels.tsv line %zu is not query, document, score", i + 1);
        b->judged[b->n_judged++] = (struct judgement){id_hash(query), id_hash(doc), rel};
    }
    qsort(b->judged, b->n_judged, sizeof *b->judged, by_query);
    return 0;
}

static size_t judgements_of(const struct bench *b, uint64_t query, size_t *n)
{
    size_t lo = 0;
    size_t hi = b->n_judged;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b->judged[mid].query < query)
            lo = mid + 1;
        else
            hi = mid;
    }
    *n = 0;
    while (lo + *n < b->n_judged && b->judged[lo + *n].query == query)
        ++*n;
    return lo;
}

/* ---- the runs ---- */

struct doc_name {
    uint8_t id[DOC_ID_BYTES];
    uint64_t hash;
};

struct names {
    struct doc_name *at;
    size_t n, cap;
    struct arena *a;
};

static int add_name(void *arg, const char *path, const uint8_t id[DOC_ID_BYTES],
                    const struct index_path *stat)
{
    struct names *t = arg;

    (void)stat;
    if (t->n == t->cap)
        return ERR_LIMIT;
    memcpy(t->at[t->n].id, id, DOC_ID_BYTES);
    t->at[t->n++].hash = id_hash(path);
    return 0;
}

static int by_id(const void *x, const void *y)
{
    return memcmp(x, y, DOC_ID_BYTES);
}

static int read_names(struct bench *b, struct names *t, struct err *e)
{
    struct snapshot *s = NULL;
    int rc = snapshot_take(b->en.lib, &s, e);

    if (rc)
        return rc;
    t->cap = b->docs + 1;
    t->at = arena_take(&b->a, t->cap, sizeof *t->at);
    rc = t->at ? snapshot_paths(s, "", add_name, t, e) : err_set(e, ERR_NOMEM, "names");
    snapshot_give(s);
    if (!rc)
        qsort(t->at, t->n, sizeof *t->at, by_id);
    return rc;
}

/* Gains of a ranking by document; a document counts at its first hit. */
static size_t gains_of(const struct bench *b, const struct names *t, const struct results *r,
                       size_t from, size_t n_judged, int *gains)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct doc_name *d = bsearch(r->at[i].hit.doc, t->at, t->n, sizeof *t->at, by_id);
        struct judgement key = {.query = n_judged ? b->judged[from].query : 0,
                                .doc = d ? d->hash : 0};
        const struct judgement *j =
            d ? bsearch(&key, b->judged + from, n_judged, sizeof key, by_query) : NULL;
        gains[i] = j ? j->rel : 0;
    }
    return r->n;
}

struct mode_run {
    const char *name;
    enum search_mode mode;
    int flag;
    struct rank_scores sum;
    double *ms;
    size_t n;
};

/* An empty query (cmrc2018_trial has one) finds nothing and counts as such. */
static int is_blank(const char *text)
{
    return text[strspn(text, " \t\n\r")] == '\0';
}

static int one_query(struct bench *b, const struct names *t, const char *text, uint64_t id,
                     struct mode_run *m, struct err *e)
{
    struct query q = {.text = text, .k = DEPTH, .mode = m->mode, .no_text = 1};
    struct results r;
    struct rank_scores s;
    size_t n_judged;
    size_t from = judgements_of(b, id, &n_judged);
    int *gains = arena_take(&b->tmp, DEPTH, sizeof *gains);
    int *rels = arena_take(&b->tmp, n_judged ? n_judged : 1, sizeof *rels);
    double begin = clock_ms();
    int rc;

    if (!gains || !rels)
        return err_set(e, ERR_NOMEM, "%zu judgements", n_judged);
    memset(&r, 0, sizeof r);
    rc = is_blank(text) ? 0 : query_search(&b->en, &q, &b->tmp, &r, e);
    if (rc)
        return rc;
    m->ms[m->n++] = clock_ms() - begin;
    for (size_t i = 0; i < n_judged; i++)
        rels[i] = b->judged[from + i].rel;
    rc = metrics_rank(gains, gains_of(b, t, &r, from, n_judged, gains), rels, n_judged, &b->tmp, &s,
                      e);
    metrics_sum(&m->sum, &s);
    return rc;
}

static json_t *mode_json(struct mode_run *m)
{
    metrics_mean(&m->sum, m->n);
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "ndcg@10", json_round(m->sum.ndcg10, 4), "map",
                     json_round(m->sum.map, 4), "mrr@10", json_round(m->sum.mrr10, 4), "recall@100",
                     json_round(m->sum.recall100, 4), "p50_ms",
                     json_round(metrics_percentile(m->ms, m->n, 50), 2), "p99_ms",
                     json_round(metrics_percentile(m->ms, m->n, 99), 2));
}

static int run_queries(struct bench *b, struct mode_run *m, size_t modes, size_t *asked,
                       struct err *e)
{
    struct names t = {0};
    int rc = read_names(b, &t, e);

    *asked = 0;
    for (size_t i = 0; i < b->queries.n && !rc; i++) {
        json_t *o = NULL;
        size_t n_judged;
        uint64_t id;
        if ((b->o->half == 1 && i % 2) || (b->o->half == 2 && i % 2 == 0))
            continue;
        if (b->o->limit && *asked == b->o->limit)
            break;
        rc = json_parse(&o, b->queries.at[i].text, b->queries.at[i].n, "queries.jsonl", e);
        id = rc ? 0 : id_hash(json_str(o, "_id", ""));
        judgements_of(b, id, &n_judged);
        for (size_t k = 0; k < modes && !rc && n_judged; k++) {
            rc = one_query(b, &t, json_str(o, "text", ""), id, &m[k], e);
            arena_reset(&b->tmp);
        }
        *asked += n_judged > 0; /* as trec_eval: a query without judgements does not count */
        json_decref(o);
        if (!rc)
            rc = stopped(b, e);
        progress(b, "search", i + 1, b->queries.n);
    }
    return rc;
}

static int measure(struct bench *b, json_t **out, struct err *e)
{
    struct mode_run all[] = {{.name = "bm25", .mode = SEARCH_BM25, .flag = EVAL_BM25},
                             {.name = "dense", .mode = SEARCH_DENSE, .flag = EVAL_DENSE},
                             {.name = "hybrid", .mode = SEARCH_HYBRID, .flag = EVAL_HYBRID}};
    struct mode_run m[3];
    int wanted = b->o->modes ? b->o->modes : EVAL_ALL;
    json_t *modes;
    size_t n = 0;
    size_t asked = 0;
    int rc;

    for (size_t i = 0; i < 3; i++)
        if ((wanted & all[i].flag) && (b->en.emb || all[i].flag == EVAL_BM25))
            m[n++] = all[i];
    for (size_t i = 0; i < n; i++) {
        m[i].ms = arena_take(&b->a, b->queries.n ? b->queries.n : 1, sizeof *m[i].ms);
        if (!m[i].ms)
            return err_set(e, ERR_NOMEM, "%zu queries", b->queries.n);
    }
    rc = run_queries(b, m, n, &asked, e);
    if (rc)
        return rc;
    modes = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(modes, m[i].name, mode_json(&m[i]));
    *out = json_pack("{s:I,s:I,s:o}", "queries", (json_int_t)asked, "documents",
                     (json_int_t)b->docs, "modes", modes);
    return *out ? 0 : err_set(e, ERR_NOMEM, "the report");
}

int eval_retrieval(struct engine *en, const struct eval_opts *o, json_t **out, struct err *e)
{
    struct bench b = {.en = *en, .o = o};
    char path[4096];
    int rc;

    *out = NULL;
    b.en.lib = NULL;
    arena_init(&b.a, 4 * GIB);
    arena_init(&b.tmp, 2 * GIB);
    snprintf(path, sizeof path, "%s/queries.jsonl", o->path);
    rc = eval_lines_read(&b.queries, path, &b.a, e);
    if (!rc)
        rc = read_judgements(&b, e);
    if (!rc)
        rc = make_library(&b, e);
    if (!rc)
        rc = index_corpus(&b, e);
    if (!rc)
        rc = measure(&b, out, e);
    if (b.batch)
        index_abort(b.batch);
    library_close(b.en.lib);
    if (b.dir[0])
        nftw(b.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(&b.tmp);
    arena_free(&b.a);
    return rc;
}
