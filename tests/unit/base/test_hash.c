/* test_hash.c - the three hashes against published values (SHA-256, XXH3) and those of hashlib (BLAKE2b-128). */
#include "tests/support/test.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/hash.h"

static void test_values_are_the_published_ones(void **state)
{
    uint8_t id[HASH_ID_BYTES];
    uint8_t sha[HASH_SHA256_BYTES];
    char hex[2 * HASH_SHA256_BYTES + 1];
    char *dir = test_mkdir();
    char path[1200];
    struct err e = {0};

    (void)state;
    assert_true(hash_xxh3("", 0) == 0x2D06800538D394C2u);
    assert_true(hash_xxh3("abc", 3) == 0x78AF5F94892F3950u);
    hash_id(id, "", 0);
    hash_hex(hex, id, sizeof id);
    assert_string_equal(hex, "cae66941d9efbd404e4d88758ea67670");
    hash_id(id, "abc", 3);
    hash_hex(hex, id, sizeof id);
    assert_string_equal(hex, "cf4ab791c62b8d2b2109c90275287816");
    snprintf(path, sizeof path, "%s/abc", dir);
    assert_ok(file_replace(path, "abc", 3, &e), e);
    assert_ok(hash_sha256_file(sha, path, &e), e);
    hash_hex(hex, sha, sizeof sha);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(hash_sha256_file(sha, "/nonexistent/abc", &e), ERR_NOTFOUND);
    test_rmdir(dir);
    mem_give(dir);
}

static void test_pieces_and_files_give_the_same_id(void **state)
{
    uint8_t whole[HASH_ID_BYTES], pieces[HASH_ID_BYTES], file[HASH_ID_BYTES];
    size_t n = 200001; /* three reads of 64 KiB and a rest */
    unsigned char *b = mem_take(n, 1);
    char *dir = test_mkdir();
    char path[1200];
    struct hash_run h;
    struct err e = {0};
    uint64_t seed = 1;
    uint64_t bytes = 0;
    int fd;

    (void)state;
    for (size_t i = 0; i < n; i++)
        b[i] = (unsigned char)test_rand(&seed);
    hash_id(whole, b, n);
    hash_start(&h);
    for (size_t i = 0; i < n; i += 777)
        hash_more(&h, b + i, n - i < 777 ? n - i : 777);
    hash_done(&h, pieces);
    assert_memory_equal(whole, pieces, sizeof whole);
    snprintf(path, sizeof path, "%s/f", dir);
    assert_ok(file_replace(path, b, n, &e), e);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_ok(hash_id_fd(file, fd, n, &bytes, &e), e);
    assert_int_equal(bytes, n);
    assert_memory_equal(whole, file, sizeof whole);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(hash_id_fd(file, fd, n - 1, &bytes, &e), ERR_LIMIT);
    close(fd);
    test_rmdir(dir);
    mem_give(dir);
    mem_give(b);
}

static void test_hex_is_read_back_strictly(void **state)
{
    uint8_t b[3];
    char hex[7];

    (void)state;
    assert_int_equal(hash_unhex(b, 3, "00fFa9"), 0);
    hash_hex(hex, b, 3);
    assert_string_equal(hex, "00ffa9");
    assert_int_equal(hash_unhex(b, 3, "00ffa"), ERR_INVALID);
    assert_int_equal(hash_unhex(b, 3, "00ffa99"), ERR_INVALID);
    assert_int_equal(hash_unhex(b, 3, "00ffg9"), ERR_INVALID);
    assert_int_equal(hash_unhex(b, 3, "00 fa9"), ERR_INVALID);
    assert_int_equal(hash_unhex(b, 0, ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_the_published_ones),
        cmocka_unit_test(test_pieces_and_files_give_the_same_id),
        cmocka_unit_test(test_hex_is_read_back_strictly),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
