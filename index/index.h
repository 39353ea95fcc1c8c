/* index.h - the face of index: a library on disk, its documents, and search in it.
 * library.c   opens a library and its shards         documents.c  one document in, out
 * search.c    BM25 and dense over all shards          snapshot.c   what a reader sees
 * verify.c    proves records and cross references     compact.c    frees what deletes left
 * backup.c    a consistent copy while writing goes on
 * A library is a folder (DESIGN of the formats: docs/formats.md). Readers: any number of processes and
 * threads. Writer: one process a library (library_open with LIB_WRITE), one thread at a time. */
#ifndef DOCENT_INDEX_H
#define DOCENT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

#define DOC_ID_BYTES 16

/* ---- the library ---- */

struct library;

struct library_conf {
    char name[128];
    char embedder[64]; /* model id, 32 hex digits; "" : no vectors */
    char embedder_name[128];
    uint32_t dim; /* 0: no vectors */
    char chunking[64]; /* "v1 target=200 max=254" : what made the chunks */
    uint32_t analyzer; /* version of analyze.c; filled by library_create */
    uint32_t format; /* filled by library_create */
};

#define LIB_READ 0
#define LIB_WRITE 1
#define LIB_WAIT 2 /* with LIB_WRITE: wait for another writer instead of ERR_BUSY */

int library_exists(const char *dir); /* 1: there is a library.conf, of whatever version */
int library_create(const char *dir, const struct library_conf *conf, struct err *e); /* ERR_EXISTS */
/* ERR_NOTFOUND: no library there. ERR_VERSION: a newer format, or another analyzer, and what to do.
 * ERR_BUSY: another process writes; the message names its pid. ERR_CORRUPT: data.mdb is shorter than its meta page
 * says. A library on a read-only filesystem opens with LIB_READ. */
int library_open(struct library **out, const char *dir, int flags, struct err *e);
void library_close(struct library *lib);
const struct library_conf *library_conf(const struct library *lib);
uint32_t library_shards(const struct library *lib);
const char *library_dir(const struct library *lib);

/* ---- writing ---- */

struct index_page {
    uint32_t number; /* from 1 */
    float width, height;
    const char *text;
    uint32_t n_text;
    const void *boxes; /* packed by ingest; opaque here */
    uint32_t n_boxes; /* bytes */
};

struct index_chunk {
    uint32_t page; /* index into pages */
    uint32_t start, end; /* bytes of that page's text */
    const char *section;
    uint32_t n_tokens;
    uint8_t hash[DOC_ID_BYTES]; /* of the text that was (or would be) embedded */
    const float *vec; /* [dim] unit length; NULL: copy the row stored under hash, or none when dim is 0 */
};

struct index_doc {
    uint8_t id[DOC_ID_BYTES]; /* BLAKE2b-128 of the file's bytes */
    const char *title, *type, *lang; /* never NULL */
    int paged;
    uint64_t bytes; /* of the file */
    uint64_t hidden_spans, hidden_chars;
    uint32_t n_bad_pages;
    const char *const *collections; /* [n_collections], may be 0 */
    uint32_t n_collections;
    const struct index_page *pages;
    uint32_t n_pages;
    const struct index_chunk *chunks;
    uint32_t n_chunks;
};

struct index_path {
    const char *path; /* bytes, at most LIM_PATH */
    uint64_t size;
    int64_t mtime_ns;
    uint64_t inode;
};

/* A batch is one LMDB transaction on one shard: all of it becomes visible at index_commit, or nothing. */
struct index_batch;
int index_begin(struct library *lib, uint32_t shard, struct index_batch **out, struct err *e);
/* Adds a document and its path (replaces what the path named before; a document without paths left
 * is deleted in the same transaction). A document that is there already only gains the path and collections.
 * ERR_NOTFOUND: a chunk has no vec and none is stored under its hash; nothing was added. */
int index_put(struct index_batch *b, const struct index_doc *d, const struct index_path *p,
              struct err *e);
/* The path now names a document that is known (rename, copy, touched file). ERR_NOTFOUND: it is not. */
int index_put_path(struct index_batch *b, const uint8_t id[DOC_ID_BYTES],
                   const struct index_path *p, const char *const *collections,
                   uint32_t n_collections, struct err *e);
