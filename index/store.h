/* store.h - the one door to LMDB: one environment a shard, records with version and checksum.
 * Every value is stored as header {u8 record version, u8[7] low bytes of XXH3-64 over dbi number, key and payload}
 * + payload; callers see the payload only. A checksum is checked at every read of a record unless the
 * table is marked hot (vec, post, dl: checked on first use in a snapshot by their own code, with store_check()).
 * Reads look at the B-tree's pages with every offset checked (tree.h): damage is ERR_CORRUPT, never a signal. A writer looks at all tree
 * pages once when it opens (store_pages.c), because LMDB trusts what it changes.
 * LMDB rules kept here: no WRITEMAP, no NOSYNC, one environment a path and process, file length checked against the
 * meta page before mapping, MDB_NOTLS read transactions, values never outlive their transaction, keys fixed width.
 * Errors: ENOSPC, EDQUOT, MDB_MAP_FULL and short writes are ERR_FULL; MDB_PANIC, MDB_CORRUPTED, MDB_PAGE_NOTFOUND and bad
 * checksums are ERR_CORRUPT; EIO is ERR_IO and closes the shard for writing.
 * SIGBUS from a truncated file: store_open checks the length; a file cut while mapped is out of scope. */
#ifndef DOCENT_INDEX_STORE_H
#define DOCENT_INDEX_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum table { /* names in the file: meta doc path page chunk seen vec term post dl filt tomb log */
    T_META, T_DOC, T_PATH, T_PAGE, T_CHUNK, T_SEEN, T_VEC, T_TERM, T_POST, T_DL, T_FILT, T_TOMB,
    T_LOG, T_COUNT
};
const char *table_name(enum table t);

struct store;
struct txn;

int store_open(struct store **out, const char *dir, int writable, struct err *e);
/* The file is closed when the last transaction on it has ended, so that a reader may replace a store by its successor at any time. */
void store_close(struct store *s);
uint64_t store_file_bytes(const struct store *s);
void store_moved(struct store *s, const char *dir); /* its folder has another name now; before anybody else knows s */
uint64_t store_inode(const struct store *s); /* of data.mdb: another one stands there after a compaction */
int store_unlocked(const struct store *s); /* 1: read without LMDB's lock file; no writer may be at work */
uint64_t store_last_commit(struct store *s); /* number of the newest commit, by whichever process; no transaction needed */
/* Bytes of data.mdb in use, and in pages that are free for reuse. */
int store_space(struct store *s, uint64_t *used, uint64_t *freed, struct err *e);

int txn_read(struct store *s, struct txn **out, struct err *e);
int txn_write(struct store *s, struct txn **out, struct err *e); /* one at a time a store */
int txn_commit(struct txn *t, struct err *e); /* t is gone either way */
void txn_abort(struct txn *t); /* ends a read too; NULL is fine */
uint64_t txn_id(const struct txn *t); /* of a read: the commit it sees */
struct store *txn_store(const struct txn *t);

/* ERR_NOTFOUND leaves *p NULL and sets no message when e is NULL. *p is good until the transaction ends, or the next
 * write in the same write transaction. */
int txn_get(struct txn *t, enum table tb, const void *key, size_t n_key, const void **p, size_t *n,
            struct err *e);
int txn_put(struct txn *t, enum table tb, const void *key, size_t n_key, const void *p, size_t n,
            struct err *e);
int txn_del(struct txn *t, enum table tb, const void *key, size_t n_key, struct err *e); /* ERR_NOTFOUND */
/* Deletes every record whose key begins with prefix (n_prefix 0: all of the table); *n: how many. A damaged record is
 * ERR_CORRUPT. */
int txn_del_all(struct txn *t, enum table tb, const void *prefix, size_t n_prefix, uint64_t *n, struct err *e);
int txn_stat(struct txn *t, enum table tb, uint64_t *entries, uint64_t *bytes, struct err *e);

/* Cursor over the keys >= first that begin with prefix (n_prefix 0: all). Ordered by bytes. */
struct scan;
int scan_open(struct txn *t, enum table tb, const void *prefix, size_t n_prefix, struct scan **out,
              struct err *e);
/* 0, or ERR_NOTFOUND at the end (no message). Key and payload as in txn_get. A record with a wrong checksum is
 * ERR_CORRUPT and names table and key; the scan may go on behind it. After a damaged page it cannot: the next call
 * says ERR_NOTFOUND. */
int scan_next(struct scan *sc, const void **key, size_t *n_key, const void **p, size_t *n,
              struct err *e);
int scan_seek(struct scan *sc, const void *key, size_t n_key, struct err *e); /* next: first >= key */
void scan_close(struct scan *sc);

/* Checks a hot record's checksum, given what txn_get or scan_next returned for it. */
int store_check(enum table tb, const void *key, size_t n_key, const void *p, size_t n,
                struct err *e);

/* store_pages.c: looks over the pages of the B-trees of one commit of a file with n_map bytes. strict: the counts in the tables' roots
 * too. ERR_CORRUPT names the first finding. store_open() does it, before writing always, before reading up to 1 GiB. */
struct tree_view;
int store_pages_check(const struct tree_view *v, uint64_t n_map, int strict, struct err *e);
/* The same for what t, a read transaction, sees. */
int txn_pages_check(struct txn *t, int strict, struct err *e);

/* A copy without free pages (mdb_env_copy2 with compaction) into a new file. */
int store_copy(struct store *s, const char *file, struct err *e);
int store_copy_fd(struct store *s, int fd, struct err *e); /* the same to the present offset of fd; no fsync */

/* Big-endian helpers for keys. */
static inline void be32(unsigned char *k, uint32_t v)
{
    k[0] = (unsigned char)(v >> 24);
    k[1] = (unsigned char)(v >> 16);
    k[2] = (unsigned char)(v >> 8);
    k[3] = (unsigned char)v;
}
static inline uint32_t be32_get(const unsigned char *k)
{
    return (uint32_t)k[0] << 24 | (uint32_t)k[1] << 16 | (uint32_t)k[2] << 8 | k[3];
}

#endif
