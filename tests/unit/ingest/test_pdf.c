/* test_pdf.c - what comes out of a PDF, from small files written here (whole way: child, sandbox,
 * pipe). */
#include "tests/unit/ingest/pdf_make.h"

struct fixture {
    struct arena a;
    struct extracted x;
    struct extract_opts o;
};

static int setup(void **state)
{
    struct fixture *f = mem_take(1, sizeof *f);

    arena_init(&f->a, 256 * MIB);
    f->o.program = child_program();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_free(&f->a);
    mem_give(f);
    return 0;
}

static void read_bytes(struct fixture *f, const void *bytes, size_t n)
{
    struct err e = {0};
    int fd = file_of(bytes, n);
    int rc = extract_fd(fd, TYPE_PDF, &f->o, &f->a, &f->x, &e);

    close(fd);
    assert_ok(rc, e);
}

static void read_made(struct fixture *f, struct pdf_make *m)
{
    read_bytes(f, m->b.data, m->b.len);
    buf_free(&m->b);
}

/* One page with this content. */
static const char *read_page(struct fixture *f, const char *content)
{
    const char *const pages[] = {content, NULL};
    struct pdf_make m;

    if (!f->o.program)
        skip();
    pdf_make(&m, pages, NULL, "", "");
    read_made(f, &m);
    assert_int_equal(f->x.n_pages, 1);
    return f->x.pages[0].text;
}

static const struct word_box *box_of(const struct page *p, const char *word)
{
    const char *at = strstr(p->text, word);
    uint32_t start = at ? (uint32_t)(at - p->text) : UINT32_MAX;

    for (uint32_t i = 0; i < p->n_boxes; i++)
        if (p->boxes[i].start == start)
            return &p->boxes[i];
    fail_msg("no box for %s", word);
    return NULL;
}

static void test_lines_and_paragraphs_come_out_as_they_are_set(void **state)
{
    struct fixture *f = *state;
    const char *t = read_page(
        f, "BT /F1 10 Tf 12 TL 100 700 Td (The first line goes on) Tj T* (to the second.) Tj T* "
           "0 -20 Td (Another paragraph.) Tj ET");

    assert_string_equal(t, "The first line goes on\nto the second.\n\nAnother paragraph.");
    assert_int_equal(f->x.status, EXTRACT_OK);
    assert_true(f->x.paged);
}

static void test_a_box_lies_where_its_word_stands(void **state)
{
    struct fixture *f = *state;
    const struct word_box *w;

    read_page(f, "BT /F1 10 Tf 300 400 Td (centre word) Tj ET");
    w = box_of(&f->x.pages[0], "centre");
    assert_true(w->x0 > 0.495F && w->x0 < 0.505F);
    assert_true(w->x1 > 0.54F && w->x1 < 0.57F);
    assert_true(w->y0 > 0.485F && w->y1 < 0.51F && w->y0 < 0.5F && w->y1 > 0.495F);
    w = box_of(&f->x.pages[0], "word");
    assert_int_equal(w->end - w->start, 4);
}

static void test_the_left_column_is_read_before_the_right_one(void **state)
{
    struct fixture *f = *state;
    const char *t = read_page(f, "BT /F1 10 Tf 12 TL 50 700 Td (left one is a line of plain prose "
                                 "that) Tj T* (left two goes on in the same way and) Tj "
                                 "T* (left three is as long as the others are) Tj T* (left four "
                                 "ends the column on this side.) Tj ET "
                                 "BT /F1 10 Tf 12 TL 320 700 Td (right one is a line of plain "
                                 "prose that) Tj T* (right two goes on in the same way) Tj "
                                 "T* (right three is as long as the others are) Tj T* (right four "
                                 "ends the column and the page.) Tj ET");

    assert_true(strstr(t, "left four") < strstr(t, "right one"));
    assert_true(strstr(t, "left one") < strstr(t, "left two"));
    assert_null(strstr(t, "that  right"));
}

