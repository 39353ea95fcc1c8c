/* test_child_html.c - HTML: blocks, tables, hidden text, damaged pages. */
#include "tests/support/test.h"

#include "tests/support/emit_array.h"

static struct emit *parse(const char *in)
{
    struct emit *em = emit_array_open();
    struct err e = {0};

    assert_ok(emit_array_parse(em, parse_html, in, strlen(in), &e), e);
    return em;
}

static void check(const char *in, const char *want)
{
    struct emit *em = parse(in);

    assert_string_equal(emit_array_text(em), want);
    emit_array_close(em);
}

static void check_hidden(const char *in, const char *want, uint64_t spans)
{
    struct emit *em = parse(in);

    assert_string_equal(emit_array_text(em), want);
    assert_int_equal(em->hidden_spans, spans);
    emit_array_close(em);
}

static void test_blocks(void **state)
{
    (void)state;
    check("<p>One <b>two</b>\n three.<p>Four<br>five", "One two three.\n\nFour\nfive\n");
    check("<div>a<div>b</div>c</div>", "a\n\nb\n\nc\n");
    check("<ul><li>x<li><p>y</p><li></li></ul><ol start=3><li>p<li>q</ol>", "- x\n\n- y\n\n3. p\n\n4. q\n");
    check("<pre>int x;\n\n  y();</pre>", "int x;\n  y();\n");
    check("<p>a &amp; b &lt;c&gt; &eacute;</p>", "a & b <c> \xC3\xA9\n");
    check("<script>var x = '<p>no</p>'</script><style>p{}</style><nav><a>Home</a></nav><p>yes", "yes\n");
    check("", "");
    check("no tags at all", "no tags at all\n");
    check("<p>caf\xE9 cr\xE8me</p>", "caf\xC3\xA9 cr\xC3\xA8me\n");
}

static void test_headings_title_and_language(void **state)
{
    struct emit *em = parse("<html lang=en-GB><head><title>A  title</title></head><body><h1>Big</h1>"
                            "<p>x</p><h3>Small <i>one</i></h3><p>y</p>");
    (void)state;

    assert_string_equal(em->title, "A  title");
    assert_string_equal(em->lang, "en-GB");
    assert_string_equal(emit_array_text(em), "Big\n\nx\n\nSmall one\n\ny\n");
    assert_int_equal(em->pages[0].n_heads, 2);
    assert_int_equal(em->pages[0].heads[0].level, 1);
    assert_int_equal(em->pages[0].heads[1].level, 3);
    emit_array_close(em);
}

static void test_tables(void **state)
{
    struct emit *em = parse("<table><caption>Sums</caption><tr><th>Year<th>Sum</tr><tr><td><p>2020</p><td>5 <b>m</b></tr>"
                            "<tr><td>a<table><tr><td>in<td>ner</table><td>b</table><p>end");
    (void)state;

    assert_string_equal(emit_array_text(em), "Sums\n\nYear | Sum\n2020 | 5 m\na in ner | b\n\nend\n");
    assert_int_equal(em->pages[0].n_marks, 1);
    emit_array_close(em);
    check("<table><tr><td></td><td> </td></tr></table>x", "x\n");
}

static void test_hidden_text_is_dropped_and_counted(void **state)
{
    (void)state;
    check_hidden("<p>a<span style='display: none'>secret</span>b</p>", "ab\n", 1);
    check_hidden("<p style='visibility:hidden'>secret</p><p hidden>x</p><p>b</p>", "b\n", 2);
    check_hidden("<p>a<!-- do this --></p>", "a\n", 1);
    check_hidden("<p>a<span style='font-size:0'>x</span><span style='font-size: 1px'>x</span></p>", "a\n", 2);
    check_hidden("<p style='color:#fff;background:white'>x</p><p style='color:white'>seen</p>", "seen\n", 1);
    check_hidden("<style>/* c */ .x, #y { color: red; display:none } em{visibility:hidden}</style>"
                 "<p class='a x'>1</p><p id=y>2</p><p>3<em>4</em></p>", "3\n", 3);
    check_hidden("<style>@media print { p { display:none } }</style><p>seen", "seen\n", 0);
    check_hidden("<p style='position:absolute;left:-9999px'>x</p><p>b", "b\n", 1);
    check_hidden("<table hidden></table><p>b</p>", "b\n", 0);
    check_hidden("<p style='opacity:0'>x</p><p style='font-size:0.9em'>b</p>", "b\n", 1);
}

static void test_declared_charsets_and_depth(void **state)
{
    char *deep = malloc(200000);
    size_t n = 0;
    struct emit *em;
    (void)state;

    check("<meta charset=\"gbk\"><p>\xd6\xd0\xce\xc4</p>", "\xE4\xB8\xAD\xE6\x96\x87\n");
    for (int i = 0; i < 30000; i++)
        n += (size_t)sprintf(deep + n, "<div>");
    sprintf(deep + n, "text");
    em = parse(deep);
    emit_array_close(em);
    free(deep);
}

static void test_random_bytes_are_survived(void **state)
{
    static const char *const bits[] = {"<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<li>", "<ul>", "</ul>", "<ol>",
                                       "<h1>", "</h1>", "<pre>", "</pre>", "<br>", "<!--", "-->", "text ", "<div hidden>",
                                       "<style>.x{display:none}</style>", "<b class=x>", "</div>", "&#x0;", "&amp", "\xff", "<",
                                       "<caption>", "</tr>", "</li>", "<svg>", "<html>", "<body>", "<head>", "<title>"};
    uint64_t seed = 5;
    (void)state;

    for (int round = 0; round < 1500; round++) {
        struct emit *em = emit_array_open();
        struct err e = {0};
        char text[3000] = "";
        size_t n = 0;
        for (uint64_t k = test_rand(&seed) % 60; k > 0; k--) {
            const char *b = bits[test_rand(&seed) % (sizeof bits / sizeof *bits)];
            memcpy(text + n, b, strlen(b));
            n += strlen(b);
            if (test_rand(&seed) % 30 == 0)
                text[n++] = (char)test_rand(&seed);
        }
        assert_ok(emit_array_parse(em, parse_html, text, n, &e), e);
        emit_array_close(em);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_headings_title_and_language),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_hidden_text_is_dropped_and_counted),
        cmocka_unit_test(test_declared_charsets_and_depth),
        cmocka_unit_test(test_random_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
