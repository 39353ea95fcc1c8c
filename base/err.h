/* err.h - a code for the program, a sentence for the person.
 * An error is a struct err on the stack of whoever can act on it; functions return 0 or a code
 * and fill it. Below coordinator/main.c nothing prints, exits or aborts.
 * Threads: a struct err belongs to one thread. */
#ifndef DOCENT_BASE_ERR_H
#define DOCENT_BASE_ERR_H

#define ERR_LIST(X)                                                                              \
    X(ERR_NOMEM, "out of memory")                                                                \
    X(ERR_INVALID, "bad argument")                                                               \
    X(ERR_IO, "input/output error")                                                              \
    X(ERR_FORMAT, "malformed input")                                                             \
    X(ERR_CORRUPT, "damaged data")                                                               \
    X(ERR_VERSION, "made by another version or model")                                           \
    X(ERR_NOTFOUND, "not found")                                                                 \
    X(ERR_EXISTS, "already there")                                                               \
    X(ERR_BUSY, "busy")                                                                          \
    X(ERR_FULL, "no space left")                                                                 \
    X(ERR_LIMIT, "over a limit")                                                                 \
    X(ERR_TIMEOUT, "deadline passed")                                                            \
    X(ERR_CANCELLED, "stopped on request")                                                       \
    X(ERR_UNSUPPORTED, "not supported")                                                          \
    X(ERR_ACCESS, "permission denied")                                                           \
    X(ERR_PEER, "another rank failed")

enum err_code {
    ERR_OK = 0,
#define ERR_ENUM(name, text) name,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
    ERR_COUNT
};

struct err {
    enum err_code code;
    char msg[400]; /* a full sentence without the final dot; empty when code is ERR_OK */
};

/* Sets code and message (printf style; bytes that are not UTF-8 and control characters come out
 * as '?', so that a hostile file name cannot drive the terminal). e may be NULL. Returns code. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the message. Returns the code that e holds. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ERR_ACCESS for EACCES/EPERM, ERR_NOTFOUND for ENOENT/ENOTDIR, ERR_FULL for ENOSPC/EDQUOT,
 * ERR_NOMEM for ENOMEM, else ERR_IO. Message: "<context>: <strerror>". */
int err_errno(struct err *e, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void err_clear(struct err *e);
const char *err_text(int code); /* the short text of the list; static */
const char *err_name(int code); /* "ERR_NOMEM"; static */

#endif
