/* cmd_index.c - docent index. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "coordinator/commands.h"
#include "coordinator/context.h"
#include "coordinator/indexing.h"
#include "coordinator/progress.h"

static int run(int argc, char **argv);

const struct command command_index = {
    "index", "index PATH... [-c COLLECTION] [--sync]",
    "read files and folders into the library\n"
    "PDF, HTML, DOCX, Markdown and plain text in any encoding. What has not changed is skipped; a changed file\n"
    "replaces its old version. Ctrl-C ends cleanly and keeps what is done; the next run goes on from there.",
    "0 all is indexed, 1 the run could not go on, 2 wrong usage, 3 some files failed, 130 stopped by Ctrl-C",
    run,
};

struct view {
    struct progress progress;
    int json;
    int verbose;
    int listed; /* failures printed so far */
};

static void on_progress(void *arg, const struct index_progress *p)
{
    struct view *v = arg;

    progress_show(&v->progress, p);
}

static void on_file(void *arg, const char *path, const char *status, const char *reason)
{
    struct view *v = arg;
    struct err line; /* err_set makes a hostile file name printable */

    if (v->json)
        return;
    if (++v->listed > 20 && !v->verbose) {
        if (v->listed == 21) {
            progress_clear(&v->progress);
            fputs("  ... more in `docent status --failures`\n", stderr);
        }
        return;
    }
    progress_clear(&v->progress);
    err_set(&line, ERR_IO, "%s: %s: %s", status, path, reason);
    fprintf(stderr, "  %s\n", line.msg);
}

/* A new library takes its identity from the model that is here. */
static int create_library(const char *dir, const struct embedder *emb, struct err *e)
{
    struct library_conf c;
    int rc;

    memset(&c, 0, sizeof c);
    snprintf(c.name, sizeof c.name, "%.120s", strrchr(dir, '/') ? strrchr(dir, '/') + 1 : dir);
    snprintf(c.chunking, sizeof c.chunking, "v1 target=200 context=%d", CONTEXT_VERSION);
    if (emb) {
        const struct embedder_info *i = embedder_info(emb);
        snprintf(c.embedder, sizeof c.embedder, "%s", i->id);
        snprintf(c.embedder_name, sizeof c.embedder_name, "%s", i->name);
        c.dim = i->dim;
    }
    rc = library_create(dir, &c, e);
    return rc == ERR_EXISTS ? 0 : rc; /* another process made it meanwhile */
}

/* The library first where there is one, so that a busy one is said before a model is loaded; else the model first. */
static int open_engine(struct engine *en, const struct globals *g, int flags, struct err *e)
{
    struct engine_opts o = globals_engine(g, flags, 1, 0);
    int rc;

    if (library_exists(g->library))
        return engine_open(en, &o, e);
    o.library = NULL;
    rc = engine_open(en, &o, e);
    if (rc)
        return rc;
    rc = create_library(g->library, en->emb, e);
    o.library = g->library;
    if (!rc)
        rc = engine_open_library(en, &o, e);
    if (rc)
        engine_close(en);
    return rc;
}

static json_t *report_json(const struct index_progress *p, const char *ended)
{
    json_t *o = json_object();
    double t = p->elapsed_s > 1e-3 ? p->elapsed_s : 1e-3;

    json_object_set_new(o, "ended", json_string(ended));
    json_object_set_new(o, "documents", json_integer((json_int_t)p->indexed));
    json_object_set_new(o, "known", json_integer((json_int_t)p->known));
    json_object_set_new(o, "unchanged", json_integer((json_int_t)p->unchanged));
    json_object_set_new(o, "removed", json_integer((json_int_t)p->removed));
    json_object_set_new(o, "failed", json_integer((json_int_t)p->failed));
    json_object_set_new(o, "failed_before", json_integer((json_int_t)p->failed_before));
    json_object_set_new(o, "pages", json_integer((json_int_t)p->pages));
    json_object_set_new(o, "chunks", json_integer((json_int_t)p->chunks));
    json_object_set_new(o, "embedded", json_integer((json_int_t)p->embedded));
    json_object_set_new(o, "reused", json_integer((json_int_t)p->reused));
    json_object_set_new(o, "tokens", json_integer((json_int_t)p->tokens));
    json_object_set_new(o, "seconds", json_real(p->elapsed_s));
    json_object_set_new(o, "pages_per_s", json_real((double)p->pages / t));
    json_object_set_new(o, "tokens_per_s", json_real((double)p->tokens / t));
    return o;
}

