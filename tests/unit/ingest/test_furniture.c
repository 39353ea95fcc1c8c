/* test_furniture.c - running lines are marked, text is not. */
#include "tests/support/test.h"

#include "ingest/ingest.h"

static struct extracted make(struct arena *a, uint32_t n)
{
    struct extracted x = {0};

    x.paged = 1;
    x.n_pages = n;
    x.pages = arena_zero(a, n, sizeof *x.pages);
    for (uint32_t i = 0; i < n; i++)
        x.pages[i].number = i + 1;
    return x;
}

static void set_text(struct page *p, char *text)
{
    p->text = text;
    p->n_text = (uint32_t)strlen(text);
}

static void assert_marked(const struct page *p, uint32_t i, const char *want, int kind)
{
    char got[256] = "";

    assert_true(i < p->n_marks);
    memcpy(got, p->text + p->marks[i].start, p->marks[i].end - p->marks[i].start);
    assert_string_equal(got, want);
    assert_int_equal(p->marks[i].kind, kind);
}

static void test_header_and_page_number_are_marked(void **state)
{
    struct arena a;
    struct err e = {0};
    struct extracted x;
    (void)state;

    arena_init(&a, 1 << 20);
    x = make(&a, 6);
    for (uint32_t i = 0; i < 6; i++)
        set_text(&x.pages[i],
                 arena_printf(&a, "ACME Annual Report %u\nThe %c text of a page.\nMore %c text.\n\n%u\n",
                              2020 + i, 'a' + (int)i, 'k' + (int)i, i + 40));
    assert_ok(furniture_mark(&x, &a, &e), e);
    for (uint32_t i = 0; i < 6; i++) {
        char want[64];
        assert_int_equal(x.pages[i].n_marks, 2);
        snprintf(want, sizeof want, "ACME Annual Report %u", 2020 + i);
        assert_marked(&x.pages[i], 0, want, MARK_HEADER);
        snprintf(want, sizeof want, "%u", i + 40);
        assert_marked(&x.pages[i], 1, want, MARK_FOOTER);
    }
    arena_free(&a);
}

static void test_headers_that_alternate_or_change_are_found(void **state)
{
    struct arena a;
    struct err e = {0};
    struct extracted x;
    (void)state;

    arena_init(&a, 1 << 20);
    x = make(&a, 12);
    for (uint32_t i = 0; i < 12; i++)
        set_text(&x.pages[i],
                 arena_printf(&a, "%s\nBody %c has words.\n",
                              i % 2 ? (i < 6 ? "Chapter One" : "Chapter Two") : "The Book",
                              'a' + (int)i));
    assert_ok(furniture_mark(&x, &a, &e), e);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(x.pages[i].n_marks, 1);
    arena_free(&a);
}

static void test_text_is_not_marked(void **state)
{
    struct arena a;
    struct err e = {0};
    struct extracted x;
    (void)state;

    arena_init(&a, 1 << 20);
    x = make(&a, 5);
    for (uint32_t i = 0; i < 5; i++) /* numbers that do not go up with the pages; a title that moves */
        set_text(&x.pages[i], arena_printf(&a, "Page of %c words.\nSum\n%u\n", 'a' + (int)i,
                                           100 + i * i * 7));
    assert_ok(furniture_mark(&x, &a, &e), e);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(x.pages[i].n_marks, 0);
    x = make(&a, 2); /* too few pages */
    set_text(&x.pages[0], arena_strdup(&a, "Same\na\n"));
    set_text(&x.pages[1], arena_strdup(&a, "Same\nb\n"));
    assert_ok(furniture_mark(&x, &a, &e), e);
    assert_int_equal(x.pages[0].n_marks, 0);
    x = make(&a, 4); /* no text at all */
    for (uint32_t i = 0; i < 4; i++)
        set_text(&x.pages[i], arena_strdup(&a, i % 2 ? "\n \n" : ""));
    assert_ok(furniture_mark(&x, &a, &e), e);
    arena_free(&a);
}

static void test_a_title_at_another_height_is_no_header(void **state)
{
    struct arena a;
    struct err e = {0};
    struct extracted x;
    (void)state;

    arena_init(&a, 1 << 20);
    x = make(&a, 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct word_box *b = arena_zero(&a, 1, sizeof *b);
        set_text(&x.pages[i], arena_printf(&a, "Harbor Lease\nBody %c.\n", 'a' + (int)i));
        *b = (struct word_box){0, 6, 0.1f, i ? 0.05f : 0.3f, 0.2f, i ? 0.06f : 0.35f};
        x.pages[i].boxes = b;
        x.pages[i].n_boxes = 1;
    }
    assert_ok(furniture_mark(&x, &a, &e), e);
    assert_int_equal(x.pages[0].n_marks, 0);
    for (uint32_t i = 1; i < 4; i++)
        assert_int_equal(x.pages[i].n_marks, 1);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_and_page_number_are_marked),
        cmocka_unit_test(test_headers_that_alternate_or_change_are_found),
        cmocka_unit_test(test_text_is_not_marked),
        cmocka_unit_test(test_a_title_at_another_height_is_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
