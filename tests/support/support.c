/* support.c - helpers of the unit tests (see test.h). */
#include "tests/support/test.h"

#include <ftw.h>

char *test_mkdir(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[512];

    snprintf(path, sizeof path, "%s/docent-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(path)) {
        print_error("mkdtemp %s\n", path);
        abort();
    }
    return mem_strdup(path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void test_rmdir(const char *dir)
{
    if (dir)
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *present(const char *base, const char *rel)
{
    static char path[8][1024];
    static int next;
    char *p = path[next++ % 8];

    snprintf(p, sizeof path[0], "%s/%s", base, rel);
    return access(p, R_OK) == 0 ? p : NULL;
}

const char *test_shared(const char *rel)
{
    const char *base = getenv("DOCENT_SHARED");

    return present(base && *base ? base : "../shared", rel);
}

const char *test_model(const char *rel)
{
    const char *base = getenv("DOCENT_MODELS");

    return present(base && *base ? base : "models", rel);
}

uint64_t test_rand(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
