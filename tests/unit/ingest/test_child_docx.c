/* test_child_docx.c - Word documents made here, whole, damaged and hostile. */
#include "tests/support/test.h"

#include <archive.h>
#include <archive_entry.h>

#include "base/buf.h"
#include "base/limits.h"
#include "tests/support/emit_array.h"

#define NS "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\""
#define DOC(body) "<?xml version=\"1.0\"?><w:document " NS "><w:body>" body "</w:body></w:document>"
#define R(text) "<w:r><w:t xml:space=\"preserve\">" text "</w:t></w:r>"
#define P(text) "<w:p>" R(text) "</w:p>"
#define RP(props, text) "<w:r><w:rPr>" props "</w:rPr><w:t>" text "</w:t></w:r>"

struct zip {
    struct archive *a;
    char *bytes;
    size_t *used; /* libarchive writes it until the end */
};

static struct zip zip_begin(void)
{
    struct zip z = {archive_write_new(), malloc(4 << 20), calloc(1, sizeof(size_t))};

    archive_write_set_format_zip(z.a);
    archive_write_set_bytes_per_block(z.a, 1);
    archive_write_open_memory(z.a, z.bytes, 4 << 20, z.used);
    return z;
}

static void zip_add(struct zip *z, const char *name, const char *text, size_t n)
{
    struct archive_entry *e = archive_entry_new();

    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)n);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    assert_int_equal(archive_write_header(z->a, e), ARCHIVE_OK);
    archive_write_data(z->a, text, n);
    archive_entry_free(e);
}

static struct emit *zip_parse(struct zip *z)
{
    struct emit *em = emit_array_open();
    struct err e = {0};

    archive_write_close(z->a);
    archive_write_free(z->a);
    assert_ok(emit_array_parse(em, parse_docx, z->bytes, *z->used, &e), e);
    free(z->bytes);
    free(z->used);
    return em;
}

static struct emit *parse(const char *document, const char *styles)
{
    struct zip z = zip_begin();

    zip_add(&z, "[Content_Types].xml", "<Types/>", 8);
    zip_add(&z, "word/document.xml", document, strlen(document));
    if (styles)
        zip_add(&z, "word/styles.xml", styles, strlen(styles));
    zip_add(&z, "docProps/core.xml", "<c><title>The Lease</title></c>", 31);
    return zip_parse(&z);
}

static void check(const char *document, const char *want, uint64_t hidden)
{
    struct emit *em = parse(document, NULL);

    assert_int_equal(em->status, EXTRACT_OK);
    assert_string_equal(emit_array_text(em), want);
    assert_int_equal(em->hidden_spans, hidden);
    emit_array_close(em);
}

static void test_paragraphs_lists_and_breaks(void **state)
{
    (void)state;
    check(DOC("<w:p>" R("One ") R("two") "<w:r><w:tab/><w:t>x</w:t><w:br/><w:t>y</w:t></w:r></w:p><w:p/>" P("Three")),
          "One two x\ny\n\nThree\n", 0);
    check(DOC("<w:p><w:pPr><w:numPr><w:numId w:val=\"7\"/></w:numPr></w:pPr>" R("item") "</w:p>"), "- item\n", 0);
    check(DOC("<w:p><w:hyperlink>" R("link") "</w:hyperlink><w:ins>" R(" new") "</w:ins><w:del><w:r><w:delText>old</w:delText>"
              "</w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"), "link new\n", 0);
    check(DOC("<w:p><w:r><mc:AlternateContent xmlns:mc=\"m\"><mc:Choice><w:txbxContent>" P("box") "</w:txbxContent></mc:Choice>"
              "<mc:Fallback><w:txbxContent>" P("box") "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r>" R("around") "</w:p>"),
          "box\n\naround\n", 0);
}

static void test_headings_come_from_styles(void **state)
{
    struct emit *em = parse(
        DOC("<w:p><w:pPr><w:pStyle w:val=\"T\"/></w:pPr>" R("Doc") "</w:p><w:p><w:pPr><w:pStyle w:val=\"H2\"/></w:pPr>" R("Head")
            "</w:p>" P("text") "<w:p><w:pPr><w:pStyle w:val=\"Mine\"/></w:pPr>" R("Own") "</w:p>"
            "<w:p><w:pPr><w:outlineLvl w:val=\"2\"/></w:pPr>" R("Level") "</w:p>"),
        "<w:styles " NS "><w:style w:styleId=\"H2\"><w:name w:val=\"heading 2\"/></w:style>"
        "<w:style w:styleId=\"Mine\"><w:basedOn w:val=\"H2\"/></w:style>"
        "<w:style w:styleId=\"T\"><w:name w:val=\"Title\"/></w:style></w:styles>");
    (void)state;

    assert_string_equal(emit_array_text(em), "Doc\n\nHead\n\ntext\n\nOwn\n\nLevel\n");
    assert_int_equal(em->pages[0].n_heads, 4);
    assert_int_equal(em->pages[0].heads[0].level, 1);
    assert_int_equal(em->pages[0].heads[1].level, 2);
    assert_int_equal(em->pages[0].heads[2].level, 2);
    assert_int_equal(em->pages[0].heads[3].level, 3);
    assert_string_equal(em->title, "Doc");
    emit_array_close(em);
}

