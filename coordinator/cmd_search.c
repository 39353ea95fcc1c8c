/* cmd_search.c - docent search. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "coordinator/commands.h"
#include "coordinator/json_out.h"
#include "coordinator/query.h"

static int run(int argc, char **argv);

const struct command command_search = {
    "search", "search \"QUERY\" [-k 10] [--mode hybrid|dense|bm25] [filters] [--explain]",
    "find passages: file, page, section, and the words that match\n"
    "hybrid joins keyword search (BM25) and meaning (vectors); without an embedding model it is bm25.",
    "0 searched (also when nothing was found), 1 failed, 2 wrong usage", run,
};

#define SNIPPET 320 /* bytes of a passage shown */

/* 1: byte at of text lies in a word that an analysed query term came from. Marks are sorted. */
struct mark_at {
    uint32_t start, end;
};

static uint32_t find_marks(const struct passage *p, const struct results *r, struct arena *a,
                           struct mark_at **out)
{
    struct term_at *terms;
    uint32_t n;
    uint32_t k = 0;
    struct err ignored = {0};

    *out = NULL;
    if (analyze(p->chunk.text, p->chunk.n_text, p->doc.lang, 0, a, &terms, &n, &ignored))
        return 0;
    *out = arena_take(a, n, sizeof **out);
    if (!*out)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t t = 0; t < r->n_terms; t++)
            if (!strcmp(terms[i].term, r->terms[t].term)) {
                (*out)[k++] = (struct mark_at){terms[i].start, terms[i].end};
                break;
            }
    return k;
}

/* Where the snippet starts: the window with most marked words, moved back to a word's start. */
static uint32_t best_start(const char *text, uint32_t n, const struct mark_at *m, uint32_t k)
{
    uint32_t best = 0;
    uint32_t best_count = 0;

    if (n <= SNIPPET)
        return 0;
    for (uint32_t i = 0; i < k; i++) {
        uint32_t count = 0;
        for (uint32_t j = i; j < k && m[j].end <= m[i].start + SNIPPET; j++)
            count++;
        if (count > best_count) {
            best_count = count;
            best = m[i].start;
        }
    }
    best = best > 40 ? best - 40 : 0;
    while (best > 0 && text[best - 1] != ' ' && text[best - 1] != '\n' && best > 1)
        best--;
    return (uint32_t)utf8_floor(text, best);
}

static void print_snippet(const struct passage *p, const struct results *r, struct arena *a)
{
    struct mark_at *m;
    uint32_t k = find_marks(p, r, a, &m);
    const char *text = p->chunk.text;
    uint32_t at = best_start(text, p->chunk.n_text, m, k);
    uint32_t end = p->chunk.n_text - at > SNIPPET ? at + SNIPPET : p->chunk.n_text;
    const char *on = colours() ? "\033[1m" : "[";
    const char *off = colours() ? "\033[0m" : "]";
    uint32_t i = 0;

    end = (uint32_t)utf8_floor(text, end);
    fputs(at ? "   ... " : "   ", stdout);
    while (at < end) {
        uint32_t cp;
        size_t len;
        while (i < k && m[i].end <= at)
            i++;
        if (i < k && m[i].start <= at && m[i].end <= end && at == m[i].start) {
            uint32_t stop = m[i].end;
            while (i + 1 < k && m[i + 1].start <= stop) { /* bigrams overlap: one mark */
                i++;
                if (m[i].end > stop && m[i].end <= end)
                    stop = m[i].end;
            }
            fputs(on, stdout);
            print_safe(text + at, stop - at);
            fputs(off, stdout);
            at = stop;
            continue;
        }
        len = utf8_next(text + at, end - at, &cp);
        if (cp == '\n')
            putchar(' ');
        else
            print_safe(text + at, len);
        at += (uint32_t)len;
    }
    puts(end < p->chunk.n_text ? " ..." : "");
}

