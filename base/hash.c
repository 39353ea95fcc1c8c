/* hash.c - see hash.h. */
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

uint64_t hash_xxh3(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

void hash_id(uint8_t out[HASH_ID_BYTES], const void *bytes, size_t n)
{
    crypto_generichash(out, HASH_ID_BYTES, bytes, n, NULL, 0);
}

int hash_id_fd(uint8_t out[HASH_ID_BYTES], int fd, uint64_t max_bytes, uint64_t *bytes,
               struct err *e)
{
    crypto_generichash_state st;
    unsigned char block[65536];

    *bytes = 0;
    crypto_generichash_init(&st, NULL, 0, HASH_ID_BYTES);
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, errno, "read");
        if (n == 0)
            break;
        *bytes += (uint64_t)n;
        if (*bytes > max_bytes)
            return err_set(e, ERR_LIMIT, "larger than %llu bytes", (unsigned long long)max_bytes);
        crypto_generichash_update(&st, block, (size_t)n);
    }
    crypto_generichash_final(&st, out, HASH_ID_BYTES);
    return 0;
}

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct hash_run), "hash_run is too small");

void hash_start(struct hash_run *h)
{
    crypto_generichash_init((void *)h->state, NULL, 0, HASH_ID_BYTES);
}

void hash_more(struct hash_run *h, const void *bytes, size_t n)
{
    crypto_generichash_update((void *)h->state, bytes, n);
}

void hash_done(struct hash_run *h, uint8_t out[HASH_ID_BYTES])
{
    crypto_generichash_final((void *)h->state, out, HASH_ID_BYTES);
}

int hash_sha256_file(uint8_t out[HASH_SHA256_BYTES], const char *path, struct err *e)
{
    crypto_hash_sha256_state st;
    unsigned char block[65536];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(e, errno, "open %s", path);
    crypto_hash_sha256_init(&st);
    while ((n = read(fd, block, sizeof block)) > 0)
        crypto_hash_sha256_update(&st, block, (size_t)n);
    if (n < 0) {
        int rc = err_errno(e, errno, "read %s", path);
        close(fd);
        return rc;
    }
    close(fd);
    crypto_hash_sha256_final(&st, out);
    return 0;
}

void hash_hex(char *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hash_unhex(uint8_t *out, size_t n, const char *hex)
{
    if (strlen(hex) != 2 * n)
        return ERR_INVALID;
    for (size_t i = 0; i < n; i++) {
        int hi = digit(hex[2 * i]);
        int lo = digit(hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return ERR_INVALID;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}
