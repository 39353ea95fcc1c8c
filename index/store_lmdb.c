/* store_lmdb.c - the one door to LMDB (see store.h).
 * A record on disk: {u8 version, u8[7] low bytes of XXH3-64} + payload. The sum covers table number, key and payload, so a
 * record that lands under another key or in another table is found out too.
 * Threads: a read transaction may be used by any thread, one at a time (MDB_NOTLS); writes by one thread. */
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#define RECORD_VERSION 1
#define HEADER 8
#define MAX_READERS 1024

/* Virtual address space, not disk: 1 TiB where the system gives it, else less. */
static const size_t map_sizes[] = {(size_t)1 << 40, (size_t)1 << 36, (size_t)1 << 33, (size_t)1 << 31};

static const char *const names[T_COUNT] = {"meta", "doc",  "path", "page", "chunk", "seen", "vec",
                                           "term", "post", "dl",   "filt", "tomb",  "log"};

struct store {
    MDB_env *env;
    MDB_dbi dbi[T_COUNT];
    int writable;
    int broken; /* a write failed in a way that leaves the environment in doubt */
    char dir[4096];
};

struct txn {
    struct store *s;
    MDB_txn *txn;
    int writing;
};

struct scan {
    struct txn *t;
    enum table tb;
    MDB_cursor *cur;
    unsigned char prefix[511];
    size_t n_prefix;
    int positioned; /* the cursor stands on a record that was not handed out yet */
    int ended;
};

const char *table_name(enum table t)
{
    return t < T_COUNT ? names[t] : "?";
}

static int hot(enum table tb)
{
    return tb == T_VEC || tb == T_POST || tb == T_DL;
}

static int fail(struct store *s, struct err *e, int rc, const char *what)
{
    switch (rc) {
    case MDB_NOTFOUND:
        return err_set(e, ERR_NOTFOUND, "%s: not there", what);
    case MDB_MAP_FULL:
        return err_set(e, ERR_FULL, "%s: the library has reached its map size", what);
    case MDB_TXN_FULL:
        return err_set(e, ERR_LIMIT, "%s: too much for one transaction", what);
    case MDB_PANIC:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        if (s)
            s->broken = 1;
        return err_set(e, ERR_CORRUPT, "%s: %s is damaged (%s)", what, s ? s->dir : "data.mdb",
                       mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return err_set(e, ERR_VERSION, "%s: made by another LMDB format", what);
    case MDB_READERS_FULL:
        return err_set(e, ERR_BUSY, "%s: more than %d readers at once", what, MAX_READERS);
    default:
        break;
    }
    if (rc == EIO && s)
        s->broken = 1;
    if (rc > 0) {
        /* LMDB reports a short write, which is how a full disk shows, as EIO. */
        int code = err_errno(e, rc, "%s", what);
        if (rc == EIO)
            return err_set(e, ERR_IO, "%s: input/output error, or the disk is full; nothing of it was stored", what);
        return code;
    }
    return err_set(e, ERR_IO, "%s: %s", what, mdb_strerror(rc));
}

/* The pages that the newer meta page promises must be there: LMDB itself would take SIGBUS on a file that was cut off.
 * Layout (LMDB 0.9, 64-bit): page header 16 bytes, then magic u32, version u32, address, mapsize, two MDB_db of 48 bytes, last
 * page number, transaction number. */
static int check_length(const char *file, struct err *e)
{
    unsigned char page[2][4096];
    struct stat st;
    uint64_t last = 0;
    uint64_t best_txn = 0;
    uint32_t psize = 4096;
    int rc = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "open %s", file);
    memset(page, 0, sizeof page);
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, errno, "stat %s", file);
    else if (st.st_size == 0)
        rc = 0; /* being made */
    else if (st.st_size < 2 * 4096 || pread(fd, page, sizeof page, 0) != (ssize_t)sizeof page)
        rc = err_set(e, ERR_CORRUPT, "%s is cut off: %lld bytes are less than its two meta pages", file, (long long)st.st_size);
    else {
        for (int i = 0; i < 2; i++) {
            uint64_t txn, pg;
            uint32_t magic;
            memcpy(&magic, page[i] + 16, 4);
            memcpy(&pg, page[i] + 16 + 24 + 96, 8);
            memcpy(&txn, page[i] + 16 + 24 + 96 + 8, 8);
            if (magic != 0xBEEFC0DE)
                rc = err_set(e, ERR_CORRUPT, "%s: meta page %d is not one of LMDB", file, i);
            else if (txn >= best_txn) {
                best_txn = txn;
                last = pg;
                memcpy(&psize, page[i] + 16 + 24, 4); /* md_pad of the free DB holds the page size */
            }
        }
        if (!rc && (psize < 512 || psize > 65536 || (psize & (psize - 1))))
            rc = err_set(e, ERR_CORRUPT, "%s: page size %u in the meta page", file, psize);
        if (!rc && (last >= UINT64_MAX / 65536 || (last + 1) * psize > (uint64_t)st.st_size))
            rc = err_set(e, ERR_CORRUPT, "%s is cut off: %lld bytes, but its meta page needs %llu", file,
                         (long long)st.st_size, (unsigned long long)((last + 1) * psize));
    }
    close(fd);
    return rc;
}

