/* test_extract.c - the parser child taken for hostile: frames of nonsense, a child that hangs, dies
 * or goes on writing. The hostile child is a shell script that writes a prepared file. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ingest/extract_wire.h"
#include "tests/unit/ingest/pdf_make.h"

struct fixture {
    struct arena a;
    struct buf frames;
    char *dir;
    char script[4200];
    struct extract_opts o;
    struct extracted x;
    enum doc_type type;
};

static int setup(void **state)
{
    struct fixture *f = mem_take(1, sizeof *f);

    arena_init(&f->a, GIB);
    buf_init(&f->frames, 256 * MIB);
    f->dir = test_mkdir();
    snprintf(f->script, sizeof f->script, "%s/child", f->dir);
    f->type = TYPE_TEXT;
    f->o = (struct extract_opts){.program = f->script, .deadline_s = 20, .stall_s = 10};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_free(&f->frames);
    arena_free(&f->a);
    test_rmdir(f->dir);
    mem_give(f->dir);
    mem_give(f);
    return 0;
}

static void put_frame(struct fixture *f, unsigned type, const void *payload, size_t n)
{
    buf_u8(&f->frames, (uint8_t)type);
    buf_u32le(&f->frames, (uint32_t)n);
    buf_add(&f->frames, payload, n);
}

static void put_page(struct fixture *f, const struct page *p)
{
    struct buf b;

    buf_init(&b, LIM_FRAME);
    assert_int_equal(wire_put_page(&b, p), 0);
    put_frame(f, FRAME_PAGE, b.data, b.len);
    buf_free(&b);
}

static const struct page plain = {
    .number = 1, .width = 600, .height = 800, .text = (char *)(uintptr_t) "some text", .n_text = 9};

static void put_end(struct fixture *f)
{
    put_frame(f, FRAME_STATUS, "\0", 1);
    put_frame(f, FRAME_END, "\0\0\1\0\0\0\0\0", 8);
}

/* Runs a child that executes these shell lines in the folder of the frames file. */
static int run(struct fixture *f, const char *lines, struct err *e)
{
    char path[4300];
    FILE *out = fopen(f->script, "w");
    int fd = file_of("x", 1);
    int rc;

    assert_non_null(out);
    fprintf(out, "#!/bin/sh\ncd %s\n%s\n", f->dir, lines);
    fclose(out);
    assert_int_equal(chmod(f->script, 0700), 0);
    snprintf(path, sizeof path, "%s/frames", f->dir);
    rc = file_replace(path, f->frames.data ? f->frames.data : "", f->frames.len, e);
    assert_ok(rc, *e);
    rc = extract_fd(fd, f->type, &f->o, &f->a, &f->x, e);
    close(fd);
    return rc;
}

static void run_frames(struct fixture *f, enum extract_status want)
{
    struct err e = {0};

    assert_ok(run(f, "exec cat frames", &e), e);
    if (f->x.status != want)
        fail_msg("status %s (%s)", extract_status_name(f->x.status), f->x.reason);
}

static void test_pages_title_and_counts_arrive(void **state)
{
    struct fixture *f = *state;
    struct word_box box = {0, 4, 0.1F, 0.2F, 0.3F, 0.4F};
    struct heading head = {0, 9, 2};
    struct page p = plain;

    p.boxes = &box;
    p.heads = &head;
    p.n_boxes = p.n_heads = 1;
    put_page(f, &p);
    p.number = 3;
    put_page(f, &p);
    put_frame(f, FRAME_TITLE, "The title", 9);
    put_frame(f, FRAME_HIDDEN, "\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0", 16);
    put_frame(f, FRAME_HIDDEN, "\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0", 16);
    put_end(f);
    run_frames(f, EXTRACT_OK);
    assert_int_equal(f->x.n_pages, 2);
    assert_int_equal(f->x.pages[1].number, 3);
    assert_string_equal(f->x.pages[1].text, "some text");
    assert_int_equal(f->x.pages[1].boxes[0].end, 4);
    assert_int_equal(f->x.pages[1].heads[0].level, 2);
    assert_string_equal(f->x.title, "The title");
    assert_int_equal(f->x.hidden_spans, 2);
    assert_int_equal(f->x.hidden_chars, 10);
    assert_int_equal(f->x.peak_bytes, 65536);
}

