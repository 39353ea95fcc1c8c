/* args.c - see args.h. */
#include "coordinator/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static struct globals store;
static int want_help;

static const struct opt global_opts[] = {
    {"library", 'L', OPT_TEXT, &store.library, 0, 0, "DOCENT_LIBRARY", "DIR",
     "the library folder (default ~/.local/share/docent/default)"},
    {"models", 0, OPT_TEXT, &store.models, 0, 0, "DOCENT_MODELS", "DIR", "where the models are"},
    {"embedder", 0, OPT_TEXT, &store.embedder, 0, 0, "DOCENT_EMBEDDER", "NAME",
     "embedding model, or none (default all-MiniLM-L6-v2)"},
    {"generator", 0, OPT_TEXT, &store.generator, 0, 0, "DOCENT_GENERATOR", "NAME",
     "language model, or none (default SmolLM2-135M-Instruct.Q4_1.gguf)"},
    {"threads", 't', OPT_WHOLE, &store.threads, 0, 1024, "DOCENT_THREADS", "N",
     "threads for the models (default: all cores)"},
    {"log", 0, OPT_TEXT, &store.log, 0, 0, "DOCENT_LOG", "SPEC",
     "log to stderr: error, warn, info, debug, COMPONENT=LEVEL, -COMPONENT"},
    {"json", 'j', OPT_FLAG, &store.json, 0, 0, NULL, NULL, "print JSON for programs"},
    {"help", 'h', OPT_FLAG, &want_help, 0, 0, NULL, NULL, "this text"},
    {NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL},
};

static void print_opts(const struct opt *o)
{
    for (; o && o->name; o++) {
        char left[64];
        int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                          : snprintf(left, sizeof left, "      --%s", o->name);
        if (o->value && n > 0 && (size_t)n < sizeof left)
            snprintf(left + n, sizeof left - (size_t)n, " %s", o->value);
        printf("%-28s %s", left, o->help);
        if (o->env)
            printf(" [$%s]", o->env);
        putchar('\n');
    }
}

static void print_help(const struct command *c, const struct opt *opts)
{
    printf("usage: docent %s\n\n%s\n", c->usage, c->help);
    if (opts && opts->name) {
        puts("\noptions:");
        print_opts(opts);
    }
    puts("\nfor every command:");
    print_opts(global_opts);
    printf("\nexit codes: %s\n", c->exits);
}

static int usage_error(const struct command *c, const char *what, const char *detail)
{
    fprintf(stderr, "docent %s: %s%s%s (docent %s --help)\n", c->name, what, detail ? ": " : "",
            detail ? detail : "", c->name);
    return EXIT_USAGE;
}

/* 0 or an exit code. */
static int set_value(const struct command *c, const struct opt *o, const char *value)
{
    char what[160];
    char *end;
    long v;

    switch (o->type) {
    case OPT_FLAG:
        *(int *)o->to = 1;
        return 0;
    case OPT_TEXT:
        *(const char **)o->to = value;
        return 0;
    case OPT_LIST: {
        struct texts *l = o->to;
        if (l->n == (int)(sizeof l->at / sizeof l->at[0]))
            return usage_error(c, "too many values", o->name);
        l->at[l->n++] = value;
        return 0;
    }
    case OPT_WHOLE:
        errno = 0;
        v = strtol(value, &end, 10);
        if (errno || end == value || *end || v < o->least || v > o->most) {
            snprintf(what, sizeof what, "--%s takes a whole number from %ld to %ld, not", o->name,
                     o->least, o->most);
            return usage_error(c, what, value);
        }
        *(int *)o->to = (int)v;
        return 0;
    }
    return 0;
}

static const struct opt *find(const struct opt *table, const char *name, size_t n, char letter)
{
    for (; table && table->name; table++) {
        if (letter ? table->letter == letter
                   : strlen(table->name) == n && !strncmp(table->name, name, n))
            return table;
    }
    return NULL;
}

static int from_environment(const struct command *c, const struct opt *table)
{
    for (; table && table->name; table++) {
        const char *v = table->env ? getenv(table->env) : NULL;
        if (v && *v) {
            int rc = set_value(c, table, v);
            if (rc)
                return rc;
        }
    }
    return 0;
}

/* One word of the command line that begins with '-'. i moves on when the value is the next word. */
static int take_option(const struct command *c, const struct opt *opts, int argc, char **argv,
                       int *i)
{
    const char *word = argv[*i];
    const char *value = NULL;
    const struct opt *o;

    if (word[1] == '-') {
        size_t n = strcspn(word + 2, "=");
        o = find(opts, word + 2, n, 0);
        if (!o)
            o = find(global_opts, word + 2, n, 0);
        if (word[2 + n] == '=')
            value = word + 2 + n + 1;
    } else {
        o = find(opts, NULL, 0, word[1]);
        if (!o)
            o = find(global_opts, NULL, 0, word[1]);
        if (word[2])
            value = word + 2;
    }
    if (!o)
        return usage_error(c, "unknown option", word);
    if (o->type == OPT_FLAG && value)
        return usage_error(c, "this option takes no value", word);
    if (o->type != OPT_FLAG && !value) {
        if (*i + 1 >= argc)
            return usage_error(c, "this option needs a value", word);
        value = argv[++*i];
    }
    return set_value(c, o, value);
}

static int default_library(void)
{
    static char path[4096];
    const char *home = getenv("HOME");
    const char *data = getenv("XDG_DATA_HOME");

    if (data && *data)
        snprintf(path, sizeof path, "%s/docent/default", data);
    else if (home && *home)
        snprintf(path, sizeof path, "%s/.local/share/docent/default", home);
    else
        return 0;
    store.library = path;
    return 1;
}

int args_parse(const struct command *c, const struct opt *opts, struct globals *g, int argc,
               char **argv, char ***rest, int *n_rest)
{
    int n = 0;
    int plain = 0;
    int rc;

    memset(&store, 0, sizeof store);
    want_help = 0;
    rc = from_environment(c, global_opts);
    if (!rc)
        rc = from_environment(c, opts);
    for (int i = 0; i < argc && !rc; i++) {
        if (!plain && !strcmp(argv[i], "--"))
            plain = 1;
        else if (!plain && argv[i][0] == '-' && argv[i][1])
            rc = take_option(c, opts, argc, argv, &i);
        else
            argv[n++] = argv[i];
    }
    if (rc)
        return rc;
    if (want_help) {
        print_help(c, opts);
        return EXIT_OK;
    }
    if (!store.library && !default_library())
        return usage_error(c, "no library: give -L DIR, or set DOCENT_LIBRARY or HOME", NULL);
    log_setup(store.log);
    *g = store;
    *rest = argv;
    *n_rest = n;
    return -1;
}

int args_fail(const struct command *c, const struct err *e)
{
    fprintf(stderr, "docent %s: %s\n", c->name, e->msg[0] ? e->msg : err_text((int)e->code));
    return e->code == ERR_CANCELLED ? EXIT_STOPPED : EXIT_FAILED;
}
