/* library.c - opens and creates a library: its folder, its identity, its writer's lock, its shards.
 *   DIR/library.conf      identity, written once        DIR/writer.lock   locked (flock) by the one writer, holds its pid
 *   DIR/shard-0000/       one LMDB environment each */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "index/library_impl.h"

#define MOST_SHARDS 10000

const struct library_conf *library_conf(const struct library *lib)
{
    return &lib->conf;
}

uint32_t library_shards(const struct library *lib)
{
    return lib->n_shards;
}

const char *library_dir(const struct library *lib)
{
    return lib->dir;
}

void shard_dir(const struct library *lib, uint32_t shard, char *out, size_t n)
{
    snprintf(out, n, "%s/shard-%04u", lib->dir, shard);
}

/* ---- library.conf ---- */

int conf_write(const char *dir, const struct library_conf *c, struct err *e)
{
    char path[4200];
    json_t *o = json_object();
    char *text;
    int rc;

    snprintf(path, sizeof path, "%s/library.conf", dir);
    json_object_set_new(o, "format", json_integer(LIBRARY_FORMAT));
    json_object_set_new(o, "name", json_text(c->name, strlen(c->name)));
    json_object_set_new(o, "embedder", json_string(c->embedder));
    json_object_set_new(o, "embedder_name", json_text(c->embedder_name, strlen(c->embedder_name)));
    json_object_set_new(o, "dim", json_integer(c->dim));
    json_object_set_new(o, "chunking", json_string(c->chunking));
    json_object_set_new(o, "analyzer", json_integer(ANALYZER_VERSION));
    text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    if (!text)
        return err_set(e, ERR_NOMEM, "%s", path);
    rc = file_replace(path, text, strlen(text), e);
    free(text);
    return rc;
}

int conf_read(const char *dir, struct library_conf *c, struct err *e)
{
    char path[4200];
    json_t *o;
    long long v = 0;
    int rc;

    snprintf(path, sizeof path, "%s/library.conf", dir);
    if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_NOTFOUND, "there is no library in %s: make one with docent -L %s index FOLDER", dir, dir);
    rc = json_parse_file(&o, path, e);
    if (rc)
        return rc;
    memset(c, 0, sizeof *c);
    rc = json_int(o, "format", 1, INT32_MAX, 0, &v, e);
    c->format = (uint32_t)v;
    if (!rc && c->format != LIBRARY_FORMAT)
        rc = err_set(e, ERR_VERSION, "library %s has format %u, this docent reads format %d: use a newer docent, or index the files into a new library", dir, c->format, LIBRARY_FORMAT);
    if (!rc)
        rc = json_int(o, "dim", 0, LIM_DIM, 0, &v, e);
    c->dim = (uint32_t)v;
    if (!rc)
        rc = json_int(o, "analyzer", 0, INT32_MAX, 0, &v, e);
    c->analyzer = (uint32_t)v;
    if (!rc && c->analyzer != ANALYZER_VERSION)
        rc = err_set(e, ERR_VERSION, "library %s was made with text analysis %u, this docent has %d: index the files into a new library", dir, c->analyzer, ANALYZER_VERSION);
    snprintf(c->name, sizeof c->name, "%s", json_str(o, "name", ""));
    snprintf(c->embedder, sizeof c->embedder, "%s", json_str(o, "embedder", ""));
    snprintf(c->embedder_name, sizeof c->embedder_name, "%s", json_str(o, "embedder_name", ""));
    snprintf(c->chunking, sizeof c->chunking, "%s", json_str(o, "chunking", ""));
    json_decref(o);
    return rc ? err_wrap(e, "%s", path) : 0;
}

/* ---- the writer's lock ---- */

static int lock_writer(struct library *lib, struct err *e)
{
    char path[4200];
    char pid[32] = "";
    int how = LOCK_EX | (lib->flags & LIB_WAIT ? 0 : LOCK_NB);
    ssize_t n;

    snprintf(path, sizeof path, "%s/writer.lock", lib->dir);
    lib->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lib->lock_fd < 0)
        return err_errno(e, errno, "open %s for writing", path);
    while (flock(lib->lock_fd, how) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return err_errno(e, errno, "lock %s", path);
        n = pread(lib->lock_fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        if (pid[0] && kill((pid_t)atol(pid), 0) < 0 && errno == ESRCH)
            return err_set(e, ERR_BUSY, "library %s is being read by a process that may not write its lock files: wait for it, or give --wait", lib->dir);
        return err_set(e, ERR_BUSY, "library %s is being written by process %s: wait for it, or give --wait", lib->dir, pid[0] ? pid : "(starting)");
    }
    n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(lib->lock_fd, 0) < 0 || pwrite(lib->lock_fd, pid, (size_t)n, 0) != n)
        return err_errno(e, errno, "write %s", path); /* a full disk shows here first */
    return 0;
}

/* ---- open, create, close ---- */

int library_exists(const char *dir)
{
    char path[4200];

    return (size_t)snprintf(path, sizeof path, "%s/library.conf", dir) < sizeof path && access(path, F_OK) == 0;
}

int library_create(const char *dir, const struct library_conf *conf, struct err *e)
{
    char path[4200];
    struct store *s;
    int rc;

    if (strlen(dir) >= 4000)
        return err_set(e, ERR_INVALID, "library path of %zu bytes", strlen(dir));
    if (library_exists(dir))
        return err_set(e, ERR_EXISTS, "there is a library in %s already", dir);
    snprintf(path, sizeof path, "%s/shard-0000", dir);
    rc = file_mkdirs(path, e);
    if (!rc)
        rc = store_open(&s, path, 1, e); /* makes the tables, so that readers find them */
    if (!rc) {
        store_close(s);
        rc = conf_write(dir, conf, e); /* last: without it there is no library */
    }
    return rc;
}

