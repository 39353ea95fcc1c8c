/* backup.c - a whole library as one file, and back (layout: docs/formats.md).
 *   "docent backup 1\n" | data.mdb of each shard, compacted | JSON {"conf","shards":[bytes]} | u64 its length | BLAKE2b-128
 * The hash covers all before it. Each shard is copied through one read transaction, so the copy is consistent while a
 * writer goes on. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "index/library_impl.h"

#define MAGIC "docent backup 1\n"
#define MAGIC_BYTES 16
#define TAIL (8 + HASH_ID_BYTES)

/* A file's name must outlive a power loss like its bytes. */
static int sync_parent(const char *file, struct err *e)
{
    char dir[4300];
    char *slash;
    int rc = 0;
    int fd;

    snprintf(dir, sizeof dir, "%s", file);
    slash = strrchr(dir, '/');
    if (slash == dir)
        slash++;
    if (slash)
        *slash = '\0';
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        rc = err_errno(e, errno, "sync the folder of %s", file);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int hash_front(int fd, uint64_t n, uint8_t out[HASH_ID_BYTES], struct err *e)
{
    struct hash_run h;
    uint64_t at = 0;
    unsigned char *block = mem_take(1, MIB);
    int rc = block ? 0 : err_set(e, ERR_NOMEM, "backup");

    hash_start(&h);
    while (!rc && at < n) {
        ssize_t k = pread(fd, block, n - at < MIB ? (size_t)(n - at) : MIB, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            rc = k < 0 ? err_errno(e, errno, "read the backup") : err_set(e, ERR_FORMAT, "the backup is cut off");
        else {
            hash_more(&h, block, (size_t)k);
            at += (uint64_t)k;
        }
    }
    hash_done(&h, out);
    mem_give(block);
    return rc;
}

static int write_tail(int fd, const json_t *trailer, struct err *e)
{
    uint8_t sum[HASH_ID_BYTES];
    unsigned char len[8];
    char *text = json_line(trailer);
    size_t n = text ? strlen(text) : 0;
    off_t end;
    int why = 0;
    int rc = text ? 0 : err_set(e, ERR_NOMEM, "backup");

    for (int i = 0; i < 8; i++)
        len[i] = (unsigned char)((uint64_t)n >> 8 * i);
    if (!rc)
        why = file_write_all(fd, text, n);
    if (!rc && !why)
        why = file_write_all(fd, len, sizeof len);
    mem_give(text);
    if (why)
        return err_errno(e, why, "write the backup");
    end = lseek(fd, 0, SEEK_CUR);
    if (!rc)
        rc = hash_front(fd, (uint64_t)end, sum, e);
    if (!rc) {
        why = file_write_all(fd, sum, sizeof sum);
        if (!why && fsync(fd) < 0)
            why = errno;
        if (why)
            rc = err_errno(e, why, "write the backup");
    }
    return rc;
}

/* LMDB's copy trusts the tree pages that it follows: they are looked at first. */
static int copy_shard(struct library *lib, uint32_t shard, int fd, struct err *e)
{
    struct txn *t;
    int rc = library_read(lib, shard, &t, e);

    if (rc)
        return rc;
    rc = txn_pages_check(t, 0, e);
    if (!rc)
        rc = store_copy_fd(txn_store(t), fd, e);
    txn_abort(t); /* until here the store stays open */
    return rc;
}

int library_backup(struct library *lib, const char *file, uint64_t *bytes, struct err *e)
{
    char temp[4300];
    const struct library_conf *c = &lib->conf;
    json_t *trailer = json_object();
    json_t *sizes = json_array();
    int rc = 0;
    int fd;

    *bytes = 0;
    snprintf(temp, sizeof temp, "%s.part", file);
    fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        json_decref(trailer);
        json_decref(sizes);
        return err_errno(e, errno, "create %s", temp);
    }
    rc = file_write_all(fd, MAGIC, MAGIC_BYTES);
    if (rc)
        rc = err_errno(e, rc, "write %s", temp);
    for (uint32_t i = 0; i < lib->n_shards && !rc; i++) {
        off_t before = lseek(fd, 0, SEEK_CUR);
        rc = copy_shard(lib, i, fd, e);
        json_array_append_new(sizes, json_integer(lseek(fd, 0, SEEK_END) - before));
    }
    json_object_set_new(trailer, "shards", sizes);
    json_object_set_new(trailer, "name", json_text(c->name, strlen(c->name)));
    json_object_set_new(trailer, "embedder", json_string(c->embedder));
    json_object_set_new(trailer, "embedder_name", json_text(c->embedder_name, strlen(c->embedder_name)));
    json_object_set_new(trailer, "dim", json_integer(c->dim));
    json_object_set_new(trailer, "chunking", json_string(c->chunking));
    json_object_set_new(trailer, "format", json_integer(c->format));
    json_object_set_new(trailer, "analyzer", json_integer(c->analyzer));
    if (!rc)
        rc = write_tail(fd, trailer, e);
    json_decref(trailer);
    *bytes = (uint64_t)lseek(fd, 0, SEEK_END);
    close(fd);
    if (!rc && rename(temp, file) < 0)
        rc = err_errno(e, errno, "rename %s", temp);
    if (!rc)
        rc = sync_parent(file, e);
    else
        unlink(temp);
    return rc;
}

/* ---- restore ---- */

static int read_trailer(int fd, const char *file, json_t **out, uint64_t *data_end, struct err *e)
{
    struct stat st;
    char magic[MAGIC_BYTES];
    uint8_t tail[TAIL];
    uint8_t sum[HASH_ID_BYTES];
    uint64_t n = 0;
    char *text;
    int rc;

    if (fstat(fd, &st) < 0 || st.st_size < MAGIC_BYTES + TAIL ||
        pread(fd, magic, sizeof magic, 0) != (ssize_t)sizeof magic || memcmp(magic, MAGIC, MAGIC_BYTES) != 0)
        return err_set(e, ERR_FORMAT, "%s is not a docent backup", file);
    if (pread(fd, tail, sizeof tail, st.st_size - TAIL) != (ssize_t)sizeof tail)
        return err_errno(e, errno, "read %s", file);
    rc = hash_front(fd, (uint64_t)st.st_size - HASH_ID_BYTES, sum, e);
    if (rc)
        return rc;
    if (memcmp(sum, tail + 8, HASH_ID_BYTES) != 0)
        return err_set(e, ERR_CORRUPT, "%s is damaged or cut off: its checksum does not hold", file);
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)tail[i] << 8 * i;
    if (n > MIB || n > (uint64_t)st.st_size - MAGIC_BYTES - TAIL)
        return err_set(e, ERR_FORMAT, "%s: impossible trailer", file);
    *data_end = (uint64_t)st.st_size - TAIL - n;
    text = mem_take(n + 1, 1);
    if (!text)
        return err_set(e, ERR_NOMEM, "restore");
    if (pread(fd, text, n, (off_t)*data_end) != (ssize_t)n)
        rc = err_errno(e, errno, "read %s", file);
    else
        rc = json_parse(out, text, n, file, e);
    mem_give(text);
    return rc;
}

