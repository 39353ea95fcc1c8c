/* proof.h - proving citations: open the source again, extract it again, compare the bytes.
 * Used by `docent verify ANSWER.json` and by the evaluation of answers. */
#ifndef DOCENT_COORDINATOR_PROOF_H
#define DOCENT_COORDINATOR_PROOF_H

#include <jansson.h>

#include "coordinator/query.h"

enum proof {
    PROVEN, /* the source file, extracted again, has the quote at that place */
    PROVEN_LIBRARY, /* the source file is gone or changed; the library's text has it */
    CHANGED, /* the file is there, but the quote is not at that place */
    MISSING, /* neither file nor library holds the document */
    PROOF_COUNT
};
const char *proof_name(enum proof p); /* "proven", "proven against the library", "changed", "missing" */

struct claim {
    const char *path;
    uint8_t doc[DOC_ID_BYTES];
    uint32_t page, start, end;
    const char *quote;
};

struct verdict {
    enum proof proof;
    char why[640]; /* a sentence */
};

/* Keeps the last file's extraction, so that the citations of one answer parse their file once. */
struct prover;
/* lib may be NULL: no fallback. program: docent-extract, NULL: beside this program. */
int prover_open(struct prover **out, struct library *lib, const char *program, struct err *e);
void prover_close(struct prover *p); /* NULL is fine */
/* Non-zero only when docent itself could not work (no child program, no memory). */
int prover_check(struct prover *p, const struct claim *c, struct verdict *v, struct err *e);

struct proof_report {
    uint32_t citations;
    uint32_t count[PROOF_COUNT];
};
/* All citations of an answer as `docent ask --json` prints it. on_verdict may be NULL. ERR_FORMAT: not such an answer. */
typedef void proof_fn(void *arg, uint32_t n, const struct claim *c, const struct verdict *v);
int proof_answer(struct prover *p, const json_t *answer, proof_fn *on_verdict, void *arg,
                 struct proof_report *r, struct err *e);

#endif