static void print_explain(const struct passage *p, const struct results *r)
{
    printf("   score %.4f = %.2f x dense + %.2f x bm25 over the merged lists; ", (double)p->hit.score,
           (double)r->dense_weight, 1 - (double)r->dense_weight);
    printf("cosine %.4f", (double)p->cosine);
    if (p->in_dense)
        printf(" (rank %d)", p->in_dense);
    printf(", bm25 %.4f", (double)p->bm25);
    if (p->in_bm25)
        printf(" (rank %d)", p->in_bm25);
    putchar('\n');
}

static void print_results(const struct results *r, int explain, struct arena *a)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct passage *p = &r->at[i];
        const char *path = p->doc.n_paths ? p->doc.paths[0] : "(no path)";
        printf("%2u. ", i + 1);
        print_path(path);
        if (p->doc.paged)
            printf(", page %u", p->chunk.page);
        if (p->chunk.section[0]) {
            fputs("  > ", stdout);
            print_safe(p->chunk.section, strlen(p->chunk.section));
        }
        printf("  (%.3f)\n", (double)p->hit.score);
        print_snippet(p, r, a);
        if (explain)
            print_explain(p, r);
    }
    if (!r->n)
        puts("nothing found");
    if (explain && r->n_terms) {
        fputs("terms:", stdout);
        for (uint32_t i = 0; i < r->n_terms; i++)
            printf(" %s (in %llu chunks, idf %.2f)", r->terms[i].term,
                   (unsigned long long)r->terms[i].df, (double)r->terms[i].idf);
        putchar('\n');
    }
}

static int parse_mode(const char *word, enum search_mode *m)
{
    for (*m = SEARCH_HYBRID; *m <= SEARCH_BM25; (*m)++)
        if (!strcmp(word, search_mode_name(*m)))
            return 0;
    fprintf(stderr, "docent search: --mode is hybrid, dense or bm25, not %.40s\n", word);
    return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    struct globals g;
    struct query q = {.mode = SEARCH_HYBRID};
    const char *mode = "hybrid";
    int k = 10;
    int explain = 0;
    const struct opt opts[] = {
        {"count", 'k', OPT_WHOLE, &k, 1, LIM_K, NULL, "N", "passages to show (default 10)"},
        {"mode", 'm', OPT_TEXT, &mode, 0, 0, NULL, "MODE", "hybrid (default), dense or bm25"},
        {"collection", 'c', OPT_TEXT, &q.filter.collection, 0, 0, NULL, "NAME", "only this collection"},
        {"path", 'p', OPT_TEXT, &q.filter.path_glob, 0, 0, NULL, "GLOB", "only files whose path or name matches, e.g. '*2022*'"},
        {"type", 0, OPT_TEXT, &q.filter.type, 0, 0, NULL, "T", "only pdf, html, docx, markdown or text"},
        {"lang", 0, OPT_TEXT, &q.filter.lang, 0, 0, NULL, "L", "only documents that declare this language"},
        {"explain", 'x', OPT_FLAG, &explain, 0, 0, NULL, NULL, "show how each score came about"},
        {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
    };
    struct engine en;
    struct engine_opts eo;
    struct results r;
    struct arena a;
    struct err e = {0};
    char **rest;
    int n_rest;
    double t0 = clock_ms();
    int rc = args_parse(&command_search, opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (n_rest != 1) {
        fputs("docent search: give one query, in quotes\n", stderr);
        return EXIT_USAGE;
    }
    if (parse_mode(mode, &q.mode))
        return EXIT_USAGE;
    q.text = rest[0];
    q.k = (uint32_t)k;
    eo = globals_engine(&g, LIB_READ, q.mode != SEARCH_BM25, 0);
    if (engine_open(&en, &eo, &e))
        return args_fail(&command_search, &e);
    say_missing(&g, &en);
    arena_init(&a, LIM_REQUEST_MEMORY);
    {
        double opened = clock_ms() - t0;
        rc = query_search(&en, &q, &a, &r, &e);
        if (!rc)
            steps_add(&r.steps, "open", opened);
    }
    if (!rc && g.json)
        rc = print_json(results_json(&q, &r, explain));
    else if (!rc)
        print_results(&r, explain, &a);
    arena_free(&a);
    engine_close(&en);
    return e.code ? args_fail(&command_search, &e) : rc;
}
