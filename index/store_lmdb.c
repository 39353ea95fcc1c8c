/* store_lmdb.c - the one door to LMDB (see store.h). Writes are LMDB's. Reads take a read transaction of LMDB, which keeps the pages
 * of one commit from reuse, and look at the pages themselves through tree.c, which checks what LMDB would trust.
 * Threads: a read transaction may be used by several threads at once; writes by one thread. */
#include "index/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "index/store_file.h"
#include "index/store_record.h"
#include "index/tree.h"

#define MAX_READERS 1024
#define LOOK_MOST GIB /* a reader looks over a file up to this size when it opens it: 0.1 ms a MB */

struct store {
    MDB_env *env;
    MDB_dbi dbi[T_COUNT]; /* of a writer */
    atomic_int refs; /* the owner's and one a transaction: closing waits for the last of them */
    int writable;
    int unlocked; /* LMDB's lock file could not be opened for writing: no writer sees this reader */
    atomic_int broken; /* a write failed in a way that leaves the environment in doubt */
    unsigned char *map; /* the file, for tree.c; longer than the file, which grows into it */
    size_t map_bytes;
    uint32_t page_bytes;
    uint64_t inode;
    char dir[4096];
};

struct txn {
    struct store *s;
    MDB_txn *txn;
    int writing;
    struct tree_view view; /* of a read */
    struct tree tree[T_COUNT];
};

struct scan {
    struct txn *t;
    enum table tb;
    MDB_cursor *cur; /* of a write transaction */
    struct tree_cursor tree; /* of a read transaction */
    unsigned char prefix[511];
    size_t n_prefix;
    int positioned; /* the cursor stands on a record that was not handed out yet */
    int ended;
};

/* s: NULL when the failure says nothing about the library's own file. */
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
            atomic_store(&s->broken, 1);
        return err_set(e, ERR_CORRUPT, "%s: %s is damaged (%s)", what, s ? s->dir : "data.mdb",
                       mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return err_set(e, ERR_VERSION, "%s: made by another LMDB format", what);
    case MDB_READERS_FULL:
        return err_set(e, ERR_BUSY, "%s: more than %d readers at once", what, MAX_READERS);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return err_set(e, ERR_FULL, "%s: no space left (%s); nothing of it was stored", what, strerror(rc));
    case EIO: /* LMDB reports a short write, which is how a full disk shows, as EIO as well */
        if (s && store_disk_full(s->dir))
            return err_set(e, ERR_FULL, "%s: the disk of %s is full; nothing of it was stored", what, s->dir);
        if (s)
            atomic_store(&s->broken, 1);
        return err_set(e, ERR_IO, "%s: input/output error; nothing of it was stored", what);
    default:
        return rc > 0 ? err_errno(e, rc, "%s", what) : err_set(e, ERR_IO, "%s: %s", what, mdb_strerror(rc));
    }
}

/* ---- open ---- */

/* A writer's handles. A reader has none: LMDB would follow the pages of the table of tables without a check. */
static int open_tables(struct store *s, struct err *e)
{
    MDB_txn *t;
    int rc = mdb_txn_begin(s->env, NULL, 0, &t);

    if (rc)
        return fail(s, e, rc, "open the library");
    for (int i = 0; i < T_COUNT && !rc; i++)
        rc = mdb_dbi_open(t, table_name((enum table)i), MDB_CREATE, &s->dbi[i]);
    if (rc) {
        mdb_txn_abort(t);
        return fail(s, e, rc, "open the library's tables");
    }
    rc = mdb_txn_commit(t);
    return rc ? fail(s, e, rc, "open the library") : 0;
}

static int open_env(struct store *s, unsigned flags)
{
    int rc = mdb_env_create(&s->env);

    if (rc)
        return rc;
    mdb_env_set_mapsize(s->env, s->map_bytes);
    mdb_env_set_maxdbs(s->env, T_COUNT + 3);
    mdb_env_set_maxreaders(s->env, MAX_READERS);
    rc = mdb_env_open(s->env, s->dir, flags, 0666);
    if (rc) {
        mdb_env_close(s->env);
        s->env = NULL;
    }
    return rc;
}