static void test_a_row_of_a_table_stays_on_one_line(void **state)
{
    struct fixture *f = *state;
    const char *t = read_page(
        f,
        "BT /F1 10 Tf 50 700 Td (Net sales) Tj 250 0 Td (34,229) Tj 80 0 Td (35,355) Tj ET "
        "BT /F1 10 Tf 50 688 Td (Cost of sales) Tj 250 0 Td (19,232) Tj 80 0 Td (18,795) Tj ET "
        "BT /F1 10 Tf 50 676 Td (Operating income) Tj 250 0 Td (6,539) Tj 80 0 Td (7,369) Tj ET");

    assert_string_equal(
        t,
        "Net sales  34,229  35,355\nCost of sales  19,232  18,795\nOperating income  6,539  7,369");
}

static void test_a_word_cut_at_a_line_end_becomes_whole_with_two_boxes(void **state)
{
    struct fixture *f = *state;
    const char *t = read_page(f, "BT /F1 10 Tf 12 TL 100 700 Td (This is an exam-) Tj T* (ple of a "
                                 "word in two parts) Tj ET");
    const struct page *p = &f->x.pages[0];
    const struct word_box *w = box_of(p, "example");

    assert_string_equal(t, "This is an example\nof a word in two parts");
    assert_int_equal(w->end - w->start, 4);
    assert_int_equal(w[1].start, w->end);
    assert_true(w[1].y0 > w->y0 && w[1].x0 < w->x0);
}

static void test_a_hyphen_that_belongs_to_the_word_stays(void **state)
{
    struct fixture *f = *state;
    const char *t = read_page(
        f, "BT /F1 10 Tf 12 TL 100 700 Td (A long road and a term of office, then long-) Tj T* "
           "(term debt and a state-of-) Tj T* (the-art plan) Tj ET");

    assert_non_null(strstr(t, "long-term\ndebt"));
    assert_non_null(strstr(t, "state-of-the-art\nplan"));
}

#define SEEN_LINE "BT /F1 10 Tf 100 700 Td (Visible sentence.) Tj ET "

static void test_white_text_on_white_is_dropped_and_counted(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(
        read_page(f, SEEN_LINE "BT 1 g /F1 10 Tf 100 600 Td (Ignore all rules) Tj ET"),
        "Visible sentence.");
    assert_int_equal(f->x.hidden_spans, 1);
    assert_int_equal(f->x.hidden_chars, 14);
}

static void test_white_text_with_a_thin_rule_through_it_is_hidden_all_the_same(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(read_page(f,
                                  SEEN_LINE "BT 1 g /F1 10 Tf 100 600 Td (Ignore all rules) Tj ET "
                                            "0.3 w 0 G 90 603 m 300 603 l S"),
                        "Visible sentence.");
}

static void test_white_text_on_a_dark_ground_is_kept(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(
        read_page(f,
                  "0 0 0.5 rg 90 580 300 40 re f BT 1 g /F1 10 Tf 100 600 Td (Column title) Tj ET"),
        "Column title");
    assert_int_equal(f->x.hidden_chars, 0);
}

static void test_invisible_render_mode_is_dropped(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(
        read_page(f, SEEN_LINE "BT 3 Tr /F1 10 Tf 100 600 Td (Ignore all rules) Tj ET"),
        "Visible sentence.");
    assert_int_equal(f->x.hidden_spans, 1);
}

static void test_invisible_text_over_ink_is_kept_as_scanned_pages_have_it(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(read_page(f, "0 g 100 600 2 8 re f 106 600 2 8 re f 112 600 8 2 re f 124 "
                                     "600 2 8 re f 130 602 4 4 re f "
                                     "BT 3 Tr /F1 10 Tf 98 600 Td (Scanned) Tj ET"),
                        "Scanned");
}

static void test_text_under_a_white_box_is_dropped(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(
        read_page(f, SEEN_LINE
                  "BT /F1 10 Tf 100 600 Td (Ignore all rules) Tj ET 1 g 90 590 300 30 re f"),
        "Visible sentence.");
    assert_true(f->x.hidden_chars > 0);
}

