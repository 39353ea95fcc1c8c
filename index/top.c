/* top.c - the k best of a stream of (score, chunk). Chunks that tie with the k-th are all kept, because
 * ties are decided by document id, which is looked up only for those that come this far. */
#include <math.h>
#include <string.h>

#include "index/shard_view.h"

void top_open(struct top *t, uint32_t k, float slack, struct arena *a)
{
    memset(t, 0, sizeof *t);
    t->k = k;
    t->slack = slack;
    t->least = -INFINITY;
    t->a = a;
}

/* The k-th largest score of s[0..n), by quickselect; changes the order of s. */
static float select_kth(float *s, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;

    while (low < high) {
        float pivot = s[low + (high - low) / 2];
        size_t i = low, j = high;

        while (i <= j) {
            while (s[i] > pivot)
                i++;
            while (s[j] < pivot)
                j--;
            if (i <= j) {
                float x = s[i];
                s[i++] = s[j];
                s[j] = x;
                if (!j)
                    break;
                j--;
            }
        }
        if (k - 1 <= j && j < high)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            break;
    }
    return s[k - 1];
}

void top_prune(struct top *t)
{
    struct arena_mark mark;
    float *s, kth;
    size_t kept = 0;

    if (t->n <= t->k)
        return;
    mark = arena_mark(t->a);
    s = arena_take(t->a, t->n, sizeof *s);
    if (!s) {
        t->failed = 1;
        return;
    }
    for (size_t i = 0; i < t->n; i++)
        s[i] = t->at[i].score;
    kth = select_kth(s, t->n, t->k);
    arena_rewind(t->a, mark);
    t->least = kth - t->slack;
    for (size_t i = 0; i < t->n; i++) {
        if (t->at[i].score >= t->least)
            t->at[kept++] = t->at[i];
    }
    t->n = kept;
}

void top_push_slow(struct top *t, float score, uint32_t cid)
{
    if (t->n == t->cap) {
        if (t->cap)
            top_prune(t);
        if (t->failed)
            return;
        if (t->n > t->cap / 2 || !t->cap) { /* ties, or the start */
            size_t cap = t->cap ? t->cap * 2 : 2 * (size_t)t->k + 256;
            struct candidate *grown = arena_take(t->a, cap, sizeof *grown);
            if (!grown) {
                t->failed = 1;
                return;
            }
            if (t->n)
                memcpy(grown, t->at, t->n * sizeof *grown);
            t->at = grown;
            t->cap = cap;
        }
        if (score < t->least)
            return;
    }
    t->at[t->n].score = score;
    t->at[t->n++].cid = cid;
}
