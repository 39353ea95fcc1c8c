/* indexing_commit.c - the store's stage: the one thread that writes. Documents that wait are committed together: while one
 * commit syncs (5-20 ms), the next batch collects. A document is acknowledged when its commit returned. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "coordinator/indexing_impl.h"

#define BATCH_BYTES (32 * MIB) /* LMDB keeps the dirty pages of a transaction in memory */
#define BATCH_DOCS 256

struct pending {
    struct job *jobs[BATCH_DOCS];
    int n;
    struct index_batch *b;
};

/* The index's view of a prepared document; arrays in the job's arena. */
static int build_doc(struct run *r, struct job *j, struct index_doc *d, struct err *e)
{
    struct index_page *pages = arena_zero(&j->a, j->x.n_pages, sizeof *pages);
    struct index_chunk *chunks = arena_zero(&j->a, j->n_chunks, sizeof *chunks);
    int rc = 0;

    if (!pages || !chunks)
        return err_set(e, ERR_NOMEM, "%s", j->at.path);
    memset(d, 0, sizeof *d);
    memcpy(d->id, j->id, sizeof d->id);
    d->title = j->title;
    d->type = doc_type_name(j->x.type);
    d->lang = j->x.lang;
    d->paged = j->x.paged;
    d->bytes = j->at.size;
    d->hidden_spans = j->x.hidden_spans;
    d->hidden_chars = j->x.hidden_chars;
    d->n_bad_pages = j->x.n_bad_pages;
    d->collections = r->o->collections;
    d->n_collections = r->o->n_collections;
    d->pages = pages;
    d->n_pages = j->x.n_pages;
    d->chunks = chunks;
    d->n_chunks = j->n_chunks;
    for (uint32_t i = 0; !rc && i < j->x.n_pages; i++) {
        const struct page *p = &j->x.pages[i];
        unsigned char *packed = NULL;
        size_t n = 0;
        rc = boxes_pack(p->boxes, p->n_boxes, &j->a, &packed, &n, e);
        pages[i] = (struct index_page){.number = p->number, .width = p->width, .height = p->height,
                                       .text = p->text, .n_text = p->n_text, .boxes = packed,
                                       .n_boxes = (uint32_t)n};
    }
    for (uint32_t i = 0; i < j->n_chunks; i++) {
        const struct chunk *c = &j->chunks[i];
        chunks[i] = (struct index_chunk){.page = c->page, .start = c->start, .end = c->end,
                                         .section = c->section, .n_tokens = c->n_tokens,
                                         .vec = j->vec ? j->vec[i] : NULL};
        memcpy(chunks[i].hash, j->hashes[i], sizeof chunks[i].hash);
    }
    return rc;
}

static int put_job(struct run *r, struct index_batch *b, struct job *j, struct err *e)
{
    struct index_doc d;
    int rc;

    if (j->kind == JOB_KNOWN)
        return index_put_path(b, j->id, &j->at, r->o->collections, r->o->n_collections, e);
    rc = build_doc(r, j, &d, e);
    return rc ? rc : index_put(b, &d, &j->at, e);
}

/* After the commit: count, forget old failures, free. */
static void acknowledge(struct run *r, struct pending *p, int committed)
{
    pthread_mutex_lock(&r->mu);
    for (int i = 0; i < p->n; i++) {
        struct job *j = p->jobs[i];
        if (committed) {
            r->p.bytes_done += j->at.size;
            if (j->kind == JOB_KNOWN) {
                r->p.known++;
            } else {
                r->p.indexed++;
                r->p.pages += j->x.n_pages;
                r->p.chunks += j->n_chunks;
            }
            quarantine_drop(r->quarantine, j->at.path);
        }
        job_free(j);
    }
    pthread_mutex_unlock(&r->mu);
    p->n = 0;
}

static void commit_pending(struct run *r, struct pending *p)
{
    struct err e = {0};
    int rc = 0;

    if (p->b)
        rc = index_commit(p->b, &e);
    p->b = NULL;
    if (rc)
        run_fail(r, &e);
    acknowledge(r, p, !rc);
}

/* A vector that the snapshot showed is gone (its document was replaced meanwhile), or the known document is: the
 * file goes through once more, with nothing reused. */
static void do_again(struct run *r, struct job *j)
{
    pthread_mutex_lock(&r->mu);
    if (r->n_redo < (int)(sizeof r->redo / sizeof r->redo[0])) {
        r->redo[r->n_redo++] = j;
        j = NULL;
    }
    pthread_mutex_unlock(&r->mu);
    if (j) {
        run_file_failed(r, j, "unreadable", "its stored vectors changed meanwhile; run index again");
        job_free(j);
    }
}

static void store_job(struct run *r, struct pending *p, struct job *j)
{
    struct err e = {0};
    int rc = 0;

    if (j->kind == JOB_FAILED) {
        run_file_failed(r, j, j->status, j->reason);
        job_free(j);
        return;
    }
    if (!p->b)
        rc = index_begin(r->en->lib, 0, &p->b, &e);
    if (!rc)
        rc = put_job(r, p->b, j, &e);
    if (rc == ERR_NOTFOUND) {
        do_again(r, j);
    } else if (rc == ERR_LIMIT || rc == ERR_INVALID || rc == ERR_NOMEM) { /* this document, not the store */
        run_file_failed(r, j, "too-large", e.msg);
        job_free(j);
    } else if (rc) {
        run_fail(r, &e);
        job_free(j);
    } else {
        p->jobs[p->n++] = j;
    }
}

void *commit_stage(void *run)
{
    struct run *r = run;
    struct pending p = {.n = 0};

    for (;;) {
        struct job *j = queue_poll(r->ready);
        if (!j) { /* nothing waits: store what is there, then sleep */
            commit_pending(r, &p);
            j = queue_get(r->ready);
            if (!j)
                break;
        }
        if (atomic_load(&r->failed)) {
            job_free(j);
            continue;
        }
        store_job(r, &p, j);
        if (p.n == BATCH_DOCS || (p.b && index_batch_bytes(p.b) > BATCH_BYTES))
            commit_pending(r, &p);
    }
    if (p.b && atomic_load(&r->failed)) {
        index_abort(p.b);
        p.b = NULL;
        acknowledge(r, &p, 0);
    } else {
        commit_pending(r, &p);
    }
    return NULL;
}
