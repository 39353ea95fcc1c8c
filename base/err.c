/* err.c - error codes and messages (see err.h). */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static void fill(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
    if (!e)
        return;
    e->code = code;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    utf8_printable(e->msg);
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(e, code, fmt, ap);
    va_end(ap);
    return (int)code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char context[sizeof e->msg];
    char old[sizeof e->msg];
    size_t n;
    va_list ap;

    if (!e)
        return ERR_INVALID;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    memcpy(old, e->msg, sizeof old);
    n = strlen(context);
    snprintf(e->msg, sizeof e->msg, "%.*s: %.*s", (int)(n > 200 ? 200 : n), context,
             (int)(sizeof e->msg - 203), old);
    utf8_printable(e->msg);
    return (int)e->code;
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
    enum err_code code = ERR_IO;
    char why[128];
    va_list ap;

    if (errnum == EACCES || errnum == EPERM)
        code = ERR_ACCESS;
    else if (errnum == ENOENT || errnum == ENOTDIR)
        code = ERR_NOTFOUND;
    else if (errnum == ENOSPC || errnum == EDQUOT)
        code = ERR_FULL;
    else if (errnum == ENOMEM)
        code = ERR_NOMEM;
    va_start(ap, fmt);
    fill(e, code, fmt, ap);
    va_end(ap);
    if (e) {
        size_t n = strlen(e->msg);
        char *text = strerror_r(errnum, why, sizeof why); /* the GNU form returns the text */
        snprintf(e->msg + n, sizeof e->msg - n, ": %s", text);
    }
    return (int)code;
}

void err_clear(struct err *e)
{
    e->code = ERR_OK;
    e->msg[0] = '\0';
}

const char *err_text(int code)
{
    static const char *const texts[ERR_COUNT] = {
        "no error",
#define ERR_TEXT(name, text) text,
        ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
    };

    return code >= 0 && code < ERR_COUNT ? texts[code] : "unknown error";
}

const char *err_name(int code)
{
    static const char *const names[ERR_COUNT] = {
        "ERR_OK",
#define ERR_NAME(name, text) #name,
        ERR_LIST(ERR_NAME)
#undef ERR_NAME
    };

    return code >= 0 && code < ERR_COUNT ? names[code] : "ERR_UNKNOWN";
}
