/* snapshot.c - what a reader sees: one commit of every shard, shared by all who ask until the next commit.
 * A held snapshot keeps LMDB from reusing freed pages (a reader held over 20,000 rewrites made a file grow from 47 to 677 MB),
 * so there is one a commit, not one a query.
 * Locks: library.mu guards current; a snapshot's own contents are read only, but for caches that guard themselves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "index/doc_record.h"
#include "index/library_impl.h"
#include "index/snapshot_impl.h"

static void snapshot_free(struct snapshot *s)
{
    for (uint32_t i = 0; i < s->n_shards; i++) {
        if (s->view)
            shard_view_close(s->view[i]);
        if (s->txn)
            txn_abort(s->txn[i]);
    }
    pthread_mutex_destroy(&s->mu);
    mem_give(s->view);
    mem_give(s->txn);
    mem_give(s);
}

static int snapshot_new(struct library *lib, struct snapshot **out, struct err *e)
{
    struct snapshot *s = mem_take(1, sizeof *s);
    int rc = 0;

    if (!s)
        return err_set(e, ERR_NOMEM, "snapshot");
    s->lib = lib;
    s->n_shards = lib->n_shards;
    s->dim = lib->conf.dim;
    atomic_store(&s->refs, 1);
    pthread_mutex_init(&s->mu, NULL);
    s->txn = mem_take(s->n_shards, sizeof *s->txn);
    s->view = mem_take(s->n_shards, sizeof *s->view);
    if (!s->txn || !s->view)
        rc = err_set(e, ERR_NOMEM, "snapshot");
    for (uint32_t i = 0; i < s->n_shards && !rc; i++) {
        struct counters c;
        rc = txn_read(lib->stores[i], &s->txn[i], e);
        if (!rc)
            rc = counters_get(s->txn[i], &c, e);
        if (!rc)
            s->version += c.commits;
    }
    if (rc) {
        snapshot_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* 1: the library's newest snapshot shows the newest commit of every shard. */
static int fresh(struct library *lib)
{
    for (uint32_t i = 0; i < lib->n_shards; i++)
        if (txn_id(lib->current->txn[i]) != store_last_commit(lib->stores[i]))
            return 0;
    return 1;
}

static void unref(struct snapshot *s)
{
    if (atomic_fetch_sub(&s->refs, 1) == 1)
        snapshot_free(s);
}

void library_drop_current(struct library *lib)
{
    if (lib->current)
        unref(lib->current);
    lib->current = NULL;
}

/* A compaction by another process puts a new file in a shard's place. Snapshots in use keep the old one open; two files of one
 * shard may be open at a time because they have locks of their own. */
static int take_up_new_files(struct library *lib, struct err *e)
{
    int rc = 0;

    for (uint32_t i = 0; i < lib->n_shards && !rc; i++) {
        char dir[4200];
        char file[4300];
        struct stat st;
        struct store *now;
        shard_dir(lib, i, dir, sizeof dir);
        snprintf(file, sizeof file, "%s/data.mdb", dir);
        if (stat(file, &st) < 0 || st.st_ino == store_inode(lib->stores[i]))
            continue;
        rc = library_open_shard(lib, i, &now, e);
        if (rc)
            break;
        library_drop_current(lib);
        store_close(lib->stores[i]);
        lib->stores[i] = now;
    }
    return rc;
}

int snapshot_take(struct library *lib, struct snapshot **out, struct err *e)
{
    int rc = 0;

    *out = NULL;
    pthread_mutex_lock(&lib->mu);
    if (!(lib->flags & LIB_WRITE))
        rc = take_up_new_files(lib, e);
    if (!rc && lib->current && !fresh(lib))
        library_drop_current(lib);
    if (!rc && !lib->current)
        rc = snapshot_new(lib, &lib->current, e);
    if (!rc) {
        atomic_fetch_add(&lib->current->refs, 1);
        *out = lib->current;
    }
    pthread_mutex_unlock(&lib->mu);
    return rc;
}

void snapshot_give(struct snapshot *s)
{
    if (s)
        unref(s);
}

uint64_t snapshot_version(const struct snapshot *s)
{
    return s->version;
}

/* ---- readers ---- */