#define N(num, lvl, text) "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"" lvl "\"/><w:numId w:val=\"" num "\"/></w:numPr></w:pPr>" R(text) "</w:p>"
#define LVL(i, start, fmt, text) "<w:lvl w:ilvl=\"" i "\"><w:start w:val=\"" start "\"/><w:numFmt w:val=\"" fmt "\"/><w:lvlText w:val=\"" text "\"/>"

static void test_numbers_stand_before_their_paragraphs(void **state)
{
    const char *document = DOC("<w:p><w:pPr><w:pStyle w:val=\"H\"/></w:pPr>" R("Head") "</w:p>" N("1", "1", "Rent") N("1", "1", "Term")
                               N("1", "2", "first") N("1", "2", "second") "<w:p><w:pPr><w:pStyle w:val=\"H\"/></w:pPr>" R("Next") "</w:p>"
                               N("1", "1", "Again") N("2", "1", "Restart") N("3", "0", "bullet") N("0", "0", "plain") N("4", "0", "cn"));
    const char *numbering = "<w:numbering " NS "><w:abstractNum w:abstractNumId=\"0\">" LVL("0", "3", "upperRoman", "Article %1")
        "<w:pStyle w:val=\"H\"/></w:lvl>" LVL("1", "1", "decimal", "%1.%2") "</w:lvl>" LVL("2", "1", "lowerLetter", "(%3)") "</w:lvl></w:abstractNum>"
        "<w:abstractNum w:abstractNumId=\"1\">" LVL("0", "1", "bullet", "o") "</w:lvl></w:abstractNum>"
        "<w:abstractNum w:abstractNumId=\"2\">" LVL("0", "21", "chineseCounting", "\xE7\xAC\xAC%1\xE6\x9D\xA1") "</w:lvl></w:abstractNum>"
        "<w:num w:numId=\"1\"><w:abstractNumId w:val=\"0\"/></w:num><w:num w:numId=\"2\"><w:abstractNumId w:val=\"0\"/><w:lvlOverride w:ilvl=\"1\">"
        "<w:startOverride w:val=\"5\"/></w:lvlOverride></w:num><w:num w:numId=\"3\"><w:abstractNumId w:val=\"1\"/></w:num>"
        "<w:num w:numId=\"4\"><w:abstractNumId w:val=\"2\"/></w:num></w:numbering>";
    const char *styles = "<w:styles " NS "><w:style w:styleId=\"H\"><w:name w:val=\"heading 1\"/><w:pPr><w:numPr><w:numId w:val=\"1\"/></w:numPr></w:pPr>"
                         "</w:style></w:styles>";
    struct zip z = zip_begin();
    struct emit *em;
    (void)state;

    zip_add(&z, "word/document.xml", document, strlen(document));
    zip_add(&z, "word/styles.xml", styles, strlen(styles));
    zip_add(&z, "word/numbering.xml", numbering, strlen(numbering));
    em = zip_parse(&z);
    assert_string_equal(emit_array_text(em),
                        "Article III Head\n\nIII.1 Rent\n\nIII.2 Term\n\n(a) first\n\n(b) second\n\nArticle IV Next\n\nIV.1 Again\n\n"
                        "IV.5 Restart\n\n- bullet\n\nplain\n\n\xE7\xAC\xAC\xE4\xBA\x8C\xE5\x8D\x81\xE4\xB8\x80\xE6\x9D\xA1 cn\n");
    assert_int_equal(em->pages[0].n_heads, 2);
    emit_array_close(em);
}

static void test_tables_become_rows(void **state)
{
    (void)state;
    check(DOC("<w:tbl><w:tr><w:tc>" P("Year") "</w:tc><w:tc>" P("Sum") "</w:tc></w:tr><w:tr><w:tc>" P("2020") "</w:tc><w:tc>" P("5")
              P("and 6") "</w:tc></w:tr><w:tr><w:tc><w:p/></w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl>" P("end")),
          "Year | Sum\n2020 | 5 and 6\n\nend\n", 0);
}

