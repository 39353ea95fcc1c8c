/* store_record.h - the header of every record, for store_lmdb.c only. */
#ifndef DOCENT_INDEX_STORE_RECORD_H
#define DOCENT_INDEX_STORE_RECORD_H

#include "index/store.h"

#define RECORD_HEADER 8

void record_header(unsigned char h[RECORD_HEADER], enum table tb, const void *key, size_t n_key,
                   const void *p, size_t n);
/* The payload of a stored value; its checksum is compared unless the table is hot. */
int record_payload(enum table tb, const void *key, size_t n_key, const void *value, size_t n_value,
                   const void **p, size_t *n, struct err *e);

#endif