static int copy_out(int fd, uint64_t from, uint64_t n, const char *to, struct err *e)
{
    unsigned char *block = mem_take(1, MIB);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int why = out < 0 ? errno : 0;

    if (!block)
        why = ENOMEM;
    while (!why && n) {
        ssize_t k = pread(fd, block, n < MIB ? (size_t)n : MIB, (off_t)from);
        if (k <= 0) {
            why = k < 0 ? errno : EIO;
            break;
        }
        why = file_write_all(out, block, (size_t)k);
        from += (uint64_t)k;
        n -= (uint64_t)k;
    }
    if (!why && fsync(out) < 0)
        why = errno;
    if (out >= 0)
        close(out);
    mem_give(block);
    return why ? err_errno(e, why, "write %s", to) : 0;
}

static int write_shards(int fd, const json_t *trailer, uint64_t data_end, const char *dir, struct err *e)
{
    const json_t *sizes = json_object_get(trailer, "shards");
    uint64_t at = MAGIC_BYTES;
    int rc = json_array_size(sizes) ? 0 : err_set(e, ERR_FORMAT, "the backup lists no shards");

    for (size_t i = 0; i < json_array_size(sizes) && !rc; i++) {
        char path[4300];
        json_int_t n = json_integer_value(json_array_get(sizes, i));
        if (n <= 0 || (uint64_t)n > data_end - at)
            return err_set(e, ERR_FORMAT, "shard %zu of the backup has an impossible size", i);
        snprintf(path, sizeof path, "%s/shard-%04zu", dir, i);
        rc = file_mkdirs(path, e);
        if (rc)
            break;
        snprintf(path, sizeof path, "%s/shard-%04zu/data.mdb", dir, i);
        rc = copy_out(fd, at, (uint64_t)n, path, e);
        if (!rc)
            rc = sync_parent(path, e);
        at += (uint64_t)n;
    }
    return rc;
}

