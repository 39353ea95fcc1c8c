/* furniture.c - running headers and footers: lines at the edge of a page that repeat.
 * A line counts as repeated when three pages of thirteen (six to each side) have the same text at
 * the same edge and height, digits taken as equal; so a header that changes with the chapter or
 * alternates left and right is found too. A line that is a number alone must go up with the pages.
 * A line is marked only when every line further out is. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "ingest/ingest.h"

#define EDGE 3 /* lines looked at on each edge */
#define WINDOW 6 /* pages to each side */
#define LEAST 3 /* pages that must agree, the page itself among them */
#define LINE_MOST 200 /* bytes; a longer line is text */
#define Y_NEAR 0.02f /* of the page's height */

struct line {
    uint64_t hash; /* 0: no such line */
    uint32_t start, end;
    float y; /* of its first word; -1 unknown */
    int64_t number; /* when it is a page number alone, else -1 */
    int furniture;
};

struct edges {
    struct line top[EDGE], bottom[EDGE]; /* [0] is the outermost */
};

static int64_t roman(const char *s, size_t n)
{
    int64_t sum = 0, last = 0;

    if (n == 0 || n > 8)
        return -1;
    while (n-- > 0) {
        static const char letters[] = "ivxlc";
        static const int64_t values[] = {1, 5, 10, 50, 100};
        const char *at = s[n] ? strchr(letters, tolower((unsigned char)s[n])) : NULL;
        int64_t v;
        if (!at)
            return -1;
        v = values[at - letters];
        sum += v < last ? -v : v;
        last = v > last ? v : last;
    }
    return sum;
}

/* The number a line consists of: "17", "- 17 -", "iv", "F-3"; -1 when there is more to it. */
static int64_t lone_number(const char *s, size_t n)
{
    int64_t v = 0;
    size_t digits = 0, letters = 0, r;

    while (n && strchr(" -[](){}|.", s[0])) {
        s++;
        n--;
    }
    while (n && strchr(" -[](){}|.", s[n - 1]))
        n--;
    r = n;
    if (n && roman(s, n) >= 0)
        return roman(s, n);
    for (size_t i = 0; i < r; i++) {
        if (isdigit((unsigned char)s[i])) {
            v = v * 10 + (s[i] - '0');
            digits++;
        } else if (i < 2 && (isalpha((unsigned char)s[i]) || s[i] == '-')) {
            letters++;
        } else {
            return -1;
        }
    }
    return digits >= 1 && digits <= 5 && letters <= 2 ? v : -1;
}

static uint64_t shape(const char *s, size_t n)
{
    char norm[LINE_MOST] = {0};
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        char put = isdigit(c) ? '#' : isspace(c) ? ' ' : (char)tolower(c);
        if ((put == '#' || put == ' ') && k && norm[k - 1] == put)
            continue;
        norm[k++] = put;
    }
    return hash_xxh3(norm, k) | 1;
}

static float line_y(const struct page *p, uint32_t start, uint32_t end)
{
    uint32_t lo = 0, hi = p->n_boxes;

    while (lo < hi) { /* the first box that does not begin before the line */
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->boxes[mid].start < start)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < p->n_boxes && p->boxes[lo].start < end ? p->boxes[lo].y0 : -1;
}

static void note(const struct page *p, uint32_t start, uint32_t end, struct line *l)
{
    if (end - start > LINE_MOST)
        return;
    l->start = start;
    l->end = end;
    l->hash = shape(p->text + start, end - start);
    l->number = lone_number(p->text + start, end - start);
    l->y = line_y(p, start, end);
}

/* The next line that is not blank, from at upwards or downwards; 0 when there is none. */
static int next_line(const struct page *p, uint32_t *at, int up, uint32_t *start, uint32_t *end)
{
    const char *t = p->text;
    uint32_t i = *at;

    if (!up) {
        while (i < p->n_text && isspace((unsigned char)t[i]))
            i++;
        *start = i;
        while (i < p->n_text && t[i] != '\n')
            i++;
        *end = *at = i;
    } else {
        while (i > 0 && isspace((unsigned char)t[i - 1]))
            i--;
        *end = i;
        while (i > 0 && t[i - 1] != '\n')
            i--;
        *start = *at = i;
        while (*start < *end && isspace((unsigned char)t[*start]))
            (*start)++;
    }
    while (*end > *start && isspace((unsigned char)t[*end - 1]))
        (*end)--;
    return *end > *start;
}

