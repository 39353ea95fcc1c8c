/* decoder.c - the pass of new tokens through a decoder-only transformer.
 *   x = embed(ids)
 *   each layer:  x += Wo attend(rope(Wq n), rope(Wk n), Wv n),  n = norm(x)
 *                x += Wdown (silu(Wgate n) * Wup n),            n = norm(x)
 *   logits = Whead norm(x), only for the rows that want them
 * A piece of at most GEN_PIECE rows goes through all layers at once. Rows meet nowhere but in
 * attention, and there each row adds up its own sequence in order of position: a row's numbers do
 * not depend on what else is in the piece or on how many threads there are. */
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "generator/gen_impl.h"

#define ROWS_PER_TASK 8 /* of the row-wise steps: some 10 us of work */

struct pass {
    struct generator *g;
    const struct gen_layer *y;
    uint32_t layer;
    size_t n; /* rows */
    const float *norm; /* the norm's weight in step_norm */
    const float *bias; /* of the product before the next norm: is added to x there; or NULL */
    int packed; /* the next product wants int8 rows */
};

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

int decoder_work_init(struct generator *g, struct err *e)
{
    const struct gen_config *c = &g->c;
    struct gen_work *w = &g->work;
    size_t wide = (size_t)c->heads * c->head_dim;
    size_t narrow = (size_t)c->kv_heads * c->head_dim;
    size_t k = most(most(c->hidden, wide), c->ffn);
    size_t group = c->heads / c->kv_heads;
    size_t context = ((size_t)g->max_context + 15) / 16 * 16;
    size_t T = GEN_PIECE;
    struct arena *a = &g->keep;

    w->attend_rows = group >= 12 ? 1 : (uint32_t)(12 / group);
    w->mul_stride = qmat_scratch(k);
    w->attend_stride = w->attend_rows * group * (context + 2 * c->head_dim);
    w->x = arena_take(a, T * c->hidden, sizeof(float));
    w->h = arena_take(a, T * c->hidden, sizeof(float));
    w->q = arena_take(a, T * wide, sizeof(float));
    w->att = arena_take(a, T * wide, sizeof(float));
    w->k = arena_take(a, T * narrow, sizeof(float));
    w->v = arena_take(a, T * narrow, sizeof(float));
    w->gate = arena_take(a, T * c->ffn, sizeof(float));
    w->up = arena_take(a, T * c->ffn, sizeof(float));
    w->in.q = arena_take(a, T * k, 1);
    w->in.d = arena_take(a, T * (k / QBLOCK + 1), sizeof(float));
    w->in.ds = arena_take(a, T * (k / QBLOCK + 1), sizeof(float));
    w->in.sum = arena_take(a, T * (k / QBLOCK + 1), sizeof(int32_t));
    w->each = arena_take(a, T, sizeof *w->each);
    w->rows = arena_take(a, T, sizeof *w->rows);
    w->tasks = arena_take(a, T * c->kv_heads, sizeof *w->tasks);
    w->mul = arena_take(a, (size_t)team_size(g->team), w->mul_stride);
    w->attend = arena_take(a, (size_t)team_size(g->team), w->attend_stride * sizeof(float));
    if (!w->x || !w->h || !w->q || !w->att || !w->k || !w->v || !w->gate || !w->up || !w->in.q ||
        !w->in.d || !w->in.ds || !w->in.sum || !w->each || !w->rows || !w->tasks || !w->mul ||
        !w->attend)
        return err_set(e, ERR_NOMEM, "scratch for %u tokens of context", g->max_context);
    return 0;
}

/* ---- row-wise steps ---- */

static void quantise_row(const struct pass *p, const float *x, size_t k, size_t row)
{
    struct qrows *in = &p->g->work.in;
    size_t blocks = k / QBLOCK;

    if (p->packed)
        p->g->kern->quantise(x, k, in->q + row * k, in->d + row * blocks, in->ds + row * blocks,
                             in->sum + row * blocks);
}

static void add(float *x, const float *bias, size_t n)
{
    for (size_t i = 0; bias && i < n; i++)
        x[i] += bias[i];
}

static void step_norm(const struct pass *p, size_t row)
{
    const struct generator *g = p->g;
    float *x = g->work.x + row * g->c.hidden;
    float *h = g->work.h + row * g->c.hidden;

    add(x, p->bias, g->c.hidden);
    g->kern->rms_norm(x, p->norm, g->c.hidden, g->c.eps, h);
    quantise_row(p, h, g->c.hidden, row);
}

