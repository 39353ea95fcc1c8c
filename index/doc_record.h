/* doc_record.h - the records of documents, pages, chunks, paths and counters as bytes, and back (docs/formats.md).
 * Decoding treats the bytes as hostile although their checksum held: lengths against what is left, spans inside their page.
 * Inside index only. */
#ifndef DOCENT_INDEX_DOC_RECORD_H
#define DOCENT_INDEX_DOC_RECORD_H

#include "base/buf.h"
#include "base/mem.h"
#include "index/index.h"
#include "index/parts.h"

struct counters { /* T_META "counters" */
    uint64_t documents, paths, pages, chunks;
    uint64_t next_cid; /* below 2^32 */
    uint64_t commits;
};
int counters_get(struct txn *t, struct counters *c, struct err *e); /* all 0 in a new shard */
int counters_put(struct txn *t, const struct counters *c, struct err *e);

struct doc_row { /* T_DOC, key: id. Strings point into the record or the caller's document */
    struct doc_view v; /* paths sorted */
    uint32_t first_cid;
};
/* Arrays in a; strings are NUL-terminated copies in a. ERR_NOTFOUND. */
int doc_row_get(struct txn *t, const uint8_t id[DOC_ID_BYTES], struct arena *a, struct doc_row *out,
                struct err *e);
int doc_row_decode(const uint8_t id[DOC_ID_BYTES], const void *p, size_t n, struct arena *a,
                   struct doc_row *out, struct err *e);
int doc_row_put(struct txn *t, const struct doc_row *d, struct err *e);

#define PAGE_KEY (DOC_ID_BYTES + 4)
void page_key(unsigned char key[PAGE_KEY], const uint8_t id[DOC_ID_BYTES], uint32_t number);
int page_row_put(struct txn *t, const uint8_t id[DOC_ID_BYTES], const struct index_page *p,
                 struct err *e);
int page_row_get(struct txn *t, const uint8_t id[DOC_ID_BYTES], uint32_t number, struct arena *a,
                 struct page_view *out, struct err *e);
int page_row_decode(uint32_t number, const void *p, size_t n, struct arena *a, struct page_view *out,
                    struct err *e);

/* T_CHUNK, key: cid. The chunk's hash stands behind the fields of struct chunk_row. */
int chunk_row_put(struct txn *t, uint32_t cid, const uint8_t doc[DOC_ID_BYTES], uint32_t ord,
                  uint32_t page_number, const struct index_chunk *c, struct err *e);
int chunk_row_decode(const void *p, size_t n, struct chunk_row *out, uint8_t hash[DOC_ID_BYTES],
                     struct err *e);
int chunk_hash_get(struct txn *t, uint32_t cid, struct chunk_row *out, uint8_t hash[DOC_ID_BYTES],
                   struct err *e);

/* T_PATH: the path itself up to PATH_KEY bytes, else its first bytes and a hash; the record holds all of it. */
#define PATH_KEY 440
size_t path_key(unsigned char key[PATH_KEY + 16], const char *path);
int path_row_put(struct txn *t, const struct index_path *p, const uint8_t id[DOC_ID_BYTES],
                 struct err *e);
/* stat->path is set to path (borrowed). */
int path_row_get(struct txn *t, const char *path, uint8_t id[DOC_ID_BYTES], struct index_path *stat,
                 struct err *e);
/* stat->path points into a. */
int path_row_decode(const void *p, size_t n, struct arena *a, uint8_t id[DOC_ID_BYTES],
                    struct index_path *stat, struct err *e);

/* T_SEEN, key: hash + cid, empty record: a chunk with that text is stored as cid. */
#define SEEN_KEY (DOC_ID_BYTES + 4)
void seen_key(unsigned char key[SEEN_KEY], const uint8_t hash[DOC_ID_BYTES], uint32_t cid);
int seen_find(struct txn *t, const uint8_t hash[DOC_ID_BYTES], uint32_t *cid, struct err *e); /* any; ERR_NOTFOUND */

/* filters.c: a document's chunks enter or leave the bitmaps of its collections, type and language. */
int filters_add(struct txn *t, const struct doc_row *d, struct err *e);
int filters_remove(struct txn *t, const struct doc_row *d, struct err *e);
/* 1: the bitmap of (field, value) holds cid. */
enum filter_field { FIELD_COLLECTION = 1, FIELD_TYPE = 2, FIELD_LANG = 3 };
int filter_value_load(struct txn *t, enum filter_field f, const char *value,
                      struct roaring_bitmap_s **out, struct err *e);

#endif
