/* kern_avx512.c - placeholder table until the vector loops are in: never usable. */
#include "nn/kern.h"

static int usable(void)
{
    return 0;
}

const struct kern kern_avx512 = {.name = "avx512", .usable = usable};
