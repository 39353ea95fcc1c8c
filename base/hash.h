/* hash.h - the three hashes docent uses, each for one purpose.
 * XXH3-64: checksums of stored records (accidents, not attackers).
 * BLAKE2b-128: ids of documents and chunks (content addresses; libsodium).
 * SHA-256: checksums of model files, as their publishers print them. */
#ifndef DOCENT_BASE_HASH_H
#define DOCENT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HASH_ID_BYTES 16
#define HASH_SHA256_BYTES 32

uint64_t hash_xxh3(const void *bytes, size_t n);
void hash_id(uint8_t out[HASH_ID_BYTES], const void *bytes, size_t n);
/* BLAKE2b-128 of what can be read from fd (from its present offset to its end), and the number of
 * bytes. Reads at most max_bytes; more is ERR_LIMIT. */
int hash_id_fd(uint8_t out[HASH_ID_BYTES], int fd, uint64_t max_bytes, uint64_t *bytes,
               struct err *e);
/* The same hash in pieces. */
struct hash_run {
    _Alignas(64) unsigned char state[384];
};
void hash_start(struct hash_run *h);
void hash_more(struct hash_run *h, const void *bytes, size_t n);
void hash_done(struct hash_run *h, uint8_t out[HASH_ID_BYTES]);
int hash_sha256_file(uint8_t out[HASH_SHA256_BYTES], const char *path, struct err *e);

/* Lower-case hex with NUL; out has room for 2n+1. */
void hash_hex(char *out, const uint8_t *bytes, size_t n);
/* Exactly 2n hex digits; 0 or ERR_INVALID. */
int hash_unhex(uint8_t *out, size_t n, const char *hex);

#endif
