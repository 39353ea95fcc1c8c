/* json.h - the few things jansson does not have: parsing with ceilings and errors that say where.
 * jansson itself (json_t) is used directly everywhere. Any thread. */
#ifndef DOCENT_BASE_JSON_H
#define DOCENT_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* Parses n bytes (at most LIM_JSON_BYTES, depth at most LIM_JSON_DEPTH; duplicate keys are an error).
 * what names the source in the message: "config.json: line 3 column 7: ...". *out: json_decref. */
int json_parse(json_t **out, const char *text, size_t n, const char *what, struct err *e);
int json_parse_file(json_t **out, const char *path, struct err *e);

/* Typed members. Absent: the default. Present with another type or out of range: ERR_FORMAT. */
int json_int(const json_t *obj, const char *key, long long least, long long most, long long fallback,
             long long *out, struct err *e);
int json_num(const json_t *obj, const char *key, double fallback, double *out, struct err *e);
const char *json_str(const json_t *obj, const char *key, const char *fallback);

/* One compact line, keys in the order they were set; mem_give() the result. NULL: out of memory. */
char *json_line(const json_t *v);

/* A JSON string of n bytes that may not be UTF-8: bad bytes become U+FFFD. */
json_t *json_text(const char *s, size_t n);

#endif
