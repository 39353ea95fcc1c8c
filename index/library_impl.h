/* library_impl.h - the inside of struct library. Inside index only. */
#ifndef DOCENT_INDEX_LIBRARY_IMPL_H
#define DOCENT_INDEX_LIBRARY_IMPL_H

#include <pthread.h>
#include <sys/types.h>

#include "index/index.h"
#include "index/store.h"

struct library {
    char dir[4096];
    struct library_conf conf;
    int flags;
    int lock_fd; /* holds the writer's lock; -1 for readers */
    uint32_t n_shards;
    struct store **stores; /* [n_shards] */
    ino_t *inodes; /* [n_shards] of data.mdb when it was opened: a compaction puts a new one in its place */
    pthread_mutex_t mu; /* guards current and its refs, and reopening */
    struct snapshot *current; /* the newest; the library holds one reference. NULL: none yet */
};

void shard_dir(const struct library *lib, uint32_t shard, char *out, size_t n);
int library_open_shards(struct library *lib, struct err *e);
void library_close_shards(struct library *lib);
/* Drops the library's own reference to its newest snapshot. Returns the references others still hold. */
int library_drop_current(struct library *lib);
int conf_write(const char *dir, const struct library_conf *c, struct err *e);
int conf_read(const char *dir, struct library_conf *c, struct err *e);

#endif
