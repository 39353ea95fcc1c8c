/* test_damage.c: a changed bit or a cut in data.mdb never ends in a signal or in wrong text, for readers, verify and the writer;
 * either verify reports it or it lay in unused bytes. Each trial runs in a child, so that a signal would be counted.
 * DOCENT_SEED repeats another history, DOCENT_ROUNDS changes the number of trials. */
#include "tests/unit/index/lib_make.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DOCS 60

enum outcome { SOUND = 40, REPORTED, REFUSED, WRONG, MISSED, UNUSABLE };

struct place {
    char *top;
    char lib[600];
    char data[700];
    unsigned char *sound;
    unsigned char *bytes; /* a copy to be damaged */
    size_t n;
};

static int live(uint32_t k)
{
    return k % 4 != 3; /* the others were removed again */
}

static const char *path_of(uint32_t k, char path[64])
{
    snprintf(path, 64, "/folder/%u.txt", k);
    return path;
}

/* A dense file that some commits went over: tables of more than one level, long values, tombstones, some free pages. */
static void make_file(const char *dir)
{
    struct library *lib = made_open(dir, LIB_WRITE);
    struct index_batch *b;
    struct err e = {0};
    uint64_t before, after;
    char path[64];

    assert_ok(index_begin(lib, 0, &b, &e), e);
    for (uint32_t k = 0; k < DOCS; k++)
        assert_ok(made_put(b, k, path_of(k, path), 1, &e), e);
    assert_ok(index_commit(b, &e), e);
    assert_ok(library_compact(lib, &before, &after, &e), e);
    assert_ok(index_begin(lib, 0, &b, &e), e);
    for (uint32_t k = 0; k < DOCS; k++)
        if (!live(k))
            assert_ok(index_rm_path(b, path_of(k, path), &e), e);
    assert_ok(index_commit(b, &e), e);
    library_close(lib);
}

