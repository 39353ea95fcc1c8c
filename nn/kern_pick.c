/* kern_pick.c - which table of kernels, and packing, which is the same for all of them. */
#include <stdlib.h>
#include <string.h>

#include "nn/kern.h"

const struct kern *kern_pick(const char *want)
{
    static const struct kern *const all[] = {&kern_avx512, &kern_avx2, &kern_ref};

    if (!want)
        want = getenv("DOCENT_KERN");
    if (want && !*want)
        want = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((!want || strcmp(want, all[i]->name) == 0) && all[i]->usable())
            return all[i];
    return NULL;
}

size_t kern_panels(size_t n, size_t k)
{
    return (n + KERN_PANEL - 1) / KERN_PANEL * KERN_PANEL * k;
}

void kern_pack_rows(float *panels, const float *w, size_t ldw, size_t n, size_t k)
{
    for (size_t j0 = 0; j0 < n; j0 += KERN_PANEL) {
        size_t wide = n - j0 < KERN_PANEL ? n - j0 : KERN_PANEL;
        float *p = panels + j0 * k;
        /* 16 columns of k at a time: 32 input lines and 16 output rows stay in the first cache */
        for (size_t i0 = 0; i0 < k; i0 += 16) {
            size_t deep = k - i0 < 16 ? k - i0 : 16;
            if (wide < KERN_PANEL)
                memset(p + i0 * KERN_PANEL, 0, deep * KERN_PANEL * sizeof *p);
            for (size_t j = 0; j < wide; j++)
                for (size_t i = i0; i < i0 + deep; i++)
                    p[i * KERN_PANEL + j] = w[(j0 + j) * ldw + i];
        }
    }
}

void kern_pack_cols(float *panels, const float *b, size_t ldb, size_t n, size_t k)
{
    for (size_t j0 = 0; j0 < n; j0 += KERN_PANEL) {
        size_t wide = n - j0 < KERN_PANEL ? n - j0 : KERN_PANEL;
        float *p = panels + j0 * k;
        for (size_t i = 0; i < k; i++) {
            memcpy(p + i * KERN_PANEL, b + i * ldb + j0, wide * sizeof *p);
            if (wide < KERN_PANEL)
                memset(p + i * KERN_PANEL + wide, 0, (KERN_PANEL - wide) * sizeof *p);
        }
    }
}