static void test_a_box_outside_the_text_is_refused(void **state)
{
    struct fixture *f = *state;
    struct word_box box = {5, 10, 0, 0, 1, 1};
    struct page p = plain;

    p.boxes = &box;
    p.n_boxes = 1;
    put_page(f, &p);
    put_end(f);
    run_frames(f, EXTRACT_CRASHED);
    assert_non_null(strstr(f->x.reason, "nonsense"));
}

static void test_boxes_off_the_page_are_moved_into_it(void **state)
{
    struct fixture *f = *state;
    struct word_box box = {0, 4, 7, -3, 0.0F / 0.0F, 1e30F};
    struct page p = plain;

    p.boxes = &box;
    p.n_boxes = 1;
    put_page(f, &p);
    put_end(f);
    run_frames(f, EXTRACT_OK);
    assert_true(f->x.pages[0].boxes[0].x0 == 0 && f->x.pages[0].boxes[0].x1 == 1);
    assert_true(f->x.pages[0].boxes[0].y0 == 0 && f->x.pages[0].boxes[0].y1 == 1);
}

static void test_headings_that_overlap_or_have_no_level_are_refused(void **state)
{
    struct fixture *f = *state;
    struct heading heads[2] = {{0, 6, 1}, {3, 9, 1}};
    struct page p = plain;

    p.heads = heads;
    p.n_heads = 2;
    put_page(f, &p);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    heads[0].level = 7;
    p.n_heads = 1;
    put_page(f, &p);
    run_frames(f, EXTRACT_CRASHED);
}

static void test_text_that_is_not_utf8_is_refused(void **state)
{
    struct fixture *f = *state;
    struct page p = plain;

    p.text = (char *)(uintptr_t) "some\xFFtext";
    put_page(f, &p);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    p.text = (char *)(uintptr_t) "some\0text";
    put_page(f, &p);
    run_frames(f, EXTRACT_CRASHED);
}

static void test_page_numbers_must_ascend(void **state)
{
    struct fixture *f = *state;

    put_page(f, &plain);
    put_page(f, &plain);
    put_end(f);
    run_frames(f, EXTRACT_CRASHED);
}

static void test_lengths_and_counts_beyond_the_frame_are_refused(void **state)
{
    static const unsigned char huge[] = {'P', 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3};
    static const unsigned char counts[] = {1, 0, 0, 0, 0, 0, 0,    0,    0,    0,
                                           0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F};
    static const unsigned char long_text[] = {1, 0, 0, 0, 0,    0,    0,    0,
                                              0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    struct fixture *f = *state;

    buf_add(&f->frames, huge, sizeof huge);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    put_frame(f, FRAME_PAGE, counts, sizeof counts);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    put_frame(f, FRAME_PAGE, long_text, sizeof long_text);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    put_frame(f, 'z', "", 0);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    put_frame(f, FRAME_STATUS, "\xC8", 1);
    run_frames(f, EXTRACT_CRASHED);
    buf_clear(&f->frames);
    put_frame(f, FRAME_END, "", 0);
    run_frames(f, EXTRACT_CRASHED);
}

static void test_an_end_without_the_end_frame_is_a_crash(void **state)
{
    struct fixture *f = *state;

    put_page(f, &plain);
    buf_str(&f->frames, "P"); /* cut off in the middle of a frame */
    run_frames(f, EXTRACT_CRASHED);
    assert_int_equal(f->x.n_pages, 1);
}

static void test_controls_in_title_and_reason_do_not_reach_people(void **state)
{
    struct fixture *f = *state;

    put_frame(f, FRAME_TITLE, "a\x1B[2Jb", 6);
    put_frame(f, FRAME_STATUS, "\4no\x07", 4);
    put_frame(f, FRAME_END, "\0\0\0\0\0\0\0\0", 8);
    run_frames(f, EXTRACT_DAMAGED);
    assert_string_equal(f->x.title, "a?[2Jb");
    assert_string_equal(f->x.reason, "no?");
}

static void test_a_child_that_goes_on_writing_behind_the_end_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    double t0 = clock_ms();

    put_page(f, &plain);
    put_end(f);
    assert_ok(run(f, "cat frames; exec yes", &e), e);
    assert_int_equal(f->x.status, EXTRACT_OK);
    assert_true(clock_ms() - t0 < 5000);
}

