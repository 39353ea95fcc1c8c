/* shard_stat.c - how much the search structures of a shard hold, for status. */
#include "index/shard_view.h"

void shard_view_stat(const struct shard_view *v, uint64_t *vectors, uint64_t *terms,
                     uint64_t *postings, uint64_t *dead)
{
    uint64_t gone = 0;

    for (uint32_t i = 0; i < v->post.m.n_seg; i++) {
        *terms += v->post.seg[i].d.terms;
        *postings += v->post.seg[i].d.postings;
    }
    for (uint32_t i = 0; i < v->dead.n / 64 + (v->dead.n % 64 != 0); i++)
        gone += (uint64_t)__builtin_popcountll(v->dead.bits[i]);
    *dead += gone; /* rows that a compaction drops */
    *vectors += v->vec.n_rows > gone ? v->vec.n_rows - gone : 0;
}
