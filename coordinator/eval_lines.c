/* eval_lines.c - see eval_lines.h. */
#include "coordinator/eval_lines.h"

#include <string.h>

#include "base/file.h"
#include "base/limits.h"

int eval_lines_read(struct eval_lines *l, const char *path, struct arena *a, struct err *e)
{
    struct buf b;
    char *text = NULL;
    size_t lines = 1;
    int rc;

    memset(l, 0, sizeof *l);
    buf_init(&b, LIM_FILE_BYTES);
    rc = file_read(&b, path, e);
    if (!rc && b.len) {
        text = arena_strndup(a, b.data, b.len);
        for (size_t i = 0; i < b.len; i++)
            lines += b.data[i] == '\n';
        l->at = arena_take(a, lines, sizeof *l->at);
        if (!text || !l->at)
            rc = err_set(e, ERR_NOMEM, "%s of %zu bytes", path, b.len);
    }
    for (size_t i = 0; !rc && i < b.len;) {
        size_t end = i;
        size_t n;
        while (end < b.len && text[end] != '\n')
            end++;
        text[end] = '\0';
        n = end - i;
        if (n && text[i + n - 1] == '\r')
            text[i + --n] = '\0';
        if (n)
            l->at[l->n++] = (struct eval_line){text + i, n};
        i = end + 1;
    }
    buf_free(&b);
    return rc;
}