/* Calls the lookup on each shard until one has it. */
#define IN_ANY_SHARD(s, rc, i, call)                                                              \
    do {                                                                                           \
        (rc) = ERR_NOTFOUND;                                                                       \
        for ((i) = 0; (i) < (s)->n_shards && (rc) == ERR_NOTFOUND; (i)++)                          \
            (rc) = (call);                                                                         \
    } while (0)

int snapshot_doc(struct snapshot *s, const uint8_t id[DOC_ID_BYTES], struct arena *a,
                 struct doc_view *out, struct err *e)
{
    struct doc_row d;
    uint32_t i;
    int rc;

    IN_ANY_SHARD(s, rc, i, doc_row_get(s->txn[i], id, a, &d, e));
    if (!rc)
        *out = d.v;
    return rc;
}

int snapshot_page(struct snapshot *s, const uint8_t id[DOC_ID_BYTES], uint32_t number,
                  struct arena *a, struct page_view *out, struct err *e)
{
    uint32_t i;
    int rc;

    IN_ANY_SHARD(s, rc, i, page_row_get(s->txn[i], id, number, a, out, e));
    return rc;
}

static int chunk_in(struct txn *t, const uint8_t id[DOC_ID_BYTES], uint32_t ord, struct arena *a,
                    struct chunk_view *out, struct err *e)
{
    struct chunk_row c;
    struct page_view page;
    uint32_t cid;
    int rc = chunk_row_find(t, id, ord, &cid, e);

    if (!rc) {
        rc = chunk_row_get(t, cid, &c, e);
        if (rc == ERR_NOTFOUND)
            rc = err_set(e, ERR_CORRUPT, "chunk %u is missing", cid);
    }
    if (!rc) {
        rc = page_row_get(t, id, c.page, a, &page, e);
        if (rc == ERR_NOTFOUND)
            rc = err_set(e, ERR_CORRUPT, "page %u of chunk %u is missing", c.page, cid);
    }
    if (rc)
        return rc;
    if (c.end > page.n_text || memcmp(c.doc, id, DOC_ID_BYTES) != 0 || c.ord != ord)
        return err_set(e, ERR_CORRUPT, "chunk %u does not fit its page", cid);
    memcpy(out->doc, id, DOC_ID_BYTES);
    out->ord = ord;
    out->page = c.page;
    out->start = c.start;
    out->end = c.end;
    out->n_tokens = c.n_tokens;
    out->n_text = c.end - c.start;
    out->section = arena_strndup(a, c.section, c.n_section);
    out->text = arena_strndup(a, page.text + c.start, out->n_text);
    return out->section && out->text ? 0 : err_set(e, ERR_NOMEM, "chunk %u", cid);
}

int snapshot_chunk(struct snapshot *s, const uint8_t id[DOC_ID_BYTES], uint32_t ord,
                   struct arena *a, struct chunk_view *out, struct err *e)
{
    uint32_t i;
    int rc;

    IN_ANY_SHARD(s, rc, i, chunk_in(s->txn[i], id, ord, a, out, e));
    return rc;
}

int snapshot_path(struct snapshot *s, const char *path, uint8_t id[DOC_ID_BYTES],
                  struct index_path *stat, struct err *e)
{
    uint32_t i;
    int rc;

    IN_ANY_SHARD(s, rc, i, path_row_get(s->txn[i], path, id, stat, e));
    return rc;
}

int snapshot_has_vector(struct snapshot *s, const uint8_t hash[DOC_ID_BYTES])
{
    uint32_t cid;

    for (uint32_t i = 0; i < s->n_shards; i++)
        if (s->dim && seen_find(s->txn[i], hash, &cid, NULL) == 0)
            return 1;
    return 0;
}

/* ---- lists over all shards, in one order ---- */

struct path_item {
    const char *path;
    uint8_t id[DOC_ID_BYTES];
    struct index_path stat;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct path_item *)a)->path, ((const struct path_item *)b)->path);
}

struct path_list {
    struct path_item *at;
    size_t n, cap;
    struct arena a;
};

