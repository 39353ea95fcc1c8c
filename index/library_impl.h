/* library_impl.h - the inside of struct library. Inside index only. */
#ifndef DOCENT_INDEX_LIBRARY_IMPL_H
#define DOCENT_INDEX_LIBRARY_IMPL_H

#include <pthread.h>

#include "index/index.h"
#include "index/store.h"

#define LIBRARY_FORMAT 1

struct library {
    char dir[4096];
    struct library_conf conf;
    int flags;
    int lock_fd; /* holds the writer's lock, or keeps writers away from a reader that LMDB's lock file does not show; else -1 */
    uint32_t n_shards;
    struct store **stores; /* [n_shards]; replaced by a compaction, whoever does it */
    pthread_mutex_t mu; /* guards current and stores */
    struct snapshot *current; /* the newest; the library holds one reference. NULL: none yet */
};

void shard_dir(const struct library *lib, uint32_t shard, char *out, size_t n);
int library_open_shard(struct library *lib, uint32_t shard, struct store **out, struct err *e);
/* A read transaction on a shard as it stands now; it keeps the shard's file open. Any thread. */
int library_read(struct library *lib, uint32_t shard, struct txn **out, struct err *e);
void library_drop_current(struct library *lib); /* the library's own reference to its newest snapshot; mu is held */
int conf_write(const char *dir, const struct library_conf *c, struct err *e);
int conf_read(const char *dir, struct library_conf *c, struct err *e);

#endif
