/* test_proof.c - citations against their source file and against the library. */
#include "tests/support/test.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "coordinator/proof.h"

static const char text[] = "The mill was built in 1843.\n\nIt burned down twice.\n";

struct fixture {
    char *dir;
    char path[600]; /* of the source file */
    char library[600];
    struct library *lib;
    struct claim claim; /* a true one */
};

static void store(struct fixture *f)
{
    struct library_conf conf = {.name = "t", .chunking = "t"};
    struct index_page page = {.number = 1, .text = text, .n_text = sizeof text - 1};
    struct index_chunk chunk = {.end = sizeof text - 1, .section = ""};
    struct index_doc doc = {.title = "mill", .type = "text", .lang = "en", .bytes = sizeof text - 1,
                            .pages = &page, .n_pages = 1, .chunks = &chunk, .n_chunks = 1};
    struct index_path at = {.path = f->path, .size = sizeof text - 1};
    struct index_batch *b = NULL;
    struct err e = {0};

    hash_id(doc.id, text, sizeof text - 1);
    hash_id(chunk.hash, text, sizeof text - 1);
    assert_ok(library_create(f->library, &conf, &e), e);
    assert_ok(library_open(&f->lib, f->library, LIB_WRITE, &e), e);
    assert_ok(index_begin(f->lib, 0, &b, &e), e);
    assert_ok(index_put(b, &doc, &at, &e), e);
    assert_ok(index_commit(b, &e), e);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};

    f->dir = test_mkdir();
    snprintf(f->path, sizeof f->path, "%s/mill.txt", f->dir);
    snprintf(f->library, sizeof f->library, "%s/library", f->dir);
    assert_ok(file_replace(f->path, text, sizeof text - 1, &e), e);
    store(f);
    f->claim = (struct claim){.path = f->path, .page = 1, .start = 22, .end = 26, .quote = "1843"};
    hash_id(f->claim.doc, text, sizeof text - 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    library_close(f->lib);
    test_rmdir(f->dir);
    mem_give(f->dir);
    free(f);
    return 0;
}

/* build/docent-extract beside build/tests/unit/coordinator/test_proof; NULL: not built. */
static const char *extractor(void)
{
    static char path[1200];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);

    if (n <= 0)
        return NULL;
    path[n] = '\0';
    for (int i = 0; i < 4; i++) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
    }
    strcat(path, "/docent-extract");
    return access(path, X_OK) == 0 ? path : NULL;
}

static struct verdict check(struct library *lib, const struct claim *c)
{
    struct prover *p = NULL;
    struct verdict v;
    struct err e = {0};

    assert_ok(prover_open(&p, lib, extractor(), &e), e);
    assert_ok(prover_check(p, c, &v, &e), e);
    prover_close(p);
    return v;
}

static void test_a_true_quote_is_proven_from_its_file(void **state)
{
    struct fixture *f = *state;

    if (!extractor())
        skip();
    assert_int_equal(check(f->lib, &f->claim).proof, PROVEN);
    assert_int_equal(check(NULL, &f->claim).proof, PROVEN);
}

static void test_another_quote_or_place_is_not_proven(void **state)
{
    struct fixture *f = *state;
    struct claim c = f->claim;

    if (!extractor())
        skip();
    c.quote = "1844";
    assert_int_equal(check(f->lib, &c).proof, CHANGED);
    c = f->claim;
    c.start = 21;
    c.end = 25;
    assert_int_equal(check(f->lib, &c).proof, CHANGED);
    c = f->claim;
    c.end = 4000000000u;
    assert_int_equal(check(f->lib, &c).proof, CHANGED);
    c = f->claim;
    c.page = 2;
    assert_int_equal(check(f->lib, &c).proof, CHANGED);
}

static void test_a_file_that_is_gone_is_proven_against_the_library_and_says_so(void **state)
{
    struct fixture *f = *state;
    struct verdict v;

    unlink(f->path);
    v = check(f->lib, &f->claim);
    assert_int_equal(v.proof, PROVEN_LIBRARY);
    assert_non_null(strstr(v.why, "gone"));
    f->claim.quote = "1844";
    assert_int_equal(check(f->lib, &f->claim).proof, CHANGED);
}