static void norm_heads(const struct generator *g, float *x, uint32_t heads, const float *weight)
{
    for (uint32_t h = 0; weight && h < heads; h++, x += g->c.head_dim)
        g->kern->rms_norm(x, weight, g->c.head_dim, g->c.eps, x);
}

/* Biases, norms of heads, rotary positions; the key and value go into the cache. */
static void step_place(const struct pass *p, size_t row)
{
    const struct generator *g = p->g;
    const struct gen_config *c = &g->c;
    const struct gen_row *r = &g->work.rows[row];
    size_t wide = (size_t)c->heads * c->head_dim;
    size_t narrow = (size_t)c->kv_heads * c->head_dim;
    float *q = g->work.q + row * wide;
    float *k = g->work.k + row * narrow;
    float *v = g->work.v + row * narrow;

    add(q, p->y->bq, wide);
    add(k, p->y->bk, narrow);
    add(v, p->y->bv, narrow);
    norm_heads(g, q, c->heads, p->y->q_norm);
    norm_heads(g, k, c->kv_heads, p->y->k_norm);
    rope_turn(q, c->heads, c->head_dim, c->rope_dim, c->rope_half, g->m.rope, r->pos);
    rope_turn(k, c->kv_heads, c->head_dim, c->rope_dim, c->rope_half, g->m.rope, r->pos);
    kv_put(r->seq, p->layer, r->pos, k, v);
}

static void step_attended(const struct pass *p, size_t row)
{
    size_t wide = (size_t)p->g->c.heads * p->g->c.head_dim;

    quantise_row(p, p->g->work.att + row * wide, wide, row);
}

static void step_swiglu(const struct pass *p, size_t row)
{
    size_t ffn = p->g->c.ffn;
    float *gate = p->g->work.gate + row * ffn;
    float *up = p->g->work.up + row * ffn;

    add(gate, p->y->bgate, ffn);
    add(up, p->y->bup, ffn);
    p->g->kern->swiglu(gate, up, ffn, gate);
    quantise_row(p, gate, ffn, row);
}

struct rows_round {
    const struct pass *p;
    void (*step)(const struct pass *p, size_t row);
};

static void rows_task(void *arg, size_t task, int worker)
{
    const struct rows_round *r = arg;
    size_t end = (task + 1) * ROWS_PER_TASK;

    (void)worker;
    for (size_t row = task * ROWS_PER_TASK; row < end && row < r->p->n; row++)
        r->step(r->p, row);
}

static void each_row(const struct pass *p, void (*step)(const struct pass *p, size_t row))
{
    struct rows_round r = {p, step};

    team_run(p->g->team, rows_task, &r, (p->n + ROWS_PER_TASK - 1) / ROWS_PER_TASK);
}

/* ---- products ---- */

static int wants_int8(const struct qmat *a, const struct qmat *b, const struct qmat *c)
{
    return a->form != QFORM_F32 || (b && b->form != QFORM_F32) || (c && c->form != QFORM_F32);
}

static struct qjob job(const struct pass *p, const struct qmat *w, float *y, int to_add)
{
    return (struct qjob){w, &p->g->work.in, y, w->rows, NULL, to_add};
}

static void multiply(const struct pass *p, const struct qjob *jobs, size_t n_jobs)
{
    struct gen_work *w = &p->g->work;

    qmat_mul(p->g->kern, p->g->team, jobs, n_jobs, p->n, w->mul, w->mul_stride);
}

/* What the next products read: x [n, k], already quantised row by row where that is wanted. */
static void feed(const struct pass *p, const float *x, size_t k)
{
    p->g->work.in.x = x;
    p->g->work.in.k = k;
}

/* ---- attention ---- */

/* The query heads that share a kv head are rows of one small product. */
static void attend_task(void *arg, size_t task, int worker)
{
    const struct pass *p = arg;
    const struct generator *g = p->g;
    const struct gen_config *c = &g->c;
    const struct gen_work *w = &g->work;
    const struct attend_task *t = &w->tasks[task];
    const struct gen_row *first = &w->rows[t->row];
    size_t group = c->heads / c->kv_heads;
    size_t D = c->head_dim;
    size_t n = t->rows * group;
    size_t count = first->pos + t->rows; /* positions the last row sees */
    size_t blocks = (count + 15) / 16;
    float *q = w->attend + (size_t)worker * w->attend_stride; /* [n, D] */
    float *out = q + n * D; /* [n, D] */
    float *s = out + n * D; /* [n, blocks * 16] */

    for (size_t r = 0; r < t->rows; r++)
        memcpy(q + r * group * D, w->q + (t->row + r) * c->heads * D + t->head * group * D,
               group * D * sizeof *q);
    g->kern->scores(q, n, D, kv_keys(first->seq, p->layer, t->head), first->seq->half, blocks, s,
                    blocks * 16);
    for (size_t i = 0; i < n; i++) {
        size_t own = first->pos + i / group + 1;
        g->kern->softmax(s + i * blocks * 16, own, 1.0f / sqrtf((float)D));
        memset(s + i * blocks * 16 + own, 0, (blocks * 16 - own) * sizeof *s);
    }
    g->kern->mix(s, n, blocks * 16, kv_values(first->seq, p->layer, t->head), first->seq->half,
                 count, D, out, D);
    for (size_t r = 0; r < t->rows; r++)
        memcpy(w->att + (t->row + r) * c->heads * D + t->head * group * D, out + r * group * D,
               group * D * sizeof *out);
}

