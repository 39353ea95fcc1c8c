/* indexing.c - the life of one index run. Start reading here.
 *
 *   count_tree     walk once, count files and bytes          this thread
 *   walk_stage     walk, unchanged? skip, else queue         this thread
 *   extract_stage  open, hash, known?, extract, chunk        one thread a core  (indexing_file.c)
 *   embed_stage    vectors of new chunks                     one thread + team  (indexing_embed.c)
 *   commit_stage   one LMDB transaction a batch, acknowledge one thread         (indexing_commit.c)
 *   sync_paths     remove what is gone from disk             this thread, at the end
 *
 * Bounded queues join the stages: extraction and embedding never wait for fsync, and memory is bounded by what the queues
 * hold. A file costs itself; an error of the store ends the run, and all that was acknowledged stays. */
#include "coordinator/indexing.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/team.h"
#include "coordinator/indexing_impl.h"

#define FILES_QUEUE 64
#define DOCS_QUEUE 8 /* extracted documents that wait for the embedder */
#define READY_QUEUE 64
#define MAX_EXTRACTORS 16

int run_stopping(struct run *r)
{
    if ((r->o->stop && *r->o->stop) || atomic_load(&r->failed))
        r->stop = 1;
    return r->stop;
}

void run_fail(struct run *r, const struct err *e)
{
    pthread_mutex_lock(&r->mu);
    if (!atomic_load(&r->failed)) {
        r->error = *e;
        atomic_store(&r->failed, 1);
        r->stop = 1;
    }
    pthread_mutex_unlock(&r->mu);
}

void run_file_failed(struct run *r, struct job *j, const char *status, const char *reason)
{
    struct failure f = {.path = j->at.path, .status = status, .reason = reason, .size = j->at.size,
                        .mtime_ns = j->at.mtime_ns, .inode = j->at.inode,
                        .time_ms = clock_unix_ms(), .wall_ms = j->x.wall_ms,
                        .peak_bytes = j->x.peak_bytes};
    struct err e = {0};
    int rc = 0;

    pthread_mutex_lock(&r->mu);
    r->p.failed++;
    r->p.bytes_done += j->at.size;
    rc = quarantine_add(r->quarantine, &f, &e);
    if (!rc && j->transient)
        quarantine_drop(r->quarantine, f.path); /* on file for this run, tried again at the next */
    if (r->o->on_file)
        r->o->on_file(r->o->arg, j->at.path, status, reason);
    pthread_mutex_unlock(&r->mu);
    if (rc)
        run_fail(r, &e);
}

/* ---- progress ---- */

static void report(struct run *r)
{
    struct index_progress p;
    char now[sizeof r->now];

    pthread_mutex_lock(&r->mu);
    p = r->p;
    memcpy(now, r->now, sizeof now);
    pthread_mutex_unlock(&r->mu);
    p.elapsed_s = (clock_ms() - r->start_ms) / 1e3;
    p.now = now[0] ? now : NULL;
    if (r->o->on_progress)
        r->o->on_progress(r->o->arg, &p);
}

struct ticker {
    struct run *run;
    pthread_t thread;
    atomic_int ended;
};

static void *tick(void *arg)
{
    struct ticker *t = arg;

    while (!atomic_load(&t->ended)) {
        run_stopping(t->run); /* hands the user's stop to the parser children */
        report(t->run);
        for (int i = 0; i < 10 && !atomic_load(&t->ended); i++)
            clock_nap_ms(20); /* short, so that a run of a moment does not end 200 ms late */
    }
    return NULL;
}

/* ---- the walk ---- */

static int count_file(void *arg, const struct walk_file *f)
{
    struct run *r = arg;

    r->p.files_total++; /* no other thread runs yet */
    r->p.bytes_total += f->size;
    return run_stopping(r);
}

static int unchanged(struct run *r, struct snapshot *s, const struct walk_file *f)
{
    uint8_t id[DOC_ID_BYTES];
    struct index_path known;

    return !r->force && snapshot_path(s, f->path, id, &known, NULL) == 0 && known.size == f->size &&
           known.mtime_ns == f->mtime_ns && known.inode == f->inode && r->o->n_collections == 0;
}

#define SNAPSHOT_FILES 64 /* a snapshot held over a whole walk would keep every page that commits free meanwhile */

struct walking {
    struct run *run;
    struct snapshot *s;
    unsigned looked; /* files looked up in s */
    char library[PATH_MAX]; /* its real path: a library inside the walked folder does not index itself */
};

static int of_library(const struct walking *w, const char *path)
{
    char copy[PATH_MAX];
    char real[PATH_MAX];
    size_t n = strlen(w->library);

    if (!n || (!strstr(path, "/shard-") && !strstr(path, "library.conf") && !strstr(path, "writer.lock") &&
               !strstr(path, "quarantine.jsonl")))
        return 0;
    snprintf(copy, sizeof copy, "%s", path);
    return realpath(copy, real) && !strncmp(real, w->library, n) && (real[n] == '/' || !real[n]);
}