static int open_tables(struct store *s, struct err *e)
{
    MDB_txn *t;
    int rc = mdb_txn_begin(s->env, NULL, s->writable ? 0 : MDB_RDONLY, &t);

    if (rc)
        return fail(s, e, rc, "open the library");
    for (int i = 0; i < T_COUNT && !rc; i++)
        rc = mdb_dbi_open(t, names[i], s->writable ? MDB_CREATE : 0, &s->dbi[i]);
    if (rc) {
        mdb_txn_abort(t);
        if (rc == MDB_NOTFOUND)
            return err_set(e, ERR_CORRUPT, "%s: a table is missing", s->dir);
        return fail(s, e, rc, "open the library's tables");
    }
    rc = mdb_txn_commit(t);
    return rc ? fail(s, e, rc, "open the library") : 0;
}

static int open_env(struct store *s, unsigned flags)
{
    int rc = ENOMEM;

    for (size_t i = 0; i < sizeof map_sizes / sizeof map_sizes[0] && rc == ENOMEM; i++) {
        rc = mdb_env_create(&s->env);
        if (rc)
            return rc;
        mdb_env_set_mapsize(s->env, map_sizes[i]);
        mdb_env_set_maxdbs(s->env, T_COUNT + 3);
        mdb_env_set_maxreaders(s->env, MAX_READERS);
        rc = mdb_env_open(s->env, s->dir, flags, 0666);
        if (rc) {
            mdb_env_close(s->env);
            s->env = NULL;
        }
    }
    return rc;
}

int store_open(struct store **out, const char *dir, int writable, struct err *e)
{
    struct store *s = mem_take(1, sizeof *s);
    char file[4200];
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (writable ? 0 : MDB_RDONLY);
    int dead;
    int rc;

    *out = NULL;
    if (!s)
        return err_set(e, ERR_NOMEM, "open %s", dir);
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    snprintf(file, sizeof file, "%s/data.mdb", dir);
    s->writable = writable;
    rc = check_length(file, e);
    if (rc) {
        mem_give(s);
        return rc;
    }
    rc = open_env(s, flags);
    if ((rc == EROFS || rc == EACCES || rc == EPERM) && !writable)
        rc = open_env(s, flags | MDB_NOLOCK); /* a library on a read-only medium has no writer to fear */
    if (rc) {
        rc = fail(s, e, rc, dir);
        mem_give(s);
        return rc;
    }
    mdb_reader_check(s->env, &dead); /* slots of processes that died */
    rc = open_tables(s, e);
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->env)
        mdb_env_close(s->env);
    mem_give(s);
}

