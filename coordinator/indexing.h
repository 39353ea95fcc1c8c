/* indexing.h - files into the library. The flow is indexing.c. */
#ifndef DOCENT_COORDINATOR_INDEXING_H
#define DOCENT_COORDINATOR_INDEXING_H

#include <signal.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/engine.h"

struct index_progress { /* a moment of a run; counts only grow */
    uint64_t files_found, files_total; /* total is 0 until the count is done */
    uint64_t bytes_total, bytes_done;
    uint64_t unchanged, known, indexed, failed, failed_before, removed;
    uint64_t pages, chunks, tokens, embedded, reused; /* chunks embedded, and taken from what is stored */
    double elapsed_s;
    const char *now; /* a file being worked on, may be NULL; good during the call only */
};

struct index_opts {
    const char *const *paths;
    int n_paths;
    const char *const *collections;
    uint32_t n_collections;
    int sync; /* remove library paths below the given folders that are gone from disk */
    int retry; /* try files again that failed before and have not changed */
    const char *extract_program; /* NULL: beside this program */
    const volatile sig_atomic_t *stop; /* set: end cleanly, keep what is done */
    /* Called about five times a second and at the end, from one thread. */
    void (*on_progress)(void *arg, const struct index_progress *p);
    /* A file that failed, or was left out: one call each. */
    void (*on_file)(void *arg, const char *path, const char *status, const char *reason);
    void *arg;
};

/* Brings the library of en (opened with LIB_WRITE) up to date with the files below paths. Every document is acknowledged by
 * its commit: what p->indexed counts survives kill -9. Returns 0, ERR_CANCELLED after stop, or the error that ended the
 * run (full disk, no child program ...); p is filled in any case. */
int indexing_run(struct engine *en, const struct index_opts *o, struct index_progress *p,
                 struct err *e);

#endif
