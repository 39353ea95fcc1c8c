/* test_boxes.c - word boxes survive packing to 1/4096, in few bytes; damaged bytes are refused. */
#include "tests/support/test.h"

#include <math.h>

#include "base/limits.h"
#include "ingest/ingest.h"

/* A page as a layout program makes it: lines of words whose widths vary by their letters. */
static uint32_t make_page(struct word_box *b, uint32_t most, uint64_t *seed)
{
    uint32_t n = 0, at = 0;
    float y = 0.08f;

    while (n < most && y < 0.9f) {
        float x = 0.12f, gap = 0.004f + (float)(test_rand(seed) % 100) / 50000;
        while (n < most && x < 0.82f) {
            uint32_t len = 1 + (uint32_t)(test_rand(seed) % 10);
            float w = (float)len * (0.0085f + (float)(test_rand(seed) % 100) / 50000);
            b[n++] = (struct word_box){at, at + len, x, y, x + w, y + 0.0151f};
            at += len + 1;
            x += w + gap;
        }
        y += 0.0182f;
    }
    return n;
}

static void assert_near(float a, float b)
{
    assert_true(fabsf(a - b) <= 0.5f / 4096 + 1e-6f);
}

static void test_boxes_come_back(void **state)
{
    static struct word_box b[2000];
    uint64_t seed = 11;
    struct arena a;
    struct err e = {0};
    (void)state;

    arena_init(&a, 16 << 20);
    for (int round = 0; round < 50; round++) {
        uint32_t n = round < 3 ? (uint32_t)round : make_page(b, 2000, &seed), m;
        unsigned char *bytes;
        struct word_box *back;
        size_t len;
        for (uint32_t i = 0; round % 2 && i < n; i++) /* and wild ones */
            if (test_rand(&seed) % 4 == 0) {
                b[i].x0 = (float)(test_rand(&seed) % 1000) / 1000;
                b[i].x1 = b[i].x0 + (float)(test_rand(&seed) % 100) / 1000;
                b[i].y0 = (float)(test_rand(&seed) % 1000) / 1000;
                b[i].y1 = b[i].y0;
            }
        assert_ok(boxes_pack(b, n, &a, &bytes, &len, &e), e);
        if (round == 4) {
            print_message("%u words, %.2f bytes a word\n", n, (double)len / n);
            assert_true(len < 3 * n);
        }
        assert_ok(boxes_unpack(bytes, len, &a, &back, &m, &e), e);
        assert_int_equal(n, m);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(back[i].start, b[i].start);
            assert_int_equal(back[i].end, b[i].end);
            assert_near(back[i].x0, b[i].x0);
            assert_near(back[i].x1, fminf(b[i].x1, 1));
            assert_near(back[i].y0, b[i].y0);
            assert_near(back[i].y1, b[i].y1);
        }
        arena_reset(&a);
    }
    arena_free(&a);
}

static void test_what_is_no_position_is_clamped(void **state)
{
    struct word_box b[3] = {{0, 3, NAN, -5, INFINITY, 2}, {3, 3, 0.9f, 0.5f, 0.1f, 0.2f},
                            {2, 90, 0, 0, 1, 1}};
    struct word_box *back;
    unsigned char *bytes;
    struct arena a;
    struct err e = {0};
    uint32_t n;
    size_t len;
    (void)state;

    arena_init(&a, 1 << 20);
    assert_int_equal(boxes_pack(b, 3, &a, &bytes, &len, &e), ERR_INVALID);
    b[2].start = 3;
    assert_ok(boxes_pack(b, 3, &a, &bytes, &len, &e), e);
    assert_ok(boxes_unpack(bytes, len, &a, &back, &n, &e), e);
    assert_true(back[0].x0 == 0 && back[0].x1 == 1 && back[0].y0 == 0 && back[0].y1 == 1);
    assert_true(back[1].x1 == back[1].x0 && back[1].y1 == back[1].y0);
    assert_int_equal(back[2].end, 90);
    arena_free(&a);
}

static void test_damaged_bytes_are_refused_or_give_legal_boxes(void **state)
{
    static struct word_box b[300];
    uint64_t seed = 5;
    uint32_t n = make_page(b, 300, &seed), m;
    struct word_box *back;
    unsigned char *bytes;
    struct arena a;
    struct err e = {0};
    size_t len;
    (void)state;

    arena_init(&a, 64 << 20);
    assert_ok(boxes_pack(b, n, &a, &bytes, &len, &e), e);
    for (size_t cut = 0; cut < len; cut++) {
        unsigned char *copy = malloc(cut ? cut : 1);
        memcpy(copy, bytes, cut);
        assert_true(boxes_unpack(copy, cut, &a, &back, &m, &e) != 0);
        free(copy);
    }
    for (int round = 0; round < 3000; round++) {
        unsigned char *copy = malloc(len);
        struct arena tmp;
        memcpy(copy, bytes, len);
        for (int k = 0; k < 3; k++)
            copy[test_rand(&seed) % len] = (unsigned char)test_rand(&seed);
        arena_init(&tmp, 64 << 20);
        if (!boxes_unpack(copy, len, &tmp, &back, &m, &e))
            for (uint32_t i = 0; i < m; i++) {
                assert_true(back[i].start <= back[i].end && back[i].end <= LIM_PAGE_TEXT);
                assert_true(back[i].x0 >= 0 && back[i].x0 <= back[i].x1 && back[i].x1 <= 1);
                assert_true(back[i].y0 >= 0 && back[i].y0 <= back[i].y1 && back[i].y1 <= 1);
            }
        arena_free(&tmp);
        free(copy);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes_come_back),
        cmocka_unit_test(test_what_is_no_position_is_clamped),
        cmocka_unit_test(test_damaged_bytes_are_refused_or_give_legal_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
