/* file.c - see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int file_map(struct file_map *m, const char *path, struct err *e)
{
    struct stat st;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    m->data = NULL;
    m->size = 0;
    if (fd < 0)
        return err_errno(e, errno, "open %s", path);
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, errno, "stat %s", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "%s is not a regular file", path);
    if (!rc && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            rc = err_errno(e, errno, "map %s", path);
        } else {
            m->data = p;
            m->size = (size_t)st.st_size;
        }
    }
    close(fd);
    return rc;
}

void file_unmap(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    m->data = NULL;
    m->size = 0;
}

int file_read(struct buf *b, const char *path, struct err *e)
{
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(e, errno, "open %s", path);
    for (;;) {
        char block[65536];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = err_errno(e, errno, "read %s", path);
            break;
        }
        rc = buf_add(b, block, (size_t)n);
        if (rc) {
            err_set(e, rc, "read %s: %s (ceiling %zu bytes)", path, err_text(rc), b->ceiling);
            break;
        }
        if (n == 0)
            break;
    }
    close(fd);
    return rc;
}

int file_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return errno;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static void sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    int fd;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* some filesystems refuse it on folders; the rename itself is still atomic */
    close(fd);
}

int file_replace(const char *path, const void *bytes, size_t n, struct err *e)
{
    char temp[PATH_MAX];
    int why = 0;
    int fd;

    if ((size_t)snprintf(temp, sizeof temp, "%s.new.%ld", path, (long)getpid()) >= sizeof temp)
        return err_set(e, ERR_LIMIT, "path too long: %s", path);
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_errno(e, errno, "create %s", temp);
    why = file_write_all(fd, bytes, n);
    if (!why && fsync(fd) < 0)
        why = errno;
    if (close(fd) < 0 && !why)
        why = errno;
    if (!why && rename(temp, path) < 0)
        why = errno;
    if (why) {
        unlink(temp);
        return err_errno(e, why, "write %s", path);
    }
    sync_folder_of(path);
    return 0;
}

int file_mkdirs(const char *path, struct err *e)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof part)
        return err_set(e, ERR_INVALID, "folder name of %zu bytes", n);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return err_errno(e, errno, "make folder %s", part);
    }
    return 0;
}
