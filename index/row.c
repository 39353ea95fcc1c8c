/* row.c - picks the kernels for rows once a process (see row.h). A DOCENT_KERN that names nothing usable is
 * reported by who starts the models; rows then take the plain loops. */
#include "index/row.h"

#include <pthread.h>

static const struct kern *picked;
static const struct rowscan *scan;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void pick(void)
{
    picked = kern_pick(NULL);
    if (!picked)
        picked = &kern_ref;
    scan = rowscan_for(picked->name);
}

const struct kern *row_kern(void)
{
    pthread_once(&once, pick);
    return picked;
}

const struct rowscan *row_scan(void)
{
    pthread_once(&once, pick);
    return scan;
}
