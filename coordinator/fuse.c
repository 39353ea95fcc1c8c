/* fuse.c - joins the keyword list and the vector list of one query, and collects evidence by page.
 *
 * Convex combination of min-max scores: RRF is .02 behind it on scifact (.714 against .735) and forgets how far apart the
 * hits were. The extremes are those of the candidates, both lists together, after every candidate got its true score in both
 * (search_bm25_of, search_dense_of): clipping to each list's own range costs .02 on scifact at the same weight.
 *
 * One default for all collections; nDCG@10 of bm25 / dense / joined (MiniLM, lists 200 deep):
 *   scifact .686/.652/.734     cranfield .355/.381/.423   hotpotqa_100 .784/.785/.829   squad_v2_dev .888/.799/.916
 *   xquad_en .967/.943/.980    rgb_zh .664/.173/.673      xquad_zh .967/.243/.967       rageval_en .933/.815/.936 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/query_impl.h"

/* The dense share for a query of ordinary words that the model can read. Measured best .5 to .6 for MiniLM. */
#define DENSE_WEIGHT 0.6f
/* What the best passage explains of the query's words (bm25_share) on general collections: .48 to .68. On filings it is .32:
 * their questions are long and none of their words is rare, so keywords there deserve less. */
#define USUAL_SHARE 0.53f
#define MOST_WORDS 1.3f /* keywords never count more than this times their usual weight */
/* Of the page's second chunk. Pages of filings, hit@1/5/10 of 28 questions, filing named / not named:
 * 0 .43/.68/.75, .39/.50/.68   .2 .43/.64/.79, .39/.54/.75   .5 .46/.64/.79, .43/.61/.75 */
#define PAGE_NEXT 0.5f

static int same_chunk(const struct hit *a, const struct hit *b)
{
    return a->ord == b->ord && !memcmp(a->doc, b->doc, DOC_ID_BYTES);
}

static int by_chunk(const void *x, const void *y)
{
    const struct candidate *a = x;
    const struct candidate *b = y;
    int c = memcmp(a->hit.doc, b->hit.doc, DOC_ID_BYTES);

    return c ? c : (a->hit.ord > b->hit.ord) - (a->hit.ord < b->hit.ord);
}

int fuse_join(const struct hits *words, const struct hits *dense, struct arena *a,
              struct candidate **out, uint32_t *n, struct err *e)
{
    uint32_t most = words->n + dense->n;
    struct candidate *c = arena_zero(a, most ? most : 1, sizeof *c);
    uint32_t kept = 0;

    if (!c)
        return err_set(e, ERR_NOMEM, "%u candidates", most);
    for (uint32_t i = 0; i < words->n; i++)
        c[i] = (struct candidate){
            .hit = words->at[i], .bm25 = words->at[i].score, .in_bm25 = i + 1};
    for (uint32_t i = 0; i < dense->n; i++)
        c[words->n + i] = (struct candidate){
            .hit = dense->at[i], .cosine = dense->at[i].score, .in_dense = i + 1};
    qsort(c, most, sizeof *c, by_chunk);
    for (uint32_t i = 0; i < most; i++) {
        struct candidate *last = kept ? &c[kept - 1] : NULL;
        if (!last || !same_chunk(&last->hit, &c[i].hit)) {
            c[kept++] = c[i];
        } else if (c[i].in_dense) {
            last->in_dense = c[i].in_dense;
            last->cosine = c[i].cosine;
        } else {
            last->in_bm25 = c[i].in_bm25;
            last->bm25 = c[i].bm25;
        }
    }
    *out = c;
    *n = kept;
    return 0;
}

/* Dense falls with the square of what the model cannot read: of Chinese, MiniLM knows four characters in ten, and its list is
 * next to noise (rgb_zh .173). Keywords count by the root of what they explain. */
float fuse_weight(const struct fuse_query *q)
{
    float known = 1 - q->unknown_share;
    float dense = DENSE_WEIGHT * known * known;
    float words = sqrtf(q->bm25_share > 0 ? q->bm25_share / USUAL_SHARE : 0);

    words = (1 - dense) * (words < MOST_WORDS ? words : MOST_WORDS);
    return dense > 0 ? dense / (dense + words) : 0;
}

static int best_first(const void *x, const void *y)
{
    const struct candidate *a = x;
    const struct candidate *b = y;

    return hit_before(&a->hit, &b->hit) ? -1 : hit_before(&b->hit, &a->hit);
}

void fuse_scores(struct candidate *c, uint32_t n, float w)
{
    float least_b = 0, most_b = 0, least_d = 0, most_d = 0;

    for (uint32_t i = 0; i < n; i++) {
        least_b = i && c[i].bm25 > least_b ? least_b : c[i].bm25;
        most_b = i && c[i].bm25 < most_b ? most_b : c[i].bm25;
        least_d = i && c[i].cosine > least_d ? least_d : c[i].cosine;
        most_d = i && c[i].cosine < most_d ? most_d : c[i].cosine;
    }
    for (uint32_t i = 0; i < n; i++) {
        float b = most_b > least_b ? (c[i].bm25 - least_b) / (most_b - least_b) : 0;
        float d = most_d > least_d ? (c[i].cosine - least_d) / (most_d - least_d) : 0;
        c[i].hit.score = w * d + (1 - w) * b;
    }
    qsort(c, n, sizeof *c, best_first);
}

static int by_page(const void *x, const void *y)
{
    const struct candidate *a = x;
    const struct candidate *b = y;
    int c = memcmp(a->hit.doc, b->hit.doc, DOC_ID_BYTES);

    if (!c)
        c = (a->hit.page > b->hit.page) - (a->hit.page < b->hit.page);
    return c ? c : best_first(x, y);
}

static int same_page(const struct candidate *a, const struct candidate *b)
{
    return a->doc && a->doc->paged && a->hit.page == b->hit.page &&
           !memcmp(a->hit.doc, b->hit.doc, DOC_ID_BYTES);
}

void fuse_pages(struct candidate *c, uint32_t n)
{
    qsort(c, n, sizeof *c, by_page);
    for (uint32_t i = 0; i < n; i++) {
        c[i].follower = i && same_page(&c[i - 1], &c[i]);
        if (!c[i].follower && i + 1 < n && same_page(&c[i], &c[i + 1])) {
            c[i].hit.score += PAGE_NEXT * c[i + 1].hit.score;
            c[i].also = c[i + 1].hit.ord + 1;
        }
    }
    qsort(c, n, sizeof *c, best_first);
}
