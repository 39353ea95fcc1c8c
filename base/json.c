/* json.c - see json.h. */
#include "base/json.h"

#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

/* jansson's own depth ceiling is 2048 and fixed at its build; ours is lower. */
static int depth_ok(const char *text, size_t n)
{
    size_t depth = 0;
    int in_string = 0;

    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            if (++depth > LIM_JSON_DEPTH)
                return 0;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return 1;
}

int json_parse(json_t **out, const char *text, size_t n, const char *what, struct err *e)
{
    json_error_t why;

    *out = NULL;
    if (n > LIM_JSON_BYTES)
        return err_set(e, ERR_LIMIT, "%s: %zu bytes of JSON", what, n);
    if (!depth_ok(text, n))
        return err_set(e, ERR_LIMIT, "%s: JSON nested deeper than %d", what, LIM_JSON_DEPTH);
    *out = json_loadb(text ? text : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL,
                      &why);
    if (!*out)
        return err_set(e, ERR_FORMAT, "%s: line %d column %d: %s", what, why.line, why.column,
                       why.text);
    return 0;
}

int json_parse_file(json_t **out, const char *path, struct err *e)
{
    struct buf b;
    int rc;

    *out = NULL;
    buf_init(&b, LIM_JSON_BYTES);
    rc = file_read(&b, path, e);
    if (!rc)
        rc = json_parse(out, b.data, b.len, path, e);
    buf_free(&b);
    return rc;
}

int json_int(const json_t *obj, const char *key, long long least, long long most, long long fallback,
             long long *out, struct err *e)
{
    const json_t *v = json_object_get(obj, key);

    *out = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v))
        return err_set(e, ERR_FORMAT, "\"%s\" is not a whole number", key);
    *out = json_integer_value(v);
    if (*out < least || *out > most)
        return err_set(e, ERR_FORMAT, "\"%s\" is %lld, allowed are %lld to %lld", key, *out, least,
                       most);
    return 0;
}

int json_num(const json_t *obj, const char *key, double fallback, double *out, struct err *e)
{
    const json_t *v = json_object_get(obj, key);

    *out = fallback;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_number(v))
        return err_set(e, ERR_FORMAT, "\"%s\" is not a number", key);
    *out = json_number_value(v);
    return 0;
}

const char *json_str(const json_t *obj, const char *key, const char *fallback)
{
    const json_t *v = json_object_get(obj, key);

    return json_is_string(v) ? json_string_value(v) : fallback;
}

char *json_line(const json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    char *copy = text ? mem_strdup(text) : NULL;

    free(text);
    return copy;
}

json_t *json_text(const char *s, size_t n)
{
    struct buf b;
    json_t *out;
    size_t i = 0;

    if (utf8_valid(s, n) == n)
        return json_stringn(s, n);
    buf_init(&b, 3 * n + 1);
    while (i < n) {
        uint32_t cp;
        char bytes[4];
        i += utf8_next(s + i, n - i, &cp);
        buf_add(&b, bytes, utf8_put(bytes, cp));
    }
    out = b.failed ? NULL : json_stringn(b.data ? b.data : "", b.len);
    buf_free(&b);
    return out;
}