static void test_a_child_that_closes_the_pipe_and_lives_on_is_killed(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    double t0 = clock_ms();

    assert_ok(run(f, "cat frames; exec sleep 30 >&-", &e), e);
    assert_int_equal(f->x.status, EXTRACT_TIMEOUT);
    assert_true(clock_ms() - t0 < 6000);
}

static void test_a_child_killed_from_outside_is_a_failure_of_the_moment(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};

    assert_ok(run(f, "kill -9 $$", &e), e);
    assert_int_equal(f->x.status, EXTRACT_CRASHED);
    assert_true(f->x.again);
    assert_int_equal(f->x.n_bad_pages, 0);
}

static void test_a_child_that_stalls_is_killed(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    double t0 = clock_ms();

    f->o.stall_s = 0.3;
    put_page(f, &plain);
    assert_ok(run(f, "cat frames; exec sleep 30", &e), e);
    assert_int_equal(f->x.status, EXTRACT_TIMEOUT);
    assert_int_equal(f->x.n_pages, 1);
    assert_true(clock_ms() - t0 < 3000);
}

static void test_the_deadline_holds_though_bytes_keep_coming(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};

    f->o.deadline_s = 0.5;
    assert_ok(run(f, "printf 'P\\377\\377\\377\\3'; while :; do printf x; sleep 0.05; done", &e),
              e);
    assert_int_equal(f->x.status, EXTRACT_TIMEOUT);
}

static void test_a_signal_is_named(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};

    assert_ok(run(f, "kill -SEGV $$", &e), e);
    assert_int_equal(f->x.status, EXTRACT_CRASHED);
    assert_non_null(strstr(f->x.reason, "signal 11"));
}

static void test_a_page_that_kills_the_child_costs_that_page(void **state)
{
    struct fixture *f = *state;
    struct page p = plain;
    struct err e = {0};
    char lines[300];
    size_t first;

    f->type = TYPE_PDF;
    put_page(f, &p);
    first = f->frames.len;
    p.number = 3;
    put_page(f, &p);
    put_end(f);
    snprintf(lines, sizeof lines,
             "case \"$*\" in *'--from 3') tail -c +%zu frames;; *) head -c %zu frames; kill -SEGV "
             "$$;; esac",
             first + 1, first);
    assert_ok(run(f, lines, &e), e);
    assert_int_equal(f->x.status, EXTRACT_OK);
    assert_int_equal(f->x.n_pages, 3);
    assert_int_equal(f->x.n_bad_pages, 1);
    assert_string_equal(f->x.pages[1].text, "");
    assert_int_equal(f->x.pages[1].number, 2);
    assert_string_equal(f->x.pages[2].text, "some text");
}

static void test_a_document_that_kills_every_child_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};

    f->type = TYPE_PDF;
    assert_ok(run(f, "kill -SEGV $$", &e), e);
    assert_int_equal(f->x.status, EXTRACT_CRASHED);
    assert_int_equal(f->x.n_pages, 0);
}

static void test_stop_ends_it_at_once(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    volatile int stop = 1;

    f->o.stop = &stop;
    assert_int_equal(run(f, "exec sleep 30", &e), ERR_CANCELLED);
}

