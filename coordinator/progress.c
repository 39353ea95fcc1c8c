/* progress.c - see progress.h. */
#include "coordinator/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLAIN_EVERY_S 10.0

const char *grouped(unsigned long long v)
{
    static char text[8][32];
    static int turn;
    char digits[24];
    char *out = text[turn++ & 7];
    int n = snprintf(digits, sizeof digits, "%llu", v);
    int k = 0;

    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = '\0';
    return out;
}

const char *bytes_text(unsigned long long v)
{
    static char text[4][32];
    static int turn;
    static const char *const unit[] = {"bytes", "kB", "MB", "GB", "TB"};
    char *out = text[turn++ & 3];
    double d = (double)v;
    int u = 0;

    while (d >= 1000 && u < 4) {
        d /= 1000;
        u++;
    }
    snprintf(out, sizeof text[0], u && d < 10 ? "%.1f %s" : "%.0f %s", d, unit[u]);
    return out;
}

void clock_text(double s, char *out, size_t n)
{
    long t = s > 0 && s < 1e7 ? (long)(s + 0.5) : 0;

    if (t >= 3600)
        snprintf(out, n, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(out, n, "%ld:%02ld", t / 60, t % 60);
}

void progress_start(struct progress *pr, int quiet)
{
    memset(pr, 0, sizeof *pr);
    pr->live = isatty(STDERR_FILENO);
    pr->quiet = quiet;
}

/* Seconds left by the bytes of the last moments; negative: not known yet. Moments are 2 s apart, so that the rate follows
 * the files at hand and not the start of the run. */
static double eta(struct progress *pr, const struct index_progress *p)
{
    double t = p->elapsed_s;
    double done = (double)p->bytes_done;
    double rate;

    if (pr->n_rate == 0 || t - pr->rate_t[pr->n_rate - 1] >= 2) {
        if (pr->n_rate == 8) {
            memmove(pr->rate_t, pr->rate_t + 1, 7 * sizeof pr->rate_t[0]);
            memmove(pr->rate_bytes, pr->rate_bytes + 1, 7 * sizeof pr->rate_bytes[0]);
            pr->n_rate = 7;
        }
        pr->rate_t[pr->n_rate] = t;
        pr->rate_bytes[pr->n_rate++] = done;
    }
    rate = t > pr->rate_t[0] ? (done - pr->rate_bytes[0]) / (t - pr->rate_t[0]) : 0;
    if (done > 0 && rate <= 0)
        rate = done / (t + 1e-9);
    if (rate <= 0 || !p->bytes_total || t < 3)
        return -1;
    return done < (double)p->bytes_total ? ((double)p->bytes_total - done) / rate : 0;
}

static int line_of(struct progress *pr, const struct index_progress *p, char *out, size_t n)
{
    unsigned long long done = p->indexed + p->known + p->unchanged + p->failed + p->failed_before;
    double t = p->elapsed_s > 0.1 ? p->elapsed_s : 0.1;
    double left = eta(pr, p);
    char when[24] = "-:--";

    if (left >= 0)
        clock_text(left, when, sizeof when);
    return snprintf(out, n,
                    "%s/%s documents  %s pages  %.1f pages/s  %.0f tokens/s  ETA %s  %s failed",
                    grouped(done), grouped(p->files_total), grouped(p->pages),
                    (double)p->pages / t, (double)p->tokens / t, when, grouped(p->failed));
}

void progress_show(struct progress *pr, const struct index_progress *p)
{
    char line[256];

    if (pr->quiet)
        return;
    if (!pr->live && p->elapsed_s - pr->last_line_s < PLAIN_EVERY_S)
        return;
    if (line_of(pr, p, line, sizeof line) < 0)
        return;
    if (pr->live) {
        fprintf(stderr, "\r\033[K%s", line);
        pr->shown = 1;
    } else {
        pr->last_line_s = p->elapsed_s;
        fprintf(stderr, "%s\n", line);
    }
}

void progress_clear(struct progress *pr)
{
    if (pr->shown)
        fputs("\r\033[K", stderr);
    pr->shown = 0;
}