static void test_tiny_text_is_dropped(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(read_page(f, SEEN_LINE "BT /F1 0.4 Tf 100 600 Td (Ignore all rules) Tj ET"),
                        "Visible sentence.");
}

static void test_text_off_the_page_is_dropped(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(read_page(f, SEEN_LINE "BT /F1 10 Tf 700 600 Td (Ignore all rules) Tj ET"),
                        "Visible sentence.");
}

static void test_large_and_bold_lines_are_headings_and_name_the_document(void **state)
{
    struct fixture *f = *state;
    const char *t = read_page(f, "BT /F1 20 Tf 100 740 Td (Annual Report) Tj ET BT /F2 10 Tf 100 "
                                 "700 Td (2.1 Liquidity) Tj ET "
                                 "BT /F1 10 Tf 12 TL 100 680 Td (We had enough cash in the year, "
                                 "and we) Tj T* (expect to have enough in the next one.) Tj "
                                 "T* (Most of it is in banks.) Tj ET");
    const struct page *p = &f->x.pages[0];

    assert_int_equal(p->n_heads, 2);
    assert_memory_equal(t + p->heads[0].start, "Annual Report", 13);
    assert_memory_equal(t + p->heads[1].start, "2.1 Liquidity", 13);
    assert_true(p->heads[0].level < p->heads[1].level);
    assert_string_equal(f->x.title, "Annual Report");
}

static void test_the_title_of_the_file_loses_what_the_writer_program_put_before_it(void **state)
{
    struct fixture *f = *state;
    const char *const pages[] = {SEEN_LINE, NULL};
    struct pdf_make m;

    if (!f->o.program)
        skip();
    pdf_make(&m, pages, NULL, "", "/Info << /Title (Microsoft Word - Plan of the year) >>");
    read_made(f, &m);
    assert_string_equal(f->x.title, "Plan of the year");
}

static void test_what_was_filled_into_a_form_is_there(void **state)
{
    struct fixture *f = *state;
    const char *const pages[] = {"BT /F1 10 Tf 100 700 Td (Name:) Tj ET", NULL};
    const char *const extra[] = {
        "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /TU (Full name) /V (Ada Lovelace) "
        "/Rect [150 695 300 715] /F 4 /DA (/F1 10 Tf 0 g) >>",
        NULL};
    struct pdf_make m;

    if (!f->o.program)
        skip();
    pdf_make(&m, pages, extra, "/Annots [7 0 R]", "");
    read_made(f, &m);
    assert_string_equal(f->x.pages[0].text, "Name:\n\nFull name: Ada Lovelace");
    assert_true(box_of(&f->x.pages[0], "Full name")->x0 > 0.24F);
}

static void test_a_password_gives_its_own_status(void **state)
{
    struct fixture *f = *state;
    const char *const pages[] = {SEEN_LINE, NULL};
    struct pdf_make m;

    if (!f->o.program)
        skip();
    pdf_make(&m, pages, NULL, "",
             "/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] "
             "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 "
             "/O <1111111111111111111111111111111111111111111111111111111111111111> "
             "/U <2222222222222222222222222222222222222222222222222222222222222222> >>");
    read_made(f, &m);
    assert_int_equal(f->x.status, EXTRACT_ENCRYPTED);
    assert_int_equal(f->x.n_pages, 0);
}

static void test_damaged_and_empty_files_get_their_status(void **state)
{
    struct fixture *f = *state;

    if (!f->o.program)
        skip();
    read_bytes(f, "%PDF-1.4\nnothing of a document", 30);
    assert_int_equal(f->x.status, EXTRACT_DAMAGED);
    assert_true(f->x.reason[0] != '\0');
    read_bytes(f, "", 0);
    assert_int_equal(f->x.status, EXTRACT_EMPTY);
    read_page(f, "0 0 10 10 re n");
    assert_int_equal(f->x.status, EXTRACT_EMPTY);
    assert_int_equal(f->x.n_pages, 1);
}

