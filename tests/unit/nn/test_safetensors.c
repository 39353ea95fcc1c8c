/* test_safetensors.c - a sound file is read, and each claim that is false is refused with a
 * sentence that names the file. */
#include "tests/support/test.h"

#include "nn/weights.h"

static char *dir;
static char path[1200];

static int setup(void **state)
{
    (void)state;
    dir = test_mkdir();
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_rmdir(dir);
    mem_give(dir);
    return 0;
}

static void put_raw(const char *file, const void *bytes, size_t n)
{
    FILE *f = fopen(file, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* length: what the file claims as the header's length; n_data bytes 0, 1, 2, ... follow. */
static void put_file(const char *file, uint64_t length, const char *header, size_t n_data)
{
    size_t n = strlen(header);
    unsigned char *b = mem_take(8 + n + n_data, 1);

    for (int i = 0; i < 8; i++)
        b[i] = (unsigned char)(length >> 8 * i);
    memcpy(b + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        b[8 + n + i] = (unsigned char)i;
    put_raw(file, b, 8 + n + n_data);
    mem_give(b);
}

static void refuse(const char *why, const char *words)
{
    struct weights *w = NULL;
    struct err e = {0};
    int rc = weights_open(&w, path, &e);

    if (!rc || !strstr(e.msg, words) || !strstr(e.msg, dir))
        print_error("%s: %s \"%s\", expected words: %s\n", why, rc ? err_name(rc) : "opened", e.msg,
                    words);
    assert_true(rc == ERR_FORMAT || rc == ERR_UNSUPPORTED || rc == ERR_LIMIT);
    assert_non_null(strstr(e.msg, words));
    assert_non_null(strstr(e.msg, dir)); /* the sentence names the file */
    assert_null(w);
}

#define SOUND                                                                                      \
    "{\"__metadata__\":{\"format\":\"pt\"},"                                                       \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]},"                             \
    "\"a.w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"                         \
    "\"none\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[24,24]},"                       \
    "\"one\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[27,35]}}"

static void test_a_sound_file_is_read(void **state)
{
    struct weights *w = NULL;
    struct err e = {0};
    const struct tensor *t;
    char id[33];
    float x[6];

    (void)state;
    put_file(path, strlen(SOUND), SOUND, 35);
    for (int round = 0; round < 2; round++) {
        assert_ok(weights_open(&w, round ? dir : path, &e), e);
        assert_int_equal(weights_count(w), 4);
        assert_ok(weights_need(w, "a.w", 2, (const uint64_t[]){2, 3}, &t, &e), e);
        assert_int_equal(t->type, W_F32);
        assert_int_equal(t->bytes, 24);
        assert_memory_equal(t->data, "\0\1\2\3\4\5\6\7", 8);
        assert_ok(tensor_to_f32(t, 0, 6, x, &e), e);
        assert_memory_equal(x, t->data, 24);
        t = weights_find(w, "b");
        assert_memory_equal(t->data, "\30\31\32", 3);
        assert_int_equal(weights_find(w, "one")->n_dims, 0);
        assert_int_equal(weights_find(w, "none")->bytes, 0);
        assert_null(weights_find(w, "__metadata__"));
        assert_false(weights_is_gguf(w));
        assert_ok(weights_id(w, id, &e), e);
        assert_int_equal(strlen(id), 32);
        weights_close(w);
    }
}

static void test_a_tensor_of_other_shape_is_named(void **state)
{
    struct weights *w = NULL;
    struct err e = {0};
    const struct tensor *t;

    (void)state;
    put_file(path, strlen(SOUND), SOUND, 35);
    assert_ok(weights_open(&w, path, &e), e);
    assert_int_equal(weights_need(w, "a.w", 2, (const uint64_t[]){3, 2}, &t, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "a.w"));
    assert_int_equal(weights_need(w, "a.w", 1, (const uint64_t[]){6}, &t, &e), ERR_FORMAT);
    assert_int_equal(weights_need(w, "absent", 1, (const uint64_t[]){6}, &t, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "absent"));
    assert_int_not_equal(tensor_to_f32(weights_find(w, "a.w"), 1, 6, (float[6]){0}, &e), 0);
    assert_int_not_equal(tensor_to_f32(weights_find(w, "a.w"), UINT64_MAX, 6, (float[6]){0}, &e),
                         0);
    weights_close(w);
}

#define T(name, type, shape, off)                                                                  \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" off "}"

static void test_each_false_claim_of_the_header_is_refused(void **state)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"[]", "{"},
        {" {}", "{"},
        {"{\"\xff\":1}", "UTF-8"},
        {"{\"a\":", "line"},
        {"{" T("a", "U8", "[8]", "[0,8]") "," T("a", "U8", "[8]", "[0,8]") "}", "line"},
        {"{" T("a", "F7", "[8]", "[0,8]") "}", "F7"},
        {"{\"a\":{\"shape\":[8],\"data_offsets\":[0,8]}}", "dtype"},
        {"{\"a\":{\"dtype\":8,\"shape\":[8],\"data_offsets\":[0,8]}}", "dtype"},
        {"{\"a\":7}", "dtype"},
        {"{" T("a", "U8", "8", "[0,8]") "}", "shape"},
        {"{" T("a", "U8", "[1,1,1,2,4]", "[0,8]") "}", "shape"},
        {"{" T("a", "U8", "[-2,-4]", "[0,8]") "}", "dimension"},
        {"{" T("a", "U8", "[2.5]", "[0,8]") "}", "dimension"},
        {"{" T("a", "U8", "[\"8\"]", "[0,8]") "}", "dimension"},
        {"{" T("a", "U8", "[4294967296,4294967296,8]", "[0,8]") "}", "overflow"},
        {"{" T("a", "I64", "[2305843009213693953]", "[0,8]") "}", "overflow"},
        {"{" T("a", "U8", "[8]", "[0,9]") "}", "data_offsets"},
        {"{" T("a", "U8", "[8]", "[8,0]") "}", "data_offsets"},
        {"{" T("a", "U8", "[8]", "[-8,0]") "}", "data_offsets"},
        {"{" T("a", "U8", "[8]", "[0,8,8]") "}", "data_offsets"},
        {"{" T("a", "U8", "[8]", "[0.0,8.0]") "}", "data_offsets"},
        {"{" T("a", "U8", "[8]", "[\"0\",\"8\"]") "}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[8]}}", "data_offsets"},
        {"{" T("a", "U8", "[7]", "[0,8]") "}", "needs 7"},
        {"{" T("a", "U8", "[5]", "[0,5]") "," T("b", "U8", "[4]", "[4,8]") "}", "overlap"},
        {"{" T("a", "U8", "[8]", "[0,8]") "," T("b", "U8", "[8]", "[0,8]") "}", "overlap"},
        {"{" T("a", "U8", "[3]", "[0,3]") "," T("b", "U8", "[4]", "[4,8]") "}", "hole"},
        {"{" T("a", "U8", "[4]", "[4,8]") "}", "hole"},
        {"{" T("a", "U8", "[7]", "[0,7]") "}", "1 bytes"},
        {"{}", "8 bytes"},
        {"{\"__metadata__\":7," T("a", "U8", "[8]", "[0,8]") "}", "__metadata__"},
        {"{\"__metadata__\":{\"a\":7}," T("a", "U8", "[8]", "[0,8]") "}", "__metadata__"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_file(path, strlen(cases[i].header), cases[i].header, 8);
        refuse(cases[i].header, cases[i].words);
    }
}

