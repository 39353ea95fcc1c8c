/* store_record.c - the header of every record: {u8 version, u8[7] low bytes of XXH3-64}. The sum covers table number, key and
 * payload, so that a record which lands under another key or in another table is found out too. */
#include "index/store_record.h"

#include <string.h>

#include "base/hash.h"

#define RECORD_VERSION 1

static const char *const names[T_COUNT] = {"meta", "doc",  "path", "page", "chunk", "seen", "vec",
                                           "term", "post", "dl",   "filt", "tomb",  "log"};

const char *table_name(enum table t)
{
    return t < T_COUNT ? names[t] : "?";
}

static int hot(enum table tb)
{
    return tb == T_VEC || tb == T_POST || tb == T_DL;
}

static uint64_t sum_of(enum table tb, const void *key, size_t n_key, const void *p, size_t n)
{
    unsigned char head[16 + 511];
    uint64_t body = hash_xxh3(p, n);

    head[0] = (unsigned char)tb;
    memcpy(head + 1, &body, 8);
    memcpy(head + 9, key, n_key);
    return hash_xxh3(head, 9 + n_key);
}

void record_header(unsigned char h[RECORD_HEADER], enum table tb, const void *key, size_t n_key,
                   const void *p, size_t n)
{
    uint64_t sum = sum_of(tb, key, n_key, p, n);

    memcpy(h, &sum, RECORD_HEADER);
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
    const unsigned char *h = (const unsigned char *)p - RECORD_HEADER;
    unsigned char want[RECORD_HEADER];

    if (n_key > 511)
        return damaged(e, tb, key, 32, "key too long");
    record_header(want, tb, key, n_key, p, n);
    if (h[0] != RECORD_VERSION)
        return damaged(e, tb, key, n_key, "unknown record version");
    if (memcmp(h, want, RECORD_HEADER) != 0)
        return damaged(e, tb, key, n_key, "its checksum does not hold");
    return 0;
}

int record_payload(enum table tb, const void *key, size_t n_key, const void *value, size_t n_value,
                   const void **p, size_t *n, struct err *e)
{
    const char *payload = (const char *)value + RECORD_HEADER;

    *p = NULL;
    *n = 0;
    if (n_value < RECORD_HEADER)
        return damaged(e, tb, key, n_key, "shorter than its header");
    if (!hot(tb)) {
        int rc = store_check(tb, key, n_key, payload, n_value - RECORD_HEADER, e);
        if (rc)
            return rc;
    }
    *p = payload;
    *n = n_value - RECORD_HEADER;
    return 0;
}

int txn_del_all(struct txn *t, enum table tb, const void *prefix, size_t n_prefix, uint64_t *n, struct err *e)
{
    *n = 0;
    for (;;) { /* the first one each time: a cursor does not outlive a change */
        unsigned char copy[511];
        struct scan *sc;
        const void *key, *p;
        size_t n_key, n_p;
        int rc = scan_open(t, tb, prefix, n_prefix, &sc, e);

        if (rc)
            return rc;
        rc = scan_next(sc, &key, &n_key, &p, &n_p, e);
        if (!rc)
            memcpy(copy, key, n_key);
        scan_close(sc);
        if (rc == ERR_NOTFOUND)
            return 0;
        if (!rc)
            rc = txn_del(t, tb, copy, n_key, e);
        if (rc)
            return rc;
        ++*n;
    }
}