static void test_hidden_runs_are_dropped_and_counted(void **state)
{
    struct emit *em;
    (void)state;

    check(DOC("<w:p>" R("a ") RP("<w:vanish/>", "secret") RP("<w:vanish/>", "more") R("b ") RP("<w:vanish w:val=\"0\"/>", "c") "</w:p>"),
          "a b c\n", 1);
    check(DOC("<w:p>" R("a") RP("<w:sz w:val=\"2\"/>", "tiny") RP("<w:color w:val=\"FFFFFF\"/>", "white")
              RP("<w:color w:val=\"FFFFFF\"/><w:shd w:fill=\"000000\"/>", " seen") "</w:p>"), "a seen\n", 1);
    em = parse(DOC("<w:p><w:pPr><w:pStyle w:val=\"V\"/></w:pPr>" R("secret") "</w:p><w:p>" RP("<w:rStyle w:val=\"C\"/>", "secret") R("b")
                   "</w:p>"),
               "<w:styles " NS "><w:style w:styleId=\"B\"><w:rPr><w:vanish/></w:rPr></w:style>"
               "<w:style w:styleId=\"V\"><w:basedOn w:val=\"B\"/></w:style><w:style w:styleId=\"C\"><w:rPr><w:vanish/></w:rPr></w:style></w:styles>");
    assert_string_equal(emit_array_text(em), "b\n");
    assert_int_equal(em->hidden_spans, 2);
    assert_int_equal(em->hidden_chars, 12);
    assert_string_equal(em->title, "The Lease");
    emit_array_close(em);
}

static void check_status(struct zip *z, enum extract_status want, const char *why)
{
    struct emit *em = zip_parse(z);

    if (em->status != want)
        print_error("%s: %s\n", extract_status_name(em->status), em->reason);
    assert_int_equal(em->status, want);
    assert_non_null(strstr(em->reason, why));
    emit_array_close(em);
}

static void test_hostile_archives_get_a_status(void **state)
{
    struct zip z = zip_begin();
    char *big = calloc(1, 32 << 20);
    size_t n;
    (void)state;

    zip_add(&z, "a.txt", "x", 1);
    check_status(&z, EXTRACT_UNSUPPORTED, "without word/document.xml");
    z = zip_begin();
    memset(big, ' ', 32 << 20);
    memcpy(big, "<w:d>", 5);
    zip_add(&z, "word/document.xml", big, 32 << 20);
    check_status(&z, EXTRACT_TOO_LARGE, "100 times");
    z = zip_begin();
    n = (size_t)sprintf(big, "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><x>&b;</x>");
    zip_add(&z, "word/document.xml", big, n);
    check_status(&z, EXTRACT_DAMAGED, "DOCTYPE");
    z = zip_begin();
    n = 0;
    for (int i = 0; i < 5000; i++)
        n += (size_t)sprintf(big + n, "<w:p>");
    zip_add(&z, "word/document.xml", big, n);
    check_status(&z, EXTRACT_DAMAGED, "XML");
    z = zip_begin();
    n = (size_t)sprintf(big, "%s", DOC(P("kept") "<w:p><w:t"));
    zip_add(&z, "word/document.xml", big, n);
    check_status(&z, EXTRACT_DAMAGED, "damaged");
    free(big);
}

static void test_damaged_bytes_are_survived(void **state)
{
    const char *document = DOC("<w:p>" R("One ") R("two") "</w:p>" P("Three"));
    struct zip z = zip_begin();
    uint64_t seed = 77;
    (void)state;

    zip_add(&z, "word/document.xml", document, strlen(document));
    zip_add(&z, "word/styles.xml", "<w:styles/>", 11);
    archive_write_close(z.a);
    archive_write_free(z.a);
    for (int round = 0; round < 600; round++) {
        struct emit *em = emit_array_open();
        struct err e = {0};
        size_t n = round % 2 ? *z.used : test_rand(&seed) % *z.used;
        char *copy = malloc(*z.used);
        memcpy(copy, z.bytes, *z.used);
        for (int k = 0; round % 2 && k < 4; k++)
            copy[test_rand(&seed) % *z.used] = (char)test_rand(&seed);
        assert_ok(emit_array_parse(em, parse_docx, copy, n, &e), e);
        emit_array_close(em);
        free(copy);
    }
    free(z.bytes);
    free(z.used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paragraphs_lists_and_breaks),
        cmocka_unit_test(test_headings_come_from_styles),
        cmocka_unit_test(test_numbers_stand_before_their_paragraphs),
        cmocka_unit_test(test_tables_become_rows),
        cmocka_unit_test(test_hidden_runs_are_dropped_and_counted),
        cmocka_unit_test(test_hostile_archives_get_a_status),
        cmocka_unit_test(test_damaged_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
