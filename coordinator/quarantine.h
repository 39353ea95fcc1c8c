/* quarantine.h - LIBRARY/quarantine.jsonl: the files that could not be indexed, one JSON object a line
 * {"path","status","reason","size","mtime_ns","inode","time_ms","wall_ms","peak_bytes"}.
 * A file that failed is not tried again until it changes or --retry is given. Lines are appended while a run goes on
 * (a torn last line after a crash is ignored) and the file is rewritten as a whole at its end.
 * Threads: one at a time, the caller's lock. */
#ifndef DOCENT_COORDINATOR_QUARANTINE_H
#define DOCENT_COORDINATOR_QUARANTINE_H

#include <stdint.h>

#include "base/err.h"

struct quarantine;

struct failure {
    const char *path;
    const char *status; /* extract_status_name() */
    const char *reason;
    uint64_t size;
    int64_t mtime_ns;
    uint64_t inode;
    int64_t time_ms; /* when */
    double wall_ms;
    uint64_t peak_bytes;
};

int quarantine_open(struct quarantine **out, const char *library_dir, struct err *e);
void quarantine_close(struct quarantine *q); /* writes nothing; NULL is fine */
/* The failure of this very version of the file, or NULL. */
const struct failure *quarantine_find(const struct quarantine *q, const char *path, uint64_t size,
                                      int64_t mtime_ns, uint64_t inode);
int quarantine_add(struct quarantine *q, const struct failure *f, struct err *e); /* copies, appends */
void quarantine_drop(struct quarantine *q, const char *path); /* it was indexed, or is gone */
int quarantine_save(struct quarantine *q, struct err *e); /* rewrites the file when entries were dropped */
uint64_t quarantine_count(const struct quarantine *q);
/* Every entry, sorted by path. */
void quarantine_each(const struct quarantine *q, void (*fn)(void *arg, const struct failure *f),
                     void *arg);

#endif
