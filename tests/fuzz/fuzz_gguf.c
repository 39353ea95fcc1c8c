/* fuzz_gguf.c - any bytes as a GGUF file: header, tensors, tokenizer, and a model on top of them.
 * Build: clang -fsanitize=fuzzer,address,undefined with libgenerator.a libnn.a libbase.a built by
 * clang and the same sanitizers. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "generator/generator.h"
#include "nn/tokenizer.h"
#include "nn/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void walk(const char *path)
{
    struct weights *w = NULL;
    struct tokenizer *t = NULL;
    struct err e = {0};

    if (weights_open(&w, path, &e))
        return;
    for (size_t i = 0; i < weights_count(w); i++) {
        const struct tensor *x = weights_at(w, i);
        float y[256];
        tensor_to_f32(x, 0, wtype_block(x->type), y, &e);
    }
    if (tokenizer_open_gguf(&t, w, &e) == 0) {
        static const char text[] = "It's 1987:\n\n\xC3\xA9 \xFF <|im_start|>";
        struct arena a;
        struct token *out;
        size_t n;
        arena_init(&a, 1 << 20);
        tokenizer_encode(t, text, sizeof text - 1, TOK_SPECIAL | TOK_ADD_ENDS, &a, &out, &n, &e);
        arena_free(&a);
        tokenizer_close(t);
    }
    weights_close(w);
}

static void run(const char *path)
{
    struct generator_opts o = {.max_context = 64, .without_tokenizer = 1};
    struct generator *g = NULL;
    struct gen_seq *s = NULL;
    struct err e = {0};
    int32_t ids[3] = {0, 0, 0};

    if (generator_open(&g, path, &o, &e))
        return;
    if (gen_seq_open(&s, g, 3, &e) == 0) {
        struct gen_step step = {s, ids, 3, 0, NULL};
        generator_forward(g, &step, 1, &e);
        gen_seq_close(s);
    }
    generator_close(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/tmp/fuzz-%ld.gguf", (long)getpid());
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return 0;
    if (file_write_all(fd, bytes, n) == 0) {
        walk(path);
        run(path);
    }
    close(fd);
    unlink(path);
    return 0;
}
