/* snapshot_view.c - the search side of a snapshot, opened at the first search: whoever only looks up paths and documents
 * (an index run does, once a file) does not read length codes and block lists of the whole library. */
#include "index/snapshot_impl.h"

int snapshot_views(struct snapshot *s, struct err *e)
{
    int rc = 0;

    if (atomic_load(&s->viewed))
        return 0;
    pthread_mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->n_shards && !rc; i++)
        if (!s->view[i])
            rc = shard_view_open(s->txn[i], s->dim, &s->view[i], e);
    if (!rc)
        atomic_store(&s->viewed, 1);
    pthread_mutex_unlock(&s->mu);
    return rc;
}
