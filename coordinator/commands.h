/* commands.h - the verbs of docent: each parses its words, opens an engine, calls one flow, prints. */
#ifndef DOCENT_COORDINATOR_COMMANDS_H
#define DOCENT_COORDINATOR_COMMANDS_H

#include <signal.h>

#include "coordinator/args.h"
#include "coordinator/engine.h"

#define DOCENT_VERSION "0.1.0"

extern const struct command command_index, command_search, command_ask, command_chat, command_verify,
    command_status, command_rm, command_compact, command_backup, command_restore, command_eval;

/* Set by the first Ctrl-C or SIGTERM after catch_stop(); the second ends the process at once. */
extern volatile sig_atomic_t stop_asked;
void catch_stop(void);

/* Engine options of g: models, threads; wants are the caller's. */
struct engine_opts globals_engine(const struct globals *g, int lib_flags, int want_embedder,
                                  int want_generator);

/* Prints why a model is missing, once a process, to stderr (not with --json). */
void say_missing(const struct globals *g, const struct engine *en);

/* stdout is a terminal that takes colours (and NO_COLOR is not set). */
int colours(void);
/* Writes text to stdout with control characters shown as '?'. */
void print_safe(const char *text, size_t n);
/* A path as people read it: without the folder they stand in. */
void print_path(const char *path);
/* Prints v on one line to stdout; gives it up. Returns EXIT_OK, or EXIT_FAILED when stdout is gone. */
int print_json(void *json);

#endif