static void report_text(const struct index_progress *p)
{
    char t[24];

    clock_text(p->elapsed_s, t, sizeof t);
    printf("%s documents indexed (%s pages, %s chunks", grouped(p->indexed), grouped(p->pages),
           grouped(p->chunks));
    if (p->embedded || p->reused)
        printf(", %s embedded, %s reused", grouped(p->embedded), grouped(p->reused));
    printf(") in %.1f s", p->elapsed_s);
    if (p->pages)
        printf(", %.1f pages/s", (double)p->pages / (p->elapsed_s > 1e-3 ? p->elapsed_s : 1e-3));
    putchar('\n');
    if (!p->files_total)
        puts("no files were found there (names that begin with a dot are left out)");
    if (p->unchanged)
        printf("%s unchanged\n", grouped(p->unchanged));
    if (p->known)
        printf("%s known by their content (copies or renamed)\n", grouped(p->known));
    if (p->removed)
        printf("%s removed: gone from disk\n", grouped(p->removed));
    if (p->failed)
        printf("%s failed\n", grouped(p->failed));
    if (p->failed_before)
        printf("%s failed before and have not changed (docent status --failures; --retry tries again)\n",
               grouped(p->failed_before));
}

static int run(int argc, char **argv)
{
    struct globals g;
    struct texts collections = {.n = 0};
    int sync = 0;
    int retry = 0;
    int wait = 0;
    int quiet = 0;
    int verbose = 0;
    const struct opt opts[] = {
        {"collection", 'c', OPT_LIST, &collections, 0, 0, NULL, "NAME", "put the documents into this collection too"},
        {"sync", 's', OPT_FLAG, &sync, 0, 0, NULL, NULL, "remove documents below PATH that are gone from disk"},
        {"retry", 0, OPT_FLAG, &retry, 0, 0, NULL, NULL, "try files again that failed before"},
        {"wait", 'w', OPT_FLAG, &wait, 0, 0, NULL, NULL, "wait while another process indexes into the library"},
        {"quiet", 'q', OPT_FLAG, &quiet, 0, 0, NULL, NULL, "no progress"},
        {"verbose", 'v', OPT_FLAG, &verbose, 0, 0, NULL, NULL, "name every file that failed or was left out"},
        {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
    };
    struct engine en;
    struct index_progress p = {0};
    struct view v = {.listed = 0};
    struct err e = {0};
    char **paths;
    int n_paths;
    int rc = args_parse(&command_index, opts, &g, argc, argv, &paths, &n_paths);

    if (rc >= 0)
        return rc;
    if (n_paths == 0) {
        fputs("docent index: give at least one file or folder (docent index --help)\n", stderr);
        return EXIT_USAGE;
    }
    for (int i = 0; i < n_paths; i++) /* before a library is made for nothing */
        if (access(paths[i], F_OK) < 0) {
            err_errno(&e, errno, "%s", paths[i]);
            return args_fail(&command_index, &e);
        }
    catch_stop();
    if (open_engine(&en, &g, LIB_WRITE | (wait ? LIB_WAIT : 0), &e))
        return args_fail(&command_index, &e);
    say_missing(&g, &en);
    progress_start(&v.progress, quiet || g.json);
    v.json = g.json;
    v.verbose = verbose;
    {
        struct index_opts o = {.paths = (const char *const *)paths, .n_paths = n_paths,
                               .collections = collections.at, .n_collections = (uint32_t)collections.n,
                               .sync = sync, .retry = retry, .stop = &stop_asked,
                               .on_progress = on_progress, .on_file = on_file, .arg = &v};
        rc = indexing_run(&en, &o, &p, &e);
    }
    progress_clear(&v.progress);
    engine_close(&en);
    if (g.json)
        print_json(report_json(&p, rc == 0 ? "complete" : rc == ERR_CANCELLED ? "stopped" : e.msg));
    else
        report_text(&p);
    if (rc)
        return args_fail(&command_index, &e);
    return p.failed || p.failed_before ? EXIT_PARTLY : EXIT_OK;
}