static void test_a_file_that_changed_proves_nothing_by_itself(void **state)
{
    struct fixture *f = *state;
    struct verdict v;
    struct err e = {0};

    assert_ok(file_replace(f->path, "The mill was built in 1900.", 27, &e), e);
    v = check(f->lib, &f->claim);
    assert_int_equal(v.proof, PROVEN_LIBRARY);
    assert_non_null(strstr(v.why, "changed"));
    assert_int_equal(check(NULL, &f->claim).proof, MISSING);
}

static void test_an_unknown_document_is_missing(void **state)
{
    struct fixture *f = *state;

    f->claim.doc[0] ^= 1;
    assert_int_equal(check(f->lib, &f->claim).proof, MISSING);
    f->claim.path = "";
    assert_int_equal(check(f->lib, &f->claim).proof, MISSING);
}

static void test_a_path_that_is_a_folder_or_a_fifo_does_not_hang(void **state)
{
    struct fixture *f = *state;

    f->claim.path = f->dir;
    assert_int_equal(check(f->lib, &f->claim).proof, PROVEN_LIBRARY);
}

static void test_hostile_answers_are_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = {
        "[]", "{}", "{\"citations\":3}", "{\"citations\":[1]}", "{\"citations\":[{}]}",
        "{\"citations\":[{\"quote\":\"x\",\"doc\":\"zz\"}]}",
        "{\"citations\":[{\"quote\":\"x\",\"doc\":\"00112233445566778899aabbccddeeff\",\"start\":-1}]}",
        "{\"citations\":[{\"quote\":\"x\",\"doc\":\"00112233445566778899aabbccddeeff\",\"page\":\"1\"}]}",
    };
    struct fixture *f = *state;
    struct prover *p = NULL;
    struct err e = {0};

    assert_ok(prover_open(&p, f->lib, NULL, &e), e);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct proof_report r;
        json_t *o = NULL;
        assert_ok(json_parse(&o, bad[i], strlen(bad[i]), "bad", &e), e);
        assert_int_equal(proof_answer(p, o, NULL, NULL, &r, &e), ERR_FORMAT);
        assert_true(e.msg[0] != '\0');
        err_clear(&e);
        json_decref(o);
    }
    prover_close(p);
}

static void test_an_answer_is_proven_citation_by_citation(void **state)
{
    struct fixture *f = *state;
    char hex[2 * DOC_ID_BYTES + 1];
    struct prover *p = NULL;
    struct proof_report r;
    struct err e = {0};
    json_t *o;

    unlink(f->path);
    hash_hex(hex, f->claim.doc, DOC_ID_BYTES);
    o = json_pack("{s:[{s:s,s:s,s:i,s:i,s:i,s:s},{s:s,s:s,s:i,s:i,s:i,s:s}]}", "citations", "path",
                  f->path, "doc", hex, "page", 1, "start", 22, "end", 26, "quote", "1843", "path",
                  f->path, "doc", hex, "page", 1, "start", 0, "end", 4, "quote", "1843");
    assert_non_null(o);
    assert_ok(prover_open(&p, f->lib, NULL, &e), e);
    assert_ok(proof_answer(p, o, NULL, NULL, &r, &e), e);
    assert_int_equal(r.citations, 2);
    assert_int_equal(r.count[PROVEN_LIBRARY], 1);
    assert_int_equal(r.count[CHANGED], 1);
    prover_close(p);
    json_decref(o);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_true_quote_is_proven_from_its_file),
        WITH(test_another_quote_or_place_is_not_proven),
        WITH(test_a_file_that_is_gone_is_proven_against_the_library_and_says_so),
        WITH(test_a_file_that_changed_proves_nothing_by_itself),
        WITH(test_an_unknown_document_is_missing),
        WITH(test_a_path_that_is_a_folder_or_a_fifo_does_not_hang),
        WITH(test_hostile_answers_are_refused_with_a_sentence),
        WITH(test_an_answer_is_proven_citation_by_citation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
