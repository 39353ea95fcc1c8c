/* walk.c - every regular file below a folder, in one fixed order.
 * Goes down by openat() from the folder above, so that a folder renamed during the walk cannot lead
 * it elsewhere and the process's working folder never changes. Memory: the names of the folders
 * that are open (one per level), and 16 bytes for each folder seen, which is what ends loops. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "ingest/ingest.h"

#define DEPTH_MOST 200 /* one open descriptor a level; the usual limit is 1024 a process */
#define FOLDER_NAMES_MOST (1 * GIB)

struct seen {
    uint64_t dev, ino;
};

struct walk {
    walk_file_fn *on_file;
    walk_skip_fn *on_skip;
    void *arg;
    struct err *e;
    char path[LIM_PATH];
    size_t len;
    struct seen *seen; /* open addressing; ino 0 with dev 0 is a free slot */
    size_t n_seen, cap_seen;
    int depth;
};

struct names {
    struct buf bytes; /* NUL behind each */
    uint32_t *at; /* offsets into bytes, sorted by name */
    size_t n;
};

static int walk_folder(struct walk *w, int fd);

static int stopped(struct walk *w)
{
    return err_set(w->e, ERR_CANCELLED, "the walk was stopped at %s", w->path);
}

static int skip(struct walk *w, const char *why)
{
    return w->on_skip && w->on_skip(w->arg, w->path, why) ? stopped(w) : 0;
}

/* ---- folders seen ---- */

static size_t seen_slot(const struct seen *t, size_t cap, uint64_t dev, uint64_t ino)
{
    uint64_t h = (ino ^ dev << 32 ^ dev >> 32) * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 20) & (cap - 1);

    while ((t[i].dev || t[i].ino) && (t[i].dev != dev || t[i].ino != ino))
        i = (i + 1) & (cap - 1);
    return i;
}

/* 1: it is new and noted; 0: seen before; -1: out of memory. */
static int seen_add(struct walk *w, uint64_t dev, uint64_t ino)
{
    size_t i;

    if (w->n_seen * 2 >= w->cap_seen) {
        size_t cap = w->cap_seen ? w->cap_seen * 2 : 64;
        struct seen *grown = mem_take(cap, sizeof *grown);
        if (!grown)
            return -1;
        for (i = 0; i < w->cap_seen; i++) {
            const struct seen *s = &w->seen[i];
            if (s->dev || s->ino)
                grown[seen_slot(grown, cap, s->dev, s->ino)] = *s;
        }
        mem_give(w->seen);
        w->seen = grown;
        w->cap_seen = cap;
    }
    i = seen_slot(w->seen, w->cap_seen, dev, ino);
    if (w->seen[i].dev || w->seen[i].ino)
        return 0;
    w->seen[i].dev = dev;
    w->seen[i].ino = ino;
    w->n_seen++;
    return 1;
}

/* ---- one folder's names ---- */

static int by_name(const void *a, const void *b, void *bytes)
{
    const char *base = bytes;

    return strcmp(base + *(const uint32_t *)a, base + *(const uint32_t *)b);
}

static void names_free(struct names *l)
{
    buf_free(&l->bytes);
    mem_give(l->at);
}

/* Reads and sorts the names in d. 0, ERR_NOMEM or ERR_IO (errno); what was read is kept either way. */
static int names_read(struct names *l, DIR *d)
{
    size_t cap = 0;
    int failed;

    memset(l, 0, sizeof *l);
    buf_init(&l->bytes, FOLDER_NAMES_MOST);
    for (;;) {
        struct dirent *ent;
        errno = 0;
        ent = readdir(d);
        if (!ent)
            break;
        if (ent->d_name[0] == '.') /* ".", ".." and hidden ones */
            continue;
        if (l->n == cap) {
            uint32_t *grown = mem_again(l->at, cap ? cap * 2 : 64, sizeof *grown);
            if (!grown)
                return ERR_NOMEM;
            l->at = grown;
            cap = cap ? cap * 2 : 64;
        }
        l->at[l->n++] = (uint32_t)l->bytes.len;
        if (buf_add(&l->bytes, ent->d_name, strlen(ent->d_name) + 1))
            return ERR_NOMEM;
    }
    failed = errno;
    if (l->n)
        qsort_r(l->at, l->n, sizeof *l->at, by_name, l->bytes.data);
    errno = failed;
    return failed ? ERR_IO : 0;
}

/* ---- the walk ---- */

static const char *kind_refused(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO: return "a FIFO, not a regular file";
    case S_IFSOCK: return "a socket, not a regular file";
    case S_IFBLK: return "a block device, not a regular file";
    case S_IFCHR: return "a character device, not a regular file";
    default: return "not a regular file";
    }
}

/* What this one entry's trouble means: out of descriptors or memory ends the walk (the folders that
 * follow would look empty, and an index would forget their files); the rest is reported. */
static int trouble(struct walk *w, int errnum)
{
    if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM)
        return err_errno(w->e, errnum, "cannot open %s", w->path);
    if (errnum == ENOENT)
        return skip(w, "it disappeared, or is a symbolic link to nothing");
    if (errnum == ELOOP)
        return skip(w, "too many levels of symbolic links");
    if (errnum == EACCES || errnum == EPERM)
        return skip(w, "no permission to read it");
    return skip(w, strerror(errnum));
}