static uint32_t count_shards(const struct library *lib)
{
    char path[4200];
    uint32_t n = 0;

    while (n < MOST_SHARDS) {
        shard_dir(lib, n, path, sizeof path);
        if (access(path, F_OK) < 0)
            break;
        n++;
    }
    return n;
}

/* What a compaction or a crash in one left beside the shards. */
static void sweep(const struct library *lib, uint32_t shard)
{
    static const char *const ends[] = {".new/data.mdb", ".new/lock.mdb", ".old/data.mdb", ".old/lock.mdb"};
    char path[4300];
    char dir[4200];

    shard_dir(lib, shard, dir, sizeof dir);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", dir, ends[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s.new", dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s.old", dir);
    rmdir(path);
}

/* Also puts back a shard that a compaction had moved aside when it was stopped (only where renameat2 cannot exchange). */
static void sweep_all(const struct library *lib)
{
    char dir[4200];
    char old[4300];
    uint32_t i = 0;

    for (;; i++) {
        shard_dir(lib, i, dir, sizeof dir);
        snprintf(old, sizeof old, "%s.old", dir);
        if (access(dir, F_OK) < 0 && rename(old, dir) < 0)
            break;
        sweep(lib, i);
    }
}

/* A compaction exchanges a shard's folder: LMDB must not take its lock file from one and its data from the other. */
int library_open_shard(struct library *lib, uint32_t shard, struct store **out, struct err *e)
{
    char path[4200];
    char file[4300];
    struct stat st;
    int rc = 0;

    shard_dir(lib, shard, path, sizeof path);
    snprintf(file, sizeof file, "%s/data.mdb", path);
    for (int tries = 0; tries < 10; tries++) {
        uint64_t before = stat(file, &st) == 0 ? st.st_ino : 0;
        if (!before)
            return err_set(e, ERR_CORRUPT, "library %s has no %s: restore a backup", lib->dir, file);
        rc = store_open(out, path, (lib->flags & LIB_WRITE) != 0, e);
        if (stat(file, &st) == 0 && st.st_ino == before && (rc || store_inode(*out) == before))
            return rc;
        store_close(*out);
        *out = NULL;
    }
    return err_set(e, ERR_BUSY, "%s is being replaced all the time", file);
}

/* A reader that may not write LMDB's lock file is invisible to writers, which would reuse the pages it reads: it takes a share of
 * the writer's lock instead, which needs no right to write. */
static int keep_writers_away(struct library *lib, struct err *e)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/writer.lock", lib->dir);
    lib->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (lib->lock_fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "open %s", path); /* nobody ever wrote */
    if (flock(lib->lock_fd, LOCK_SH | LOCK_NB) < 0)
        return err_set(e, ERR_BUSY, "library %s is being written, and this user may not write its lock files: wait, or make %s/shard-*/lock.mdb writable", lib->dir, lib->dir);
    return 0;
}

int library_read(struct library *lib, uint32_t shard, struct txn **out, struct err *e)
{
    int rc;

    pthread_mutex_lock(&lib->mu);
    rc = txn_read(lib->stores[shard], out, e);
    pthread_mutex_unlock(&lib->mu);
    return rc;
}

int library_open(struct library **out, const char *dir, int flags, struct err *e)
{
    struct library *lib;
    int rc;

    *out = NULL;
    if (strlen(dir) >= 4000)
        return err_set(e, ERR_INVALID, "library path of %zu bytes", strlen(dir));
    lib = mem_take(1, sizeof *lib);
    if (!lib)
        return err_set(e, ERR_NOMEM, "open library %s", dir);
    snprintf(lib->dir, sizeof lib->dir, "%s", dir);
    lib->flags = flags;
    lib->lock_fd = -1;
    pthread_mutex_init(&lib->mu, NULL);
    rc = conf_read(dir, &lib->conf, e);
    if (!rc && (flags & LIB_WRITE))
        rc = lock_writer(lib, e);
    if (!rc) {
        if (flags & LIB_WRITE)
            sweep_all(lib);
        lib->n_shards = count_shards(lib);
        if (!lib->n_shards)
            rc = err_set(e, ERR_CORRUPT, "library %s has no shard-0000: restore a backup", dir);
        lib->stores = mem_take(lib->n_shards, sizeof *lib->stores);
        if (!rc && !lib->stores)
            rc = err_set(e, ERR_NOMEM, "open library %s", dir);
    }
    for (uint32_t i = 0; i < lib->n_shards && !rc; i++) {
        rc = library_open_shard(lib, i, &lib->stores[i], e);
        if (!rc && store_unlocked(lib->stores[i]) && lib->lock_fd < 0)
            rc = keep_writers_away(lib, e);
    }
    if (rc) {
        library_close(lib);
        return rc;
    }
    *out = lib;
    return 0;
}

void library_close(struct library *lib)
{
    if (!lib)
        return;
    library_drop_current(lib);
    for (uint32_t i = 0; i < lib->n_shards && lib->stores; i++)
        store_close(lib->stores[i]);
    if (lib->lock_fd >= 0)
        close(lib->lock_fd);
    pthread_mutex_destroy(&lib->mu);
    mem_give(lib->stores);
    mem_give(lib);
}
