/* cmd_status.c - docent status. Opens no model: small enough for a cron job. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "coordinator/commands.h"
#include "coordinator/models.h"
#include "coordinator/progress.h"
#include "coordinator/quarantine.h"

static int run(int argc, char **argv);

const struct command command_status = {
    "status", "status [--failures] [--documents]",
    "what the library holds: documents, pages, chunks, bytes a table, models, failures",
    "0 shown, 1 no library or it cannot be read, 2 wrong usage", run,
};

static void add_failure(void *arg, const struct failure *f)
{
    json_t *o = json_object();

    json_object_set_new(o, "path", json_text(f->path, strlen(f->path)));
    json_object_set_new(o, "status", json_string(f->status));
    json_object_set_new(o, "reason", json_text(f->reason, strlen(f->reason)));
    json_object_set_new(o, "bytes", json_integer((json_int_t)f->size));
    json_object_set_new(o, "time_ms", json_integer(f->time_ms));
    json_array_append_new(arg, o);
}

static int add_document(void *arg, const struct doc_view *d)
{
    json_t *o = json_object();
    json_t *paths = json_array();
    json_t *collections = json_array();
    char id[2 * DOC_ID_BYTES + 1];

    for (int i = 0; i < DOC_ID_BYTES; i++)
        snprintf(id + 2 * i, 3, "%02x", d->id[i]);
    for (uint32_t i = 0; i < d->n_paths; i++)
        json_array_append_new(paths, json_text(d->paths[i], strlen(d->paths[i])));
    for (uint32_t i = 0; i < d->n_collections; i++)
        json_array_append_new(collections, json_text(d->collections[i], strlen(d->collections[i])));
    json_object_set_new(o, "doc", json_string(id));
    json_object_set_new(o, "title", json_text(d->title, strlen(d->title)));
    json_object_set_new(o, "type", json_string(d->type));
    json_object_set_new(o, "pages", json_integer(d->n_pages));
    json_object_set_new(o, "chunks", json_integer(d->n_chunks));
    json_object_set_new(o, "bytes", json_integer((json_int_t)d->bytes));
    json_object_set_new(o, "hidden_spans", json_integer((json_int_t)d->hidden_spans));
    json_object_set_new(o, "hidden_chars", json_integer((json_int_t)d->hidden_chars));
    json_object_set_new(o, "bad_pages", json_integer(d->n_bad_pages));
    json_object_set_new(o, "paths", paths);
    json_object_set_new(o, "collections", collections);
    json_array_append_new(arg, o);
    return 0;
}

static json_t *model_json(const char *name, const char *id, const char *dir)
{
    char path[4096];
    json_t *o = json_object();
    int here = model_find(dir, name, path, sizeof path);

    json_object_set_new(o, "name", json_string(name));
    if (id)
        json_object_set_new(o, "id", json_string(id));
    json_object_set_new(o, "here", json_boolean(here));
    return o;
}

static json_t *status_json(struct library *lib, const struct library_stat *st, uint64_t version,
                           const struct globals *g)
{
    const struct library_conf *c = library_conf(lib);
    json_t *o = json_object();
    json_t *tables = json_object();
    json_t *models = json_object();

    json_object_set_new(o, "library", json_text(library_dir(lib), strlen(library_dir(lib))));
    json_object_set_new(o, "format", json_integer(c->format));
    json_object_set_new(o, "index_version", json_integer((json_int_t)version));
    json_object_set_new(o, "shards", json_integer(library_shards(lib)));
    json_object_set_new(o, "documents", json_integer((json_int_t)st->documents));
    json_object_set_new(o, "paths", json_integer((json_int_t)st->paths));
    json_object_set_new(o, "pages", json_integer((json_int_t)st->pages));
    json_object_set_new(o, "chunks", json_integer((json_int_t)st->chunks));
    json_object_set_new(o, "vectors", json_integer((json_int_t)st->vectors));
    json_object_set_new(o, "terms", json_integer((json_int_t)st->terms));
    json_object_set_new(o, "postings", json_integer((json_int_t)st->postings));
    json_object_set_new(o, "dead_rows", json_integer((json_int_t)st->dead_rows));
    json_object_set_new(o, "file_bytes", json_integer((json_int_t)st->file_bytes));
    json_object_set_new(o, "free_bytes", json_integer((json_int_t)st->free_bytes));
    for (uint32_t i = 0; i < st->n_tables; i++) {
        json_t *t = json_object();
        json_object_set_new(t, "entries", json_integer((json_int_t)st->tables[i].entries));
        json_object_set_new(t, "bytes", json_integer((json_int_t)st->tables[i].bytes));
        json_object_set_new(tables, st->tables[i].name, t);
    }
    json_object_set_new(o, "tables", tables);
    if (c->dim)
        json_object_set_new(models, "embedder", model_json(c->embedder_name, c->embedder, g->models));
    json_object_set_new(models, "generator",
                        model_json(g->generator ? g->generator : MODEL_GENERATOR, NULL, g->models));
    json_object_set_new(o, "models", models);
    return o;
}

static void print_failures(const json_t *failures)
{
    size_t i;
    json_t *f;

    json_array_foreach(failures, i, f) {
        const char *path = json_str(f, "path", "");
        const char *reason = json_str(f, "reason", "");
        printf("  %-11s ", json_str(f, "status", ""));
        print_path(path);
        fputs(": ", stdout);
        print_safe(reason, strlen(reason));
        putchar('\n');
    }
}

static void print_documents(const json_t *docs)
{
    size_t i;
    json_t *d;

    json_array_foreach(docs, i, d) {
        const char *path = json_string_value(json_array_get(json_object_get(d, "paths"), 0));
        path = path ? path : "(no path)";
        printf("  %.8s  %-8s %6lld pages  ", json_str(d, "doc", ""), json_str(d, "type", ""),
               (long long)json_integer_value(json_object_get(d, "pages")));
        print_path(path);
        if (json_integer_value(json_object_get(d, "hidden_spans")))
            printf("  (%lld hidden runs of text left out)",
                   (long long)json_integer_value(json_object_get(d, "hidden_spans")));
        putchar('\n');
    }
}

static void status_text(struct library *lib, const struct library_stat *st, uint64_t version,
                        const json_t *o, uint64_t failures)
{
    const struct library_conf *c = library_conf(lib);
    const json_t *models = json_object_get(o, "models");
    const json_t *gen = json_object_get(models, "generator");

    printf("library    %s (format %u, version %llu of the index)\n", library_dir(lib), c->format,
           (unsigned long long)version);
    printf("documents  %s under %s paths, %s pages, %s chunks\n", grouped(st->documents),
           grouped(st->paths), grouped(st->pages), grouped(st->chunks));
    printf("index      %s vectors, %s terms, %s postings\n", grouped(st->vectors),
           grouped(st->terms), grouped(st->postings));
    printf("on disk    %s, of which %s reclaimable, %s dead rows (docent compact)\n",
           bytes_text(st->file_bytes), bytes_text(st->free_bytes), grouped(st->dead_rows));
    for (uint32_t i = 0; i < st->n_tables; i++)
        printf("  %-8s %10s entries  %s\n", st->tables[i].name, grouped(st->tables[i].entries),
               bytes_text(st->tables[i].bytes));
    if (c->dim)
        printf("embedder   %s (%.12s, %u-d)%s\n", c->embedder_name, c->embedder, c->dim,
               json_is_true(json_object_get(json_object_get(models, "embedder"), "here"))
                   ? "" : ", not on this machine: keyword search only");
    else
        puts("embedder   none: keyword search only");
    printf("generator  %s%s\n", json_str(gen, "name", ""),
           json_is_true(json_object_get(gen, "here")) ? "" : ", not on this machine: extractive answers only");
    printf("failures   %s\n", grouped(failures));
}

static int gather(struct snapshot *s, struct library *lib, json_t *o, int documents, json_t **failures,
                  struct library_stat *st, const struct globals *g, struct err *e)
{
    struct quarantine *q;
    json_t *docs = NULL;
    int rc = snapshot_stat(s, st, e);

    if (!rc)
        rc = quarantine_open(&q, library_dir(lib), e);
    if (rc)
        return rc;
    *failures = json_array();
    quarantine_each(q, add_failure, *failures);
    quarantine_close(q);
    {
        json_t *base = status_json(lib, st, snapshot_version(s), g);
        json_object_update(o, base);
        json_decref(base);
    }
    json_object_set_new(o, "failed", json_integer((json_int_t)json_array_size(*failures)));
    if (documents) {
        docs = json_array();
        rc = snapshot_docs(s, add_document, docs, e);
        json_object_set_new(o, "list", docs);
    }
    return rc;
}

static int run(int argc, char **argv)
{
    struct globals g;
    int list_failures = 0;
    int list_documents = 0;
    const struct opt opts[] = {
        {"failures", 'f', OPT_FLAG, &list_failures, 0, 0, NULL, NULL, "list the files that failed, with the reason"},
        {"documents", 'd', OPT_FLAG, &list_documents, 0, 0, NULL, NULL, "list the documents"},
        {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
    };
    struct library *lib = NULL;
    struct snapshot *s = NULL;
    struct library_stat st;
    json_t *o;
    json_t *failures = NULL;
    struct err e = {0};
    char **rest;
    int n_rest;
    int rc = args_parse(&command_status, opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    o = json_object();
    rc = library_open(&lib, g.library, LIB_READ, &e);
    if (!rc)
        rc = snapshot_take(lib, &s, &e);
    if (!rc)
        rc = gather(s, lib, o, list_documents, &failures, &st, &g, &e);
    if (!rc && g.json) {
        if (list_failures)
            json_object_set(o, "failures", failures);
        rc = print_json(json_incref(o));
    } else if (!rc) {
        status_text(lib, &st, snapshot_version(s), o, json_array_size(failures));
        if (list_failures)
            print_failures(failures);
        if (list_documents)
            print_documents(json_object_get(o, "list"));
    }
    json_decref(o);
    json_decref(failures);
    if (s)
        snapshot_give(s);
    library_close(lib);
    return e.code ? args_fail(&command_status, &e) : rc;
}