static void test_a_missing_program_is_an_error_of_docent_not_of_the_file(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    int fd = file_of("x", 1);

    f->o.program = "/nonexistent/docent-extract";
    assert_int_equal(extract_fd(fd, TYPE_TEXT, &f->o, &f->a, &f->x, &e), ERR_NOTFOUND);
    close(fd);
}

static void test_any_bytes_at_all_are_refused_or_read_within_bounds(void **state)
{
    struct fixture *f = *state;
    struct word_box boxes[2] = {{0, 4, 0, 0, 1, 1}, {5, 9, 0, 0, 1, 1}};
    struct heading head = {0, 9, 1};
    struct mark mark = {0, 4, MARK_TABLE};
    struct page p = plain;
    struct page got;
    struct buf b;
    uint64_t seed = 7;

    p.boxes = boxes;
    p.heads = &head;
    p.marks = &mark;
    p.n_boxes = 2;
    p.n_heads = p.n_marks = 1;
    buf_init(&b, LIM_FRAME);
    assert_int_equal(wire_put_page(&b, &p), 0);
    for (int i = 0; i < 20000; i++) {
        struct err e = {0};
        size_t n = i % 3 ? b.len : test_rand(&seed) % b.len;
        char *bytes = mem_take(n + 1, 1); /* of its own: ASan sees a byte too far */
        memcpy(bytes, b.data, n);
        for (uint64_t k = test_rand(&seed) % 4; k > 0 && n; k--)
            bytes[test_rand(&seed) % n] = (char)test_rand(&seed);
        arena_reset(&f->a);
        if (!wire_get_page(bytes, n, &f->a, &got, &e))
            for (uint32_t k = 0; k < got.n_boxes; k++)
                assert_true(got.boxes[k].end <= got.n_text &&
                            got.boxes[k].start <= got.boxes[k].end);
        mem_give(bytes);
    }
    buf_free(&b);
}

static void test_the_sandbox_denies_what_a_parser_has_no_need_of(void **state)
{
    const char *program = child_program();
    char line[200];
    int lines = 0;
    FILE *p;

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its runtime needs calls and address space that are closed otherwise */
#endif
    if (!program)
        skip();
    snprintf(line, sizeof line, "exec '%.180s' --probe", program);
    p = popen(line, "r");
    assert_non_null(p);
    while (fgets(line, sizeof line, p)) {
        if (strstr(line, "ALLOWED"))
            fail_msg("%s", line);
        lines += strstr(line, ": denied") != NULL;
    }
    assert_int_equal(pclose(p), 0);
    assert_true(lines >= 10);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_pages_title_and_counts_arrive),
        T(test_a_box_outside_the_text_is_refused),
        T(test_boxes_off_the_page_are_moved_into_it),
        T(test_headings_that_overlap_or_have_no_level_are_refused),
        T(test_text_that_is_not_utf8_is_refused),
        T(test_page_numbers_must_ascend),
        T(test_lengths_and_counts_beyond_the_frame_are_refused),
        T(test_an_end_without_the_end_frame_is_a_crash),
        T(test_controls_in_title_and_reason_do_not_reach_people),
        T(test_a_child_that_goes_on_writing_behind_the_end_is_cut_off),
        T(test_a_child_that_closes_the_pipe_and_lives_on_is_killed),
        T(test_a_child_killed_from_outside_is_a_failure_of_the_moment),
        T(test_a_child_that_stalls_is_killed),
        T(test_the_deadline_holds_though_bytes_keep_coming),
        T(test_a_signal_is_named),
        T(test_a_page_that_kills_the_child_costs_that_page),
        T(test_a_document_that_kills_every_child_is_given_up),
        T(test_stop_ends_it_at_once),
        T(test_a_missing_program_is_an_error_of_docent_not_of_the_file),
        T(test_any_bytes_at_all_are_refused_or_read_within_bounds),
        T(test_the_sandbox_denies_what_a_parser_has_no_need_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