/* Files come in one row, so what was committed meanwhile is of files already seen: a fresh snapshot loses nothing. */
static int renew(struct walking *w)
{
    struct err e = {0};

    if (++w->looked % SNAPSHOT_FILES)
        return 0;
    snapshot_give(w->s);
    w->s = NULL;
    if (snapshot_take(w->run->en->lib, &w->s, &e)) {
        run_fail(w->run, &e);
        return 1;
    }
    return 0;
}

static int take_file(void *arg, const struct walk_file *f)
{
    struct walking *w = arg;
    struct run *r = w->run;
    int same;
    int bad;
    struct job *j;

    if (of_library(w, f->path))
        return run_stopping(r);
    if (renew(w))
        return 1;
    same = unchanged(r, w->s, f);

    pthread_mutex_lock(&r->mu);
    bad = !same && !r->o->retry && quarantine_find(r->quarantine, f->path, f->size, f->mtime_ns, f->inode);
    r->p.files_found++;
    r->p.unchanged += (uint64_t)same;
    r->p.failed_before += (uint64_t)bad;
    if (same || bad)
        r->p.bytes_done += f->size;
    snprintf(r->now, sizeof r->now, "%s", f->path);
    pthread_mutex_unlock(&r->mu);
    if (same || bad)
        return run_stopping(r);
    j = job_new(f);
    if (!j) {
        struct err e = {0};
        err_set(&e, ERR_NOMEM, "%s", f->path);
        run_fail(r, &e);
        return 1;
    }
    if (queue_len(r->files) == FILES_QUEUE) { /* about to wait for the stages: hold nothing meanwhile */
        snapshot_give(w->s);
        w->s = NULL;
        w->looked = SNAPSHOT_FILES - 1;
    }
    if (run_stopping(r) || queue_put(r->files, j)) {
        job_free(j);
        return 1;
    }
    return 0;
}

static int left_out(void *arg, const char *path, const char *why)
{
    struct walking *w = arg;

    if (w->run->o->on_file)
        w->run->o->on_file(w->run->o->arg, path, "left out", why);
    return run_stopping(w->run);
}

static int ignore_skip(void *arg, const char *path, const char *why)
{
    (void)arg;
    (void)path;
    (void)why;
    return 0;
}

static int count_tree(struct run *r, struct err *e)
{
    int rc = 0;

    for (int i = 0; i < r->o->n_paths && !rc; i++)
        rc = walk_tree(r->o->paths[i], count_file, ignore_skip, r, e);
    return rc;
}

static void walk_stage(struct run *r)
{
    struct walking w = {.run = r};
    struct err e = {0};
    int rc = snapshot_take(r->en->lib, &w.s, &e);

    if (!realpath(library_dir(r->en->lib), w.library))
        w.library[0] = '\0';
    for (int i = 0; i < r->o->n_paths && !rc; i++)
        rc = walk_tree(r->o->paths[i], take_file, left_out, &w, &e);
    if (w.s)
        snapshot_give(w.s);
    if (rc && rc != ERR_CANCELLED)
        run_fail(r, &e);
}

/* ---- the stages ---- */

static void *extract_stage(void *run)
{
    struct run *r = run;
    struct job *j;

    while ((j = queue_get(r->files)) != NULL) {
        struct err e = {0};
        int rc = run_stopping(r) ? ERR_CANCELLED : job_prepare(r, j, &e);
        if (rc && rc != ERR_CANCELLED)
            run_fail(r, &e);
        if (rc || queue_put(r->docs, j))
            job_free(j);
    }
    return NULL;
}

/* Second round: only what do_again() put aside. */
static void feed_redo(struct run *r, struct job **redo, int n)
{
    for (int i = 0; i < n; i++) {
        struct walk_file f = {.path = redo[i]->at.path, .size = redo[i]->at.size,
                              .mtime_ns = redo[i]->at.mtime_ns, .inode = redo[i]->at.inode};
        struct job *j = job_new(&f);
        if (j && queue_put(r->files, j))
            job_free(j);
        job_free(redo[i]);
    }
}

static void close_queues(struct run *r)
{
    queue_close(r->files);
    queue_close(r->docs);
    queue_close(r->ready);
    r->files = r->docs = r->ready = NULL;
}

static int open_queues(struct run *r, struct err *e)
{
    int rc = queue_open(&r->files, FILES_QUEUE, e);

    if (!rc)
        rc = queue_open(&r->docs, DOCS_QUEUE, e);
    if (!rc)
        rc = queue_open(&r->ready, READY_QUEUE, e);
    return rc;
}

