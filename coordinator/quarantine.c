/* quarantine.c - see quarantine.h. Entries are a sorted array;
 * a path is bytes, so one that is not UTF-8 also has its hex. */
#include "coordinator/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

struct entry {
    struct failure f; /* path, status, reason are owned */
    int dropped;
};

struct quarantine {
    char file[4200];
    struct entry *at; /* sorted by path */
    size_t n, cap;
    int changed;
};

static void entry_free(struct entry *x)
{
    mem_give((void *)(uintptr_t)x->f.path);
    mem_give((void *)(uintptr_t)x->f.status);
    mem_give((void *)(uintptr_t)x->f.reason);
}

/* Where path is, or where it belongs. */
static size_t place(const struct quarantine *q, const char *path, int *found)
{
    size_t lo = 0;
    size_t hi = q->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(q->at[mid].f.path, path);
        if (c == 0) {
            *found = 1;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = 0;
    return lo;
}

static int put(struct quarantine *q, const struct failure *f, struct err *e)
{
    struct entry x = {.f = *f};
    int found;
    size_t i;

    x.f.path = mem_strdup(f->path);
    x.f.status = mem_strdup(f->status);
    x.f.reason = mem_strdup(f->reason);
    if (!x.f.path || !x.f.status || !x.f.reason) {
        entry_free(&x);
        return err_set(e, ERR_NOMEM, "quarantine list");
    }
    i = place(q, f->path, &found);
    if (found) {
        entry_free(&q->at[i]);
        q->at[i] = x;
        return 0;
    }
    if (q->n == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        struct entry *grown = mem_again(q->at, cap, sizeof *grown);
        if (!grown) {
            entry_free(&x);
            return err_set(e, ERR_NOMEM, "quarantine list");
        }
        q->at = grown;
        q->cap = cap;
    }
    memmove(q->at + i + 1, q->at + i, (q->n - i) * sizeof *q->at);
    q->at[i] = x;
    q->n++;
    return 0;
}

/* Paths are bytes: a name that is not UTF-8 is stored as hex under "path_hex". */
static char *line_path(const json_t *o)
{
    const char *hex = json_str(o, "path_hex", NULL);
    const char *path = json_str(o, "path", NULL);
    char *bytes;

    if (!hex)
        return path ? mem_strdup(path) : NULL;
    bytes = mem_take(strlen(hex) / 2 + 1, 1);
    if (bytes && hash_unhex((uint8_t *)bytes, strlen(hex) / 2, hex)) {
        mem_give(bytes);
        return NULL;
    }
    return bytes;
}

static int read_line(struct quarantine *q, const char *line, size_t n, struct err *e)
{
    json_t *o;
    struct failure f = {0};
    struct err ignored;
    char *path;
    int rc = 0;

    if (json_parse(&o, line, n, "quarantine.jsonl", &ignored))
        return 0; /* a torn line: that file is simply tried again */
    path = line_path(o);
    if (path) {
        f.path = path;
        f.status = json_str(o, "status", "damaged");
        f.reason = json_str(o, "reason", "");
        f.size = (uint64_t)json_integer_value(json_object_get(o, "size"));
        f.mtime_ns = json_integer_value(json_object_get(o, "mtime_ns"));
        f.inode = (uint64_t)json_integer_value(json_object_get(o, "inode"));
        f.time_ms = json_integer_value(json_object_get(o, "time_ms"));
        f.wall_ms = json_number_value(json_object_get(o, "wall_ms"));
        f.peak_bytes = (uint64_t)json_integer_value(json_object_get(o, "peak_bytes"));
        rc = put(q, &f, e);
        mem_give(path);
    }
    json_decref(o);
    return rc;
}

int quarantine_open(struct quarantine **out, const char *library_dir, struct err *e)
{
    struct quarantine *q = mem_take(1, sizeof *q);
    struct buf b;
    int rc = 0;

    *out = NULL;
    if (!q)
        return err_set(e, ERR_NOMEM, "quarantine list");
    snprintf(q->file, sizeof q->file, "%s/quarantine.jsonl", library_dir);
    buf_init(&b, 256 * MIB);
    if (access(q->file, F_OK) == 0)
        rc = file_read(&b, q->file, e);
    for (size_t i = 0; !rc && i < b.len;) {
        const char *nl = memchr(b.data + i, '\n', b.len - i);
        size_t n = nl ? (size_t)(nl - b.data) - i : b.len - i;
        rc = read_line(q, b.data + i, n, e);
        i += n + 1;
    }
    buf_free(&b);
    if (rc) {
        quarantine_close(q);
        return rc;
    }
    *out = q;
    return 0;
}

void quarantine_close(struct quarantine *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n; i++)
        entry_free(&q->at[i]);
    mem_give(q->at);
    mem_give(q);
}

