/* cmd_chat.c - docent chat: questions in a row; a follow-up is read in the light of what was asked before. */
#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "coordinator/cmd_ask.h"
#include "coordinator/commands.h"

static int run(int argc, char **argv);

const struct command command_chat = {
    "chat", "chat [--mode auto|extract|generate] [filters]",
    "a conversation with the library: line editing, history, follow-up questions\n"
    "Leave with Ctrl-D or /quit; /new starts a new conversation; /help lists the rest.",
    "0 left, 1 failed, 2 wrong usage", run,
};

#define MAX_TURNS 8 /* earlier exchanges that a follow-up may refer to */

struct chat {
    struct engine en;
    struct ask ask;
    struct turn turns[MAX_TURNS]; /* owned strings, oldest first */
    uint32_t n_turns;
};

static void forget(struct chat *c, uint32_t keep)
{
    uint32_t drop = c->n_turns - keep;

    for (uint32_t i = 0; i < drop; i++) {
        mem_give((void *)(uintptr_t)c->turns[i].question);
        mem_give((void *)(uintptr_t)c->turns[i].answer);
    }
    memmove(c->turns, c->turns + drop, keep * sizeof c->turns[0]);
    c->n_turns = keep;
}

static void remember(struct chat *c, const char *question, const char *answer)
{
    struct turn t = {mem_strdup(question), mem_strdup(answer)};

    if (!t.question || !t.answer) {
        mem_give((void *)(uintptr_t)t.question);
        mem_give((void *)(uintptr_t)t.answer);
        return;
    }
    if (c->n_turns == MAX_TURNS)
        forget(c, MAX_TURNS - 1);
    c->turns[c->n_turns++] = t;
}

static void answer_line(struct chat *c, const char *line)
{
    struct answer ans;
    struct arena a;
    struct err e = {0};
    int shown = 0;

    arena_init(&a, LIM_REQUEST_MEMORY);
    c->ask.query.text = line;
    c->ask.history = c->turns;
    c->ask.n_history = c->n_turns;
    c->ask.on_text = show_text;
    c->ask.arg = &shown;
    stop_asked = 0;
    if (query_ask(&c->en, &c->ask, &a, &ans, &e)) {
        fprintf(stderr, "%s\n", e.msg);
    } else {
        if (!shown)
            print_safe(ans.text, strlen(ans.text));
        puts("\n");
        show_sources(&ans);
        putchar('\n');
        remember(c, line, ans.text);
    }
    arena_free(&a);
}

/* 1: leave. */
static int command_line(struct chat *c, const char *line)
{
    if (!strcmp(line, "/quit") || !strcmp(line, "/exit"))
        return 1;
    if (!strcmp(line, "/new")) {
        forget(c, 0);
        puts("new conversation");
    } else if (!strncmp(line, "/mode ", 6)) {
        parse_answer_mode(line + 6, &c->ask.mode);
    } else {
        puts("/new  new conversation    /mode auto|extract|generate    /quit  leave (or Ctrl-D)");
    }
    return 0;
}

static int take_line(struct chat *c, char *line)
{
    size_t n = strlen(line);

    while (n && strchr(" \t\r\n", line[n - 1]))
        line[--n] = '\0';
    while (*line == ' ' || *line == '\t')
        line++;
    if (!*line)
        return 0;
    if (*line == '/')
        return command_line(c, line);
    answer_line(c, line);
    return 0;
}

static void from_pipe(struct chat *c)
{
    char line[LIM_QUERY_BYTES + 2];

    while (fgets(line, sizeof line, stdin))
        if (take_line(c, line))
            return;
}

static char *prompt(EditLine *el)
{
    static char text[] = "> ";

    (void)el;
    return text;
}

static void history_file(char *path, size_t n)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    struct err ignored;

    path[0] = '\0';
    if (state && *state)
        snprintf(path, n, "%s/docent", state);
    else if (home && *home)
        snprintf(path, n, "%s/.local/state/docent", home);
    if (!path[0] || file_mkdirs(path, &ignored)) {
        path[0] = '\0';
        return;
    }
    snprintf(path + strlen(path), n - strlen(path), "/chat_history");
}

static void from_terminal(struct chat *c)
{
    char file[4096];
    HistEvent ev;
    EditLine *el = el_init("docent", stdin, stdout, stderr);
    History *h = history_init();

    history_file(file, sizeof file);
    if (el && h) {
        const char *got;
        int n;
        history(h, &ev, H_SETSIZE, 1000);
        history(h, &ev, H_SETUNIQUE, 1);
        if (file[0])
            history(h, &ev, H_LOAD, file);
        el_set(el, EL_PROMPT, prompt);
        el_set(el, EL_EDITOR, "emacs");
        el_set(el, EL_HIST, history, h);
        el_set(el, EL_SIGNAL, 1);
        puts("Ask about your documents. /help lists commands, Ctrl-D leaves.");
        while ((got = el_gets(el, &n)) != NULL && n > 0) {
            char *line = mem_strdup(got);
            int leave;
            if (!line)
                break;
            if (strspn(line, " \t\n") != strlen(line))
                history(h, &ev, H_ENTER, got);
            leave = take_line(c, line);
            mem_give(line);
            if (leave)
                break;
        }
        if (file[0])
            history(h, &ev, H_SAVE, file);
    }
    if (h)
        history_end(h);
    if (el)
        el_end(el);
}

static int run(int argc, char **argv)
{
    struct globals g;
    struct chat c;
    const char *mode = "auto";
    const struct opt opts[] = {
        {"mode", 'm', OPT_TEXT, &mode, 0, 0, NULL, "MODE", "auto (default), extract or generate"},
        {"collection", 'c', OPT_TEXT, &c.ask.query.filter.collection, 0, 0, NULL, "NAME", "only this collection"},
        {"path", 'p', OPT_TEXT, &c.ask.query.filter.path_glob, 0, 0, NULL, "GLOB", "only files whose path or name matches"},
        {"type", 0, OPT_TEXT, &c.ask.query.filter.type, 0, 0, NULL, "T", "only pdf, html, docx, markdown or text"},
        {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
    };
    struct engine_opts eo;
    struct err e = {0};
    char **rest;
    int n_rest;
    int rc;

    memset(&c, 0, sizeof c);
    rc = args_parse(&command_chat, opts, &g, argc, argv, &rest, &n_rest);
    if (rc >= 0)
        return rc;
    if (n_rest) {
        fputs("docent chat: takes no words; type the questions\n", stderr);
        return EXIT_USAGE;
    }
    if (parse_answer_mode(mode, &c.ask.mode))
        return EXIT_USAGE;
    eo = globals_engine(&g, LIB_READ, 1, c.ask.mode != ANSWER_EXTRACT);
    if (engine_open(&c.en, &eo, &e))
        return args_fail(&command_chat, &e);
    say_missing(&g, &c.en);
    if (isatty(STDIN_FILENO))
        from_terminal(&c);
    else
        from_pipe(&c);
    forget(&c, 0);
    engine_close(&c.en);
    return EXIT_OK;
}
