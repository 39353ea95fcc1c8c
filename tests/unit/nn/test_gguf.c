/* test_gguf.c - the GGUF reader on sound files, on each false claim, on every cut and every flipped
 * byte. */
#include "tests/support/test.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/file.h"
#include "nn/tokenizer.h"
#include "nn/weights.h"

#define TINY "tests/golden/llama-tiny/"

static char *dir;
static char path[512];

static int setup(void **state)
{
    (void)state;
    dir = test_mkdir();
    snprintf(path, sizeof path, "%s/x.gguf", dir);
    return dir ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir(dir);
    mem_give(dir);
    return 0;
}

/* ---- a writer for small files, one claim of which a test makes false ---- */

static void text(struct buf *b, const char *s)
{
    buf_u64le(b, strlen(s));
    buf_str(b, s);
}

static void head(struct buf *b, uint64_t n_tensors, uint64_t n_kv)
{
    buf_clear(b);
    buf_str(b, "GGUF");
    buf_u32le(b, 3);
    buf_u64le(b, n_tensors);
    buf_u64le(b, n_kv);
}

static void info(struct buf *b, const char *name, uint64_t a, uint64_t c, uint32_t type,
                 uint64_t offset)
{
    text(b, name);
    buf_u32le(b, 2);
    buf_u64le(b, a);
    buf_u64le(b, c);
    buf_u32le(b, type);
    buf_u64le(b, offset);
}

static void pad(struct buf *b, size_t data)
{
    while (b->len % 32)
        buf_char(b, 0);
    for (size_t i = 0; i < data; i++)
        buf_char(b, (char)i);
}

static int open_bytes(const void *bytes, size_t n, struct weights **w, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, bytes, n), 0);
    close(fd);
    return weights_open(w, path, e);
}

static void refused(const struct buf *b, const char *says)
{
    struct weights *w = NULL;
    struct err e = {0};
    int rc;

    assert_int_equal(b->failed, 0);
    rc = open_bytes(b->data, b->len, &w, &e);
    assert_true(rc == ERR_FORMAT || rc == ERR_UNSUPPORTED);
    assert_null(w);
    if (!strstr(e.msg, says))
        print_error("'%s' does not say '%s'\n", e.msg, says);
    assert_non_null(strstr(e.msg, says));
}

static void test_tensors_and_metadata_of_a_sound_file_are_found(void **state)
{
    struct weights *w = NULL;
    struct err e = {0};
    uint64_t dims[2] = {320, 32};
    const struct tensor *t;
    const char *s;
    size_t n;

    (void)state;
    assert_ok(weights_open(&w, TINY "q4_1.gguf", &e), e);
    assert_true(weights_is_gguf(w));
    assert_int_equal(weights_count(w), 20);
    assert_ok(weights_need(w, "token_embd.weight", 2, dims, &t, &e), e);
    assert_int_equal(t->type, W_Q4_1);
    assert_int_equal(t->bytes, 320 * 20);
    assert_string_equal(json_string_value(weights_meta(w, "general.architecture")), "llama");
    assert_int_equal(json_integer_value(weights_meta(w, "llama.block_count")), 2);
    assert_null(weights_meta(w, "llama.nothing"));
    assert_int_equal(weights_meta_len(w, "tokenizer.ggml.tokens"), 320);
    s = weights_meta_item(w, "tokenizer.ggml.tokens", 1, &n);
    assert_int_equal(n, 12);
    assert_memory_equal(s, "<|im_start|>", 12);
    assert_null(weights_meta_item(w, "tokenizer.ggml.tokens", 320, &n));
    assert_true(weights_meta_item_num(w, "tokenizer.ggml.token_type", 1) == 3);
    weights_close(w);
}

static void test_each_false_claim_is_refused_by_name(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    head(&b, UINT64_MAX / 2, 0);
    refused(&b, "tensors");
    head(&b, 0, UINT64_MAX);
    refused(&b, "metadata entries");
    head(&b, 0, 1);
    buf_u64le(&b, UINT64_MAX - 3);
    pad(&b, 64);
    refused(&b, "claims");
    head(&b, 0, 1); /* array of 2^62 u32: the size wraps to 0 */
    text(&b, "k");
    buf_u32le(&b, 9);
    buf_u32le(&b, 4);
    buf_u64le(&b, (uint64_t)1 << 62);
    pad(&b, 64);
    refused(&b, "items");
    head(&b, 0, 1);
    text(&b, "k");
    buf_u32le(&b, 9);
    buf_u32le(&b, 9);
    buf_u64le(&b, 1);
    pad(&b, 64);
    refused(&b, "array of arrays");
    head(&b, 0, 1);
    text(&b, "general.alignment");
    buf_u32le(&b, 4);
    buf_u32le(&b, 48);
    refused(&b, "alignment");
    head(&b, 1, 0);
    info(&b, "t", (uint64_t)1 << 33, (uint64_t)1 << 33, 0, 0);
    pad(&b, 64);
    refused(&b, "overflows");
    head(&b, 1, 0);
    info(&b, "t", 1024, 1024, 0, 0);
    pad(&b, 64);
    refused(&b, "needs");
    head(&b, 1, 0);
    info(&b, "t", 16, 2, 8, 0);
    pad(&b, 64);
    refused(&b, "whole blocks");
    head(&b, 1, 0);
    info(&b, "t", 0, 2, 0, 0);
    pad(&b, 64);
    refused(&b, "is 0");
    head(&b, 1, 0);
    info(&b, "t", 4, 2, 31, 0);
    pad(&b, 64);
    refused(&b, "type 31");
    head(&b, 1, 0);
    info(&b, "t", 4, 2, 0, 8);
    pad(&b, 64);
    refused(&b, "aligned");
    head(&b, 1, 0);
    info(&b, "t", 4, 2, 0, UINT64_MAX - 31);
    pad(&b, 64);
    refused(&b, "past the end");
    head(&b, 2, 0);
    info(&b, "t", 4, 4, 0, 0);
    info(&b, "u", 4, 4, 0, 32);
    pad(&b, 128);
    refused(&b, "overlap");
    head(&b, 2, 0);
    info(&b, "t", 4, 2, 0, 0);
    info(&b, "t", 4, 2, 0, 32);
    pad(&b, 64);
    refused(&b, "twice");
    buf_free(&b);
}

