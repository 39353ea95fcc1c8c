/* weights.c - opens a model's tensors whatever their container (see weights.h). */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "nn/weights_impl.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s);
    size_t k = strlen(end);

    return n >= k && !strcmp(s + n - k, end);
}

int weights_open(struct weights **out, const char *path, struct err *e)
{
    struct weights *w = mem_take(1, sizeof *w);
    int rc;

    *out = NULL;
    if (!w)
        return err_set(e, ERR_NOMEM, "%s", path);
    arena_init(&w->names, (size_t)1 << 30);
    w->path = mem_strdup(path);
    if (!w->path)
        rc = err_set(e, ERR_NOMEM, "%s", path);
    else if (ends_with(path, ".gguf"))
        rc = gguf_open(w, path, e);
    else
        rc = safetensors_open(w, path, e);
    if (!rc && w->n_tensors) {
        qsort(w->tensors, w->n_tensors, sizeof *w->tensors, by_name);
        for (size_t i = 1; i < w->n_tensors && !rc; i++)
            if (!strcmp(w->tensors[i].name, w->tensors[i - 1].name))
                rc = err_set(e, ERR_FORMAT, "%s: tensor %s is there twice", path,
                             w->tensors[i].name);
    }
    if (rc) {
        weights_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_maps; i++)
        file_unmap(&w->maps[i]);
    gguf_meta_free(w->meta);
    mem_give(w->maps);
    mem_give(w->tensors);
    arena_free(&w->names);
    mem_give(w->path);
    mem_give(w);
}

size_t weights_count(const struct weights *w)
{
    return w->n_tensors;
}

const struct tensor *weights_at(const struct weights *w, size_t i)
{
    return i < w->n_tensors ? &w->tensors[i] : NULL;
}

const struct tensor *weights_find(const struct weights *w, const char *name)
{
    struct tensor key = {.name = name};

    return w->n_tensors ? bsearch(&key, w->tensors, w->n_tensors, sizeof key, by_name) : NULL;
}

int weights_need(const struct weights *w, const char *name, int n_dims, const uint64_t *dims,
                 const struct tensor **out, struct err *e)
{
    const struct tensor *t = weights_find(w, name);

    *out = t;
    if (!t)
        return err_set(e, ERR_FORMAT, "%s: tensor %s is missing", w->path, name);
    if (t->n_dims != n_dims)
        return err_set(e, ERR_FORMAT, "%s: tensor %s has %d dimensions, expected %d", w->path, name,
                       t->n_dims, n_dims);
    for (int i = 0; i < n_dims; i++)
        if (t->dims[i] != dims[i])
            return err_set(e, ERR_FORMAT, "%s: dimension %d of tensor %s is %llu, expected %llu",
                           w->path, i, name, (unsigned long long)t->dims[i],
                           (unsigned long long)dims[i]);
    return 0;
}

#define SAMPLE 4096 /* bytes hashed at both ends and in the middle of each tensor */

/* The id covers every name, type, size and dimension, and three samples of every tensor: 100
 * tensors cost 1 ms where all 90 MB would cost 100 ms of each start. Two trainings differ in every
 * sample; a file with a few changed bytes in between is what `make models` checks by SHA-256. */
int weights_id(const struct weights *w, char hex[33], struct err *e)
{
    struct hash_run h;
    uint8_t id[HASH_ID_BYTES];

    (void)e;
    hash_start(&h);
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i];
        const unsigned char *p = t->data;
        uint32_t head[2] = {(uint32_t)t->type, (uint32_t)t->n_dims};
        uint64_t bytes = t->bytes;
        hash_more(&h, t->name, strlen(t->name) + 1);
        hash_more(&h, head, sizeof head);
        hash_more(&h, t->dims, sizeof t->dims[0] * (size_t)t->n_dims);
        hash_more(&h, &bytes, sizeof bytes);
        if (t->bytes <= 3 * SAMPLE) {
            hash_more(&h, p, t->bytes);
        } else {
            hash_more(&h, p, SAMPLE);
            hash_more(&h, p + t->bytes / 2, SAMPLE);
            hash_more(&h, p + t->bytes - SAMPLE, SAMPLE);
        }
    }
    hash_done(&h, id);
    hash_hex(hex, id, sizeof id);
    return 0;
}