static void test_a_false_length_of_the_header_is_refused(void **state)
{
    static const uint64_t lengths[] = {
        0, 1, 41, 49, 1000, 100 * 1024 * 1024 + 1, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    static const char header[] = "{" T("a", "U8", "[]", "[0,1]") "}";

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        put_file(path, lengths[i], header, 1);
        refuse("length of the header", dir);
    }
}

static void test_a_header_nested_deep_is_refused(void **state)
{
    char *deep = mem_take(40011, 1);

    (void)state;
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', 20000);
    memset(deep + 20005, ']', 20000);
    memcpy(deep + 40005, "}", 1);
    put_file(path, strlen(deep), deep, 0);
    refuse("20000 arrays", "nested");
    mem_give(deep);
}

static void test_a_file_cut_at_any_byte_is_refused(void **state)
{
    unsigned char whole[8 + sizeof SOUND + 35] = {0};
    size_t n = 8 + strlen(SOUND) + 35;

    (void)state;
    whole[0] = (unsigned char)strlen(SOUND);
    whole[1] = (unsigned char)(strlen(SOUND) >> 8);
    memcpy(whole + 8, SOUND, strlen(SOUND));
    for (size_t cut = 0; cut < n; cut++) {
        put_raw(path, whole, cut);
        refuse("cut", dir);
    }
    put_raw(path, whole, n);
}