/* The mapping that tree.c reads. The kernel reads ahead in it as long as the file fits half of the memory. */
static int map_file(struct store *s, uint64_t bytes, struct err *e)
{
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    struct stat st;
    MDB_stat size;
    int fd = -1;

    if (mdb_env_get_fd(s->env, &fd) || fstat(fd, &st) < 0 || mdb_env_stat(s->env, &size))
        return err_set(e, ERR_IO, "open %s: its file cannot be asked", s->dir);
    store_file_keep(fd, &st, s->writable);
    s->inode = st.st_ino;
    s->page_bytes = size.ms_psize;
    s->map = mmap(NULL, s->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return err_errno(e, errno, "map %s", s->dir);
    }
    if (bytes > memory / 2)
        madvise(s->map, s->map_bytes, MADV_RANDOM);
    return 0;
}

/* LMDB's writer trusts every page, so that none may be damaged before it starts. A reader would find damage when it gets there, but for
 * one kind: a changed page number that leads to an older state of a table, whole and with good checksums.
 * Nor does LMDB compare the commit that its lock file names with the data: a writer would go on from the wrong meta page, or from the
 * empty tables of commit 0. Nobody else commits while a writer opens. */
static int check_state(struct store *s, uint64_t bytes, struct err *e)
{
    struct txn *t;
    int rc;

    if (!bytes)
        return 0;
    rc = txn_read(s, &t, e);
    if (rc)
        return rc;
    if (s->writable && txn_id(t) != store_last_commit(s))
        rc = err_set(e, ERR_BUSY, "%s: its lock.mdb is of another state: end the docent processes that read it", s->dir);
    if (!rc && (s->writable || bytes <= LOOK_MOST))
        rc = txn_pages_check(t, 0, e);
    txn_abort(t);
    if (rc == ERR_CORRUPT)
        err_wrap(e, "%s cannot be used (restore a backup, or index the files into a new library)", s->dir);
    return rc;
}

/* The tables of a new file or a compacted copy say no number, or that of the file they were copied from (see write_number). Two
 * commits later neither meta page leads to them. */
static int number_twice(struct store *s, struct err *e)
{
    int rc = 0;

    for (int i = 0; i < 2 && !rc; i++) {
        struct txn *t;
        rc = txn_write(s, &t, e);
        if (!rc)
            rc = txn_commit(t, e);
    }
    return rc;
}

