/* kern_avx2.c - placeholder table until the vector loops are in: never usable. */
#include "nn/kern.h"

static int usable(void)
{
    return 0;
}

const struct kern kern_avx2 = {.name = "avx2", .usable = usable};