static void test_an_index_names_shards_of_its_own_folder_only(void **state)
{
    static const struct {
        const char *index, *words; /* words NULL: opens */
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"x1.safetensors\",\"b\":\"x2.safetensors\"}}", NULL},
        {"{\"weight_map\":{\"a\":\"x1.safetensors\",\"c\":\"x2.safetensors\"}}", "c"},
        {"{\"weight_map\":{\"a\":\"x1.safetensors\",\"b\":\"x3.safetensors\"}}", "x3"},
        {"{\"weight_map\":{\"a\":\"../x1.safetensors\"}}", "folder"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "folder"},
        {"{\"weight_map\":{\"a\":7}}", "folder"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}", ""},
        {"{\"weight_map\":{}}", "weight_map"},
        {"{}", "weight_map"},
        {"{\"weight_map\":{\"a\":\"x1.safetensors\",\"d\":\"x4.safetensors\"}}", "twice"},
    };
    static const char *const headers[] = {
        "{" T("a", "U8", "[]", "[0,1]") "}",
        "{" T("b", "U8", "[]", "[0,1]") "}",
        NULL,
        "{" T("a", "U8", "[]", "[0,1]") "," T("d", "U8", "[]", "[1,2]") "}",
    };
    char *folder = test_mkdir();
    char file[1200];

    (void)state;
    for (int i = 1; i <= 4; i++) {
        const char *header = headers[i - 1];
        snprintf(file, sizeof file, "%s/x%d.safetensors", folder, i);
        if (header)
            put_file(file, strlen(header), header, i == 4 ? 2 : 1);
    }
    snprintf(file, sizeof file, "%s/model.safetensors.index.json", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weights *w = NULL;
        struct err e = {0};
        int rc;
        put_raw(file, cases[i].index, strlen(cases[i].index));
        rc = weights_open(&w, folder, &e);
        if (!rc != !cases[i].words || (rc && !strstr(e.msg, cases[i].words)))
            print_error("%s: %s\n", cases[i].index, e.msg);
        assert_true(!rc == !cases[i].words);
        assert_true(!rc || strstr(e.msg, cases[i].words));
        weights_close(w);
    }
    test_rmdir(folder);
    mem_give(folder);
}

static void test_what_is_not_there_is_said_so(void **state)
{
    struct weights *w = NULL;
    struct err e = {0};
    char *folder = test_mkdir();

    (void)state;
    assert_int_equal(weights_open(&w, "/nonexistent/model.safetensors", &e), ERR_NOTFOUND);
    assert_int_equal(weights_open(&w, folder, &e), ERR_NOTFOUND);
    test_rmdir(folder);
    mem_give(folder);
}

static void test_every_failed_allocation_is_reported(void **state)
{
    struct weights *w = NULL;
    struct err e = {0};
    int rc = ERR_NOMEM;
    long k;

    (void)state;
    put_file(path, strlen(SOUND), SOUND, 35);
    for (k = 0; rc; k++) {
        mem_fail_after(k);
        rc = weights_open(&w, path, &e);
        mem_fail_after(-1);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    assert_true(k > 3);
    weights_close(w);
}

static void test_recorded_hostile_files_are_refused(void **state)
{
    const char *index = test_shared("data/models/hostile/index.tsv");
    FILE *f = index ? fopen(index, "r") : NULL;
    char line[1024];
    size_t seen = 0;

    (void)state;
    if (!f)
        skip();
    while (fgets(line, sizeof line, f)) {
        char rel[1200];
        struct weights *w = NULL;
        struct err e = {0};
        unsigned number = 0;
        int rc;
        line[strcspn(line, "\t\n")] = 0;
        if (sscanf(line, "s%u", &number) != 1 && strcmp(line, "ok.safetensors") != 0)
            continue;
        snprintf(rel, sizeof rel, "data/models/hostile/%s", line);
        rc = weights_open(&w, test_shared(rel), &e);
        weights_close(w);
        if (!number)
            assert_ok(rc, e);
        else if (!rc)
            print_error("%s was accepted\n", line);
        assert_true(!number || (rc && strstr(e.msg, line)));
        seen++;
    }
    fclose(f);
    assert_int_equal(seen, 38);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_file_is_read),
        cmocka_unit_test(test_a_tensor_of_other_shape_is_named),
        cmocka_unit_test(test_each_false_claim_of_the_header_is_refused),
        cmocka_unit_test(test_a_false_length_of_the_header_is_refused),
        cmocka_unit_test(test_a_header_nested_deep_is_refused),
        cmocka_unit_test(test_a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_an_index_names_shards_of_its_own_folder_only),
        cmocka_unit_test(test_what_is_not_there_is_said_so),
        cmocka_unit_test(test_every_failed_allocation_is_reported),
        cmocka_unit_test(test_recorded_hostile_files_are_refused),
    };

    return cmocka_run_group_tests_name("safetensors", tests, setup, teardown);
}
