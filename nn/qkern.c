/* qkern.c - packing of weight matrices and the sharing out of their products (see qkern.h). */
#include "nn/qkern.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "nn/quant.h"

#define HUGE_PAGE ((size_t)2 << 20)

const struct qkern *qkern_pick(const char *want)
{
    static const struct qkern *const all[] = {&qkern_avx512, &qkern_avx2, &qkern_ref};

    if (!want || !*want)
        want = getenv("DOCENT_KERN");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((!want || !*want || strcmp(want, all[i]->name) == 0) && all[i]->usable())
            return all[i];
    return NULL;
}

static size_t round64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* How a type is packed; -1: it stays fp32. */
static int form_of(enum wtype t, enum qform *form, int *zero, int *has_offset)
{
    *has_offset = t == W_Q4_1 || t == W_Q5_1 || t == W_Q4_K || t == W_Q5_K;
    *zero = 0;
    *form = QFORM_8;
    switch (t) {
    case W_Q4_0:
        *zero = 8;
        *form = QFORM_4;
        return 0;
    case W_Q4_1:
    case W_Q4_K: *form = QFORM_4; return 0;
    case W_Q5_0: *zero = 16; return 0;
    case W_Q5_1:
    case W_Q5_K: return 0;
    case W_Q8_0: *zero = 128; return 0;
    default: return -1;
    }
}

int qslab_open(struct qslab *s, size_t size, struct err *e)
{
    void *p;

    memset(s, 0, sizeof *s);
    if (!size)
        return 0;
    size += HUGE_PAGE; /* the start is moved up to a border of huge pages */
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERR_NOMEM, "packed weights of %zu bytes", size);
    madvise(p, size, MADV_HUGEPAGE); /* a wish: without huge pages all is as before, but slower */
    s->base = p;
    s->size = size;
    s->used = (size_t)(-(uintptr_t)p & (HUGE_PAGE - 1));
    return 0;
}

void qslab_close(struct qslab *s)
{
    if (s->base)
        munmap(s->base, s->size);
    memset(s, 0, sizeof *s);
}

/* The layout of a matrix and the bytes of all its tiles; 0: it stays fp32. */
static size_t shape(struct qmat *m, const struct tensor *t, int exact)
{
    memset(m, 0, sizeof *m);
    m->t = t;
    m->rows = (size_t)t->dims[0];
    m->k = (size_t)t->dims[1];
    if (exact || form_of(t->type, &m->form, &m->zero, &m->has_offset)) {
        m->form = QFORM_F32;
        return 0;
    }
    /* the sizes are those of the mapped tensor plus padding: no product can overflow */
    m->tile_bytes = m->k / QBLOCK * qblock_bytes(m->form);
    return (m->rows + QTILE - 1) / QTILE * m->tile_bytes;
}

size_t qmat_bytes(const struct tensor *t, int exact)
{
    struct qmat m;

    return t->n_dims == 2 && t->type <= W_Q6_K ? shape(&m, t, exact) : 0;
}

struct packing {
    const struct qmat *m;
    uint8_t *out;
};

/* u: 32 values of output o, put where the kernels look for them. */
static void put_block(enum qform form, uint8_t *block, size_t o, const uint8_t *u)
{
    for (size_t j = 0; j < QBLOCK; j++) {
        size_t group = j / 4;
        if (form == QFORM_8)
            block[group * 64 + o * 4 + j % 4] = u[j];
        else
            block[group % 4 * 64 + o * 4 + j % 4] |= (uint8_t)(u[j] << (group < 4 ? 0 : 4));
    }
}

static void pack_tile(void *arg, size_t tile, int worker)
{
    const struct packing *p = arg;
    const struct qmat *m = p->m;
    uint8_t *base = p->out + tile * m->tile_bytes;
    size_t per = wtype_block(m->t->type);
    size_t row_bytes = m->k / per * wtype_bytes(m->t->type);

    (void)worker;
    for (size_t o = 0; o < QTILE && tile * QTILE + o < m->rows; o++) {
        const uint8_t *src = (const uint8_t *)m->t->data + (tile * QTILE + o) * row_bytes;
        for (size_t c = 0; c < m->k; c += per, src += wtype_bytes(m->t->type)) {
            int8_t q[256];
            uint8_t u[256];
            float scale[8];
            float offset[8];
            quant_split(m->t->type, src, q, scale, offset);
            for (size_t j = 0; j < per; j++)
                u[j] = (uint8_t)(q[j] + m->zero);
            for (size_t b = 0; b < per / QBLOCK; b++) {
                uint8_t *block = base + (c / QBLOCK + b) * qblock_bytes(m->form);
                uint16_t h = float_to_half(scale[b]);
                memcpy(block + o * 2, &h, 2);
                h = float_to_half(offset[b]);
                memcpy(block + QTILE * 2 + o * 2, &h, 2);
                put_block(m->form, block + QHEAD, o, u + b * QBLOCK);
            }
        }
    }
}

