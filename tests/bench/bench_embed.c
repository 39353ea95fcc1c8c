/* bench_embed.c - tokens a second of the embedder.
 *   bench_embed [MODEL_DIR] [threads] [FILE] [rounds]
 * FILE: one text a line; "-" or none: 512 made-up texts of 8 to 250 words. Tokenising is included.
 * Prints the start (open, then the first query of 9 words), then best and median of the rounds by
 * the clock and the best by processor time (what a shared machine still measures well), then one
 * short query. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "embedder/embedder.h"

#define MAX_TEXTS 4096
#define MAX_ROUNDS 100

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static size_t made_up(struct embed_text *t, struct arena *a)
{
    static const char *const words[] = {"the",     "ferry",  "leaves", "harbour", "permit", "of",
                                        "quarter", "annual", "report", "in",      "water",  "and",
                                        "engine",  "seven",  "closed", "revenue"};
    uint32_t seed = 1;
    size_t n = 512;

    for (size_t i = 0; i < n; i++) {
        size_t count = 8 + i * 37 % 243;
        char *s = arena_take(a, count * 10 + 1, 1);
        size_t at = 0;
        for (size_t j = 0; s && j < count; j++) {
            seed = seed * 1664525u + 1013904223u;
            at += (size_t)snprintf(s + at, 11, "%s ", words[seed >> 28]);
        }
        t[i] = (struct embed_text){s, at};
    }
    return n;
}

static size_t from_file(const char *path, struct embed_text *t, struct arena *a)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    size_t n = 0;
    ssize_t got;

    while (f && n < MAX_TEXTS && (got = getline(&line, &cap, f)) > 0) {
        t[n].text = arena_strndup(a, line, (size_t)got);
        t[n++].n = (size_t)got;
    }
    free(line);
    if (f)
        fclose(f);
    return n;
}

/* Processor time of all threads. */
static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long peak_kib(void)
{
    struct rusage u;

    return getrusage(RUSAGE_SELF, &u) ? 0 : u.ru_maxrss;
}

static int run(struct embedder *em, const struct embed_text *t, size_t n, int rounds,
               struct arena *tmp, struct err *e)
{
    static const struct embed_text query = {"when does the ferry leave the harbour in winter", 47};
    float *v = mem_take(n * embedder_info(em)->dim, sizeof *v);
    struct embed_stat *stat = mem_take(n, sizeof *stat);
    double ms[MAX_ROUNDS];
    double best_cpu = 1e300;
    double tokens = 0;
    int rc = v && stat ? 0 : err_set(e, ERR_NOMEM, "vectors");

    for (int r = 0; r < rounds && !rc; r++) {
        double t0 = clock_ms();
        double cpu = cpu_ms();
        rc = embedder_embed(em, t, n, tmp, v, stat, e);
        ms[r] = clock_ms() - t0;
        cpu = cpu_ms() - cpu;
        if (cpu < best_cpu)
            best_cpu = cpu;
    }
    for (size_t i = 0; i < n && !rc; i++)
        tokens += stat[i].n_tokens;
    if (!rc) {
        qsort(ms, (size_t)rounds, sizeof *ms, by_value);
        printf("%zu texts, %.0f tokens: best %.0f tok/s, median %.0f tok/s, best %.0f a processor "
               "second\n",
               n, tokens, tokens * 1000 / ms[0], tokens * 1000 / ms[rounds / 2],
               tokens * 1000 / best_cpu);
    }
    for (int r = 0; r < MAX_ROUNDS && !rc; r++) {
        double t0 = clock_ms();
        rc = embedder_embed(em, &query, 1, tmp, v, NULL, e);
        ms[r] = clock_ms() - t0;
    }
    if (!rc) {
        qsort(ms, MAX_ROUNDS, sizeof *ms, by_value);
        printf("query of 9 words: best %.2f ms, median %.2f ms\n", ms[0], ms[MAX_ROUNDS / 2]);
    }
    mem_give(stat);
    mem_give(v);
    return rc;
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "models/all-MiniLM-L6-v2";
    int threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
    const char *file = argc > 3 ? argv[3] : "-";
    int rounds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 5;
    struct embed_text *t = mem_take(MAX_TEXTS, sizeof *t);
    struct embed_text query = {"when does the ferry leave the harbour in winter", 47};
    struct embedder_opts o = {0};
    struct embedder *em = NULL;
    struct arena texts;
    struct arena tmp;
    struct err e = {0};
    float first[4096];
    double t0 = clock_ms();
    double opened;
    int rc;

    arena_init(&texts, GIB);
    arena_init(&tmp, GIB);
    if (rounds < 1 || rounds > MAX_ROUNDS)
        rounds = 5;
    rc = threads > 1 ? team_open(&o.team, threads, &e) : 0;
    if (!rc)
        rc = embedder_open(&em, dir, &o, &e);
    opened = clock_ms();
    if (!rc && embedder_info(em)->dim <= 4096)
        rc = embedder_embed(em, &query, 1, &tmp, first, NULL, &e);
    if (!rc) {
        size_t n;
        printf("open %.1f ms, first query %.1f ms, peak memory %ld KiB\n", opened - t0,
               clock_ms() - opened, peak_kib());
        n = strcmp(file, "-") == 0 ? made_up(t, &texts) : from_file(file, t, &texts);
        rc = n ? run(em, t, n, rounds, &tmp, &e) : err_set(&e, ERR_NOTFOUND, "%s: no text", file);
        printf("peak memory %ld KiB\n", peak_kib());
    }
    if (rc)
        fprintf(stderr, "bench_embed: %s\n", e.msg);
    embedder_close(em);
    team_close(o.team);
    arena_free(&tmp);
    arena_free(&texts);
    mem_give(t);
    return rc != 0;
}