/* What a failed restore has written. */
static void drop_shards(const char *dir, size_t n_shards)
{
    char path[4400];

    for (size_t i = 0; i < n_shards; i++) {
        snprintf(path, sizeof path, "%s/shard-%04zu/data.mdb", dir, i);
        unlink(path);
        snprintf(path, sizeof path, "%s/shard-%04zu", dir, i);
        rmdir(path);
    }
    snprintf(path, sizeof path, "%s/library.conf", dir);
    unlink(path);
    rmdir(dir);
}

static int read_conf(const json_t *trailer, struct library_conf *c, struct err *e)
{
    long long dim = 0;
    long long format = 0;
    long long analyzer = 0;
    int rc = json_int(trailer, "dim", 0, LIM_DIM, 0, &dim, e);

    if (!rc)
        rc = json_int(trailer, "format", 1, INT32_MAX, 1, &format, e);
    if (!rc)
        rc = json_int(trailer, "analyzer", 0, INT32_MAX, 1, &analyzer, e);
    if (!rc && (format != LIBRARY_FORMAT || analyzer != ANALYZER_VERSION))
        rc = err_set(e, ERR_VERSION, "it holds format %lld with text analysis %lld, this docent reads %d with %d: index the files into a new library", format, analyzer, LIBRARY_FORMAT, ANALYZER_VERSION);
    memset(c, 0, sizeof *c);
    c->dim = (uint32_t)dim;
    snprintf(c->name, sizeof c->name, "%s", json_str(trailer, "name", ""));
    snprintf(c->embedder, sizeof c->embedder, "%s", json_str(trailer, "embedder", ""));
    snprintf(c->embedder_name, sizeof c->embedder_name, "%s", json_str(trailer, "embedder_name", ""));
    snprintf(c->chunking, sizeof c->chunking, "%s", json_str(trailer, "chunking", ""));
    return rc;
}

int library_restore(const char *file, const char *dir, struct err *e)
{
    struct library_conf c;
    char to[4000];
    char temp[4100];
    json_t *trailer = NULL;
    uint64_t data_end = 0;
    size_t n = strlen(dir);
    int rc;
    int fd;

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n == 0 || n >= sizeof to)
        return err_set(e, ERR_INVALID, "library path of %zu bytes", n);
    snprintf(to, sizeof to, "%.*s", (int)n, dir);
    if (access(to, F_OK) == 0)
        return err_set(e, ERR_EXISTS, "%s is there already: restore makes a new folder (-L DIR)", to);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "open %s", file);
    snprintf(temp, sizeof temp, "%s.restoring.%ld", to, (long)getpid());
    rc = read_trailer(fd, file, &trailer, &data_end, e);
    if (!rc)
        rc = read_conf(trailer, &c, e);
    if (!rc)
        rc = write_shards(fd, trailer, data_end, temp, e);
    if (!rc)
        rc = conf_write(temp, &c, e); /* last, and synced with the folder */
    if (!rc && rename(temp, to) < 0)
        rc = err_errno(e, errno, "put the library at %s", to);
    if (!rc)
        rc = sync_parent(to, e);
    else
        drop_shards(temp, json_array_size(json_object_get(trailer, "shards")));
    json_decref(trailer);
    close(fd);
    return rc ? err_wrap(e, "restore %s", file) : 0;
}