int qmat_pack(struct qmat *m, const struct tensor *t, int exact, struct qslab *slab,
              struct team *team, struct err *e)
{
    struct packing p;
    size_t bytes;

    if (t->n_dims != 2)
        return err_set(e, ERR_FORMAT, "tensor %s is no matrix", t->name);
    if (t->type > W_Q6_K)
        return err_set(e, ERR_UNSUPPORTED, "tensor %s: %s is no type of weights", t->name,
                       wtype_name(t->type));
    bytes = shape(m, t, exact);
    if (m->form == QFORM_F32)
        return 0;
    if (!slab->base || bytes > slab->size - slab->used)
        return err_set(e, ERR_INVALID, "tensor %s: no room for its packed form", t->name);
    p.m = m;
    p.out = slab->base + slab->used; /* fresh pages: zero, as the padding of tiles must be */
    slab->used += bytes;
    m->packed = p.out;
    team_run(team, pack_tile, &p, (m->rows + QTILE - 1) / QTILE);
    return 0;
}

size_t qmat_scratch(size_t k)
{
    return round64(2 * QTILE * k * sizeof(float)); /* a decoded tile by rows, and turned round */
}

struct round {
    const struct qkern *kern;
    const struct qjob *jobs;
    size_t n_jobs;
    size_t rows;
    size_t total; /* tiles of all jobs */
    size_t per_task; /* tiles */
    uint8_t *scratch;
    size_t stride;
};

static void mul_exact(const struct qkern *kern, const struct qjob *j, size_t tile, size_t rows,
                      const struct qout *out, float *scratch)
{
    const struct tensor *t = j->w->t;
    size_t k = j->w->k;
    size_t row_bytes = k / wtype_block(t->type) * wtype_bytes(t->type);
    float *row = scratch;
    float *panel = scratch + QTILE * k;

    memset(panel, 0, QTILE * k * sizeof *panel);
    for (int o = 0; o < out->n; o++) {
        quant_decode(t->type, (const uint8_t *)t->data + (tile * QTILE + (size_t)o) * row_bytes, k,
                     row);
        for (size_t c = 0; c < k; c++)
            panel[c * QTILE + (size_t)o] = row[c];
    }
    kern->mul_f32(panel, k, j->x->x, rows, out);
}

static void mul_tile(const struct round *r, const struct qjob *j, size_t tile, uint8_t *scratch)
{
    const struct qmat *m = j->w;
    size_t left = m->rows - tile * QTILE;
    struct qout out = {j->each ? NULL : j->y + tile * QTILE, j->stride, j->each, tile * QTILE,
                       left < QTILE ? (int)left : QTILE,     j->add};
    struct qtile w = {m->packed ? m->packed + tile * m->tile_bytes : NULL, m->form, m->has_offset,
                      m->zero, m->k};

    if (m->form == QFORM_F32) {
        mul_exact(r->kern, j, tile, r->rows, &out, (float *)(void *)scratch);
        return;
    }
    r->kern->mul(&w, j->x, 0, r->rows, &out, scratch);
}

static void mul_task(void *arg, size_t task, int worker)
{
    const struct round *r = arg;
    size_t at = task * r->per_task;
    size_t end = at + r->per_task < r->total ? at + r->per_task : r->total;
    size_t before = 0;

    for (size_t i = 0; i < r->n_jobs && at < end; i++) {
        size_t tiles = (r->jobs[i].w->rows + QTILE - 1) / QTILE;
        for (; at < end && at < before + tiles; at++)
            mul_tile(r, &r->jobs[i], at - before, r->scratch + (size_t)worker * r->stride);
        before += tiles;
    }
}

void qmat_mul(const struct qkern *kern, struct team *team, const struct qjob *jobs, size_t n_jobs,
              size_t rows, uint8_t *scratch, size_t scratch_stride)
{
    struct round r = {kern, jobs, n_jobs, rows, 0, 0, scratch, scratch_stride};
    size_t tasks = 4 * (size_t)team_size(team); /* a late member leaves work to the others */

    for (size_t i = 0; i < n_jobs; i++)
        r.total += (jobs[i].w->rows + QTILE - 1) / QTILE;
    if (team_size(team) == 1)
        tasks = 1;
    r.per_task = (r.total + tasks - 1) / tasks;
    if (r.total)
        team_run(team, mul_task, &r, (r.total + r.per_task - 1) / r.per_task);
}
