/* sandbox.h - what docent-extract takes from itself before it looks at a document. */
#ifndef DOCENT_INGEST_CHILD_SANDBOX_H
#define DOCENT_INGEST_CHILD_SANDBOX_H

#include <stdint.h>

#include "base/err.h"

struct sandbox_report {
    int landlock; /* ABI version in force, 0: the kernel has none */
    int seccomp;
};

/* Limits of address space, CPU seconds, descriptors, file size; no core file; dies with its parent;
 * no new privileges; files: nothing but reading below the few folders that poppler needs; system
 * calls: reading, memory, writing to open descriptors. Cannot be undone. An error means that the
 * program must not go on. */
int sandbox_enter(uint64_t memory_bytes, unsigned cpu_s, struct sandbox_report *r, struct err *e);

#endif