const struct failure *quarantine_find(const struct quarantine *q, const char *path, uint64_t size,
                                      int64_t mtime_ns, uint64_t inode)
{
    int found;
    size_t i = place(q, path, &found);
    const struct failure *f = found ? &q->at[i].f : NULL;

    if (!f || q->at[i].dropped || f->size != size || f->mtime_ns != mtime_ns || f->inode != inode)
        return NULL;
    return f;
}

static char *line_of(const struct failure *f)
{
    json_t *o = json_object();
    char *line;

    if (utf8_valid(f->path, strlen(f->path)) == strlen(f->path)) {
        json_object_set_new(o, "path", json_string(f->path));
    } else {
        char *hex = mem_take(2 * strlen(f->path) + 1, 1);
        if (hex)
            hash_hex(hex, (const uint8_t *)f->path, strlen(f->path));
        json_object_set_new(o, "path", json_text(f->path, strlen(f->path)));
        json_object_set_new(o, "path_hex", json_string(hex ? hex : ""));
        mem_give(hex);
    }
    json_object_set_new(o, "status", json_string(f->status));
    json_object_set_new(o, "reason", json_text(f->reason, strlen(f->reason)));
    json_object_set_new(o, "size", json_integer((json_int_t)f->size));
    json_object_set_new(o, "mtime_ns", json_integer(f->mtime_ns));
    json_object_set_new(o, "inode", json_integer((json_int_t)f->inode));
    json_object_set_new(o, "time_ms", json_integer(f->time_ms));
    json_object_set_new(o, "wall_ms", json_real(f->wall_ms));
    json_object_set_new(o, "peak_bytes", json_integer((json_int_t)f->peak_bytes));
    line = json_line(o);
    json_decref(o);
    return line;
}

int quarantine_add(struct quarantine *q, const struct failure *f, struct err *e)
{
    char *line;
    int why = 0;
    int fd;
    int rc = put(q, f, e);

    if (rc)
        return rc;
    line = line_of(f);
    if (!line)
        return err_set(e, ERR_NOMEM, "quarantine list");
    fd = open(q->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        why = errno;
    } else {
        size_t n = strlen(line);
        line[n] = '\n'; /* the NUL is not written */
        why = file_write_all(fd, line, n + 1);
        close(fd);
    }
    mem_give(line);
    return why ? err_errno(e, why, "append to %s", q->file) : 0;
}

void quarantine_drop(struct quarantine *q, const char *path)
{
    int found;
    size_t i = place(q, path, &found);

    if (found && !q->at[i].dropped) {
        q->at[i].dropped = 1;
        q->changed = 1;
    }
}

int quarantine_save(struct quarantine *q, struct err *e)
{
    struct buf b;
    int rc;

    if (!q->changed)
        return 0;
    buf_init(&b, 256 * MIB);
    for (size_t i = 0; i < q->n; i++) {
        char *line = q->at[i].dropped ? NULL : line_of(&q->at[i].f);
        if (line) {
            buf_str(&b, line);
            buf_char(&b, '\n');
        }
        mem_give(line);
    }
    rc = b.failed ? err_set(e, b.failed, "quarantine list")
                  : file_replace(q->file, b.data ? b.data : "", b.len, e);
    buf_free(&b);
    if (!rc)
        q->changed = 0;
    return rc;
}

uint64_t quarantine_count(const struct quarantine *q)
{
    uint64_t n = 0;

    for (size_t i = 0; i < q->n; i++)
        n += !q->at[i].dropped;
    return n;
}

void quarantine_each(const struct quarantine *q, void (*fn)(void *arg, const struct failure *f),
                     void *arg)
{
    for (size_t i = 0; i < q->n; i++)
        if (!q->at[i].dropped)
            fn(arg, &q->at[i].f);
}
