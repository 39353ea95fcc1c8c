/* safetensors.c - reads safetensors files: one, or shards listed by model.safetensors.index.json.
 * Layout: u64 little-endian header length, JSON header {name: {dtype, shape, data_offsets [begin,
 * end)}}, tensor bytes. Format: the safetensors README; limits and traps after its published audit:
 * header of at most 100 MB, offsets that cover the buffer exactly, without holes or overlap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "nn/weights_impl.h"

static const struct {
    const char *name;
    enum wtype type;
    uint32_t bytes;
} dtypes[] = {{"F32", W_F32, 4}, {"F16", W_F16, 2}, {"BF16", W_BF16, 2}, {"I64", W_I64, 8},
              {"I32", W_I32, 4}, {"U8", W_U8, 1},   {"BOOL", W_BOOL, 1}};

struct piece { /* a tensor's bytes in the data part, to prove that they cover it */
    uint64_t begin, end;
};

static int by_begin(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int read_shape(struct tensor *t, const json_t *shape, const char *path, uint64_t *count,
                      struct err *e)
{
    if (!json_is_array(shape) || json_array_size(shape) > 4)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has no shape of at most 4 dimensions", path,
                       t->name);
    t->n_dims = (int)json_array_size(shape);
    *count = 1;
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return err_set(e, ERR_FORMAT, "%s: tensor %s: dimension %d is not a whole number", path,
                           t->name, i);
        t->dims[i] = (uint64_t)json_integer_value(d);
        if (__builtin_mul_overflow(*count, t->dims[i], count))
            return err_set(e, ERR_FORMAT, "%s: tensor %s: its dimensions overflow", path, t->name);
    }
    return 0;
}

static int read_tensor(struct weights *w, struct tensor *t, const char *name, const json_t *v,
                       const char *path, const unsigned char *data, uint64_t n_data,
                       struct piece *piece, struct err *e)
{
    const char *dtype = json_str(v, "dtype", NULL);
    const json_t *off = json_object_get(v, "data_offsets");
    const json_t *b = json_array_get(off, 0);
    const json_t *z = json_array_get(off, 1);
    uint64_t count = 0;
    uint64_t bytes;
    size_t i = 0;
    int rc;

    memset(t, 0, sizeof *t);
    t->name = arena_strdup(&w->names, name);
    if (!t->name)
        return err_set(e, ERR_NOMEM, "%s", path);
    if (!json_is_object(v) || !dtype)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has no dtype", path, name);
    while (i < sizeof dtypes / sizeof dtypes[0] && strcmp(dtypes[i].name, dtype) != 0)
        i++;
    if (i == sizeof dtypes / sizeof dtypes[0])
        return err_set(e, ERR_UNSUPPORTED, "%s: tensor %s is of type %.20s", path, name, dtype);
    t->type = dtypes[i].type;
    rc = read_shape(t, json_object_get(v, "shape"), path, &count, e);
    if (rc)
        return rc;
    if (__builtin_mul_overflow(count, (uint64_t)dtypes[i].bytes, &bytes))
        return err_set(e, ERR_FORMAT, "%s: tensor %s: its size overflows", path, name);
    if (json_array_size(off) != 2 || !json_is_integer(b) || !json_is_integer(z) ||
        json_integer_value(b) < 0 || json_integer_value(z) < json_integer_value(b) ||
        (uint64_t)json_integer_value(z) > n_data)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor %s: its data_offsets are not inside the %llu bytes of data",
                       path, name, (unsigned long long)n_data);
    piece->begin = (uint64_t)json_integer_value(b);
    piece->end = (uint64_t)json_integer_value(z);
    if (piece->end - piece->begin != bytes)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has %llu bytes where its shape needs %llu",
                       path, name, (unsigned long long)(piece->end - piece->begin),
                       (unsigned long long)bytes);
    t->data = data + piece->begin;
    t->bytes = (size_t)bytes;
    return 0;
}

static int check_cover(struct piece *p, size_t n, uint64_t n_data, const char *path, struct err *e)
{
    uint64_t at = 0;

    if (n)
        qsort(p, n, sizeof *p, by_begin);
    for (size_t i = 0; i < n; i++) {
        if (p[i].begin != at)
            return err_set(e, ERR_FORMAT, "%s: tensors %s at byte %llu of the data", path,
                           p[i].begin < at ? "overlap" : "leave a hole", (unsigned long long)at);
        at = p[i].end;
    }
    if (at != n_data)
        return err_set(e, ERR_FORMAT, "%s: %llu bytes of data belong to no tensor", path,
                       (unsigned long long)(n_data - at));
    return 0;
}

static int check_metadata(const json_t *m, const char *path, struct err *e)
{
    const char *key;
    json_t *v;

    if (m && !json_is_object(m))
        return err_set(e, ERR_FORMAT, "%s: __metadata__ is not an object", path);
    json_object_foreach((json_t *)(uintptr_t)m, key, v) {
        if (!json_is_string(v))
            return err_set(e, ERR_FORMAT, "%s: __metadata__ \"%.60s\" is not text", path, key);
    }
    return 0;
}

