/* test.h - what every unit test includes first (cmocka 1.1.5 needs this order). */
#ifndef DOCENT_TEST_H
#define DOCENT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

/* rc must be 0; prints the sentence of the error otherwise. */
#define assert_ok(rc, e)                                                                          \
    do {                                                                                           \
        int rc_ = (rc);                                                                            \
        if (rc_) {                                                                                 \
            print_error("%s:%d: %s: %s\n", __FILE__, __LINE__, err_name(rc_), (e).msg);            \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* A fresh folder under $TMPDIR (or /tmp), removed by test_rmdir(). Returns a static buffer's copy: mem_give it. */
char *test_mkdir(void);
void test_rmdir(const char *dir); /* with all that is in it */

/* "../shared/data/..." when it is there (DOCENT_SHARED overrides the folder), else NULL: the test calls skip(). */
const char *test_shared(const char *rel);
/* The default models when `make models` has brought them, else NULL. */
const char *test_model(const char *rel);

/* Numbers from a seed (splitmix64), so that a failure can be repeated. */
uint64_t test_rand(uint64_t *state);

#endif
