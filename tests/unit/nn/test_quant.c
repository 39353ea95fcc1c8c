/* test_quant.c - decoding of quant blocks, halves and bf16. */
#include "tests/support/test.h"

#include <math.h>

#include "base/json.h"
#include "nn/quant.h"

static void test_every_half_survives_the_way_there_and_back(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = half_to_float((uint16_t)h);
        if (isnan(f))
            assert_true((float_to_half(f) & 0x7C00) == 0x7C00 && (float_to_half(f) & 0x3FF));
        else
            assert_int_equal(float_to_half(f), h);
    }
}

static void test_rounding_to_half_is_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(float_to_half(1.0f + 0x1p-11f), 0x3C00); /* half way: even below */
    assert_int_equal(float_to_half(1.0f + 3 * 0x1p-11f), 0x3C02); /* half way: even above */
    assert_int_equal(float_to_half(1.0f + 0x1.1p-11f), 0x3C01);
    assert_int_equal(float_to_half(65519.0f), 0x7BFF);
    assert_int_equal(float_to_half(65520.0f), 0x7C00); /* overflows to infinity */
    assert_int_equal(float_to_half(0x1p-25f), 0); /* half of the least subnormal: even is 0 */
    assert_int_equal(float_to_half(0x1.8p-25f), 1);
    assert_int_equal(float_to_half(-0.0f), 0x8000);
}

static void test_a_block_of_each_small_type_decodes_by_hand(void **state)
{
    uint8_t q4_1[20] = {0x00, 0x38, 0x00, 0xBC, 0x21}; /* d 0.5, m -1, first byte 0x21 */
    uint8_t q4_0[18] = {0x00, 0x40, 0xF0}; /* d 2 */
    uint8_t q5_0[22] = {0x00, 0x3C, 0x01, 0, 0, 0x80, 0x03}; /* d 1, fifth bits of 0 and 31 */
    uint8_t q8_0[34] = {0x00, 0x3C, 0x80, 0x7F}; /* d 1, -128, 127 */
    float y[32];

    (void)state;
    assert_int_equal(quant_decode(W_Q4_1, q4_1, 32, y), 0);
    assert_float_equal(y[0], -0.5f, 0);
    assert_float_equal(y[16], 0.0f, 0);
    assert_float_equal(y[1], -1.0f, 0);
    assert_int_equal(quant_decode(W_Q4_0, q4_0, 32, y), 0);
    assert_float_equal(y[0], -16.0f, 0);
    assert_float_equal(y[16], 14.0f, 0);
    assert_int_equal(quant_decode(W_Q5_0, q5_0, 32, y), 0);
    assert_float_equal(y[0], 3.0f, 0);
    assert_float_equal(y[31], 0.0f, 0);
    assert_float_equal(y[1], -16.0f, 0);
    assert_int_equal(quant_decode(W_Q8_0, q8_0, 32, y), 0);
    assert_float_equal(y[0], -128.0f, 0);
    assert_float_equal(y[1], 127.0f, 0);
    assert_int_equal(quant_decode(W_I64, q8_0, 1, y), ERR_UNSUPPORTED);
}

static size_t unhex(const char *s, uint8_t *out, size_t most)
{
    size_t n = strlen(s) / 2;

    assert_true(n <= most);
    for (size_t i = 0; i < n; i++) {
        unsigned v;
        assert_int_equal(sscanf(s + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t)v;
    }
    return n;
}

static enum wtype type_named(const char *name)
{
    for (int t = 0; t < W_TYPE_COUNT; t++)
        if (strcmp(wtype_name((enum wtype)t), name) == 0)
            return (enum wtype)t;
    return W_TYPE_COUNT;
}

static void test_recorded_blocks_decode_to_the_recorded_values(void **state)
{
    const char *path = test_shared("data/models/tiny/quant.json");
    json_t *root = NULL;
    struct err e = {0};
    const char *name;
    json_t *type;
    int seen = 0;

    (void)state;
    if (!path)
        skip();
    assert_ok(json_parse_file(&root, path, &e), e);
    json_object_foreach(json_object_get(root, "types"), name, type)
    {
        enum wtype t = type_named(name);
        size_t i;
        json_t *block;
        if (t == W_TYPE_COUNT)
            continue;
        seen++;
        json_array_foreach(json_object_get(type, "blocks"), i, block)
        {
            const json_t *want = json_object_get(block, "values");
            uint8_t bytes[256];
            float y[256];
            size_t n = unhex(json_str(block, "hex", ""), bytes, sizeof bytes);
            assert_int_equal(n, wtype_bytes(t));
            assert_int_equal(json_array_size(want), wtype_block(t));
            assert_int_equal(quant_decode(t, bytes, wtype_block(t), y), 0);
            for (size_t j = 0; j < wtype_block(t); j++) {
                float v = (float)json_number_value(json_array_get(want, j));
                if (fabsf(y[j] - v) > 1e-6f * fabsf(v) + 1e-7f) /* K types: order of products */
                    print_error("%s block %zu value %zu: %g, expected %g\n", name, i, j,
                                (double)y[j], (double)v);
                assert_true(fabsf(y[j] - v) <= 1e-6f * fabsf(v) + 1e-7f);
            }
        }
    }
    assert_true(seen >= 8);
    json_decref(root);
}

static void test_values_outside_a_tensor_are_refused(void **state)
{
    uint8_t data[68] = {0};
    struct tensor t = {
        .name = "t", .type = W_Q8_0, .n_dims = 1, .dims = {64}, .data = data, .bytes = 68};
    struct err e = {0};
    float y[64];

    (void)state;
    assert_int_equal(tensor_to_f32(&t, 0, 64, y, &e), 0);
    assert_int_equal(tensor_to_f32(&t, 16, 32, y, &e), ERR_INVALID);
    assert_int_equal(tensor_to_f32(&t, 64, 32, y, &e), ERR_INVALID);
    assert_int_equal(tensor_to_f32(&t, 32, UINT64_MAX - 31, y, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half_survives_the_way_there_and_back),
        cmocka_unit_test(test_rounding_to_half_is_to_nearest_even),
        cmocka_unit_test(test_a_block_of_each_small_type_decodes_by_hand),
        cmocka_unit_test(test_recorded_blocks_decode_to_the_recorded_values),
        cmocka_unit_test(test_values_outside_a_tensor_are_refused),
    };

    return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
