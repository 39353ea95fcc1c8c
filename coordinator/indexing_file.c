/* indexing_file.c - one file: from a path to chunks that are ready for the embedder.
 * Runs on any of the extractor threads; touches nothing but its job, the snapshot and the parser child. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "coordinator/context.h"
#include "coordinator/indexing_impl.h"

#define JOB_MEMORY (4 * GIB) /* text, boxes and vectors of the largest document that limits.h allows */

struct job *job_new(const struct walk_file *f)
{
    struct job *j = mem_take(1, sizeof *j);

    if (!j)
        return NULL;
    arena_init(&j->a, JOB_MEMORY);
    j->at.path = arena_strdup(&j->a, f->path);
    j->at.size = f->size;
    j->at.mtime_ns = f->mtime_ns;
    j->at.inode = f->inode;
    if (!j->at.path) {
        job_free(j);
        return NULL;
    }
    return j;
}

void job_free(struct job *j)
{
    if (!j)
        return;
    arena_free(&j->a);
    mem_give(j);
}

static int fail(struct job *j, enum extract_status s, const char *reason)
{
    j->kind = JOB_FAILED;
    j->status = extract_status_name(s);
    j->reason = arena_strdup(&j->a, reason);
    if (!j->reason)
        j->reason = "out of memory";
    j->transient = s == EXTRACT_UNREADABLE || j->x.again;
    return 0;
}

static int same_file(const struct stat *st, const struct index_path *p)
{
    return (uint64_t)st->st_size == p->size && (uint64_t)st->st_ino == p->inode &&
           (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec == p->mtime_ns;
}

/* O_NONBLOCK: a FIFO that took the file's place between walk and open must not hang the run. */
static int open_file(struct job *j, int *fd)
{
    char why[320];
    struct stat st;

    *fd = open(j->at.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        snprintf(why, sizeof why, "open: %s", strerror(errno));
        return fail(j, EXTRACT_UNREADABLE, why);
    }
    if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode))
        return fail(j, EXTRACT_UNREADABLE, "it is no longer a regular file");
    j->at.size = (uint64_t)st.st_size; /* may have changed since the walk: this is what is read */
    j->at.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    j->at.inode = (uint64_t)st.st_ino;
    if (j->at.size > LIM_FILE_BYTES)
        return fail(j, EXTRACT_TOO_LARGE, "larger than 2 GiB");
    return 0;
}

static int hash_file(struct job *j, int fd)
{
    struct err why = {0};
    uint64_t bytes;

    if (hash_id_fd(j->id, fd, LIM_FILE_BYTES, &bytes, &why))
        return fail(j, EXTRACT_UNREADABLE, why.msg);
    if (bytes != j->at.size)
        return fail(j, EXTRACT_UNREADABLE, "changed while it was read");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return fail(j, EXTRACT_UNREADABLE, "cannot be read twice");
    return 0;
}

/* Content that the library holds already only gains a path. */
static int look_up(struct run *r, struct job *j, struct err *e)
{
    struct snapshot *s;
    struct doc_view d;
    struct arena_mark m = arena_mark(&j->a);
    struct err why = {0};
    int rc = snapshot_take(r->en->lib, &s, e);

    if (rc)
        return rc;
    rc = snapshot_doc(s, j->id, &j->a, &d, &why);
    snapshot_give(s);
    arena_rewind(&j->a, m);
    if (rc == 0)
        j->kind = JOB_KNOWN;
    else if (rc != ERR_NOTFOUND)
        return err_set(e, (enum err_code)rc, "%s", why.msg);
    return 0;
}

static int sniff_type(struct job *j, int fd, enum doc_type *type)
{
    unsigned char head[4096];
    const char *why = "unknown format";
    char reason[256];
    ssize_t n = pread(fd, head, sizeof head, 0);

    if (n < 0) {
        snprintf(reason, sizeof reason, "read: %s", strerror(errno));
        return fail(j, EXTRACT_UNREADABLE, reason);
    }
    if (n == 0)
        return fail(j, EXTRACT_EMPTY, "the file has no bytes");
    *type = sniff(j->at.path, head, (size_t)n, &why);
    if (*type == TYPE_UNKNOWN)
        return fail(j, EXTRACT_UNSUPPORTED, why ? why : "unknown format");
    return 0;
}