static int give_file(struct walk *w, int dir_fd, const char *name, const struct stat *st)
{
    struct walk_file f = {
        .path = w->path,
        .size = (uint64_t)st->st_size,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .inode = st->st_ino,
        .device = st->st_dev,
    };

    if (faccessat(dir_fd, name, R_OK, AT_EACCESS))
        return trouble(w, errno);
    return w->on_file(w->arg, &f) ? stopped(w) : 0;
}

static int enter(struct walk *w, int dir_fd, const char *name)
{
    struct stat st;
    int fd, rc, fresh;

    if (w->depth >= DEPTH_MOST)
        return skip(w, "more than 200 folders deep");
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return trouble(w, errno);
    if (fstat(fd, &st)) {
        rc = trouble(w, errno);
        close(fd);
        return rc;
    }
    fresh = seen_add(w, st.st_dev, st.st_ino);
    if (fresh > 0) {
        w->depth++;
        rc = walk_folder(w, fd); /* closes fd */
        w->depth--;
        return rc;
    }
    close(fd);
    if (fresh < 0)
        return err_set(w->e, ERR_NOMEM, "no memory for the list of folders");
    return skip(w, "a folder that was walked already, reached by a link");
}

static int visit(struct walk *w, int dir_fd, const char *name)
{
    size_t len = w->len, n = strlen(name), slash = len > 1; /* "/" itself has none behind it */
    struct stat st;
    int rc;

    if (len + slash + n + 1 > sizeof w->path)
        return skip(w, "a name in it makes the path longer than 4095 bytes");
    if (slash)
        w->path[len] = '/';
    memcpy(w->path + len + slash, name, n + 1);
    w->len = len + slash + n;
    if (fstatat(dir_fd, name, &st, 0))
        rc = trouble(w, errno);
    else if (S_ISDIR(st.st_mode))
        rc = enter(w, dir_fd, name);
    else if (S_ISREG(st.st_mode))
        rc = give_file(w, dir_fd, name, &st);
    else
        rc = skip(w, kind_refused(st.st_mode));
    w->len = len;
    w->path[len] = '\0';
    return rc;
}

static int walk_folder(struct walk *w, int fd)
{
    struct names names = {0};
    DIR *d = fdopendir(fd);
    int rc;

    if (!d) {
        rc = trouble(w, errno);
        close(fd);
        return rc;
    }
    rc = names_read(&names, d);
    if (rc == ERR_IO)
        rc = skip(w, "the folder could not be read to its end");
    else if (rc)
        rc = err_set(w->e, rc, "no memory for the names in %s", w->path);
    for (size_t i = 0; !rc && i < names.n; i++)
        rc = visit(w, dirfd(d), names.bytes.data + names.at[i]);
    names_free(&names);
    closedir(d);
    return rc;
}

/* A root that is a file: the real path of its folder, and its own name. */
static int walk_one_file(struct walk *w, const char *root, struct err *e)
{
    const char *slash = strrchr(root, '/');
    const char *name = slash ? slash + 1 : root;
    char *folder = NULL, *real;
    struct stat st;
    int fd, rc;

    folder = slash ? mem_strndup(root, slash == root ? 1 : (size_t)(slash - root))
                   : mem_strdup(".");
    if (!folder)
        return err_set(e, ERR_NOMEM, "no memory for a path");
    real = realpath(folder, NULL);
    mem_give(folder);
    if (!real)
        return err_errno(e, errno, "%s", root);
    w->len = strlen(real);
    if (w->len >= sizeof w->path) {
        free(real);
        return err_set(e, ERR_INVALID, "%s: the path is too long", root);
    }
    memcpy(w->path, real, w->len + 1);
    fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        rc = err_errno(e, errno, "%s", real);
    else if (fstatat(fd, name, &st, 0))
        rc = err_errno(e, errno, "%s", root);
    else if (faccessat(fd, name, R_OK, AT_EACCESS))
        rc = err_errno(e, errno, "%s", root);
    else
        rc = visit(w, fd, name);
    if (fd >= 0)
        close(fd);
    free(real);
    return rc;
}

static int walk_root_folder(struct walk *w, const char *root, struct err *e)
{
    char *real = realpath(root, NULL);
    struct stat st;
    int fd, fresh;

    if (!real)
        return err_errno(e, errno, "%s", root);
    w->len = strlen(real);
    if (w->len >= sizeof w->path) {
        free(real);
        return err_set(e, ERR_INVALID, "%s: the path is too long", root);
    }
    memcpy(w->path, real, w->len + 1);
    free(real);
    fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "%s", root);
    if (fstat(fd, &st)) {
        close(fd);
        return err_errno(e, errno, "%s", root);
    }
    fresh = seen_add(w, st.st_dev, st.st_ino);
    if (fresh < 0) {
        close(fd);
        return err_set(e, ERR_NOMEM, "no memory for the list of folders");
    }
    return walk_folder(w, fd);
}

int walk_tree(const char *root, walk_file_fn *on_file, walk_skip_fn *on_skip, void *arg,
              struct err *e)
{
    struct walk *w;
    struct stat st;
    int rc;

    if (stat(root, &st))
        return err_errno(e, errno, "%s", root);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "%s is %s or folder", root, kind_refused(st.st_mode));
    w = mem_take(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "no memory to walk %s", root);
    w->on_file = on_file;
    w->on_skip = on_skip;
    w->arg = arg;
    w->e = e;
    rc = S_ISDIR(st.st_mode) ? walk_root_folder(w, root, e) : walk_one_file(w, root, e);
    mem_give(w->seen);
    mem_give(w);
    return rc;
}
