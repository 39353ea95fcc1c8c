/* eval_lines.h - a text file as lines. Inside eval_*.c only. */
#ifndef DOCENT_COORDINATOR_EVAL_LINES_H
#define DOCENT_COORDINATOR_EVAL_LINES_H

#include "base/err.h"
#include "base/mem.h"

struct eval_lines {
    struct eval_line {
        const char *text; /* NUL-terminated, without the line's end */
        size_t n;
    } * at;
    size_t n; /* empty lines are left out */
};
/* Everything lives in a. */
int eval_lines_read(struct eval_lines *l, const char *path, struct arena *a, struct err *e);

#endif
