/* log.c - see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define RULES 16
struct rule {
    char component[24]; /* "" matches all */
    int level; /* -1: off */
};
static struct rule rules[RULES]; /* written by log_setup() before threads start */
static int n_rules;
static const char *const names[] = {"error", "warn", "info", "debug"};

static int level_of(const char *word, size_t n)
{
    for (int i = 0; i < 4; i++)
        if (strlen(names[i]) == n && !strncmp(names[i], word, n))
            return i;
    return -2;
}

static void add_rule(const char *word, size_t n, int level)
{
    struct rule *r = &rules[n_rules];

    if (n_rules == RULES || n >= sizeof r->component)
        return;
    memcpy(r->component, word, n);
    r->component[n] = '\0';
    r->level = level;
    n_rules++;
}

void log_setup(const char *spec)
{
    n_rules = 0;
    while (spec && *spec) {
        size_t n = strcspn(spec, ",");
        const char *eq = memchr(spec, '=', n);
        if (spec[0] == '-') {
            add_rule(spec + 1, n - 1, -1);
        } else if (eq) {
            int level = level_of(eq + 1, n - (size_t)(eq + 1 - spec));
            if (level >= 0)
                add_rule(spec, (size_t)(eq - spec), level);
        } else if (level_of(spec, n) >= 0) {
            add_rule("", 0, level_of(spec, n));
        }
        spec += n + (spec[n] == ',');
    }
}

int log_on(enum log_level level, const char *component)
{
    int allowed = LOG_WARN;

    for (int i = 0; i < n_rules; i++)
        if (!rules[i].component[0] || !strcmp(rules[i].component, component))
            allowed = rules[i].level;
    return (int)level <= allowed;
}

void log_line(enum log_level level, const char *component, const char *fmt, ...)
{
    char line[1024];
    struct timespec t;
    struct tm tm;
    size_t n;
    va_list ap;

    if (!log_on(level, component))
        return;
    clock_gettime(CLOCK_REALTIME, &t);
    localtime_r(&t.tv_sec, &tm);
    n = (size_t)snprintf(line, sizeof line - 2, "%02d:%02d:%02d.%03ld %s %s: ", tm.tm_hour,
                         tm.tm_min, tm.tm_sec, t.tv_nsec / 1000000, names[level], component);
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof line - 2 - n, fmt, ap);
    va_end(ap);
    utf8_printable(line + n);
    n = strlen(line);
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nobody listens: nothing better to do */
}
