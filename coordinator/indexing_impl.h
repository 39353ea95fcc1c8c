/* indexing_impl.h - what the stages of indexing share. Inside indexing*.c only. */
#ifndef DOCENT_COORDINATOR_INDEXING_IMPL_H
#define DOCENT_COORDINATOR_INDEXING_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/queue.h"
#include "coordinator/indexing.h"
#include "coordinator/quarantine.h"
#include "ingest/ingest.h"

enum job_kind {
    JOB_NEW, /* extract, embed, store */
    JOB_KNOWN, /* its content is in the library: only the path is stored */
    JOB_FAILED, /* goes to quarantine */
};

/* One file on its way. Owned by whoever took it from a queue. */
struct job {
    struct arena a; /* everything below lives here */
    enum job_kind kind;
    struct index_path at; /* path, size, mtime, inode */
    uint8_t id[DOC_ID_BYTES];
    struct extracted x;
    const char *title;
    struct chunk *chunks; /* [n_chunks] */
    uint32_t n_chunks;
    struct embed_text *texts; /* [n_chunks] what the embedder reads */
    uint8_t (*hashes)[DOC_ID_BYTES]; /* [n_chunks] of texts */
    float *vectors; /* [n_fresh, dim] */
    const float **vec; /* [n_chunks] into vectors; NULL: stored already */
    const char *status, *reason; /* JOB_FAILED */
    int transient; /* a failure that is tried again at the next run */
};

/* Hashes of chunk texts that this run has sent to the store: embedded once although no snapshot shows them yet. */
struct hash_set {
    uint8_t (*at)[DOC_ID_BYTES];
    size_t n, cap; /* cap is a power of two */
};

struct run {
    struct engine *en;
    const struct index_opts *o;
    struct queue *files; /* walker -> extractors: struct job with at filled */
    struct queue *docs; /* extractors -> embedder */
    struct queue *ready; /* embedder -> committer */
    struct quarantine *quarantine;
    pthread_mutex_t mu; /* guards p, quarantine, now, error, redo */
    struct index_progress p;
    char now[256];
    struct err error; /* the first error that ended the run */
    atomic_int failed; /* error is set: stages drain and stop */
    volatile int stop; /* for the parser children: user's stop or failed */
    struct job *redo[256]; /* documents whose stored vectors vanished: embedded in full in a second round */
    int n_redo;
    int force; /* second round: reuse nothing */
    struct hash_set sent;
    uint32_t dim;
    double start_ms;
};

/* indexing_file.c: open, hash, known?, sniff, extract, mark furniture, chunk, hash the chunks. Fills j->kind;
 * an error of the file itself is JOB_FAILED with return 0. */
int job_prepare(struct run *r, struct job *j, struct err *e);
struct job *job_new(const struct walk_file *f);
void job_free(struct job *j);

/* indexing_embed.c */
void *embed_stage(void *run);
/* indexing_commit.c */
void *commit_stage(void *run);

int run_stopping(struct run *r); /* 1: the user or an error ended the run */
void run_fail(struct run *r, const struct err *e); /* the first one counts */
void run_file_failed(struct run *r, struct job *j, const char *status, const char *reason);

#endif
