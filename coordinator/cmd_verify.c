/* cmd_verify.c - docent verify: a library against itself, or an answer against its sources. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "coordinator/commands.h"
#include "coordinator/progress.h"
#include "coordinator/proof.h"

static int run(int argc, char **argv);

const struct command command_verify = {
    "verify", "verify [ANSWER.json | -]",
    "prove the library against itself, or the quotes of an answer against their files\n"
    "Without a word: every record's checksum and every reference between paths, documents, pages, chunks, postings, vectors and\n"
    "filters. With an answer (docent ask --json > ANSWER.json; - reads it from standard input): each source is opened and read\n"
    "again, and the quote must stand there byte for byte.",
    "0 all is proven, 1 could not check, 2 wrong usage, 3 problems were found", run,
};

static int print_report(const struct globals *g, const struct verify_report *r)
{
    if (g->json) {
        json_t *first = json_array();
        for (uint32_t i = 0; i < r->n_first; i++)
            json_array_append_new(first, json_text(r->first[i], strlen(r->first[i])));
        print_json(json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "records", (json_int_t)r->records,
                             "documents", (json_int_t)r->documents, "pages", (json_int_t)r->pages,
                             "chunks", (json_int_t)r->chunks, "postings", (json_int_t)r->postings,
                             "vectors", (json_int_t)r->vectors, "problems", (json_int_t)r->problems,
                             "first", first));
    } else {
        printf("%s records, %s documents, %s pages, %s chunks, %s postings, %s vectors: ",
               grouped(r->records), grouped(r->documents), grouped(r->pages), grouped(r->chunks),
               grouped(r->postings), grouped(r->vectors));
        if (!r->problems)
            puts("all proven");
        else
            printf("%s problems\n", grouped(r->problems));
        for (uint32_t i = 0; i < r->n_first; i++) {
            fputs("  ", stdout);
            print_safe(r->first[i], strlen(r->first[i]));
            putchar('\n');
        }
    }
    return r->problems ? EXIT_PARTLY : EXIT_OK;
}

static int verify_library(const struct globals *g)
{
    struct library *lib;
    struct verify_report r;
    struct err e = {0};
    int rc = library_open(&lib, g->library, LIB_READ, &e);

    if (rc)
        return args_fail(&command_verify, &e);
    rc = library_verify(lib, &r, &e);
    library_close(lib);
    return rc ? args_fail(&command_verify, &e) : print_report(g, &r);
}

struct listing {
    int json;
    json_t *all;
};

static void on_verdict(void *arg, uint32_t n, const struct claim *c, const struct verdict *v)
{
    struct listing *l = arg;

    if (l->json) {
        json_array_append_new(l->all, json_pack("{s:i,s:o,s:i,s:s,s:o}", "n", (int)n, "path",
                                                json_text(c->path, strlen(c->path)), "page", (int)c->page,
                                                "proof", proof_name(v->proof), "why",
                                                json_text(v->why, strlen(v->why))));
        return;
    }
    printf("[%u] %s: ", n, proof_name(v->proof));
    print_path(c->path);
    printf(", page %u, bytes %u-%u", c->page, c->start, c->end);
    if (v->proof != PROVEN) {
        fputs(": ", stdout);
        print_safe(v->why, strlen(v->why));
    }
    putchar('\n');
}

static int verify_answer(const struct globals *g, const char *file)
{
    struct library *lib = NULL;
    struct prover *p = NULL;
    struct proof_report r;
    struct listing l = {.json = g->json, .all = json_array()};
    struct err e = {0};
    struct err ignored = {0};
    struct buf b;
    json_t *answer = NULL;
    int rc;

    buf_init(&b, 64 * MIB);
    rc = file_read(&b, strcmp(file, "-") ? file : "/dev/stdin", &e);
    if (!rc)
        rc = json_parse(&answer, b.data, b.len, file, &e);
    if (!rc && library_open(&lib, g->library, LIB_READ, &ignored))
        lib = NULL; /* the files alone may do */
    if (!rc)
        rc = prover_open(&p, lib, NULL, &e);
    if (!rc)
        rc = proof_answer(p, answer, on_verdict, &l, &r, &e);
    if (!rc && g->json) {
        json_t *o = json_pack("{s:i,s:i,s:i,s:i,s:i,s:O}", "citations", (int)r.citations, "proven",
                              (int)r.count[PROVEN], "proven_library", (int)r.count[PROVEN_LIBRARY],
                              "changed", (int)r.count[CHANGED], "missing", (int)r.count[MISSING],
                              "each", l.all);
        print_json(o);
    } else if (!rc) {
        printf("%u of %u quotes proven\n", r.count[PROVEN] + r.count[PROVEN_LIBRARY], r.citations);
    }
    json_decref(l.all);
    json_decref(answer);
    prover_close(p);
    library_close(lib);
    buf_free(&b);
    if (rc)
        return args_fail(&command_verify, &e);
    return r.count[CHANGED] || r.count[MISSING] ? EXIT_PARTLY : EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const struct opt opts[] = {{NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL}};
    struct globals g;
    char **rest;
    int n_rest;
    int rc = args_parse(&command_verify, opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (n_rest > 1) {
        fputs("docent verify: give one answer file, or nothing\n", stderr);
        return EXIT_USAGE;
    }
    return n_rest ? verify_answer(&g, rest[0]) : verify_library(&g);
}
