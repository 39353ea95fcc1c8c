/* file.h - whole files: mapped, read, or replaced in one step. */
#ifndef DOCENT_BASE_FILE_H
#define DOCENT_BASE_FILE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* A read-only mapping; data is NULL for an empty file. */
struct file_map {
    const unsigned char *data;
    size_t size;
};
/* Maps a regular file. The bytes change under the reader if somebody rewrites the file in place,
 * and reading past a truncation is SIGBUS: for model files only, which are replaced by rename. */
int file_map(struct file_map *m, const char *path, struct err *e);
void file_unmap(struct file_map *m);

/* Reads a file (any kind that read(2) takes) into b, up to b's ceiling. */
int file_read(struct buf *b, const char *path, struct err *e);

/* Writes path as a whole: temporary file beside it, fsync, rename, fsync of the folder. */
int file_replace(const char *path, const void *bytes, size_t n, struct err *e);

/* mkdir -p; 0 when it is there already. */
int file_mkdirs(const char *path, struct err *e);

/* write(2) until all is out; 0 or an errno value. */
int file_write_all(int fd, const void *bytes, size_t n);

#endif
