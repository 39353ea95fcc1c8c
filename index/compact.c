/* compact.c - merges what deletes left and rewrites a shard's file without free pages, so that removed text is gone from it.
 * The new file takes the old one's place together with its lock file, by exchanging the two folders: LMDB keeps its transaction
 * counter in lock.mdb, and a new data.mdb below an old lock.mdb would be read from the wrong meta page. Readers of other
 * processes go on with the old file until their next snapshot. */
#include <errno.h>
#include <fcntl.h>
#include <roaring/roaring.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "index/doc_record.h"
#include "index/library_impl.h"

static int is_dead(void *arg, uint32_t cid)
{
    return roaring_bitmap_contains(arg, cid);
}

/* One transaction: dead rows leave postings and vectors, and the tombstones go with them. */
static int merge_shard(struct store *s, struct err *e)
{
    roaring_bitmap_t *dead = NULL;
    struct counters c;
    struct txn *t;
    int rc = txn_write(s, &t, e);

    if (rc)
        return rc;
    rc = tomb_load(t, &dead, e);
    if (!rc)
        rc = postings_merge(t, is_dead, dead, e);
    if (!rc)
        rc = vectors_merge(t, is_dead, dead, e);
    if (!rc)
        rc = tomb_clear_all(t, e);
    if (!rc)
        rc = counters_get(t, &c, e);
    if (!rc) {
        c.commits++;
        rc = counters_put(t, &c, e);
    }
    if (dead)
        roaring_bitmap_free(dead);
    if (rc) {
        txn_abort(t);
        return rc;
    }
    return txn_commit(t, e);
}

static void drop_folder(const char *dir)
{
    char path[4600];

    snprintf(path, sizeof path, "%s/data.mdb", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", dir);
    unlink(path);
    rmdir(dir);
}

static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* renameat2(EXCHANGE) where the filesystem has it; else old aside, new in: a crash in between leaves a library without the
 * shard's folder, which the next open says (the data is in .new, whole and synced). */
static int exchange(const char *dir, const char *fresh, struct err *e)
{
    char old[4400];

    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, dir, RENAME_EXCHANGE) == 0)
        return 0;
    snprintf(old, sizeof old, "%s.old", dir);
    if (rename(dir, old) < 0)
        return err_errno(e, errno, "move %s aside", dir);
    if (rename(fresh, dir) < 0) {
        int why = errno;
        if (rename(old, dir) < 0)
            why = errno;
        return err_errno(e, why, "put %s in place", fresh);
    }
    drop_folder(old);
    return 0;
}

static int rewrite_shard(struct library *lib, uint32_t shard, struct err *e)
{
    char dir[4200];
    char fresh[4300];
    char file[4400];
    struct store *now;
    int rc;

    shard_dir(lib, shard, dir, sizeof dir);
    snprintf(fresh, sizeof fresh, "%s.new", dir);
    drop_folder(fresh);
    if (mkdir(fresh, 0777) < 0)
        return err_errno(e, errno, "make folder %s", fresh);
    snprintf(file, sizeof file, "%s/data.mdb", fresh);
    rc = store_copy(lib->stores[shard], file, e);
    if (rc) {
        drop_folder(fresh);
        return rc;
    }
    sync_folder(fresh);
    /* Opened before it takes its place: a reader that came in between would make the lock file from the old data. */
    rc = store_open(&now, fresh, 1, e);
    if (!rc)
        rc = exchange(dir, fresh, e);
    if (rc) {
        store_close(now);
        drop_folder(fresh);
        return rc;
    }
    store_moved(now, dir);
    drop_folder(fresh); /* it holds the old files now; who still reads them has them open */
    sync_folder(lib->dir);
    pthread_mutex_lock(&lib->mu); /* only now: readers go on with the old file until here, however long the copy took */
    library_drop_current(lib);
    store_close(lib->stores[shard]);
    lib->stores[shard] = now;
    pthread_mutex_unlock(&lib->mu);
    return 0;
}

static uint64_t all_bytes(struct library *lib)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < lib->n_shards; i++)
        n += store_file_bytes(lib->stores[i]);
    return n;
}

int library_compact(struct library *lib, uint64_t *before, uint64_t *after, struct err *e)
{
    int rc = 0;

    if (!(lib->flags & LIB_WRITE))
        return err_set(e, ERR_INVALID, "library %s is open for reading only", lib->dir);
    *before = all_bytes(lib);
    for (uint32_t i = 0; i < lib->n_shards && !rc; i++) {
        rc = merge_shard(lib->stores[i], e);
        if (!rc)
            rc = rewrite_shard(lib, i, e);
    }
    *after = all_bytes(lib);
    return rc;
}
