/* indexing_embed.c - the embedder's stage: one thread owns the model and gives it many chunks at a time.
 * Chunks whose text is stored already, or was sent to the store in this run, are not embedded again. */
#include <string.h>

#include "base/limits.h"
#include "coordinator/indexing_impl.h"

#define GROUP_CHUNKS 128 /* small documents share a pass, up to about this many chunks */
#define GROUP_DOCS 64
#define SLICE 64 /* chunks a call, some 2 s: the stop flag and the progress are seen in between */

static int set_grow(struct hash_set *s)
{
    size_t cap = s->cap ? s->cap * 2 : 4096;
    uint8_t(*at)[DOC_ID_BYTES] = mem_take(cap, sizeof *at);

    if (!at)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->cap; i++) {
        uint64_t h;
        memcpy(&h, s->at[i], sizeof h);
        if (!h)
            continue;
        while (memcmp(at[h & (cap - 1)], (uint8_t[DOC_ID_BYTES]){0}, DOC_ID_BYTES) != 0)
            h++;
        memcpy(at[h & (cap - 1)], s->at[i], DOC_ID_BYTES);
    }
    mem_give(s->at);
    s->at = at;
    s->cap = cap;
    return 0;
}

/* 1: it was there. 0: it was not, and is now (or there is no memory: it is embedded once more). */
static int set_add(struct hash_set *s, const uint8_t hash[DOC_ID_BYTES])
{
    uint64_t h;

    memcpy(&h, hash, sizeof h); /* the ids are BLAKE2b: 8 zero bytes do not happen */
    if (s->n * 2 >= s->cap && set_grow(s))
        return 0;
    while (memcmp(s->at[h & (s->cap - 1)], (uint8_t[DOC_ID_BYTES]){0}, DOC_ID_BYTES) != 0) {
        if (!memcmp(s->at[h & (s->cap - 1)], hash, DOC_ID_BYTES))
            return 1;
        h++;
    }
    memcpy(s->at[h & (s->cap - 1)], hash, DOC_ID_BYTES);
    s->n++;
    return 0;
}

/* Which chunks of j need a vector: fresh[0..n). */
static int choose_fresh(struct run *r, struct snapshot *s, struct job *j, uint32_t **fresh,
                        uint32_t *n, struct err *e)
{
    *n = 0;
    *fresh = arena_take(&j->a, j->n_chunks, sizeof **fresh);
    j->vec = arena_zero(&j->a, j->n_chunks, sizeof *j->vec);
    if (!*fresh || !j->vec)
        return err_set(e, ERR_NOMEM, "%s", j->at.path);
    for (uint32_t i = 0; i < j->n_chunks; i++) {
        int sent = set_add(&r->sent, j->hashes[i]);
        if (r->force || (!sent && !snapshot_has_vector(s, j->hashes[i])))
            (*fresh)[(*n)++] = i;
    }
    j->vectors = arena_take(&j->a, *n, r->dim * sizeof *j->vectors);
    if (!j->vectors)
        return err_set(e, ERR_NOMEM, "%s: %u vectors", j->at.path, *n);
    for (uint32_t i = 0; i < *n; i++)
        j->vec[(*fresh)[i]] = j->vectors + (size_t)i * r->dim;
    return 0;
}

struct group {
    struct job *jobs[GROUP_DOCS];
    int n_jobs;
    const struct embed_text **texts; /* [n] */
    float **to; /* [n] where the vector goes */
    size_t n, cap;
};

static int group_add(struct group *g, const struct embed_text *t, float *to)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 512;
        const struct embed_text **texts = mem_again(g->texts, cap, sizeof *texts);
        float **dest;
        if (!texts)
            return ERR_NOMEM;
        g->texts = texts;
        dest = mem_again(g->to, cap, sizeof *dest);
        if (!dest)
            return ERR_NOMEM;
        g->to = dest;
        g->cap = cap;
    }
    g->texts[g->n] = t;
    g->to[g->n++] = to;
    return 0;
}

static int job_join(struct run *r, struct snapshot *s, struct group *g, struct job *j,
                    struct err *e)
{
    uint32_t *fresh = NULL;
    uint32_t n = 0;
    int rc = 0;

    g->jobs[g->n_jobs++] = j;
    if (j->kind != JOB_NEW || r->dim == 0)
        return 0;
    rc = choose_fresh(r, s, j, &fresh, &n, e);
    for (uint32_t i = 0; !rc && i < n; i++)
        if (group_add(g, &j->texts[fresh[i]], j->vectors + (size_t)i * r->dim))
            rc = err_set(e, ERR_NOMEM, "chunks of %s", j->at.path);
    if (!rc) {
        pthread_mutex_lock(&r->mu);
        r->p.reused += j->n_chunks - n;
        pthread_mutex_unlock(&r->mu);
    }
    return rc;
}

static int group_embed(struct run *r, struct group *g, struct arena *tmp, struct err *e)
{
    for (size_t at = 0; at < g->n && !run_stopping(r); at += SLICE) {
        size_t n = g->n - at < SLICE ? g->n - at : SLICE;
        struct embed_text texts[SLICE];
        struct embed_stat stats[SLICE];
        float *vectors = arena_take(tmp, n, r->dim * sizeof *vectors);
        uint64_t tokens = 0;
        int rc;

        if (!vectors)
            return err_set(e, ERR_NOMEM, "vectors");
        for (size_t i = 0; i < n; i++)
            texts[i] = *g->texts[at + i];
        rc = embedder_embed(r->en->emb, texts, n, tmp, vectors, stats, e);
        if (rc)
            return rc;
        for (size_t i = 0; i < n; i++) {
            memcpy(g->to[at + i], vectors + i * r->dim, r->dim * sizeof *vectors);
            tokens += stats[i].n_tokens;
        }
        arena_reset(tmp);
        pthread_mutex_lock(&r->mu);
        r->p.tokens += tokens;
        r->p.embedded += n;
        pthread_mutex_unlock(&r->mu);
    }
    return 0;
}

static int one_group(struct run *r, struct job *first, struct group *g, struct arena *tmp,
                     struct err *e)
{
    struct snapshot *s;
    struct job *j = first;
    int rc = snapshot_take(r->en->lib, &s, e);

    g->n = 0;
    g->n_jobs = 0;
    if (rc) {
        g->jobs[g->n_jobs++] = first;
        return rc;
    }
    while (j) {
        rc = job_join(r, s, g, j, e);
        if (rc || g->n >= GROUP_CHUNKS || g->n_jobs == GROUP_DOCS)
            break;
        j = queue_poll(r->docs);
    }
    snapshot_give(s);
    return rc ? rc : group_embed(r, g, tmp, e);
}

void *embed_stage(void *run)
{
    struct run *r = run;
    struct group g = {.n = 0};
    struct arena tmp;
    struct job *j;

    arena_init(&tmp, 2 * GIB);
    while ((j = queue_get(r->docs)) != NULL) {
        struct err e = {0};
        int rc = one_group(r, j, &g, &tmp, &e);
        if (rc)
            run_fail(r, &e);
        for (int i = 0; i < g.n_jobs; i++) /* after a stop half a group may be unembedded: none of it is stored */
            if (run_stopping(r) || queue_put(r->ready, g.jobs[i]))
                job_free(g.jobs[i]);
    }
    queue_end(r->ready);
    arena_free(&tmp);
    mem_give(g.texts);
    mem_give(g.to);
    return NULL;
}
