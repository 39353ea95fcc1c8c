/* args.h - command lines from one table a command: parsing, ranges, environment and --help come from it.
 * Used by main.c and cmd_*.c only. */
#ifndef DOCENT_COORDINATOR_ARGS_H
#define DOCENT_COORDINATOR_ARGS_H

#include "base/err.h"

enum opt_type {
    OPT_FLAG, /* int, set to 1 */
    OPT_TEXT, /* const char * */
    OPT_WHOLE, /* int, within least..most */
    OPT_LIST, /* struct texts, may be repeated */
};

struct texts {
    const char *at[64];
    int n;
};

struct opt {
    const char *name; /* long name without "--"; NULL ends a table */
    char letter; /* 0: none */
    enum opt_type type;
    void *to;
    long least, most; /* OPT_WHOLE */
    const char *env; /* environment variable that stands for it; NULL: none */
    const char *value; /* what help calls the value, NULL for flags */
    const char *help;
};

struct command {
    const char *name;
    const char *usage; /* "index PATH... [options]" */
    const char *help; /* one or more lines */
    const char *exits; /* exit codes, one line */
    int (*run)(int argc, char **argv); /* the exit code */
};

/* Options every command knows: -L/--library, --models, --threads, --log, --json, --help. */
struct globals {
    const char *library; /* never NULL after args_parse */
    const char *models;
    const char *log;
    const char *embedder;
    const char *generator;
    int threads;
    int json;
};

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_PARTLY 3 /* the run ended, but some files failed, or verify found problems */
#define EXIT_STOPPED 130 /* by Ctrl-C */

/* Fills the options' targets (environment first, then the command line) and g. What is no option is moved to the front:
 * rest[0..*n_rest). Returns -1 to go on, else an exit code: help was printed, or the sentence of a usage error. */
int args_parse(const struct command *c, const struct opt *opts, struct globals *g, int argc,
               char **argv, char ***rest, int *n_rest);

/* Prints "docent COMMAND: sentence" to stderr; returns the exit code that fits e. */
int args_fail(const struct command *c, const struct err *e);

#endif