static void read_fixture(struct buf *b, size_t ceiling)
{
    struct err e = {0};

    buf_init(b, ceiling);
    assert_ok(file_read(b, TINY "q4_1.gguf", &e), e);
}

static void test_every_cut_of_a_file_is_refused(void **state)
{
    struct buf b;

    (void)state;
    read_fixture(&b, 1 << 20);
    for (size_t n = 0; n < b.len; n += n < 256 ? 1 : 37) {
        struct weights *w = NULL;
        struct err e = {0};
        int rc = open_bytes(b.data, n, &w, &e);
        weights_close(w);
        assert_int_not_equal(rc, 0);
        assert_true(e.msg[0] != 0);
    }
    buf_free(&b);
}

static void touch(const struct weights *w)
{
    struct err e = {0};

    for (size_t i = 0; i < weights_count(w); i++) {
        const struct tensor *t = weights_at(w, i);
        float y[256];
        tensor_to_f32(t, 0, wtype_block(t->type), y, &e);
    }
}

static void test_flipped_bytes_never_break_the_reader(void **state)
{
    struct buf b;
    uint64_t seed = 7;

    (void)state;
    read_fixture(&b, 1 << 20);
    for (size_t i = 0; i < 1500; i++) { /* the first 10 KB are the header */
        size_t at = test_rand(&seed) % (i < 300 ? 64 : 10000);
        char old = b.data[at];
        struct weights *w = NULL;
        struct tokenizer *t = NULL;
        struct err e = {0};
        b.data[at] = (char)test_rand(&seed);
        if (open_bytes(b.data, b.len, &w, &e) == 0) {
            touch(w);
            if (tokenizer_open_gguf(&t, w, &e) == 0)
                tokenizer_close(t);
            weights_close(w);
        }
        b.data[at] = old;
    }
    buf_free(&b);
}

static void test_open_survives_every_failed_allocation(void **state)
{
    int rc = ERR_NOMEM;
    struct weights *w = NULL;
    struct err e = {0};

    (void)state;
    for (long k = 0; rc; k++) {
        mem_fail_after(k);
        rc = weights_open(&w, TINY "q4_1.gguf", &e);
        assert_true(rc == 0 || rc == ERR_NOMEM || rc == ERR_LIMIT);
    }
    mem_fail_after(-1);
    weights_close(w);
}

/* g01-g42 break the container; what comes after them only a model's loader can refuse. */
static void test_recorded_hostile_files_are_refused(void **state)
{
    const char *index = test_shared("data/models/hostile/index.tsv");
    char line[1024];
    size_t seen = 0;
    FILE *f;

    (void)state;
    if (!index)
        skip();
    f = fopen(index, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char rel[1200];
        struct weights *w = NULL;
        struct err e = {0};
        unsigned number;
        int rc;
        line[strcspn(line, "\t\n")] = 0;
        if (sscanf(line, "g%u", &number) != 1 && strcmp(line, "ok.gguf") != 0)
            continue;
        snprintf(rel, sizeof rel, "data/models/hostile/%s", line);
        rc = weights_open(&w, test_shared(rel), &e);
        weights_close(w);
        if (strcmp(line, "ok.gguf") == 0) {
            assert_ok(rc, e);
            continue;
        }
        if (number <= 42 && !rc)
            print_error("%s was accepted\n", line);
        assert_true(number > 42 || rc != 0);
        seen++;
    }
    fclose(f);
    assert_true(seen >= 58);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_and_metadata_of_a_sound_file_are_found),
        cmocka_unit_test(test_each_false_claim_is_refused_by_name),
        cmocka_unit_test(test_every_cut_of_a_file_is_refused),
        cmocka_unit_test(test_flipped_bytes_never_break_the_reader),
        cmocka_unit_test(test_open_survives_every_failed_allocation),
        cmocka_unit_test(test_recorded_hostile_files_are_refused),
    };

    return cmocka_run_group_tests_name("gguf", tests, setup, teardown);
}
