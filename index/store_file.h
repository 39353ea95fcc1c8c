/* store_file.h - what can be known of data.mdb without LMDB, and what LMDB leaves undone with its descriptors.
 * For store_lmdb.c only. */
#ifndef DOCENT_INDEX_STORE_FILE_H
#define DOCENT_INDEX_STORE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"

/* *bytes: what the newer meta page says is in use; 0: no file yet, or one that is being made. ERR_CORRUPT when the file is cut off or its
 * meta pages do not belong together. */
int store_file_check(const char *file, uint64_t *bytes, struct err *e);
/* Address space for each of two mappings of a file that holds bytes; 0: there is none. */
size_t store_map_room(uint64_t bytes);
/* Closes LMDB's descriptors of the file at exec; fd is one of them. */
void store_file_keep(int fd, const struct stat *file, int writable);
int store_disk_full(const char *dir); /* 1: a short write there means a full disk */

#endif
