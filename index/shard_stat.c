/* shard_stat.c - how much the search structures of a shard hold, for status. */
#include "index/shard_view.h"

void shard_view_stat(const struct shard_view *v, uint64_t *vectors, uint64_t *terms,
                     uint64_t *postings, uint64_t *dead)
{
    for (uint32_t i = 0; i < v->post.m.n_seg; i++) {
        *terms += v->post.seg[i].d.terms;
        *postings += v->post.seg[i].d.postings;
    }
    /* A removed row that was not sealed is gone, though its number is among the dead: rows are counted one by one. */
    for (uint32_t b = 0; b < v->vec.n; b++)
        for (uint32_t i = 0; i < v->vec.rows[b].n; i++)
            *vectors += !cid_in(&v->dead, vec_cid(&v->vec.rows[b], i));
    for (uint32_t i = 0; i < v->dead.n / 64 + (v->dead.n % 64 != 0); i++)
        *dead += (uint64_t)__builtin_popcountll(v->dead.bits[i]); /* rows that a compaction drops */
}