static size_t attend_tasks(const struct generator *g, size_t n)
{
    struct gen_work *w = (struct gen_work *)(uintptr_t)&g->work;
    size_t count = 0;

    for (uint32_t row = 0; row < n;) {
        uint32_t rows = 1;
        while (row + rows < n && rows < w->attend_rows &&
               w->rows[row + rows].seq == w->rows[row].seq)
            rows++;
        for (uint32_t head = 0; head < g->c.kv_heads; head++)
            w->tasks[count++] = (struct attend_task){row, rows, head};
        row += rows;
    }
    return count;
}

/* ---- the pass ---- */

static void layer(struct pass *p, size_t n_attend)
{
    const struct gen_layer *y = p->y;
    struct gen_work *w = &p->g->work;
    struct qjob in[3];
    struct qjob out;

    p->norm = y->attn_norm;
    p->packed = wants_int8(&y->q, &y->k, &y->v);
    each_row(p, step_norm);
    feed(p, w->h, p->g->c.hidden);
    in[0] = job(p, &y->q, w->q, 0);
    in[1] = job(p, &y->k, w->k, 0);
    in[2] = job(p, &y->v, w->v, 0);
    multiply(p, in, 3);
    each_row(p, step_place);
    team_run(p->g->team, attend_task, p, n_attend);
    p->packed = wants_int8(&y->o, NULL, NULL);
    each_row(p, step_attended);
    feed(p, w->att, y->o.k);
    out = job(p, &y->o, w->x, 1);
    multiply(p, &out, 1);

    p->norm = y->ffn_norm;
    p->bias = y->bo;
    p->packed = wants_int8(&y->gate, &y->up, NULL);
    each_row(p, step_norm);
    feed(p, w->h, p->g->c.hidden);
    in[0] = job(p, &y->gate, w->gate, 0);
    in[1] = job(p, &y->up, w->up, 0);
    multiply(p, in, 2);
    p->packed = wants_int8(&y->down, NULL, NULL);
    each_row(p, step_swiglu);
    feed(p, w->gate, p->g->c.ffn);
    out = job(p, &y->down, w->x, 1);
    multiply(p, &out, 1);
    p->bias = y->bdown;
}

/* The head is a fifth of a small model's work: only rows that want logits go through it. */
static void head(struct pass *p)
{
    struct gen_work *w = &p->g->work;
    size_t H = p->g->c.hidden;
    size_t wanted = 0;
    struct qjob out;

    for (size_t r = 0; r < p->n; r++) {
        if (!w->rows[r].logits)
            continue;
        if (wanted != r)
            memcpy(w->x + wanted * H, w->x + r * H, H * sizeof *w->x);
        w->each[wanted++] = w->rows[r].logits;
    }
    p->n = wanted;
    if (!wanted)
        return;
    p->norm = p->g->m.final_norm;
    p->packed = wants_int8(&p->g->m.head, NULL, NULL);
    each_row(p, step_norm);
    feed(p, w->h, H);
    out = job(p, &p->g->m.head, NULL, 0);
    out.each = w->each;
    multiply(p, &out, 1);
}

int decoder_pass(struct generator *g, struct gen_row *rows, size_t n, struct err *e)
{
    struct pass p = {.g = g, .n = n};
    size_t H = g->c.hidden;
    size_t n_attend;
    int rc = 0;

    memmove(g->work.rows, rows, n * sizeof *rows);
    for (size_t r = 0; !rc && r < n; r++)
        rc = tensor_to_f32(g->m.embed, (uint64_t)rows[r].id * H, H, g->work.x + r * H, e);
    if (rc)
        return rc;
    n_attend = attend_tasks(g, n);
    for (uint32_t i = 0; i < g->c.layers; i++) {
        p.layer = i;
        p.y = &g->m.layers[i];
        layer(&p, n_attend);
    }
    head(&p);
    return 0;
}