static void find_edges(const struct page *p, struct edges *g)
{
    uint32_t at = 0, start, end, low;
    int k;

    memset(g, 0, sizeof *g);
    for (k = 0; k < EDGE && next_line(p, &at, 0, &start, &end); k++)
        note(p, start, end, &g->top[k]);
    low = at;
    at = p->n_text;
    for (k = 0; k < EDGE && next_line(p, &at, 1, &start, &end) && start >= low; k++)
        note(p, start, end, &g->bottom[k]);
}

static int same_line(const struct line *a, const struct line *b, int64_t pages_on)
{
    float dy = a->y - b->y;

    if (!a->hash || !b->hash)
        return 0;
    if (a->number >= 0 || b->number >= 0)
        return a->number >= 0 && b->number - a->number == pages_on;
    if (a->hash != b->hash)
        return 0;
    return a->y < 0 || b->y < 0 || (dy < Y_NEAR && dy > -Y_NEAR);
}

static void judge(struct edges *all, const struct page *pages, uint32_t n, uint32_t i, int bottom)
{
    struct line *mine = bottom ? all[i].bottom : all[i].top;

    for (int k = 0; k < EDGE; k++) {
        uint32_t from = i > WINDOW ? i - WINDOW : 0, agree = 0;
        for (uint32_t j = from; j < n && j <= i + WINDOW; j++) {
            const struct line *other = bottom ? all[j].bottom : all[j].top;
            int64_t on = (int64_t)pages[j].number - pages[i].number;
            for (int m = 0; m < EDGE; m++)
                if (same_line(&mine[k], &other[m], on)) {
                    agree++;
                    break;
                }
        }
        if (agree < LEAST)
            return;
        mine[k].furniture = 1;
    }
}

static int by_start(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static int add_marks(struct page *p, const struct edges *g, struct arena *a)
{
    struct mark fresh[2 * EDGE], *all;
    uint32_t k = 0;

    for (int i = 0; i < EDGE; i++) {
        const struct line *t = &g->top[i], *b = &g->bottom[i];
        if (t->furniture)
            fresh[k++] = (struct mark){t->start, t->end, MARK_HEADER};
        if (b->furniture)
            fresh[k++] = (struct mark){b->start, b->end, MARK_FOOTER};
    }
    if (k == 0)
        return 0;
    all = arena_take(a, p->n_marks + k, sizeof *all);
    if (!all)
        return ERR_NOMEM;
    if (p->n_marks)
        memcpy(all, p->marks, p->n_marks * sizeof *all);
    memcpy(all + p->n_marks, fresh, k * sizeof *all);
    qsort(all, p->n_marks + k, sizeof *all, by_start);
    p->marks = all;
    p->n_marks += k;
    return 0;
}

int furniture_mark(struct extracted *x, struct arena *a, struct err *e)
{
    struct edges *all;
    uint32_t n = x->n_pages;
    int rc = 0;

    if (!x->paged || n < LEAST) /* parts of a file without pages have no edges */
        return 0;
    all = mem_take(n, sizeof *all);
    if (!all)
        return err_set(e, ERR_NOMEM, "no memory for the edges of %u pages", n);
    for (uint32_t i = 0; i < n; i++)
        find_edges(&x->pages[i], &all[i]);
    for (uint32_t i = 0; i < n; i++) {
        judge(all, x->pages, n, i, 0);
        judge(all, x->pages, n, i, 1);
    }
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = add_marks(&x->pages[i], &all[i], a);
    mem_give(all);
    return rc ? err_set(e, rc, "no memory for header and footer marks") : 0;
}
