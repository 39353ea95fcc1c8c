/* team.h - a fixed team of threads that shares out numbered tasks; idle members sleep in the kernel.
 * Threads: one caller at a time; the caller works too, so a team of 1 starts no thread. */
#ifndef DOCENT_BASE_TEAM_H
#define DOCENT_BASE_TEAM_H

#include <stddef.h>

#include "base/err.h"

struct team;

/* n_threads 0: as many as this process may use (team_cores). */
int team_open(struct team **out, int n_threads, struct err *e);
void team_close(struct team *t); /* NULL is fine */
int team_size(const struct team *t); /* 1 for NULL */

/* Calls fn(arg, task, worker) for task 0..n_tasks-1, each exactly once, in any order and on any
 * member; worker is 0..team_size-1 and is the index of per-thread scratch. Returns when all are done.
 * NULL team: a plain loop on the caller. What is computed must not depend on who computes it. */
void team_run(struct team *t, void (*fn)(void *arg, size_t task, int worker), void *arg,
              size_t n_tasks);

int team_cores(void); /* CPUs in this process's affinity mask */

#endif
