/* test_chunk.c - borders, sections and sizes of chunks. */
#include "tests/support/test.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "ingest/ingest.h"

/* A page in which lines that begin with '#' are headings (level: how many). The marks stay. */
static void set_page(struct arena *a, struct page *p, uint32_t number, const char *text)
{
    uint32_t at = 0;

    memset(p, 0, sizeof *p);
    p->number = number;
    p->text = arena_strdup(a, text);
    p->n_text = (uint32_t)strlen(text);
    p->heads = arena_zero(a, 64, sizeof *p->heads);
    while (at < p->n_text) {
        uint32_t end = at + (uint32_t)strcspn(text + at, "\n"), level = 0;
        while (text[at + level] == '#')
            level++;
        if (level)
            p->heads[p->n_heads++] = (struct heading){at + level + 1, end, (uint8_t)level};
        for (uint32_t i = at; i < at + level; i++)
            p->text[i] = ' ';
        at = end + 1;
    }
}

static uint32_t words(void *arg, const char *text, size_t n)
{
    uint32_t k = 0;

    if (arg)
        *(uint64_t *)arg += n;
    for (size_t i = 0; i < n; i++)
        k += text[i] != ' ' && text[i] != '\n' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\n');
    return k;
}

struct fixture {
    struct arena a;
    struct err e;
    struct page pages[8];
    struct extracted x;
    struct chunk *c;
    uint32_t n;
};

static struct fixture *open_pages(const char *const *texts)
{
    struct fixture *f = calloc(1, sizeof *f);

    arena_init(&f->a, 64 << 20);
    f->x.pages = f->pages;
    f->x.paged = 1;
    for (; *texts; texts++, f->x.n_pages++)
        set_page(&f->a, &f->pages[f->x.n_pages], f->x.n_pages + 1, *texts);
    return f;
}

static void run(struct fixture *f, uint32_t target, uint32_t most, uint64_t *counted)
{
    struct chunk_opts o = {target, most, words, counted};

    assert_ok(chunk_pages(&f->x, &o, &f->a, &f->c, &f->n, &f->e), f->e);
    for (uint32_t i = 0; i < f->n; i++) { /* what always holds */
        const struct chunk *c = &f->c[i];
        const struct page *p = &f->x.pages[c->page];
        assert_true(c->start < c->end && c->end <= p->n_text);
        assert_true(c->n_tokens <= most);
        assert_int_equal(c->n_tokens, words(NULL, p->text + c->start, c->end - c->start));
        if (i && f->c[i - 1].page == c->page)
            assert_true(f->c[i - 1].end <= c->start);
        else if (i)
            assert_true(f->c[i - 1].page < c->page);
    }
}

static void close_pages(struct fixture *f)
{
    arena_free(&f->a);
    free(f);
}

static void assert_chunk(const struct fixture *f, uint32_t i, const char *section, const char *text)
{
    const struct chunk *c = &f->c[i];
    char got[4096] = "";

    assert_true(i < f->n);
    memcpy(got, f->x.pages[c->page].text + c->start, c->end - c->start);
    assert_string_equal(got, text);
    assert_string_equal(c->section, section);
}

static void test_sections_follow_headings_over_pages(void **state)
{
    const char *const texts[] = {"Before.\n\n# Part I\n\n## Rent\nIt is due.\n",
                                 "It is paid monthly.\n\n## Term\nThree years.\n\n# Part II\nEnd.", NULL};
    struct fixture *f = open_pages(texts);
    (void)state;

    run(f, 20, 40, NULL);
    assert_int_equal(f->n, 5);
    assert_chunk(f, 0, "", "Before.");
    assert_chunk(f, 1, "Part I > Rent", "It is due.");
    assert_chunk(f, 2, "Part I > Rent", "It is paid monthly.");
    assert_chunk(f, 3, "Part I > Term", "Three years.");
    assert_chunk(f, 4, "Part II", "End.");
    close_pages(f);
}

static void test_a_heading_with_nothing_under_it_is_a_chunk(void **state)
{
    const char *const texts[] = {"# Guide\n\n## Empty one\n\n## Full one\ntext here\n\n# Last", NULL};
    struct fixture *f = open_pages(texts);
    (void)state;

    run(f, 20, 40, NULL);
    assert_int_equal(f->n, 3);
    assert_chunk(f, 0, "Guide", "Empty one");
    assert_chunk(f, 1, "Guide > Full one", "text here");
    assert_chunk(f, 2, "", "Last");
    close_pages(f);
}

static void test_paragraphs_are_packed_and_long_ones_cut_at_sentences(void **state)
{
    const char *const texts[] = {
        "One two three.\n\nFour five six.\n\nSeven eight nine ten.\n\n"
        "Aa bb cc dd ee. Ff gg hh ii jj. Kk ll mm nn oo. Pp qq rr ss tt. Zz.", NULL};
    struct fixture *f = open_pages(texts);
    (void)state;

    run(f, 10, 12, NULL);
    assert_chunk(f, 0, "", "One two three.\n\nFour five six.\n\nSeven eight nine ten.");
    assert_chunk(f, 1, "", "Aa bb cc dd ee. Ff gg hh ii jj.");
    assert_chunk(f, 2, "", "Kk ll mm nn oo. Pp qq rr ss tt. Zz."); /* the tail joined */
    assert_int_equal(f->n, 3);
    run(f, 10, 10, NULL); /* there is no room for it */
    assert_chunk(f, f->n - 1, "", "Zz.");
    close_pages(f);
}