/* Removes a path; its document too when that was its last path. ERR_NOTFOUND. */
int index_rm_path(struct index_batch *b, const char *path, struct err *e);
/* Removes a document and all its paths. ERR_NOTFOUND. */
int index_rm_doc(struct index_batch *b, const uint8_t id[DOC_ID_BYTES], struct err *e);
uint64_t index_batch_bytes(const struct index_batch *b); /* rough size of what waits for the commit */
/* Durable when it returns 0. On error nothing of the batch is there, and b is gone either way. */
int index_commit(struct index_batch *b, struct err *e);
void index_abort(struct index_batch *b); /* NULL is fine */

/* Seals the delta segment, merges segments, drops dead rows, and rewrites data.mdb without free pages
 * (copy + rename) so that removed text is gone from the file. Returns bytes before and after. */
int library_compact(struct library *lib, uint64_t *before, uint64_t *after, struct err *e);

/* A consistent copy of the whole library as one file, while a writer goes on; restore refuses an existing
 * folder. The file is a plain concatenation described in docs/formats.md with a checksum. */
int library_backup(struct library *lib, const char *file, uint64_t *bytes, struct err *e);
int library_restore(const char *file, const char *dir, struct err *e);

/* ---- reading: a snapshot sees one commit of every shard ---- */

struct snapshot;
/* The library's present state; refcounted, shared, cheap to take again (the same object until a commit).
 * Give it back within a few seconds: a held snapshot keeps freed pages from reuse. Any thread. */
int snapshot_take(struct library *lib, struct snapshot **out, struct err *e);
void snapshot_give(struct snapshot *s);
uint64_t snapshot_version(const struct snapshot *s); /* sum of the shards' commit counters */

struct library_stat {
    uint64_t documents, paths, pages, chunks, vectors, terms, postings;
    uint64_t dead_rows, file_bytes, used_bytes, free_bytes; /* of data.mdb, all shards */
    struct table_stat {
        const char *name;
        uint64_t entries, bytes;
    } tables[24];
    uint32_t n_tables;
};
int snapshot_stat(struct snapshot *s, struct library_stat *st, struct err *e);

struct doc_view { /* strings live in the arena of the call */
    uint8_t id[DOC_ID_BYTES];
    const char *title, *type, *lang;
    int paged;
    uint64_t bytes;
    uint64_t hidden_spans, hidden_chars;
    uint32_t n_bad_pages;
    uint32_t n_pages, n_chunks;
    int64_t added_ms; /* unix time of the commit */
    const char *const *collections;
    uint32_t n_collections;
    const char *const *paths; /* sorted */
    uint32_t n_paths;
};
struct page_view {
    uint32_t number;
    float width, height;
    const char *text;
    uint32_t n_text;
    const unsigned char *boxes; /* packed, for boxes_unpack() */
    uint32_t n_boxes;
};
struct chunk_view {
    uint8_t doc[DOC_ID_BYTES];
    uint32_t ord; /* 0.. within the document */
    uint32_t page; /* number, from 1 */
    uint32_t start, end;
    const char *section;
    const char *text; /* [end - start] bytes of the page, NUL behind */
    uint32_t n_text, n_tokens;
};

/* ERR_NOTFOUND, or ERR_CORRUPT naming the record whose checksum does not hold. */
int snapshot_doc(struct snapshot *s, const uint8_t id[DOC_ID_BYTES], struct arena *a,
                 struct doc_view *out, struct err *e);
int snapshot_page(struct snapshot *s, const uint8_t id[DOC_ID_BYTES], uint32_t number,
                  struct arena *a, struct page_view *out, struct err *e);
int snapshot_chunk(struct snapshot *s, const uint8_t id[DOC_ID_BYTES], uint32_t ord,
                   struct arena *a, struct chunk_view *out, struct err *e);
/* What a path names: its document and the stat values stored with it. ERR_NOTFOUND. */
int snapshot_path(struct snapshot *s, const char *path, uint8_t id[DOC_ID_BYTES],
                  struct index_path *stat, struct err *e);
