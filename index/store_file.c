/* store_file.c - data.mdb as a file: its length, its meta pages, room for its mappings (see store_file.h). */
#include "index/store_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "index/tree.h"

#define FULL_BYTES MIB /* less free space than this, and a short write means a full disk */

/* Virtual address space, not disk: 1 TiB where the system gives it, else less. */
static const size_t map_sizes[] = {(size_t)1 << 40, (size_t)1 << 36, (size_t)1 << 33, (size_t)1 << 31, (size_t)1 << 29, (size_t)1 << 27};

int store_disk_full(const char *dir)
{
    struct statvfs v;

    return statvfs(dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < FULL_BYTES;
}

struct metas {
    uint64_t commit[2], n_pages[2];
    uint32_t page_bytes[2]; /* 0: that page is not there */
};

static int read_metas(int fd, struct metas *m, struct err *e)
{
    unsigned char page[TREE_META_BYTES];
    off_t at = 0;
    int rc = 0;

    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < 2 && !rc; i++) {
        if (pread(fd, page, sizeof page, at) != (ssize_t)sizeof page)
            break;
        rc = tree_meta(page, i, &m->commit[i], &m->n_pages[i], &m->page_bytes[i], e);
        at = m->page_bytes[0];
    }
    return rc;
}

/* The pages that the newer meta page promises must be there: reading behind the end of a file that was cut off is a signal.
 * The two meta pages are those of the last two commits; else one of them is damaged, and an older state would pass for
 * the newest. A writer at work may change both between two looks, so a few are taken. The length is asked last: a writer makes
 * the file longer before its meta page says so. */
int store_file_check(const char *file, uint64_t *bytes, struct err *e)
{
    struct metas m;
    struct stat st;
    int in_row = 0;
    int rc = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    *bytes = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "open %s", file);
    for (int tries = 0; tries < 50 && !rc && !in_row; tries++) {
        if (tries)
            clock_nap_ms(1);
        rc = read_metas(fd, &m, e);
        in_row = m.commit[0] - m.commit[1] + 1 <= 2; /* one apart, or both 0 */
    }
    if (!rc && fstat(fd, &st) < 0)
        rc = err_errno(e, errno, "stat %s", file);
    close(fd);
    if (rc)
        return err_wrap(e, "%s", file);
    if (st.st_size == 0)
        return 0; /* being made */
    if (!m.page_bytes[1])
        return err_set(e, ERR_CORRUPT, "%s is cut off: %lld bytes are less than its two meta pages", file, (long long)st.st_size);
    if (m.page_bytes[0] != m.page_bytes[1] || !in_row)
        return err_set(e, ERR_CORRUPT, "%s: its two meta pages do not belong together", file);
    *bytes = m.n_pages[m.commit[1] > m.commit[0]] * m.page_bytes[0];
    if (*bytes > (uint64_t)st.st_size)
        return err_set(e, ERR_CORRUPT, "%s is cut off: %lld bytes, but its meta page needs %llu", file,
                       (long long)st.st_size, (unsigned long long)*bytes);
    return 0;
}

/* The largest size of which two mappings find room, LMDB's and ours; 0: none. Asked beforehand, because an opening that fails half-way
 * leaves LMDB's lock file without the number of the last commit. */
size_t store_map_room(uint64_t bytes)
{
    for (size_t i = 0; i < sizeof map_sizes / sizeof map_sizes[0] && map_sizes[i] > bytes; i++) {
        void *p = mmap(NULL, 2 * map_sizes[i], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            continue;
        munmap(p, 2 * map_sizes[i]);
        return map_sizes[i];
    }
    return 0;
}

/* LMDB 0.9.24 leaves its descriptors of data.mdb open across exec: a parser child would inherit them, a writer's even open for
 * writing. A writer has a second one that LMDB does not tell: it is found by its file. A descriptor that another thread exchanges
 * meanwhile may lose its inheritance too, which nothing in docent asks for. */
void store_file_keep(int fd, const struct stat *file, int writable)
{
    DIR *all = writable ? opendir("/proc/self/fd") : NULL;
    struct dirent *d;

    fcntl(fd, F_SETFD, FD_CLOEXEC);
    while (all && (d = readdir(all)) != NULL) {
        char name[300];
        struct stat st;
        snprintf(name, sizeof name, "/proc/self/fd/%s", d->d_name);
        if (d->d_name[0] != '.' && stat(name, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino)
            fcntl((int)strtol(d->d_name, NULL, 10), F_SETFD, FD_CLOEXEC);
    }
    if (all)
        closedir(all);
}
