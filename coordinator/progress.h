/* progress.h - shows an index run: one rewritten line on a terminal, a plain line now and then otherwise. */
#ifndef DOCENT_COORDINATOR_PROGRESS_H
#define DOCENT_COORDINATOR_PROGRESS_H

#include <stddef.h>

#include "coordinator/indexing.h"

struct progress {
    int live; /* stderr is a terminal */
    int quiet;
    int shown; /* a live line is on the screen */
    double last_line_s; /* when the last plain line was printed */
    double rate_t[8], rate_bytes[8]; /* the last moments, for the ETA */
    int n_rate;
};

void progress_start(struct progress *pr, int quiet);
void progress_show(struct progress *pr, const struct index_progress *p);
void progress_clear(struct progress *pr); /* before anything else is printed */

/* "1,234,567"; static buffers, eight in turn; one thread. */
const char *grouped(unsigned long long v);
/* "12 kB", "3.4 MB" of 1000s; static buffers as above. */
const char *bytes_text(unsigned long long v);
/* "1:02" or "1:02:03" */
void clock_text(double s, char *out, size_t n);

#endif
