/* vectors_impl.h - how a shard stores vectors, shared by vectors*.c.
 *
 *   T_META "vec"          u32 version, dim, chunk ids of a block
 *   T_VEC (block)         sealed rows of up to per_block chunk ids: 40-byte header, int8 rows (stride = dim rounded
 *                         up to 64), f32 scales, u32 chunk ids. LMDB's and the store's headers take 24
 *                         bytes of an overflow page, so rows begin 64-byte aligned in the map.
 *   T_VEC (block, cid)    one row that is not sealed yet: u32 chunk id, f32 scale, int8 row
 *
 * A block covers a fixed range of chunk ids (cid / per_block), so a row is found without a directory, and adding the
 * last id of a range seals it: an insert writes its own row only, and about one in 160 writes a block. */
#ifndef DOCENT_INDEX_VECTORS_IMPL_H
#define DOCENT_INDEX_VECTORS_IMPL_H

#include <stdint.h>

#include "index/parts.h"
#include "index/shard_view.h"

#define VEC_HEADER 40
#define VEC_VALUE (65536 - 24) /* payload that fills 16 pages */
#define VEC_BLOCK_MOST 1024 /* rows of a block: (VEC_VALUE - 40) / (64 + 8) is 909 */
#define VEC_ROW_HEADER 8 /* chunk id and scale of an unsealed row */

struct vec_meta {
    uint32_t dim, per_block;
};
int vec_meta_load(struct txn *t, struct vec_meta *m, struct err *e); /* ERR_NOTFOUND: no vector yet */

/* Reads a T_VEC record. Everything it names lies inside the payload. ERR_CORRUPT. */
int vec_rows_open(struct vec_rows *r, const struct vec_meta *m, const void *key, size_t n_key,
                  const void *p, size_t n, struct err *e);
/* Writes what is stored of a block as one sealed value, without the rows that dead() names. */
int vec_seal(struct txn *t, const struct vec_meta *m, uint32_t block, dead_fn *dead, void *arg,
             struct err *e);

#endif
