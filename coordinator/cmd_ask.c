/* cmd_ask.c - docent ask. */
#include "coordinator/cmd_ask.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "coordinator/commands.h"
#include "coordinator/json_out.h"

static int run(int argc, char **argv);

const struct command command_ask = {
    "ask", "ask \"QUESTION\" [--mode auto|extract|generate] [filters]",
    "answer a question with numbered quotes that prove it, or say that it is not in the documents\n"
    "auto shows the best evidence and puts a generated sentence in front only when the quotes support all of it;\n"
    "extract never generates; generate leads with what the language model wrote and the quotes support.",
    "0 answered, or said that the documents do not answer it; 1 failed, 2 wrong usage, 130 stopped", run,
};

int show_text(void *arg, const char *text, size_t n)
{
    *(int *)arg = 1;
    print_safe(text, n);
    fflush(stdout);
    return stop_asked != 0;
}

static void show_citation(const struct citation *c, int numbered)
{
    if (numbered)
        printf("[%u] ", c->n);
    else
        fputs("  - ", stdout);
    print_path(c->path);
    if (c->paged)
        printf(", page %u", c->page);
    if (c->section && c->section[0]) {
        fputs("  > ", stdout);
        print_safe(c->section, strlen(c->section));
    }
    fputs("\n    \"", stdout);
    for (const char *p = c->quote; *p;) { /* one line on the screen; --json has the exact bytes */
        size_t n = strcspn(p, "\n");
        print_safe(p, n);
        p += n;
        if (*p) {
            putchar(' ');
            p++;
        }
    }
    puts("\"");
}

void show_sources(const struct answer *ans)
{
    if (!ans->abstained) {
        for (uint32_t i = 0; i < ans->n_citations; i++)
            show_citation(&ans->citations[i], 1);
        return;
    }
    if (ans->n_nearest)
        puts("Closest passages (not an answer):");
    for (uint32_t i = 0; i < ans->n_nearest; i++)
        show_citation(&ans->nearest[i], 0);
}

int parse_answer_mode(const char *word, enum answer_mode *m)
{
    for (*m = ANSWER_AUTO; *m <= ANSWER_GENERATE; (*m)++)
        if (!strcmp(word, answer_mode_name(*m)))
            return 0;
    fprintf(stderr, "docent: --mode is auto, extract or generate, not %.40s\n", word);
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    struct globals g;
    struct ask q = {.mode = ANSWER_AUTO};
    const char *mode = "auto";
    const struct opt opts[] = {
        {"mode", 'm', OPT_TEXT, &mode, 0, 0, NULL, "MODE", "auto (default), extract or generate"},
        {"collection", 'c', OPT_TEXT, &q.query.filter.collection, 0, 0, NULL, "NAME", "only this collection"},
        {"path", 'p', OPT_TEXT, &q.query.filter.path_glob, 0, 0, NULL, "GLOB", "only files whose path or name matches"},
        {"type", 0, OPT_TEXT, &q.query.filter.type, 0, 0, NULL, "T", "only pdf, html, docx, markdown or text"},
        {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
    };
    struct engine en;
    struct engine_opts eo;
    struct answer ans;
    struct arena a;
    struct err e = {0};
    char **rest;
    int n_rest;
    int shown = 0;
    double t0 = clock_ms();
    int rc = args_parse(&command_ask, opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (n_rest != 1) {
        fputs("docent ask: give one question, in quotes\n", stderr);
        return EXIT_USAGE;
    }
    if (parse_answer_mode(mode, &q.mode))
        return EXIT_USAGE;
    catch_stop();
    q.query.text = rest[0];
    if (!g.json) {
        q.on_text = show_text;
        q.arg = &shown;
    }
    eo = globals_engine(&g, LIB_READ, 1, q.mode != ANSWER_EXTRACT);
    if (engine_open(&en, &eo, &e))
        return args_fail(&command_ask, &e);
    say_missing(&g, &en);
    arena_init(&a, LIM_REQUEST_MEMORY);
    {
        double opened = clock_ms() - t0;
        rc = query_ask(&en, &q, &a, &ans, &e);
        if (!rc)
            steps_add(&ans.steps, "open", opened);
    }
    if (!rc && g.json) {
        rc = print_json(answer_json(&q, &ans, &en));
    } else if (!rc) {
        if (!shown)
            print_safe(ans.text, strlen(ans.text));
        puts("\n");
        show_sources(&ans);
    }
    arena_free(&a);
    engine_close(&en);
    return e.code ? args_fail(&command_ask, &e) : rc;
}
