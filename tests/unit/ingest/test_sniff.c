/* test_sniff.c - types by bytes; a name decides between texts only. */
#include "tests/support/test.h"

#include "ingest/ingest.h"

struct row {
    const char *path, *head;
    size_t n; /* 0: strlen */
    enum doc_type want;
    const char *why; /* a part of it */
};

static void check(const struct row *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *why = NULL;
        size_t len = r[i].n ? r[i].n : strlen(r[i].head);
        enum doc_type t = sniff(r[i].path, r[i].head, len, &why);
        if (t != r[i].want)
            print_error("row %zu (%s): %s, %s\n", i, r[i].path, doc_type_name(t), why ? why : "");
        assert_int_equal(t, r[i].want);
        if (r[i].why) {
            assert_non_null(why);
            assert_non_null(strstr(why, r[i].why));
        } else {
            assert_null(why);
        }
    }
}

static void test_readable_types(void **state)
{
    static const struct row rows[] = {
        {"a", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", 0, TYPE_PDF, NULL},
        {"a.txt", "\n\n%PDF-1.4\n1 0 obj", 0, TYPE_PDF, NULL},
        {"a.pdf", "HTTP/1.1 200 OK\n\n%PDF-1.4\n", 0, TYPE_PDF, NULL},
        {"about.txt", "A PDF begins with %PDF-1.4 and goes on.", 0, TYPE_TEXT, NULL},
        {"a.pdf", "This is a text.\n", 0, TYPE_TEXT, NULL},
        {"a.md", "# Title\n\ntext\n", 0, TYPE_MARKDOWN, NULL},
        {"README.md", "<p align=center>x</p>\n", 0, TYPE_MARKDOWN, NULL},
        {"a.txt", "<!DOCTYPE html>\n<p>x", 0, TYPE_HTML, NULL},
        {"a", "\xEF\xBB\xBF<?xml version=\"1.0\"?><!-- x -->\n<html>", 0, TYPE_HTML, NULL},
        {"a.htm", "<p>x</p>", 0, TYPE_HTML, NULL},
        {"a.xml", "<?xml version=\"1.0\"?><feed>", 0, TYPE_TEXT, NULL},
        {"a.csv", "a,b\n1,2\n", 0, TYPE_TEXT, NULL},
        {"a.json", "{\"a\": 1}", 0, TYPE_TEXT, NULL},
        {"a.c", "int main(void)\n{\n", 0, TYPE_TEXT, NULL},
        {"a", "\xff\xfeh\0i\0", 6, TYPE_TEXT, NULL},
        {"a", "h\0e\0l\0l\0o\0 \0y\0o\0u\0", 18, TYPE_TEXT, NULL},
        {"a", "\0<\0h\0t\0m\0l\0>\0<\0p\0>", 18, TYPE_HTML, NULL},
        {"gbk", "\xd6\xd0\xce\xc4\xb2\xe2\xca\xd4\xa1\xa3\n", 0, TYPE_TEXT, NULL},
        {"sjis", "\x93\xfa\x96\x7b\x8c\xea\x82\xcc\x83\x65\x83\x58\x83\x67\n", 0, TYPE_TEXT, NULL},
        {"id3", "ID3 tags are at the start of a file.", 0, TYPE_TEXT, NULL},
        {"empty", "", 0, TYPE_TEXT, NULL},
        {"empty.md", "", 0, TYPE_MARKDOWN, NULL},
        {"a.docx", "PK\3\4\0", 5, TYPE_DOCX, NULL},
        {"x",
         "PK\3\4\24\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\23\0\0\0[Content_Types].xml", 49,
         TYPE_DOCX, NULL},
        {"x", "PK\3\4\24\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\21\0\0\0word/document.xml", 47,
         TYPE_DOCX, NULL},
    };
    (void)state;
    check(rows, sizeof rows / sizeof *rows);
}

static void test_foreign_types_say_what_they_are(void **state)
{
    static const struct row rows[] = {
        {"a.pdf", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, TYPE_UNKNOWN, "PNG"},
        {"a.txt", "\xff\xd8\xff\xe0\0\x10JFIF\0", 11, TYPE_UNKNOWN, "JPEG"},
        {"a", "\x7f" "ELF\2\1\1\0\0\0\0\0", 12, TYPE_UNKNOWN, "ELF"},
        {"a.doc", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", 10, TYPE_UNKNOWN, "OLE2"},
        {"a.gz", "\x1f\x8b\x08\0\0\0\0\0\0\3", 10, TYPE_UNKNOWN, "gzip"},
        {"a.db", "SQLite format 3\0\x10\0\1\1\0@", 22, TYPE_UNKNOWN, "SQLite"},
        {"a.rtf", "{\\rtf1\\ansi hello}", 0, TYPE_UNKNOWN, "RTF"},
        {"a.zip", "PK\3\4\24\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0a.txt", 35,
         TYPE_UNKNOWN, "ZIP archive without"},
        {"a.docx", "PK\3\4\24\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\6\0\0\0xl/a.x", 36,
         TYPE_UNKNOWN, "Excel"},
        {"a.epub", "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\10\0\0\0"
                   "mimetypeapplication/epub+zip", 58, TYPE_UNKNOWN, "EPUB"},
        {"a.bin", "\1\2\3\4\5\6\7abc\0\0\0\0", 14, TYPE_UNKNOWN, "binary"},
    };
    (void)state;
    check(rows, sizeof rows / sizeof *rows);
}

static void test_random_bytes_of_every_length_are_safe(void **state)
{
    uint64_t seed = 7;
    (void)state;

    for (size_t n = 0; n < 3000; n += n < 64 ? 1 : 37) {
        unsigned char *b = malloc(n ? n : 1); /* exact size, so that ASan sees an overrun */
        const char *why;
        for (size_t i = 0; i < n; i++)
            b[i] = (unsigned char)test_rand(&seed);
        if (n >= 4)
            memcpy(b, n % 2 ? "PK\3\4" : "%PDF", 4);
        sniff("x.docx", b, n, &why);
        sniff("x", b, n, NULL);
        free(b);
    }
}

static void test_names_of_types_go_both_ways(void **state)
{
    (void)state;
    for (int t = TYPE_PDF; t <= TYPE_TEXT; t++)
        assert_int_equal(doc_type_of(doc_type_name((enum doc_type)t)), t);
    assert_int_equal(doc_type_of("exe"), TYPE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readable_types),
        cmocka_unit_test(test_foreign_types_say_what_they_are),
        cmocka_unit_test(test_random_bytes_of_every_length_are_safe),
        cmocka_unit_test(test_names_of_types_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