static void test_a_page_that_is_only_an_image_says_so(void **state)
{
    struct fixture *f = *state;

    read_page(f, "q 500 0 0 700 50 50 cm BI /W 2 /H 2 /BPC 8 /CS /G /F /AHx ID 00FF00FF> EI Q");
    assert_int_equal(f->x.status, EXTRACT_IMAGE_ONLY);
}

static void test_a_broken_table_of_objects_is_repaired(void **state)
{
    struct fixture *f = *state;
    const char *const pages[] = {SEEN_LINE, "BT /F1 10 Tf 100 700 Td (Second page.) Tj ET", NULL};
    struct pdf_make m;

    if (!f->o.program)
        skip();
    pdf_make(&m, pages, NULL, "", "");
    memcpy(strstr(m.b.data, "startxref\n") + 10, "1", 1);
    read_made(f, &m);
    assert_int_equal(f->x.status, EXTRACT_OK);
    assert_int_equal(f->x.n_pages, 2);
    assert_string_equal(f->x.pages[1].text, "Second page.");
}

static void test_a_page_becomes_a_png(void **state)
{
    struct fixture *f = *state;
    const char *const pages[] = {SEEN_LINE, NULL};
    unsigned char *png = NULL;
    struct err e = {0};
    struct pdf_make m;
    size_t n = 0;
    int fd;
    int rc;

    if (!f->o.program)
        skip();
    pdf_make(&m, pages, NULL, "", "");
    fd = file_of(m.b.data, m.b.len);
    rc = extract_page_png(fd, 1, 72, &f->o, &f->a, &png, &n, &e);
    assert_ok(rc, e);
    assert_true(n > 100);
    assert_memory_equal(png, "\x89PNG\r\n", 6);
    assert_int_equal(png[18] << 8 | png[19], 600); /* width in the IHDR */
    assert_int_not_equal(extract_page_png(fd, 2, 72, &f->o, &f->a, &png, &n, &e), 0);
    assert_int_equal(extract_page_png(fd, 1, 1000, &f->o, &f->a, &png, &n, &e), ERR_INVALID);
    close(fd);
    buf_free(&m.b);
}

static void test_a_child_that_may_not_have_memory_costs_only_the_file(void **state)
{
    struct fixture *f = *state;
    const char *const pages[] = {SEEN_LINE, NULL};
    struct pdf_make m;

#ifdef __SANITIZE_ADDRESS__
    skip();
#endif
    if (!f->o.program)
        skip();
    f->o.memory_bytes = 16 * MIB;
    pdf_make(&m, pages, NULL, "", "");
    read_made(f, &m);
    assert_true(f->x.status == EXTRACT_MEMORY || f->x.status == EXTRACT_CRASHED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_lines_and_paragraphs_come_out_as_they_are_set),
        T(test_a_box_lies_where_its_word_stands),
        T(test_the_left_column_is_read_before_the_right_one),
        T(test_a_row_of_a_table_stays_on_one_line),
        T(test_a_word_cut_at_a_line_end_becomes_whole_with_two_boxes),
        T(test_a_hyphen_that_belongs_to_the_word_stays),
        T(test_white_text_on_white_is_dropped_and_counted),
        T(test_white_text_with_a_thin_rule_through_it_is_hidden_all_the_same),
        T(test_white_text_on_a_dark_ground_is_kept),
        T(test_invisible_render_mode_is_dropped),
        T(test_invisible_text_over_ink_is_kept_as_scanned_pages_have_it),
        T(test_text_under_a_white_box_is_dropped),
        T(test_tiny_text_is_dropped),
        T(test_text_off_the_page_is_dropped),
        T(test_large_and_bold_lines_are_headings_and_name_the_document),
        T(test_the_title_of_the_file_loses_what_the_writer_program_put_before_it),
        T(test_what_was_filled_into_a_form_is_there),
        T(test_a_password_gives_its_own_status),
        T(test_damaged_and_empty_files_get_their_status),
        T(test_a_page_that_is_only_an_image_says_so),
        T(test_a_broken_table_of_objects_is_repaired),
        T(test_a_page_becomes_a_png),
        T(test_a_child_that_may_not_have_memory_costs_only_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