/* Every path below prefix ("" = all), sorted. Non-zero from fn stops and is returned. */
typedef int snapshot_path_fn(void *arg, const char *path, const uint8_t id[DOC_ID_BYTES],
                             const struct index_path *stat);
int snapshot_paths(struct snapshot *s, const char *prefix, snapshot_path_fn *fn, void *arg,
                   struct err *e);
/* Every document, by id. */
typedef int snapshot_doc_fn(void *arg, const struct doc_view *d);
int snapshot_docs(struct snapshot *s, snapshot_doc_fn *fn, void *arg, struct err *e);
/* 1: a vector is stored for this chunk hash. */
int snapshot_has_vector(struct snapshot *s, const uint8_t hash[DOC_ID_BYTES]);

/* ---- search ---- */

struct search_filter { /* all that are set must hold; NULL/0: not set */
    const char *collection;
    const char *path_glob; /* fnmatch without FNM_PATHNAME over any of the document's paths, or its base name */
    const char *type;
    const char *lang;
    int64_t after_ms, before_ms; /* bounds on added_ms */
};

struct hit {
    float score;
    uint8_t doc[DOC_ID_BYTES];
    uint32_t ord; /* chunk within the document */
    uint32_t page; /* number, from 1 */
};
/* The one total order: score down, then doc id, then ord up. It does not depend on shards or ranks. */
int hit_before(const struct hit *a, const struct hit *b);

struct hits {
    struct hit *at; /* [n], best first, in the arena */
    uint32_t n;
    uint64_t matched; /* chunks that pass the filter and match at all */
};

/* BM25 (Lucene's idf, k1 0.9, b 0.4) with df, N and average length summed over all shards (of the whole library, also
 * under a filter). Exact: the same ranking as a naive scorer. k at most LIM_K; under a filter never fewer than
 * min(k, matches). */
int search_bm25(struct snapshot *s, const char *query, const struct search_filter *f, uint32_t k,
                struct arena *a, struct hits *out, struct err *e);
/* Dense: inner product of the unit query with the stored int8 rows, rescored the same way for every shard. */
int search_dense(struct snapshot *s, const float *query, uint32_t dim,
                 const struct search_filter *f, uint32_t k, struct arena *a, struct hits *out,
                 struct err *e);
/* BM25 and cosine of given chunks (for fusion of lists that miss each other's rows, for --explain and for the evidence
 * gate): scores[i] for hits[i]. */
int search_bm25_of(struct snapshot *s, const char *query, const struct hit *of, uint32_t n,
                   struct arena *a, float *scores, struct err *e);
int search_dense_of(struct snapshot *s, const float *query, uint32_t dim, const struct hit *of,
                    uint32_t n, struct arena *a, float *scores, struct err *e);

struct query_term { /* for --explain, highlighting and the evidence gate */
    const char *term; /* after analysis */
    uint32_t count; /* in the query */
    uint64_t df; /* chunks that contain it, all shards */
    float idf;
};
int search_terms(struct snapshot *s, const char *query, struct arena *a, struct query_term **terms,
                 uint32_t *n, struct err *e);

/* ---- analysis (the same for documents and queries; versioned in library.conf) ---- */

struct term_at {
    const char *term; /* in the arena, NUL-terminated */
    uint32_t n;
    uint32_t start, end; /* bytes of the text it came from */
};
/* NFKC + case fold, UAX #29 words, Snowball stem (lang "en" unless told; "" : detect Latin-script English by default),
 * overlapping bigrams + unigrams for Han, Kana, Hangul runs. */
#define ANALYZER_VERSION 1
int analyze(const char *text, size_t n, const char *lang, int is_query, struct arena *a,
            struct term_at **out, uint32_t *n_out, struct err *e);

/* ---- verify ---- */

struct verify_report {
    uint64_t records, documents, pages, chunks, postings, vectors, problems;
    char first[8][200]; /* the first problems, a sentence each */
    uint32_t n_first;
};
/* (a) every record's checksum, (b) every cross reference path-document-page-chunk-posting-vector-filter in both
 * directions, (c) counters. Returns 0 when it could look at everything, also when problems > 0. */
int library_verify(struct library *lib, struct verify_report *r, struct err *e);

#endif
