/* snapshot_impl.h - the inside of struct snapshot, for snapshot.c and search.c only. */
#ifndef DOCENT_INDEX_SNAPSHOT_IMPL_H
#define DOCENT_INDEX_SNAPSHOT_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "index/index.h"
#include "index/parts.h"

struct snapshot {
    struct library *lib;
    atomic_int refs;
    uint64_t version;
    uint32_t n_shards;
    uint32_t dim; /* 0: the library has no vectors */
    struct txn **txn; /* [n_shards] read transactions (MDB_NOTLS: any thread may use one; LMDB reads need no lock) */
    pthread_mutex_t mu; /* guards the opening of view */
    atomic_int viewed; /* all of view is open */
    struct shard_view **view; /* [n_shards], by snapshot_views(); lazily filled parts guard themselves */
};

/* Opens the views of all shards at the first call. Any thread; before any use of view. */
int snapshot_views(struct snapshot *s, struct err *e);

#endif
