/* bench_gen.c - tokens a second of prefill and decode.
 *   bench_gen MODEL.gguf [threads] [prompt tokens] [new tokens] [rounds]
 * Random ids: the work does not depend on what they mean. Prints best and median of the rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/team.h"
#include "generator/generator.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *what, double *ms, int rounds, double tokens)
{
    qsort(ms, (size_t)rounds, sizeof *ms, by_value);
    printf("%-10s best %8.1f tok/s   median %8.1f tok/s\n", what, tokens * 1000 / ms[0],
           tokens * 1000 / ms[rounds / 2]);
}

static int one_round(struct generator *g, const int32_t *ids, uint32_t n, uint32_t n_new,
                     float *logits, double *prefill, double *decode, struct err *e)
{
    struct gen_seq *s = NULL;
    int rc = gen_seq_open(&s, g, n + n_new, e);
    double t0 = clock_ms();
    double t1;
    struct gen_step step = {s, ids, n, 0, logits};

    if (!rc)
        rc = generator_forward(g, &step, 1, e);
    t1 = clock_ms();
    for (uint32_t i = 0; !rc && i < n_new; i++) {
        step = (struct gen_step){s, ids + i % n, 1, 0, logits};
        rc = generator_forward(g, &step, 1, e);
    }
    *prefill = t1 - t0;
    *decode = clock_ms() - t1;
    gen_seq_close(s);
    return rc;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "models/SmolLM2-135M-Instruct.Q4_1.gguf";
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    uint32_t n = argc > 3 ? (uint32_t)atoi(argv[3]) : 512;
    uint32_t n_new = argc > 4 ? (uint32_t)atoi(argv[4]) : 64;
    int rounds = argc > 5 ? atoi(argv[5]) : 5;
    double prefill[64];
    double decode[64];
    struct generator_opts o = {.without_tokenizer = 1};
    struct generator *g = NULL;
    struct err e = {0};
    int32_t *ids = calloc(n, sizeof *ids);
    float *logits;
    double start;
    int rc;

    if (rounds < 1 || rounds > 64 || !n || !ids)
        return 2;
    rc = team_open(&o.team, threads, &e);
    start = clock_ms();
    if (!rc)
        rc = generator_open(&g, path, &o, &e);
    if (rc) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    printf("%s: %d threads, opened in %.0f ms\n", generator_info(g)->name, threads,
           clock_ms() - start);
    logits = calloc(generator_info(g)->vocab, sizeof *logits);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 2654435761u >> 8) % generator_info(g)->vocab);
    for (int r = 0; !rc && r < rounds; r++)
        rc = one_round(g, ids, n, n_new, logits, &prefill[r], &decode[r], &e);
    if (rc)
        fprintf(stderr, "%s\n", e.msg);
    else {
        char what[32];
        snprintf(what, sizeof what, "pp%u", n);
        report(what, prefill, rounds, n);
        snprintf(what, sizeof what, "tg%u", n_new);
        report(what, decode, rounds, n_new);
    }
    generator_close(g);
    team_close(o.team);
    free(logits);
    free(ids);
    return rc ? 1 : 0;
}