/* All tensors of one mapped file are added to w. */
static int read_header(struct weights *w, const struct file_map *m, const char *path, struct err *e)
{
    uint64_t n_header = 0;
    json_t *root = NULL;
    struct piece *pieces = NULL;
    struct tensor *grown;
    const unsigned char *data;
    uint64_t n_data;
    size_t n = 0;
    const char *name;
    json_t *v;
    int rc;

    if (m->size < 8)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", path,
                       m->size);
    for (int i = 0; i < 8; i++)
        n_header |= (uint64_t)m->data[i] << 8 * i;
    if (n_header > LIM_SAFETENSORS_HEADER || n_header > m->size - 8)
        return err_set(e, ERR_FORMAT, "%s: its header claims %llu bytes", path,
                       (unsigned long long)n_header);
    if (n_header == 0 || m->data[8] != '{')
        return err_set(e, ERR_FORMAT, "%s: its header does not begin with {", path);
    if (utf8_valid((const char *)m->data + 8, n_header) != n_header)
        return err_set(e, ERR_FORMAT, "%s: its header is not UTF-8", path);
    rc = json_parse(&root, (const char *)m->data + 8, n_header, path, e);
    if (rc)
        return rc;
    data = m->data + 8 + n_header;
    n_data = m->size - 8 - n_header;
    rc = check_metadata(json_object_get(root, "__metadata__"), path, e);
    if (!rc && json_object_size(root) + w->n_tensors > LIM_TENSORS)
        rc = err_set(e, ERR_LIMIT, "%s: %zu tensors", path, json_object_size(root));
    if (!rc) {
        pieces = mem_take(json_object_size(root) + 1, sizeof *pieces);
        grown = mem_again(w->tensors, w->n_tensors + json_object_size(root) + 1, sizeof *grown);
        if (grown)
            w->tensors = grown;
        if (!pieces || !grown)
            rc = err_set(e, ERR_NOMEM, "%s", path);
    }
    json_object_foreach(root, name, v) {
        if (rc)
            break;
        if (!strcmp(name, "__metadata__"))
            continue;
        rc = read_tensor(w, &w->tensors[w->n_tensors], name, v, path, data, n_data, &pieces[n], e);
        if (!rc) {
            w->n_tensors++;
            n++;
        }
    }
    if (!rc)
        rc = check_cover(pieces, n, n_data, path, e);
    mem_give(pieces);
    json_decref(root);
    return rc;
}

static int add_file(struct weights *w, const char *path, struct err *e)
{
    struct file_map *maps = mem_again(w->maps, w->n_maps + 1, sizeof *maps);
    int rc;

    if (!maps)
        return err_set(e, ERR_NOMEM, "%s", path);
    w->maps = maps;
    rc = file_map(&maps[w->n_maps], path, e);
    if (rc)
        return rc;
    w->n_maps++;
    return read_header(w, &maps[w->n_maps - 1], path, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The shards that an index names, each once. A shard's name may not lead out of the folder. */
static int add_shards(struct weights *w, const char *dir, const json_t *index, struct err *e)
{
    const json_t *map = json_object_get(index, "weight_map");
    size_t n = json_object_size(map);
    const char **names = mem_take(n + 1, sizeof *names);
    size_t k = 0;
    const char *key;
    json_t *v;
    int rc = 0;

    if (!names)
        return err_set(e, ERR_NOMEM, "%s", dir);
    if (!json_is_object(map) || !n)
        rc = err_set(e, ERR_FORMAT, "%s/model.safetensors.index.json has no weight_map", dir);
    json_object_foreach((json_t *)(uintptr_t)map, key, v) {
        const char *file = json_string_value(v);
        if (!file || strchr(file, '/') || file[0] == '.') {
            rc = err_set(e, ERR_FORMAT,
                         "%s/model.safetensors.index.json: tensor %.60s names no file of the folder",
                         dir, key);
            break;
        }
        names[k++] = file;
    }
    if (!rc)
        qsort(names, k, sizeof *names, by_text);
    for (size_t i = 0; i < k && !rc; i++) {
        char path[4300];
        if (i && !strcmp(names[i], names[i - 1]))
            continue;
        if (w->n_maps == WEIGHTS_MAX_FILES)
            rc = err_set(e, ERR_LIMIT, "%s: more than %d shards", dir, WEIGHTS_MAX_FILES);
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (!rc)
            rc = add_file(w, path, e);
    }
    if (!rc && w->n_tensors) /* sorted, so that a long index costs no square */
        qsort(w->tensors, w->n_tensors, sizeof *w->tensors, by_name);
    json_object_foreach((json_t *)(uintptr_t)map, key, v) {
        if (!rc && !weights_find(w, key))
            rc = err_set(e, ERR_FORMAT, "%s: tensor %.60s of the index is in no shard", dir, key);
    }
    mem_give(names);
    return rc;
}

int safetensors_open(struct weights *w, const char *path, struct err *e)
{
    char file[4300];
    struct stat st;
    json_t *index;
    int rc;

    if (stat(path, &st) < 0)
        return err_set(e, ERR_NOTFOUND, "%s: there is no such model", path);
    if (!S_ISDIR(st.st_mode))
        return add_file(w, path, e);
    snprintf(file, sizeof file, "%s/model.safetensors", path);
    if (access(file, F_OK) == 0)
        return add_file(w, file, e);
    snprintf(file, sizeof file, "%s/model.safetensors.index.json", path);
    if (access(file, F_OK) < 0)
        return err_set(e, ERR_NOTFOUND, "%s holds no model.safetensors", path);
    rc = json_parse_file(&index, file, e);
    if (rc)
        return rc;
    rc = add_shards(w, path, index, e);
    json_decref(index);
    return rc;
}