/* One pass of files through all stages; redo NULL: the walk is the source. */
static int pipeline(struct run *r, struct job **redo, int n_redo, struct err *e)
{
    pthread_t extractors[MAX_EXTRACTORS];
    pthread_t embedding;
    pthread_t committing;
    int n = team_cores() < MAX_EXTRACTORS ? team_cores() : MAX_EXTRACTORS;
    int started = 0;
    int rc = open_queues(r, e);

    if (rc) {
        close_queues(r);
        return rc;
    }
    if (pthread_create(&committing, NULL, commit_stage, r)) {
        close_queues(r);
        return err_set(e, ERR_NOMEM, "cannot start a thread");
    }
    if (pthread_create(&embedding, NULL, embed_stage, r)) {
        queue_end(r->ready);
        pthread_join(committing, NULL);
        close_queues(r);
        return err_set(e, ERR_NOMEM, "cannot start a thread");
    }
    while (started < n && !pthread_create(&extractors[started], NULL, extract_stage, r))
        started++;
    if (!started) {
        err_set(e, ERR_NOMEM, "cannot start a thread");
        run_fail(r, e);
    } else if (redo) {
        feed_redo(r, redo, n_redo);
    } else {
        walk_stage(r);
    }
    queue_end(r->files);
    for (int i = 0; i < started; i++)
        pthread_join(extractors[i], NULL);
    queue_end(r->docs);
    pthread_join(embedding, NULL);
    pthread_join(committing, NULL);
    close_queues(r);
    return 0;
}

static int second_round(struct run *r, struct err *e)
{
    struct job *redo[sizeof r->redo / sizeof r->redo[0]];
    int n = r->n_redo;
    int rc;

    if (!n)
        return 0;
    memcpy(redo, r->redo, sizeof redo);
    r->n_redo = 0;
    r->force = 1;
    rc = pipeline(r, redo, n, e);
    for (int i = 0; i < r->n_redo; i++) {
        run_file_failed(r, r->redo[i], "unreadable", "changed while it was indexed");
        job_free(r->redo[i]);
    }
    r->n_redo = 0;
    return rc;
}

/* ---- sync ---- */

struct gone {
    struct run *run;
    struct index_batch *b;
    struct err *e;
};

static int remove_if_gone(void *arg, const char *path, const uint8_t id[DOC_ID_BYTES],
                          const struct index_path *known)
{
    struct gone *g = arg;
    struct stat st;
    int rc = 0;

    (void)id;
    (void)known;
    if (stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR))
        return run_stopping(g->run) ? ERR_CANCELLED : 0;
    if (!g->b)
        rc = index_begin(g->run->en->lib, 0, &g->b, g->e);
    if (!rc)
        rc = index_rm_path(g->b, path, g->e);
    if (!rc)
        g->run->p.removed++;
    return rc == ERR_NOTFOUND ? 0 : rc;
}

static int sync_paths(struct run *r, struct err *e)
{
    struct gone g = {.run = r, .e = e};
    struct snapshot *s;
    int rc = snapshot_take(r->en->lib, &s, e);

    if (rc)
        return rc;
    for (int i = 0; i < r->o->n_paths && !rc; i++) {
        char root[4096];
        char full[4096 + 2];
        if (!realpath(r->o->paths[i], root))
            continue;
        snprintf(full, sizeof full, "%s/", strcmp(root, "/") ? root : "");
        rc = snapshot_paths(s, full, remove_if_gone, &g, e);
    }
    snapshot_give(s);
    if (g.b && rc) {
        index_abort(g.b);
        r->p.removed = 0;
    } else if (g.b) {
        rc = index_commit(g.b, e);
    }
    return rc;
}

int indexing_run(struct engine *en, const struct index_opts *o, struct index_progress *p,
                 struct err *e)
{
    struct run r = {.en = en, .o = o, .start_ms = clock_ms()};
    struct ticker t = {.run = &r};
    int rc;

    memset(p, 0, sizeof *p);
    pthread_mutex_init(&r.mu, NULL);
    r.dim = library_conf(en->lib)->dim;
    rc = quarantine_open(&r.quarantine, library_dir(en->lib), e);
    if (!rc)
        rc = count_tree(&r, e);
    if (!rc && pthread_create(&t.thread, NULL, tick, &t))
        rc = err_set(e, ERR_NOMEM, "cannot start a thread");
    if (!rc) {
        rc = pipeline(&r, NULL, 0, e);
        if (!rc && !run_stopping(&r))
            rc = second_round(&r, e);
        if (!rc && o->sync && !run_stopping(&r))
            rc = sync_paths(&r, e);
        atomic_store(&t.ended, 1);
        pthread_join(t.thread, NULL);
    }
    if (!rc && atomic_load(&r.failed)) {
        *e = r.error;
        rc = (int)e->code;
    }
    if (r.quarantine) {
        struct err why = {0};
        int saved = quarantine_save(r.quarantine, &why);
        if (!rc && saved) {
            *e = why;
            rc = saved;
        }
    }
    if (!rc && run_stopping(&r))
        rc = err_set(e, ERR_CANCELLED, "stopped; everything acknowledged is kept");
    r.now[0] = '\0';
    report(&r);
    *p = r.p;
    p->elapsed_s = (clock_ms() - r.start_ms) / 1e3;
    for (int i = 0; i < r.n_redo; i++)
        job_free(r.redo[i]);
    quarantine_close(r.quarantine);
    mem_give(r.sent.at);
    pthread_mutex_destroy(&r.mu);
    return rc;
}