static void test_a_sentence_without_end_is_cut_at_words(void **state)
{
    char text[6000] = "";
    const char *texts[] = {text, NULL};
    struct fixture *f;
    (void)state;

    for (int i = 0; i < 500; i++)
        strcat(text, i % 7 ? "word " : "longerword ");
    f = open_pages(texts);
    run(f, 40, 50, NULL);
    assert_true(f->n >= 10 && f->n <= 15);
    for (uint32_t i = 0; i < f->n; i++)
        assert_true(f->c[i].start == 0 || text[f->c[i].start - 1] == ' ');
    close_pages(f);
    memset(text, 'x', sizeof text - 1); /* and one without words, by the estimate */
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xE4\xB8\xAD", 3);
    f = open_pages(texts);
    {
        struct chunk_opts o = {40, 50, NULL, NULL};
        assert_ok(chunk_pages(&f->x, &o, &f->a, &f->c, &f->n, &f->e), f->e);
    }
    assert_true(f->n >= 40);
    for (uint32_t i = 0; i < f->n; i++) {
        assert_true(f->c[i].n_tokens <= 50);
        assert_int_equal(utf8_valid(text + f->c[i].start, 3), 3);
    }
    close_pages(f);
}

static void test_furniture_is_in_no_chunk_and_rows_stay_whole(void **state)
{
    const char *const texts[] = {"Head line\n\nText of the page.\n\nYear | Sum | Part\n2020 | 5 | a\n"
                                 "2021 | 6 | b\n2022 | 7 | c\n\n17\n", NULL};
    struct fixture *f = open_pages(texts);
    struct page *p = &f->pages[0];
    struct mark m[3] = {{0, 9, MARK_HEADER}, {30, 0, MARK_TABLE}, {0, 0, MARK_FOOTER}};
    (void)state;

    m[1].start = (uint32_t)(strstr(p->text, "Year") - p->text);
    m[1].end = (uint32_t)(strstr(p->text, "\n\n17") - p->text);
    m[2].start = m[1].end + 2;
    m[2].end = m[2].start + 2;
    p->marks = m;
    p->n_marks = 3;
    run(f, 10, 12, NULL);
    assert_int_equal(f->n, 3);
    assert_chunk(f, 0, "", "Text of the page.\n\nYear | Sum | Part");
    assert_chunk(f, 1, "", "2020 | 5 | a\n2021 | 6 | b");
    assert_chunk(f, 2, "", "2022 | 7 | c");
    close_pages(f);
}

static void test_counting_is_linear_and_fast(void **state)
{
    char *text = calloc(1, 3200);
    const char *texts[] = {text, NULL};
    struct page *pages = calloc(1000, sizeof *pages);
    uint64_t counted = 0;
    struct fixture *f;
    double t0;
    (void)state;

    for (int i = 0; strlen(text) < 3000; i++)
        strcat(text, i % 20 == 19 ? "The end of it.\n\n"
                     : i % 4 == 3 ? "There are some words, Mr. Smith, in\na line. " : "Short ones also are. ");
    f = open_pages(texts);
    for (int i = 0; i < 1000; i++) {
        pages[i] = f->pages[0];
        pages[i].number = (uint32_t)i + 1;
    }
    f->x.pages = pages;
    f->x.n_pages = 1000;
    t0 = clock_ms();
    run(f, 100, 200, &counted);
    print_message("1000 pages, %u chunks: %.0f ms, %.2f bytes counted a byte\n", f->n,
                  clock_ms() - t0, (double)counted / (1000.0 * (double)strlen(text)));
    assert_true(counted < 4 * 1000 * (uint64_t)strlen(text));
    close_pages(f);
    free(pages);
    free(text);
}

static void test_random_pages_keep_the_promises(void **state)
{
    static const char *const bits[] = {"word ", "Mr. ", "end. ", "\n", "\n\n", "# Head\n", "## Sub\n",
                                       "- item\n", "a | b\n", "\xE3\x80\x82", "\xE4\xB8\xAD", "* ", "\xff"};
    uint64_t seed = 9;
    (void)state;

    for (int round = 0; round < 1500; round++) {
        char text[2][800];
        const char *texts[] = {text[0], text[1], NULL};
        struct fixture *f;
        for (int p = 0; p < 2; p++) {
            text[p][0] = '\0';
            for (uint64_t k = test_rand(&seed) % 90; k > 0; k--)
                strcat(text[p], bits[test_rand(&seed) % (sizeof bits / sizeof *bits)]);
            for (char *h = strchr(text[p], '#'); h; h = strchr(h + 1, '#')) /* heads begin lines */
                if (h > text[p] && h[-1] != '\n' && h[-1] != '#')
                    *h = 'x';
        }
        f = open_pages(texts);
        run(f, 8 + (uint32_t)(test_rand(&seed) % 20), 30, NULL);
        close_pages(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_follow_headings_over_pages),
        cmocka_unit_test(test_a_heading_with_nothing_under_it_is_a_chunk),
        cmocka_unit_test(test_paragraphs_are_packed_and_long_ones_cut_at_sentences),
        cmocka_unit_test(test_a_sentence_without_end_is_cut_at_words),
        cmocka_unit_test(test_furniture_is_in_no_chunk_and_rows_stay_whole),
        cmocka_unit_test(test_counting_is_linear_and_fast),
        cmocka_unit_test(test_random_pages_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