static int extract(struct run *r, struct job *j, int fd, enum doc_type type, struct err *e)
{
    struct extract_opts xo = {.program = r->o->extract_program, .stop = &r->stop};
    struct stat st;
    int rc = extract_fd(fd, type, &xo, &j->a, &j->x, e);

    if (rc)
        return rc;
    if (fstat(fd, &st) < 0 || !same_file(&st, &j->at))
        return fail(j, EXTRACT_UNREADABLE, "changed while it was read");
    if (j->x.status != EXTRACT_OK)
        return fail(j, j->x.status, j->x.reason);
    return 0;
}

struct counter {
    const struct embedder *emb;
    struct arena tmp;
};

static uint32_t count_tokens(void *arg, const char *text, size_t n)
{
    struct counter *c = arg;
    size_t k = embedder_count_tokens(c->emb, text, n, &c->tmp);

    arena_reset(&c->tmp);
    return k > UINT32_MAX ? UINT32_MAX : (uint32_t)k;
}

static int cut_chunks(struct run *r, struct job *j, struct err *e)
{
    struct counter c = {.emb = r->en->emb};
    struct chunk_opts co = {.target_tokens = 200, .max_tokens = 206};
    int rc;

    arena_init(&c.tmp, 256 * MIB);
    if (c.emb) {
        const struct embedder_info *i = embedder_info(c.emb);
        co.max_tokens = i->max_tokens - i->special_tokens - CONTEXT_TOKENS;
        if (co.target_tokens > co.max_tokens)
            co.target_tokens = co.max_tokens;
        co.count = count_tokens;
        co.count_arg = &c;
    }
    rc = chunk_pages(&j->x, &co, &j->a, &j->chunks, &j->n_chunks, e);
    arena_free(&c.tmp);
    return rc;
}

static int hash_chunks(struct job *j, struct err *e)
{
    j->title = context_title(j->x.title, j->at.path, &j->a);
    j->texts = arena_take(&j->a, j->n_chunks, sizeof *j->texts);
    j->hashes = arena_take(&j->a, j->n_chunks, sizeof *j->hashes);
    if (!j->title || !j->texts || !j->hashes)
        return err_set(e, ERR_NOMEM, "%u chunks", j->n_chunks);
    for (uint32_t i = 0; i < j->n_chunks; i++) {
        const struct chunk *c = &j->chunks[i];
        char *text = context_text(j->title, c->section, j->x.pages[c->page].text + c->start,
                                  c->end - c->start, &j->texts[i].n, &j->a);
        if (!text)
            return err_set(e, ERR_NOMEM, "%u chunks", j->n_chunks);
        j->texts[i].text = text;
        hash_id(j->hashes[i], text, j->texts[i].n);
    }
    return 0;
}

int job_prepare(struct run *r, struct job *j, struct err *e)
{
    enum doc_type type = TYPE_UNKNOWN;
    int fd = -1;
    int rc = open_file(j, &fd);

    if (!rc && j->kind == JOB_NEW)
        rc = hash_file(j, fd);
    if (!rc && j->kind == JOB_NEW)
        rc = look_up(r, j, e);
    if (!rc && j->kind == JOB_NEW)
        rc = sniff_type(j, fd, &type);
    if (!rc && j->kind == JOB_NEW)
        rc = extract(r, j, fd, type, e);
    if (!rc && j->kind == JOB_NEW)
        rc = furniture_mark(&j->x, &j->a, e);
    if (!rc && j->kind == JOB_NEW)
        rc = cut_chunks(r, j, e);
    if (!rc && j->kind == JOB_NEW)
        rc = hash_chunks(j, e);
    if (fd >= 0)
        close(fd);
    if (!rc && j->kind == JOB_NEW && j->n_chunks == 0)
        return fail(j, EXTRACT_EMPTY, "no text in it");
    if (rc == ERR_NOMEM || rc == ERR_LIMIT) /* this document's own size: costs this document */
        return fail(j, EXTRACT_TOO_LARGE, e->msg);
    return rc;
}
