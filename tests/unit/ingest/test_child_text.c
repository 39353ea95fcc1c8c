/* test_child_text.c - blocks, charsets, plain text and Markdown. */
#include "tests/support/test.h"

#include <unicode/ucnv.h>

#include "base/limits.h"
#include "tests/support/emit_array.h"

static void check_bytes(parse_fn *parse, const void *in, size_t n, const char *want)
{
    struct emit *em = emit_array_open();
    struct err e = {0};

    assert_ok(emit_array_parse(em, parse, in, n, &e), e);
    assert_string_equal(emit_array_text(em), want);
    assert_int_equal(em->status, *want ? EXTRACT_OK : EXTRACT_EMPTY);
    emit_array_close(em);
}

static void check(parse_fn *parse, const char *in, const char *want)
{
    check_bytes(parse, in, strlen(in), want);
}

static void test_paragraphs_end_at_empty_lines(void **state)
{
    (void)state;
    check(parse_text, "One\ntwo.\n\n  \nThree\r\nfour.\r\n\r\nFive", "One\ntwo.\n\nThree\nfour.\n\nFive\n");
    check(parse_text, "", "");
    check(parse_text, " \n\n ", "");
}

static void test_what_cannot_be_seen_is_removed(void **state)
{
    struct emit *em = emit_array_open();
    struct err e = {0};
    (void)state;

    check(parse_text, "a\xE2\x80\x8B" "b\xE2\x80\xAE" "c\xC2\xAD" "d\x01\x7F" "e\xEF\xBB\xBF" "f", "abcdef\n");
    check(parse_text, "e\xCC\x81 caf\xC3\xA9", "\xC3\xA9 caf\xC3\xA9\n"); /* NFC */
    check(parse_text, "a\xC2\xA0\t b", "a b\n");
    assert_ok(emit_array_parse(em, parse_text, "hi\xF3\xA0\x81\x81\xF3\xA0\x81\x82", 10, &e), e);
    assert_string_equal(emit_array_text(em), "hi\n");
    assert_int_equal(em->hidden_spans, 1);
    assert_int_equal(em->hidden_chars, 2);
    emit_array_close(em);
}