uint64_t store_file_bytes(const struct store *s)
{
    char file[4200];
    struct stat st;

    snprintf(file, sizeof file, "%s/data.mdb", s->dir);
    return stat(file, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t store_last_commit(struct store *s)
{
    MDB_envinfo info;

    return mdb_env_info(s->env, &info) ? 0 : (uint64_t)info.me_last_txnid;
}

int store_space(struct store *s, uint64_t *used, uint64_t *freed, struct err *e)
{
    MDB_envinfo info;
    MDB_stat st;
    struct txn *t;
    MDB_cursor *cur;
    MDB_val k, v;
    uint64_t pages = 0;
    int rc = txn_read(s, &t, e);

    if (rc)
        return rc;
    mdb_env_info(s->env, &info);
    mdb_env_stat(s->env, &st);
    rc = mdb_cursor_open(t->txn, 0, &cur); /* the free list: a count and that many page numbers a record */
    if (!rc) {
        while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
            size_t n = 0;
            if (v.mv_size >= sizeof n)
                memcpy(&n, v.mv_data, sizeof n);
            pages += n;
        }
        mdb_cursor_close(cur);
    }
    txn_abort(t);
    if (rc && rc != MDB_NOTFOUND)
        return fail(s, e, rc, "free list");
    *freed = pages * st.ms_psize;
    *used = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize - *freed;
    return 0;
}

/* ---- transactions ---- */

static int begin(struct store *s, int writing, struct txn **out, struct err *e)
{
    struct txn *t = mem_take(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "transaction");
    if (writing && (!s->writable || s->broken)) {
        mem_give(t);
        if (!s->writable)
            return err_set(e, ERR_ACCESS, "%s is open for reading only", s->dir);
        return err_set(e, ERR_IO, "%s takes no writes after an input/output error: start docent again and run verify", s->dir);
    }
    t->s = s;
    t->writing = writing;
    rc = mdb_txn_begin(s->env, NULL, writing ? 0 : MDB_RDONLY, &t->txn);
    if (rc) {
        mem_give(t);
        return fail(s, e, rc, "begin a transaction");
    }
    /* LMDB reads a table's root at its first use in a transaction: done here, so that several threads may look things up in
     * one read transaction without writing to it. */
    for (int i = 0; i < T_COUNT && !rc; i++) {
        MDB_stat st;
        rc = mdb_stat(t->txn, s->dbi[i], &st);
    }
    if (rc) {
        txn_abort(t);
        return fail(s, e, rc, "begin a transaction");
    }
    *out = t;
    return 0;
}

int txn_read(struct store *s, struct txn **out, struct err *e)
{
    return begin(s, 0, out, e);
}

int txn_write(struct store *s, struct txn **out, struct err *e)
{
    return begin(s, 1, out, e);
}

int txn_commit(struct txn *t, struct err *e)
{
    struct store *s = t->s;
    int rc = mdb_txn_commit(t->txn);

    mem_give(t);
    return rc ? fail(s, e, rc, "commit") : 0;
}

void txn_abort(struct txn *t)
{
    if (!t)
        return;
    mdb_txn_abort(t->txn);
    mem_give(t);
}

uint64_t txn_id(const struct txn *t)
{
    return (uint64_t)mdb_txn_id(t->txn);
}

/* ---- records ---- */

static uint64_t sum_of(enum table tb, const void *key, size_t n_key, const void *p, size_t n)
{
    unsigned char head[16 + 511];
    uint64_t body = hash_xxh3(p, n);

    head[0] = (unsigned char)tb;
    memcpy(head + 1, &body, 8);
    memcpy(head + 9, key, n_key);
    return hash_xxh3(head, 9 + n_key);
}

static void header_of(unsigned char h[HEADER], enum table tb, const void *key, size_t n_key,
                      const void *p, size_t n)
{
    uint64_t sum = sum_of(tb, key, n_key, p, n);

    memcpy(h, &sum, HEADER);
    h[0] = RECORD_VERSION;
}

static void key_text(char *out, size_t n, const void *key, size_t n_key)
{
    hash_hex(out, key, n_key < (n - 1) / 2 ? n_key : (n - 1) / 2);
}

static int damaged(struct err *e, enum table tb, const void *key, size_t n_key, const char *why)
{
    char hex[65];

    key_text(hex, sizeof hex, key, n_key);
    return err_set(e, ERR_CORRUPT, "record %s/%s: %s", table_name(tb), hex, why);
}

int store_check(enum table tb, const void *key, size_t n_key, const void *p, size_t n,
                struct err *e)
{
    const unsigned char *h = (const unsigned char *)p - HEADER;
    unsigned char want[HEADER];

    if (n_key > 511)
        return damaged(e, tb, key, 32, "key too long");
    header_of(want, tb, key, n_key, p, n);
    if (h[0] != RECORD_VERSION)
        return damaged(e, tb, key, n_key, "unknown record version");
    if (memcmp(h, want, HEADER) != 0)
        return damaged(e, tb, key, n_key, "its checksum does not hold");
    return 0;
}

static int payload_of(enum table tb, const MDB_val *k, const MDB_val *v, const void **p, size_t *n,
                      struct err *e)
{
    *p = NULL;
    *n = 0;
    if (v->mv_size < HEADER)
        return damaged(e, tb, k->mv_data, k->mv_size, "shorter than its header");
    if (!hot(tb)) {
        int rc = store_check(tb, k->mv_data, k->mv_size, (const char *)v->mv_data + HEADER,
                             v->mv_size - HEADER, e);
        if (rc)
            return rc;
    }
    *p = (const char *)v->mv_data + HEADER;
    *n = v->mv_size - HEADER;
    return 0;
}

int txn_get(struct txn *t, enum table tb, const void *key, size_t n_key, const void **p, size_t *n,
            struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    MDB_val v;
    int rc = mdb_get(t->txn, t->s->dbi[tb], &k, &v);

    *p = NULL;
    *n = 0;
    if (rc == MDB_NOTFOUND)
        return e ? err_set(e, ERR_NOTFOUND, "%s: no such record", table_name(tb)) : ERR_NOTFOUND;
    if (rc)
        return fail(t->s, e, rc, table_name(tb));
    return payload_of(tb, &k, &v, p, n, e);
}

int txn_reserve(struct txn *t, enum table tb, const void *key, size_t n_key, size_t n, void **p,
                struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    MDB_val v = {n + HEADER, NULL};
    int rc;

    if (n_key == 0 || n_key > 511 || n > UINT32_MAX)
        return err_set(e, ERR_INVALID, "%s: key of %zu and value of %zu bytes", table_name(tb), n_key, n);
    rc = mdb_put(t->txn, t->s->dbi[tb], &k, &v, MDB_RESERVE);
    if (rc)
        return fail(t->s, e, rc, table_name(tb));
    memset(v.mv_data, 0, HEADER);
    *p = (char *)v.mv_data + HEADER;
    return 0;
}

int txn_put(struct txn *t, enum table tb, const void *key, size_t n_key, const void *p, size_t n,
            struct err *e)
{
    void *to;
    int rc = txn_reserve(t, tb, key, n_key, n, &to, e);

    if (rc)
        return rc;
    memcpy(to, p, n);
    header_of((unsigned char *)to - HEADER, tb, key, n_key, p, n);
    return 0;
}

int txn_seal(struct txn *t, enum table tb, const void *key, size_t n_key, struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    MDB_val v;
    int rc = mdb_get(t->txn, t->s->dbi[tb], &k, &v);

    if (rc)
        return fail(t->s, e, rc, table_name(tb));
    header_of(v.mv_data, tb, key, n_key, (char *)v.mv_data + HEADER, v.mv_size - HEADER);
    return 0;
}

int txn_del(struct txn *t, enum table tb, const void *key, size_t n_key, struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    int rc = mdb_del(t->txn, t->s->dbi[tb], &k, NULL);

    if (rc == MDB_NOTFOUND)
        return e ? err_set(e, ERR_NOTFOUND, "%s: no such record", table_name(tb)) : ERR_NOTFOUND;
    return rc ? fail(t->s, e, rc, table_name(tb)) : 0;
}

int txn_stat(struct txn *t, enum table tb, uint64_t *entries, uint64_t *bytes, struct err *e)
{
    MDB_stat st;
    int rc = mdb_stat(t->txn, t->s->dbi[tb], &st);

    if (rc)
        return fail(t->s, e, rc, table_name(tb));
    *entries = st.ms_entries;
    *bytes = ((uint64_t)st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) * st.ms_psize;
    return 0;
}

/* ---- scans ---- */

int scan_open(struct txn *t, enum table tb, const void *prefix, size_t n_prefix, struct scan **out,
              struct err *e)
{
    struct scan *sc = mem_take(1, sizeof *sc);
    int rc;

    *out = NULL;
    if (!sc || n_prefix > sizeof sc->prefix) {
        mem_give(sc);
        return err_set(e, ERR_NOMEM, "scan of %s", table_name(tb));
    }
    sc->t = t;
    sc->tb = tb;
    sc->n_prefix = n_prefix;
    if (n_prefix)
        memcpy(sc->prefix, prefix, n_prefix);
    rc = mdb_cursor_open(t->txn, t->s->dbi[tb], &sc->cur);
    if (rc) {
        mem_give(sc);
        return fail(t->s, e, rc, table_name(tb));
    }
    rc = scan_seek(sc, sc->prefix, n_prefix, e);
    if (rc) {
        scan_close(sc);
        return rc;
    }
    *out = sc;
    return 0;
}

int scan_seek(struct scan *sc, const void *key, size_t n_key, struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    MDB_val v;
    int rc = mdb_cursor_get(sc->cur, &k, &v, n_key ? MDB_SET_RANGE : MDB_FIRST);

    sc->ended = rc == MDB_NOTFOUND;
    sc->positioned = rc == 0;
    return rc && rc != MDB_NOTFOUND ? fail(sc->t->s, e, rc, table_name(sc->tb)) : 0;
}

int scan_next(struct scan *sc, const void **key, size_t *n_key, const void **p, size_t *n,
              struct err *e)
{
    MDB_val k, v;
    int rc;

    *p = NULL;
    *n = 0;
    if (sc->ended)
        return ERR_NOTFOUND;
    rc = mdb_cursor_get(sc->cur, &k, &v, sc->positioned ? MDB_GET_CURRENT : MDB_NEXT);
    sc->positioned = 0;
    if (rc == MDB_NOTFOUND || rc == EINVAL) {
        sc->ended = 1;
        return ERR_NOTFOUND;
    }
    if (rc) {
        sc->ended = 1; /* a broken page: the cursor cannot go on */
        return fail(sc->t->s, e, rc, table_name(sc->tb));
    }
    if (k.mv_size < sc->n_prefix || memcmp(k.mv_data, sc->prefix, sc->n_prefix) != 0) {
        sc->ended = 1;
        return ERR_NOTFOUND;
    }
    *key = k.mv_data;
    *n_key = k.mv_size;
    return payload_of(sc->tb, &k, &v, p, n, e);
}

void scan_close(struct scan *sc)
{
    if (!sc)
        return;
    mdb_cursor_close(sc->cur);
    mem_give(sc);
}

int store_copy_fd(struct store *s, int fd, struct err *e)
{
    int rc = mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT);

    return rc ? fail(s, e, rc, "copy the library") : 0;
}

int store_copy(struct store *s, const char *file, struct err *e)
{
    int rc = 0;
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return err_errno(e, errno, "create %s", file);
    rc = mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT);
    if (!rc && fsync(fd) < 0)
        rc = errno;
    close(fd);
    if (rc) {
        unlink(file);
        return fail(s, e, rc, file);
    }
    return 0;
}
