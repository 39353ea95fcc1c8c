/* terminal.c - what the commands share: signals, colours, safe printing (see commands.h). */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "coordinator/commands.h"

volatile sig_atomic_t stop_asked;

static void on_stop(int sig)
{
    if (stop_asked) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
    stop_asked = 1;
}

void catch_stop(void)
{
    struct sigaction act;

    memset(&act, 0, sizeof act);
    act.sa_handler = on_stop;
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

struct engine_opts globals_engine(const struct globals *g, int lib_flags, int want_embedder,
                                  int want_generator)
{
    struct engine_opts o = {.library = g->library, .lib_flags = lib_flags, .models = g->models,
                            .embedder = g->embedder, .generator = g->generator,
                            .want_embedder = want_embedder, .want_generator = want_generator,
                            .threads = g->threads};

    return o;
}

void say_missing(const struct globals *g, const struct engine *en)
{
    static int said;

    if (said || g->json)
        return;
    if (!en->emb && en->embedder_why[0])
        fprintf(stderr, "note: %s\n", en->embedder_why);
    else if (!en->gen && en->generator_why[0])
        fprintf(stderr, "note: %s\n", en->generator_why);
    said = 1;
}

int colours(void)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

void print_safe(const char *text, size_t n)
{
    size_t i = 0;

    while (i < n) {
        uint32_t cp;
        size_t len = utf8_next(text + i, n - i, &cp);
        int bad = (cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0) ||
                  (cp == 0xFFFD && len == 1) || (cp >= 0x202A && cp <= 0x202E) ||
                  (cp >= 0x2066 && cp <= 0x2069);
        if (bad)
            putchar('?');
        else
            fwrite(text + i, 1, len, stdout);
        i += len;
    }
}

int print_json(void *json)
{
    char *line = json ? json_line(json) : NULL;

    json_decref(json);
    if (!line) {
        fputs("docent: out of memory for the JSON reply\n", stderr);
        return EXIT_FAILED;
    }
    puts(line);
    mem_give(line);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

void print_path(const char *path)
{
    char here[4096];
    size_t n = getcwd(here, sizeof here) ? strlen(here) : 0;

    if (n > 1 && !strncmp(path, here, n) && path[n] == '/')
        path += n + 1;
    print_safe(path, strlen(path));
}