static int collect_paths(struct txn *t, const char *prefix, struct path_list *l, struct err *e)
{
    size_t n_prefix = strlen(prefix);
    size_t n_scan = n_prefix < PATH_KEY ? n_prefix : PATH_KEY;
    struct scan *sc;
    const void *key, *p;
    size_t n_key, n;
    int rc = scan_open(t, T_PATH, prefix, n_scan, &sc, e);

    while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
        struct path_item item = {.path = NULL};
        rc = path_row_decode(p, n, &l->a, item.id, &item.stat, e);
        if (rc)
            break;
        if (!item.stat.path[0])
            item.stat.path = arena_strndup(&l->a, key, n_key);
        item.path = item.stat.path;
        if (item.path && strncmp(item.path, prefix, n_prefix) != 0)
            continue;
        if (item.path && l->n == l->cap) {
            size_t cap = l->cap ? l->cap * 2 : 256;
            struct path_item *grown = mem_again(l->at, cap, sizeof *grown);
            if (grown) {
                l->at = grown;
                l->cap = cap;
            }
        }
        if (!item.path || l->n == l->cap)
            rc = err_set(e, ERR_NOMEM, "list of paths");
        else
            l->at[l->n++] = item;
    }
    scan_close(sc);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int snapshot_paths(struct snapshot *s, const char *prefix, snapshot_path_fn *fn, void *arg,
                   struct err *e)
{
    struct path_list l = {.n = 0};
    int rc = 0;

    arena_init(&l.a, 16 * GIB);
    for (uint32_t i = 0; i < s->n_shards && !rc; i++)
        rc = collect_paths(s->txn[i], prefix, &l, e);
    if (l.n)
        qsort(l.at, l.n, sizeof *l.at, by_path);
    for (size_t i = 0; i < l.n && !rc; i++)
        rc = fn(arg, l.at[i].path, l.at[i].id, &l.at[i].stat);
    mem_give(l.at);
    arena_free(&l.a);
    return rc;
}

/* Each shard is sorted by id; shards one after the other (an id lives in one shard). */
int snapshot_docs(struct snapshot *s, snapshot_doc_fn *fn, void *arg, struct err *e)
{
    struct arena a;
    int rc = 0;

    arena_init(&a, 128 * MIB);
    for (uint32_t i = 0; i < s->n_shards && !rc; i++) {
        struct scan *sc;
        const void *key, *p;
        size_t n_key, n;
        rc = scan_open(s->txn[i], T_DOC, NULL, 0, &sc, e);
        while (!rc && (rc = scan_next(sc, &key, &n_key, &p, &n, e)) == 0) {
            struct doc_row d;
            rc = n_key == DOC_ID_BYTES ? doc_row_decode(key, p, n, &a, &d, e)
                                       : err_set(e, ERR_CORRUPT, "a document key of %zu bytes", n_key);
            if (!rc)
                rc = fn(arg, &d.v);
            arena_reset(&a);
        }
        scan_close(sc);
        if (rc == ERR_NOTFOUND)
            rc = 0;
    }
    arena_free(&a);
    return rc;
}

int snapshot_stat(struct snapshot *s, struct library_stat *st, struct err *e)
{
    int rc = 0;

    memset(st, 0, sizeof *st);
    rc = snapshot_views(s, e);
    st->n_tables = T_COUNT;
    for (uint32_t i = 0; i < s->n_shards && !rc; i++) {
        struct counters c;
        uint64_t used, freed;
        rc = counters_get(s->txn[i], &c, e);
        if (!rc)
            rc = store_space(txn_store(s->txn[i]), &used, &freed, e);
        if (rc)
            break;
        st->documents += c.documents;
        st->paths += c.paths;
        st->pages += c.pages;
        st->chunks += c.chunks;
        st->file_bytes += store_file_bytes(txn_store(s->txn[i]));
        st->used_bytes += used;
        st->free_bytes += freed;
        for (int t = 0; t < T_COUNT && !rc; t++) {
            uint64_t entries, bytes;
            rc = txn_stat(s->txn[i], (enum table)t, &entries, &bytes, e);
            if (rc)
                break;
            st->tables[t].name = table_name((enum table)t);
            st->tables[t].entries += entries;
            st->tables[t].bytes += bytes;
        }
        if (!rc)
            shard_view_stat(s->view[i], &st->vectors, &st->terms, &st->postings, &st->dead_rows);
    }
    return rc;
}