static void set_up(struct place *p)
{
    struct stat st;
    pid_t child;
    int how = 0;
    int fd;

    made_library(&p->top, p->lib, MADE_DIM);
    snprintf(p->data, sizeof p->data, "%s/shard-0000/data.mdb", p->lib);
    child = fork();
    if (child == 0) {
        make_file(p->lib);
        _exit(0);
    }
    assert_true(waitpid(child, &how, 0) == child && how == 0);
    fd = open(p->data, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    p->n = (size_t)st.st_size;
    p->bytes = mem_take(p->n, 1);
    assert_int_equal(read(fd, p->bytes, p->n), p->n);
    close(fd);
    p->sound = mem_take(p->n, 1);
    memcpy(p->sound, p->bytes, p->n);
}

static void put_file(const struct place *p, const unsigned char *bytes, size_t n)
{
    int fd = open(p->data, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

/* The damage comes while the file is mapped. */
static int damage_in_place(const struct place *p)
{
    int fd = open(p->data, O_WRONLY);
    int rc = fd < 0 || pwrite(fd, p->bytes, p->n, 0) != (ssize_t)p->n;

    close(fd);
    return rc;
}

static void tear_down(struct place *p)
{
    mem_give(p->bytes);
    mem_give(p->sound);
    test_rmdir(p->top);
    mem_give(p->top);
}

/* Documents that do not read back as they were made. *wrong: bit 0 when a removed one is read, bit 1 when other text is. */
static uint32_t lost_docs(struct library *lib, int *wrong)
{
    struct snapshot *s;
    struct hits hits;
    struct arena a;
    uint32_t lost = 0;
    struct err e;

    if (snapshot_take(lib, &s, &e))
        return DOCS;
    for (uint32_t k = 0; k < DOCS; k++) {
        uint8_t id[DOC_ID_BYTES], want[DOC_ID_BYTES];
        struct index_path st;
        char path[64];
        int rc = made_same(s, k, &e);
        *wrong |= (rc < 0) << 1 | (rc == 0 && !live(k));
        lost += (rc == 0) != live(k);
        made_id(k, want);
        rc = snapshot_path(s, path_of(k, path), id, &st, &e);
        *wrong |= (rc == 0 && memcmp(id, want, sizeof id) != 0) << 1;
        lost += (rc == 0) != live(k);
    }
    arena_init(&a, 16u << 20);
    if (search_bm25(s, "document thirty", NULL, 20, &a, &hits, &e) || hits.n != 20)
        lost++;
    arena_free(&a);
    snapshot_give(s);
    return lost;
}

/* late: a place whose damage is done once the library is open; an older state of a record may be read then, other text never. */
static int read_it(const char *dir, const struct place *late)
{
    struct library *lib;
    struct verify_report r;
    struct err e = {0};
    int wrong = 0;
    uint32_t lost;

    if (library_open(&lib, dir, LIB_READ, &e))
        return REFUSED;
    if (late && (lost_docs(lib, &wrong) || wrong || damage_in_place(late)))
        return UNUSABLE;
    lost = lost_docs(lib, &wrong);
    if (library_verify(lib, &r, &e))
        r.problems = 1;
    library_close(lib);
    if (wrong & 2 || (wrong && !late))
        return WRONG;
    if (r.problems)
        return REPORTED;
    return lost ? MISSED : SOUND;
}

/* Whatever the writer is told, it does not die; what it commits is sound when the file was. */
static int write_to_it(const char *dir, int sound)
{
    struct library *lib;
    struct index_batch *b;
    struct verify_report r;
    struct err e = {0};
    uint64_t before, after;
    int rc;

    if (library_open(&lib, dir, LIB_WRITE, &e))
        return sound ? UNUSABLE : 0;
    for (uint32_t k = 100; k < 103; k++) {
        rc = index_begin(lib, 0, &b, &e);
        if (rc)
            break;
        rc = made_put(b, k, k == 101 ? "/folder/1.txt" : "/new", 1, &e);
        if (!rc)
            rc = index_rm_path(b, "/folder/20.txt", &e);
        if (rc && rc != ERR_NOTFOUND)
            index_abort(b);
        else
            rc = index_commit(b, &e);
        if (rc)
            break;
    }
    if (!rc)
        rc = library_compact(lib, &before, &after, &e);
    if (sound && (rc || library_verify(lib, &r, &e) || r.problems))
        return UNUSABLE;
    library_close(lib);
    return 0;
}

enum when { BEFORE_OPEN, BEFORE_OPEN_AND_WRITE, WHILE_OPEN };

/* The first n bytes of p->bytes are the damaged file. */
static int trial(const struct place *p, size_t n, enum when when)
{
    int how = 0;
    pid_t child;

    put_file(p, when == WHILE_OPEN ? p->sound : p->bytes, n);
    child = fork();
    if (child == 0) {
        int seen = read_it(p->lib, when == WHILE_OPEN ? p : NULL);
        int rc = when == BEFORE_OPEN_AND_WRITE ? write_to_it(p->lib, seen == SOUND) : 0;
        _exit(rc ? rc : seen);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

static long rounds(void)
{
    const char *text = getenv("DOCENT_ROUNDS");

    return text ? strtol(text, NULL, 10) : 120;
}

static uint64_t seed_of(void)
{
    const char *text = getenv("DOCENT_SEED");

    return text ? strtoull(text, NULL, 10) : 3;
}

static enum when when_of(long i)
{
    static const enum when all[] = {BEFORE_OPEN_AND_WRITE, WHILE_OPEN, BEFORE_OPEN, WHILE_OPEN, WHILE_OPEN};

    return all[i % 5];
}

static void test_a_flipped_bit_is_reported_or_harmless(void **state)
{
    struct place p;
    uint64_t seed = seed_of();
    long n = rounds();
    long count[UNUSABLE + 1] = {0};
    (void)state;

    set_up(&p);
    assert_int_equal(trial(&p, p.n, BEFORE_OPEN_AND_WRITE), SOUND);
    for (long i = 0; i < n; i++) {
        size_t at = test_rand(&seed) % p.n;
        unsigned char bit = (unsigned char)(1u << test_rand(&seed) % 8);
        int got;
        if (i / 2 % 2) /* half of them where the structure is: heads of pages, their offsets and nodes */
            at = at / 4096 * 4096 + test_rand(&seed) % 96;
        if (i % 8 == 7) /* and some in the two meta pages */
            at = test_rand(&seed) % 2 * 4096 + test_rand(&seed) % 152;
        p.bytes[at] ^= bit;
        got = trial(&p, p.n, when_of(i));
        p.bytes[at] ^= bit;
        if (got < SOUND || got >= WRONG) {
            print_error("flip of %d in byte %zu (page %zu, offset %zu): outcome %d\n", bit, at, at / 4096, at % 4096, got);
            fail();
        }
        count[got]++;
    }
    print_message("%ld bits in %zu bytes: %ld refused at open, %ld reported, %ld in unused bytes\n", n, p.n,
                  count[REFUSED], count[REPORTED], count[SOUND]);
    tear_down(&p);
}

static void test_a_cut_is_refused_at_open(void **state)
{
    struct place p;
    uint64_t seed = seed_of();
    long n = rounds() / 5;
    (void)state;

    set_up(&p);
    for (long i = 0; i < n; i++) {
        size_t keep = i < 10 ? (size_t)i * 1024 : test_rand(&seed) % p.n;
        int got;
        got = trial(&p, keep, i % 4 ? BEFORE_OPEN : BEFORE_OPEN_AND_WRITE);
        /* nothing left: LMDB makes an empty file, which has no tables */
        if (got != REFUSED && !(keep == 0 && got == REPORTED)) {
            print_error("%zu of %zu bytes kept: outcome %d\n", keep, p.n, got);
            fail();
        }
    }
    tear_down(&p);
}

/* A page that was never written, or written over by another: power loss and stray writes come in whole sectors. */
static void test_a_lost_or_doubled_page_is_reported_or_harmless(void **state)
{
    struct place p;
    uint64_t seed = seed_of();
    long n = rounds() / 2;
    (void)state;

    set_up(&p);
    for (long i = 0; i < n; i++) {
        size_t unit = i % 3 ? 4096 : 512;
        size_t to = test_rand(&seed) % (p.n / unit) * unit;
        size_t from = test_rand(&seed) % (p.n / unit) * unit;
        unsigned char kept[4096];
        int got;
        memcpy(kept, p.bytes + to, unit);
        if (i % 2)
            memset(p.bytes + to, 0, unit);
        else
            memcpy(p.bytes + to, p.bytes + from, unit);
        got = trial(&p, p.n, when_of(i / 2));
        memcpy(p.bytes + to, kept, unit);
        if (got < SOUND || got >= WRONG) {
            print_error("%zu bytes at %zu %s: outcome %d\n", unit, to, i % 2 ? "zeroed" : "replaced", got);
            fail();
        }
    }
    tear_down(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flipped_bit_is_reported_or_harmless),
        cmocka_unit_test(test_a_cut_is_refused_at_open),
        cmocka_unit_test(test_a_lost_or_doubled_page_is_reported_or_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