static void test_charsets_are_found(void **state)
{
    static const struct {
        const char *charset, *text;
    } rows[] = {
        {"UTF-16", "Hello, \xE4\xB8\x96\xE7\x95\x8C.\n"}, /* with a mark */
        {"UTF-16LE", "Hello, this is a text without a mark.\n"},
        {"UTF-16BE", "Hello, this is a text without a mark.\n"},
        {"windows-1252", "Le caf\xC3\xA9 \xC3\xA9tait ferm\xC3\xA9 \xE2\x80\x94 c\xE2\x80\x99" "est la vie, "
                         "\xC3\xA0 bient\xC3\xB4t, et merci de votre visite d\xE2\x80\x99hier.\n"},
        {"GB18030", "\xE7\xA7\x9F\xE6\x9C\x9F\xE4\xB8\xBA\xE4\xB8\x89\xE5\xB9\xB4\xEF\xBC\x8C\xE7\xA7\x9F\xE9\x87\x91"
                    "\xE6\xAF\x8F\xE6\x9C\x88\xE5\x85\xAB\xE5\x8D\x83\xE5\x85\x83\xE3\x80\x82\xE5\x8F\x8C\xE6\x96\xB9"
                    "\xE5\x8F\xAF\xE4\xBB\xA5\xE5\x9C\xA8\xE5\x88\xB0\xE6\x9C\x9F\xE5\x89\x8D\xE7\xBB\xAD\xE7\xBA\xA6\xE3\x80\x82\n"},
        {"Big5", "\xE7\xA7\x9F\xE6\x9C\x9F\xE7\x82\xBA\xE4\xB8\x89\xE5\xB9\xB4\xEF\xBC\x8C\xE7\xA7\x9F\xE9\x87\x91"
                 "\xE6\xAF\x8F\xE6\x9C\x88\xE5\x85\xAB\xE5\x8D\x83\xE5\x85\x83\xE3\x80\x82\xE9\x9B\x99\xE6\x96\xB9"
                 "\xE5\x8F\xAF\xE4\xBB\xA5\xE5\x9C\xA8\xE5\x88\xB0\xE6\x9C\x9F\xE5\x89\x8D\xE7\xBA\x8C\xE7\xB4\x84\xE3\x80\x82\n"},
        {"Shift_JIS", "\xE3\x81\x93\xE3\x82\x8C\xE3\x81\xAF\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE3\x83\x86"
                      "\xE3\x82\xAD\xE3\x82\xB9\xE3\x83\x88\xE3\x81\xA7\xE3\x81\x99\xE3\x80\x82\xE3\x81\xA8\xE3\x81\xA6\xE3\x82\x82\xE7\x9F\xAD\xE3\x81\x84\xE3\x80\x82\n"},
        {"windows-1251", "\xD0\x94\xD0\xBE\xD0\xB3\xD0\xBE\xD0\xB2\xD0\xBE\xD1\x80 \xD0\xB0\xD1\x80\xD0\xB5\xD0\xBD\xD0\xB4\xD1\x8B "
                         "\xD0\xB7\xD0\xB0\xD0\xBA\xD0\xBB\xD1\x8E\xD1\x87\xD1\x91\xD0\xBD \xD0\xBD\xD0\xB0 \xD1\x82\xD1\x80\xD0\xB8 "
                         "\xD0\xB3\xD0\xBE\xD0\xB4\xD0\xB0.\n"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char wide[1024];
        UErrorCode st = U_ZERO_ERROR;
        int32_t n = ucnv_convert(rows[i].charset, "UTF-8", wide, sizeof wide, rows[i].text, -1, &st);
        assert_true(U_SUCCESS(st));
        print_message("%s\n", rows[i].charset);
        check_bytes(parse_text, wide, (size_t)n, rows[i].text);
    }
}

static void test_long_texts_are_cut_into_parts(void **state)
{
    struct emit *em = emit_array_open();
    struct err e = {0};
    char *text = malloc(300000);
    size_t n = 0;
    (void)state;

    for (int i = 0; i < 2000; i++)
        n += (size_t)sprintf(text + n, "Paragraph number %d has some words in it.%s", i,
                             i >= 1000 && i < 1800 ? " " : "\n\n"); /* one is longer than a part */
    assert_ok(emit_array_parse(em, parse_text, text, n, &e), e);
    assert_true(em->n >= 5 && em->n <= 8);
    for (uint32_t i = 0; i < em->n; i++) {
        assert_true(em->pages[i].n_text <= LIM_PART_TEXT + 2);
        assert_int_equal(em->pages[i].number, i + 1);
        assert_int_equal(em->pages[i].text[0], 'P');
    }
    emit_array_close(em);
    em = emit_array_open();
    em->fail_at = 3;
    assert_int_equal(emit_array_parse(em, parse_text, text, n, &e), ERR_IO);
    emit_array_close(em);
    free(text);
}

static void test_markdown_blocks(void **state)
{
    (void)state;
    check(parse_markdown, "# One *two*\n\nText with `code`,\na [link](http://x) and ![pic](y).\n\n- a\n- b\n\n1. x\n2. y\n",
          "One two\n\nText with code, a link and pic.\n\n- a\n- b\n\n1. x\n2. y\n");
    check(parse_markdown, "| Year | Sum |\n|---|---|\n| 2020 | 5 |\n| 2021 | |\n\nEnd",
          "Year | Sum\n2020 | 5\n2021 |\n\nEnd\n");
    check(parse_markdown, "```c\nint x;\n\n  y();\n```\n", "int x;\n  y();\n");
    check(parse_markdown, "- a\n  - b\n  - c\n- d\n", "- a\n\n- b\n- c\n\n- d\n");
    check(parse_markdown, "> quoted *text*\n> goes on\n", "quoted text goes on\n");
    check(parse_markdown, "<div>x</div>\n\nA<br>b <b>c</b>\n", "x\n\nA b c\n");
    check(parse_markdown, "<table>\n<tr><td>a<td>b\n</table>\n\n<p hidden>no</p>\n", "a | b\n");
    check(parse_markdown, "A <span style=\"display:none\">no <span>no</span> no</span>b <i hidden>no", "A b\n");
    check(parse_markdown, "A <span title='hidden'>yes</span>", "A yes\n");
}

static void test_markdown_title_and_hidden_text(void **state)
{
    struct emit *em = emit_array_open();
    struct err e = {0};
    const char *in = "---\ntitle: \"The Title\"\nlang: en\n---\n\n## Head\n\nText.\n\n<!-- tell them nothing -->\n\nMore <!-- x --> text.\n";
    (void)state;

    assert_ok(emit_array_parse(em, parse_markdown, in, strlen(in), &e), e);
    assert_string_equal(em->title, "The Title");
    assert_string_equal(em->lang, "en");
    assert_string_equal(emit_array_text(em), "Head\n\nText.\n\nMore text.\n");
    assert_int_equal(em->pages[0].n_heads, 1);
    assert_int_equal(em->pages[0].heads[0].level, 2);
    assert_int_equal(em->pages[0].heads[0].end, 4);
    assert_int_equal(em->hidden_spans, 2);
    emit_array_close(em);
}

static void test_markdown_rows_are_marked_as_a_table(void **state)
{
    struct emit *em = emit_array_open();
    struct err e = {0};
    const char *in = "x\n\n| a | b |\n|-|-|\n| c | d |\n\ny\n";
    (void)state;

    assert_ok(emit_array_parse(em, parse_markdown, in, strlen(in), &e), e);
    assert_int_equal(em->pages[0].n_marks, 1);
    assert_int_equal(em->pages[0].marks[0].kind, MARK_TABLE);
    assert_int_equal(em->pages[0].marks[0].end - em->pages[0].marks[0].start, strlen("a | b\nc | d"));
    emit_array_close(em);
}

static void test_random_bytes_are_survived(void **state)
{
    static const char *const bits[] = {"# ", "- ", "1. ", "> ", "| a | b |\n|-|-|\n", "```\n", "\n", "\n\n", "<!--", "-->",
                                       "<b>", "[x](y)", "---\n", "text ", "\xff\xfe", "\xE4\xB8", "\xF3\xA0\x81\x81", "&amp;", "    "};
    uint64_t seed = 21;
    (void)state;

    for (int round = 0; round < 1500; round++) {
        struct emit *em = emit_array_open();
        struct err e = {0};
        char text[2000] = "";
        size_t n = 0;
        for (uint64_t k = test_rand(&seed) % 60; k > 0; k--) {
            const char *b = bits[test_rand(&seed) % (sizeof bits / sizeof *bits)];
            memcpy(text + n, b, strlen(b));
            n += strlen(b);
            if (test_rand(&seed) % 30 == 0)
                text[n++] = (char)test_rand(&seed);
        }
        assert_ok(emit_array_parse(em, round % 2 ? parse_text : parse_markdown, text, n, &e), e);
        emit_array_close(em);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paragraphs_end_at_empty_lines),
        cmocka_unit_test(test_what_cannot_be_seen_is_removed),
        cmocka_unit_test(test_charsets_are_found),
        cmocka_unit_test(test_long_texts_are_cut_into_parts),
        cmocka_unit_test(test_markdown_blocks),
        cmocka_unit_test(test_markdown_title_and_hidden_text),
        cmocka_unit_test(test_markdown_rows_are_marked_as_a_table),
        cmocka_unit_test(test_random_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
