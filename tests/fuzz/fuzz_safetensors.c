/* fuzz_safetensors.c - any bytes as a safetensors file: header, tensors, id.
 * Build: clang -fsanitize=fuzzer,address,undefined with libnn.a libbase.a built by clang and the same
 * sanitizers. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "nn/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Touches the first and the last value of every tensor, so that a wrong bound is a read outside. */
static void walk(const char *path)
{
    struct weights *w = NULL;
    struct err e = {0};
    char id[33];

    if (weights_open(&w, path, &e))
        return;
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        uint64_t count = 1;
        float y;
        for (int d = 0; d < t->n_dims; d++)
            count *= t->dims[d];
        tensor_to_f32(t, 0, 1, &y, &e);
        if (count)
            tensor_to_f32(t, count - 1, 1, &y, &e);
    }
    weights_id(w, id, &e);
    weights_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/tmp/fuzz-%ld.safetensors", (long)getpid());
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return 0;
    if (file_write_all(fd, bytes, n) == 0)
        walk(path);
    close(fd);
    unlink(path);
    return 0;
}