static int open_once(struct store **out, const char *dir, int writable, struct err *e)
{
    struct store *s = mem_take(1, sizeof *s);
    char file[4200];
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (writable ? 0 : MDB_RDONLY);
    uint64_t bytes;
    int dead;
    int rc;

    if (!s)
        return err_set(e, ERR_NOMEM, "open %s", dir);
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    snprintf(file, sizeof file, "%s/data.mdb", dir);
    s->writable = writable;
    atomic_init(&s->refs, 1);
    atomic_init(&s->broken, 0);
    rc = store_file_check(file, &bytes, e);
    if (!rc) {
        s->map_bytes = store_map_room(bytes);
        if (!s->map_bytes)
            rc = err_set(e, ERR_NOMEM, "open %s: no address space for twice %llu bytes", dir, (unsigned long long)bytes);
    }
    if (rc) {
        mem_give(s);
        return rc;
    }
    rc = open_env(s, flags);
    if ((rc == EROFS || rc == EACCES || rc == EPERM) && !writable) {
        s->unlocked = 1; /* library.c keeps writers away instead */
        rc = open_env(s, flags | MDB_NOLOCK);
    }
    if (rc) {
        rc = fail(s, e, rc, dir);
        mem_give(s);
        return rc;
    }
    mdb_reader_check(s->env, &dead); /* slots of processes that died */
    rc = map_file(s, bytes, e);
    if (!rc)
        rc = check_state(s, bytes, e);
    if (!rc && writable)
        rc = open_tables(s, e);
    if (!rc && writable && store_last_commit(s) <= 1)
        rc = number_twice(s, e);
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* A lock file that does not fit is made anew when all have closed it; who else meets it lets go of it in the same way. */
int store_open(struct store **out, const char *dir, int writable, struct err *e)
{
    int rc = ERR_BUSY;

    *out = NULL;
    for (long tries = 0; tries < 40 && rc == ERR_BUSY; tries++) {
        if (tries)
            clock_nap_ms(1 + ((long)getpid() * 7 + tries * 5) % 11); /* not in step with others */
        rc = open_once(out, dir, writable, e);
    }
    return rc;
}

void store_close(struct store *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    if (s->map)
        munmap(s->map, s->map_bytes);
    if (s->env)
        mdb_env_close(s->env);
    mem_give(s);
}

uint64_t store_file_bytes(const struct store *s)
{
    struct stat st;
    int fd = -1;

    return mdb_env_get_fd(s->env, &fd) == 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t store_inode(const struct store *s)
{
    return s->inode;
}

void store_moved(struct store *s, const char *dir)
{
    snprintf(s->dir, sizeof s->dir, "%s", dir);
}

int store_unlocked(const struct store *s)
{
    return s->unlocked;
}

uint64_t store_last_commit(struct store *s)
{
    MDB_envinfo info;

    return mdb_env_info(s->env, &info) ? 0 : (uint64_t)info.me_last_txnid;
}

int store_space(struct store *s, uint64_t *used, uint64_t *freed, struct err *e)
{
    struct txn *t;
    struct tree_cursor c;
    struct tree_bytes key, value;
    uint64_t pages = 0;
    int rc = txn_read(s, &t, e);

    if (rc)
        return rc;
    tree_cursor(&c, &t->view, &t->view.unused); /* a count and that many page numbers a record */
    c.numbers = 1;
    rc = tree_seek(&c, NULL, 0, e);
    while (!rc && (rc = tree_next(&c, &key, &value, e)) == 0) {
        uint64_t n = 0;
        if (value.n >= sizeof n)
            memcpy(&n, value.p, sizeof n);
        pages += n;
    }
    *freed = pages * t->view.page_bytes;
    *used = t->view.n_pages * t->view.page_bytes - *freed;
    txn_abort(t);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

/* ---- transactions ---- */

static int check_number(struct txn *t, uint64_t commit, struct err *e);

/* The pages of the commit that LMDB's transaction holds. The two meta pages take turns: ours is written again by the commit
 * after next, so it is whole while the newest meta page is ours or the next one. (The next one shows before its transaction is
 * announced: for the milliseconds of a sync a reader gets the commit before it.) */
static int begin_read(struct txn *t, struct err *e)
{
    struct store *s = t->s;
    struct tree_view again;
    int rc = ERR_BUSY;

    for (int tries = 0; tries < 60 && rc == ERR_BUSY; tries++) {
        uint64_t commit;
        if (t->txn) {
            mdb_txn_reset(t->txn);
            rc = mdb_txn_renew(t->txn);
        } else {
            rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
        }
        if (rc)
            return fail(NULL, e, rc, "begin to read");
        commit = mdb_txn_id(t->txn);
        rc = tree_view(s->map, s->page_bytes, commit, &t->view, e);
        if (!rc && (store_last_commit(s) > commit + 1 || (commit == 0 && store_last_commit(s) > 0)))
            rc = ERR_BUSY; /* overtaken, or not told by the lock file */
        if (!rc) /* once more, lest the first look fell into the writing of the commit after next */
            rc = tree_view(s->map, s->page_bytes, commit, &again, e);
        if (!rc && memcmp(&again, &t->view, sizeof again) != 0)
            rc = ERR_BUSY;
        if (rc == ERR_BUSY && tries > 10)
            clock_nap_ms(1);
    }
    if (!rc && e)
        err_clear(e); /* of commits that were overtaken */
    if (rc == ERR_BUSY)
        return err_set(e, ERR_BUSY, "%s is being committed to too fast to be read, or its lock.mdb is of another state", s->dir);
    if (!rc && t->view.n_pages > s->map_bytes / s->page_bytes)
        return err_set(e, ERR_FULL, "%s has outgrown its address space", s->dir);
    for (int i = 0; i < T_COUNT && !rc; i++)
        rc = tree_find(&t->view, table_name((enum table)i), &t->tree[i], e);
    return rc ? rc : check_number(t, txn_id(t), e);
}

static int begin_write(struct txn *t, struct err *e)
{
    struct store *s = t->s;
    int dead;
    int rc;

    if (!s->writable)
        return err_set(e, ERR_ACCESS, "%s is open for reading only", s->dir);
    if (atomic_load(&s->broken))
        return err_set(e, ERR_IO, "%s takes no writes after an input/output error: start docent again and run verify", s->dir);
    mdb_reader_check(s->env, &dead); /* a reader that died would keep its pages from reuse for ever */
    rc = mdb_txn_begin(s->env, NULL, 0, &t->txn);
    return rc ? fail(s, e, rc, "begin to write") : 0;
}

static int begin(struct store *s, int writing, struct txn **out, struct err *e)
{
    struct txn *t = mem_take(1, sizeof *t);
    int rc;

    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "transaction");
    t->s = s;
    t->writing = writing;
    atomic_fetch_add(&s->refs, 1);
    rc = writing ? begin_write(t, e) : begin_read(t, e);
    if (rc) {
        txn_abort(t);
        return rc;
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

/* Each commit says its number inside the tree: a meta page that leads to an older tree, or bears a changed number, is found out.
 * LMDB numbers a compacted copy anew, from 1, until number_twice(). */
static const char commit_key[] = "commit";

static int write_number(struct txn *t, struct err *e)
{
    unsigned char number[8];

    be32(number, (uint32_t)(txn_id(t) >> 32));
    be32(number + 4, (uint32_t)txn_id(t));
    return txn_put(t, T_META, commit_key, 6, number, sizeof number, e);
}

static int check_number(struct txn *t, uint64_t commit, struct err *e)
{
    const void *p;
    size_t n;
    int rc = commit > 1 ? txn_get(t, T_META, commit_key, 6, &p, &n, NULL) : ERR_NOTFOUND;

    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc)
        return txn_get(t, T_META, commit_key, 6, &p, &n, e);
    if (n != 8 || ((uint64_t)be32_get(p) << 32 | be32_get((const unsigned char *)p + 4)) != commit)
        return err_set(e, ERR_CORRUPT, "%s: commit %llu shows the tables of another", t->s->dir, (unsigned long long)commit);
    return 0;
}

int txn_commit(struct txn *t, struct err *e)
{
    struct store *s = t->s;
    int rc = t->writing ? write_number(t, e) : 0;

    if (rc) {
        txn_abort(t);
        return rc;
    }
    rc = mdb_txn_commit(t->txn);
    if (rc)
        rc = fail(s, e, rc, "commit");
    store_close(s);
    mem_give(t);
    return rc;
}

void txn_abort(struct txn *t)
{
    if (!t)
        return;
    if (t->txn)
        mdb_txn_abort(t->txn);
    store_close(t->s);
    mem_give(t);
}

uint64_t txn_id(const struct txn *t)
{
    return (uint64_t)mdb_txn_id(t->txn);
}

struct store *txn_store(const struct txn *t)
{
    return t->s;
}

int txn_pages_check(struct txn *t, int strict, struct err *e)
{
    return store_pages_check(&t->view, store_file_bytes(t->s), strict, e);
}

/* ---- records ---- */

int txn_get(struct txn *t, enum table tb, const void *key, size_t n_key, const void **p, size_t *n,
            struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    MDB_val v = {0, NULL};
    struct tree_bytes value = {NULL, 0};
    int rc;

    *p = NULL;
    *n = 0;
    if (t->writing) {
        rc = mdb_get(t->txn, t->s->dbi[tb], &k, &v);
        value = (struct tree_bytes){v.mv_data, v.mv_size};
        if (rc && rc != MDB_NOTFOUND)
            return fail(t->s, e, rc, table_name(tb));
    } else {
        rc = tree_get(&t->view, &t->tree[tb], key, n_key, &value, e);
        if (rc && rc != ERR_NOTFOUND)
            return rc;
    }
    if (rc)
        return e ? err_set(e, ERR_NOTFOUND, "%s: no such record", table_name(tb)) : ERR_NOTFOUND;
    return record_payload(tb, key, n_key, value.p, value.n, p, n, e);
}

/* LMDB makes room in the page itself (MDB_RESERVE), so that header and payload are copied once. */
int txn_put(struct txn *t, enum table tb, const void *key, size_t n_key, const void *p, size_t n,
            struct err *e)
{
    MDB_val k = {n_key, (void *)(uintptr_t)key};
    MDB_val v = {n + RECORD_HEADER, NULL};
    int rc;

    if (n_key == 0 || n_key > 511 || n > UINT32_MAX - RECORD_HEADER)
        return err_set(e, ERR_INVALID, "%s: key of %zu and value of %zu bytes", table_name(tb), n_key, n);
    rc = mdb_put(t->txn, t->s->dbi[tb], &k, &v, MDB_RESERVE);
    if (rc)
        return fail(t->s, e, rc, table_name(tb));
    memcpy((char *)v.mv_data + RECORD_HEADER, p, n);
    record_header(v.mv_data, tb, key, n_key, p, n);
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
    const struct tree *r = &t->tree[tb];
    MDB_stat st;
    int rc;

    if (!t->writing) {
        *entries = r->entries;
        *bytes = (r->branch_pages + r->leaf_pages + r->overflow_pages) * t->view.page_bytes;
        return 0;
    }
    rc = mdb_stat(t->txn, t->s->dbi[tb], &st);
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
    int rc = 0;

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
    if (t->writing)
        rc = mdb_cursor_open(t->txn, t->s->dbi[tb], &sc->cur);
    else
        tree_cursor(&sc->tree, &t->view, &t->tree[tb]);
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
    int rc;

    sc->ended = 0;
    if (!sc->cur) {
        rc = tree_seek(&sc->tree, key, n_key, e);
        sc->ended = rc != 0;
        return rc;
    }
    rc = mdb_cursor_get(sc->cur, &k, &v, n_key ? MDB_SET_RANGE : MDB_FIRST);
    sc->ended = rc == MDB_NOTFOUND;
    sc->positioned = rc == 0;
    return rc && rc != MDB_NOTFOUND ? fail(sc->t->s, e, rc, table_name(sc->tb)) : 0;
}

static int cursor_next(struct scan *sc, struct tree_bytes *key, struct tree_bytes *value, struct err *e)
{
    MDB_val k, v;
    int rc;

    if (!sc->cur)
        return tree_next(&sc->tree, key, value, e);
    rc = mdb_cursor_get(sc->cur, &k, &v, sc->positioned ? MDB_GET_CURRENT : MDB_NEXT);
    sc->positioned = 0;
    if (rc == MDB_NOTFOUND || rc == EINVAL)
        return ERR_NOTFOUND;
    if (rc)
        return fail(sc->t->s, e, rc, table_name(sc->tb));
    *key = (struct tree_bytes){k.mv_data, k.mv_size};
    *value = (struct tree_bytes){v.mv_data, v.mv_size};
    return 0;
}

int scan_next(struct scan *sc, const void **key, size_t *n_key, const void **p, size_t *n,
              struct err *e)
{
    struct tree_bytes k, v;
    int rc;

    *p = NULL;
    *n = 0;
    if (sc->ended)
        return ERR_NOTFOUND;
    rc = cursor_next(sc, &k, &v, e);
    if (!rc && (k.n < sc->n_prefix || memcmp(k.p, sc->prefix, sc->n_prefix) != 0))
        rc = ERR_NOTFOUND;
    if (rc) { /* also behind a damaged page the cursor cannot go on */
        sc->ended = 1;
        return rc;
    }
    *key = k.p;
    *n_key = k.n;
    return record_payload(sc->tb, k.p, k.n, v.p, v.n, p, n, e);
}

void scan_close(struct scan *sc)
{
    if (!sc)
        return;
    if (sc->cur)
        mdb_cursor_close(sc->cur);
    mem_give(sc);
}

/* ---- copies ---- */

int store_copy_fd(struct store *s, int fd, struct err *e)
{
    int rc = mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT);

    return rc ? fail(NULL, e, rc, "copy the library") : 0;
}

int store_copy(struct store *s, const char *file, struct err *e)
{
    int rc = 0;
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return err_errno(e, errno, "create %s", file);
    rc = store_copy_fd(s, fd, e);
    if (!rc && fsync(fd) < 0)
        rc = err_errno(e, errno, "write %s", file);
    close(fd);
    if (rc)
        unlink(file);
    return rc;
}
