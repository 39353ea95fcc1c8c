/* cmd_eval.c - docent eval retrieval, docent eval answers. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "coordinator/cmd_ask.h"
#include "coordinator/commands.h"
#include "coordinator/eval.h"
#include "coordinator/progress.h"

static int run(int argc, char **argv);

const struct command command_eval = {
    "eval", "eval retrieval DIR | eval answers FILE [options]",
    "measure search or answers against judged questions\n"
    "retrieval: a folder in BEIR's layout (corpus.jsonl, queries.jsonl, qrels.tsv) is indexed into a temporary library;\n"
    "nDCG@10, MAP, MRR@10 and recall@100 of bm25, dense and hybrid, and the time of a query.\n"
    "answers: questions in JSON lines (question, answers, optional document and pages) against the library; exact match, F1,\n"
    "page hits, proven citations, abstentions. The same figures on every run; no network, no judge model.",
    "0 measured, 1 failed, 2 wrong usage, 130 stopped", run,
};

struct ticker {
    int live;
};

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct ticker *t = arg;

    if (!t->live)
        return;
    if (total)
        fprintf(stderr, "\r\033[K%s %s/%s", what, grouped(done), grouped(total));
    else
        fprintf(stderr, "\r\033[K%s %s", what, grouped(done));
}

static void print_modes(const json_t *o)
{
    static const char *const figures[] = {"ndcg@10", "map", "mrr@10", "recall@100", "p50_ms", "p99_ms"};
    const char *mode;
    json_t *m;

    printf("%lld queries, %lld documents\n", (long long)json_integer_value(json_object_get(o, "queries")),
           (long long)json_integer_value(json_object_get(o, "documents")));
    printf("%-8s", "");
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        printf(" %10s", figures[i]);
    putchar('\n');
    json_object_foreach(json_object_get(o, "modes"), mode, m) {
        printf("%-8s", mode);
        for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
            printf(i < 4 ? " %10.4f" : " %10.2f", json_number_value(json_object_get(m, figures[i])));
        putchar('\n');
    }
}

static void print_figures(const json_t *o)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (json_is_integer(v))
            printf("%-18s %lld\n", key, (long long)json_integer_value(v));
        else if (json_is_real(v))
            printf("%-18s %.4f\n", key, json_real_value(v));
        else if (json_is_string(v))
            printf("%-18s %s\n", key, json_string_value(v));
    }
}

static int parse_words(char **rest, int n_rest, int *answers)
{
    *answers = n_rest == 2 && !strcmp(rest[0], "answers");
    if (n_rest == 2 && (*answers || !strcmp(rest[0], "retrieval")))
        return 0;
    fputs("docent eval: give retrieval and a folder, or answers and a file (docent eval --help)\n", stderr);
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    struct globals g;
    struct eval_opts o = {.stop = &stop_asked};
    const char *mode = "auto";
    int limit = 0;
    const struct opt opts[] = {
        {"mode", 'm', OPT_TEXT, &mode, 0, 0, NULL, "MODE", "answers: auto (default), extract or generate"},
        {"known", 0, OPT_FLAG, &o.known, 0, 0, NULL, NULL, "answers: search only in the document that the question names"},
        {"pages", 0, OPT_FLAG, &o.no_answers, 0, 0, NULL, NULL, "answers: page hits only"},
        {"lines", 0, OPT_FLAG, &o.lines, 0, 0, NULL, NULL, "answers: every question's result too (with --json)"},
        {"limit", 0, OPT_WHOLE, &limit, 0, 1000000, NULL, "N", "only the first N questions"},
        {"half", 0, OPT_WHOLE, &o.half, 0, 2, NULL, "N", "1: every second question from the first, 2: the others"},
        {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
    };
    struct ticker t;
    struct engine en;
    struct engine_opts eo;
    struct err e = {0};
    json_t *out = NULL;
    char **rest;
    int n_rest;
    int answers;
    int rc = args_parse(&command_eval, opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (parse_words(rest, n_rest, &answers) || parse_answer_mode(mode, &o.answer_mode))
        return EXIT_USAGE;
    catch_stop();
    t.live = isatty(STDERR_FILENO) && !g.json;
    o.path = rest[1];
    o.limit = (uint32_t)limit;
    o.on_progress = on_progress;
    o.arg = &t;
    eo = globals_engine(&g, LIB_READ, 1, answers && o.answer_mode != ANSWER_EXTRACT && !o.no_answers);
    if (!answers)
        eo.library = NULL;
    if (engine_open(&en, &eo, &e))
        return args_fail(&command_eval, &e);
    say_missing(&g, &en);
    rc = answers ? eval_answers(&en, &o, &out, &e) : eval_retrieval(&en, &o, &out, &e);
    if (t.live)
        fputs("\r\033[K", stderr);
    engine_close(&en);
    if (rc)
        return args_fail(&command_eval, &e);
    if (g.json)
        return print_json(out);
    if (answers)
        print_figures(out);
    else
        print_modes(out);
    json_decref(out);
    return EXIT_OK;
}
