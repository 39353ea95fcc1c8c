/* pdf_order.c - words to lines in the order a reader takes them.
 * Part of docent-extract: GPL-2.0-or-later, because it links poppler.
 * Poppler's own order puts the columns of a table one behind the other, so that a figure is far
 * from its label. Here words become pieces (no wide gap inside), pieces on one baseline become
 * rows, and the rows are read downwards - except where a gutter runs through several rows with
 * prose on both sides: then the left side is read to its end first. What decides between a table
 * and two columns of prose is below, in is_prose(). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

#define CELL_GAP 1.0F /* of the type size: a wider gap inside a line separates cells */
#define GUTTER 0.8F /* the same, for the white between two columns */
#define MOST_DEPTH 8
#define MOST_PIECES                                                                                \
    20000 /* pages with more are read row by row: the search for gutters is quadratic */

struct piece {
    uint32_t first, n; /* words */
    float x0, y0, x1, y1;
    float size;
    uint32_t chars, digits;
    uint32_t row;
    uint8_t rtl;
};

struct order {
    struct pdf_page *p;
    struct arena *a;
    struct piece *piece;
    uint32_t n_pieces;
    uint32_t n_places;
    uint32_t n_columns;
    int failed;
};

/* ---- words -> pieces ---- */

static void piece_add(const struct pdf_page *p, struct piece *s, const struct word *w)
{
    float chars = (float)s->chars;

    s->x0 = s->n ? fminf(s->x0, w->x0) : w->x0;
    s->y0 = s->n ? fminf(s->y0, w->y0) : w->y0;
    s->x1 = s->n ? fmaxf(s->x1, w->x1) : w->x1;
    s->y1 = s->n ? fmaxf(s->y1, w->y1) : w->y1;
    s->size = (s->size * chars + w->size * (float)w->n) / (chars + (float)w->n);
    s->chars += w->n;
    s->rtl |= w->rtl;
    for (uint32_t i = 0; i < w->n; i++) {
        char c = p->text[p->glyph[w->first + i].at];
        s->digits += (c >= '0' && c <= '9') || (c && strchr("$%()-,.", c));
    }
    s->n++;
}

static int goes_on(const struct word *a, const struct word *b)
{
    float size = fmaxf(a->size, b->size);
    float gap = a->rtl && b->rtl && b->x0 < a->x0 ? a->x0 - b->x1 : b->x0 - a->x1;

    return a->line == b->line && gap < CELL_GAP * size && gap > -2 * size &&
           fabsf(a->y0 + a->y1 - b->y0 - b->y1) < 2 * size;
}

static void make_pieces(struct order *o)
{
    struct pdf_page *p = o->p;
    const struct word *before = NULL;
    struct piece *s = NULL;

    for (uint32_t i = 0; i < p->n_words; i++) {
        const struct word *w = &p->word[i];
        if (w->hidden || !w->upright) {
            before = NULL;
            continue;
        }
        if (!before || !goes_on(before, w)) {
            s = &o->piece[o->n_pieces++];
            memset(s, 0, sizeof *s);
            s->first = i;
        }
        piece_add(p, s, w);
        before = w;
    }
}

/* ---- pieces -> rows ---- */

static const struct piece *pieces_for_sort; /* qsort has no argument; the program has one thread */

static float middle(const struct piece *s)
{
    return (s->y0 + s->y1) / 2;
}

static int by_height(const void *a, const void *b)
{
    const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    float d = middle(&pieces_for_sort[i]) - middle(&pieces_for_sort[j]);

    return d < 0 ? -1 : d > 0 ? 1 : i < j ? -1 : 1;
}

static int by_row(const void *a, const void *b)
{
    const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct piece *s = &pieces_for_sort[i], *t = &pieces_for_sort[j];

    if (s->row != t->row)
        return s->row < t->row ? -1 : 1;
    return s->x0 < t->x0 ? -1 : s->x0 > t->x0 ? 1 : i < j ? -1 : 1;
}

/* Shared height, of the lower of both. */
static float overlap(const struct piece *a, const struct piece *b)
{
    float h = fminf(a->y1 - a->y0, b->y1 - b->y0);

    return h > 0 ? (fminf(a->y1, b->y1) - fmaxf(a->y0, b->y0)) / h : 0;
}

/* Sorts s by row and, in a row, from left to right. Returns the number of rows. */
static uint32_t make_rows(struct order *o, uint32_t *s, uint32_t n)
{
    uint32_t row = 0;
    uint32_t lead = 0; /* the piece that the row is measured by: its largest */

    pieces_for_sort = o->piece;
    qsort(s, n, sizeof *s, by_height);
    for (uint32_t i = 0; i < n; i++) {
        struct piece *q = &o->piece[s[i]];
        const struct piece *l = &o->piece[s[lead]];
        if (i && overlap(l, q) < 0.5F) {
            row++;
            lead = i;
        } else if (i && q->size > 1.2F * l->size && q->size < 2 * l->size) {
            lead = i;
        }
        q->row = row;
    }
    qsort(s, n, sizeof *s, by_row);
    return n ? row + 1 : 0;
}

/* ---- gutters ---- */

struct band {
    uint32_t from, to; /* rows, inclusive */
    float a, b; /* the white between */
    float worth;
};

struct side {
    uint32_t rows, pieces, chars, digits;
    float width; /* of all rows */
    float x0, x1;
    uint32_t last_row;
};

/* Columns of prose: wide lines without many figures on both sides; or narrower ones (a note in the
 * margin) whose lines do not stand on common baselines, as the cells of a table do. */
static int is_prose(const struct side *l, const struct side *r, uint32_t aligned, float em)
{
    uint32_t fewer = l->rows < r->rows ? l->rows : r->rows;
    float wl = l->width / (float)l->rows / em;
    float wr = r->width / (float)r->rows / em;

    if (fewer < 3 || l->digits * 10 > l->chars * 3 || r->digits * 10 > r->chars * 3)
        return 0;
    if (l->pieces > 2 * l->rows || r->pieces > 2 * r->rows)
        return 0;
    if (wl >= 10 && wr >= 10)
        return l->width > 0.5F * (l->x1 - l->x0) * (float)l->rows ||
               r->width > 0.5F * (r->x1 - r->x0) * (float)r->rows;
    return fewer >= 4 && aligned * 10 < fewer * 4 && wl >= 4 && wr >= 4;
}

static void side_add(struct side *d, const struct piece *q)
{
    if (!d->pieces || d->last_row != q->row) {
        d->rows++;
        d->last_row = q->row;
    }
    d->x0 = d->pieces ? fminf(d->x0, q->x0) : q->x0;
    d->x1 = d->pieces ? fmaxf(d->x1, q->x1) : q->x1;
    d->pieces++;
    d->chars += q->chars;
    d->digits += q->digits;
    d->width += q->x1 - q->x0;
}

/* Pieces s[i..j) are the rows of the band. */
static void judge(const struct order *o, const uint32_t *s, uint32_t i, uint32_t j, struct band *b)
{
    struct side d[2] = {{0}, {0}};
    uint32_t aligned = 0;
    float size = 0;
    const struct piece *left = NULL;
    int counted = 0;

    for (uint32_t k = i; k < j; k++) {
        const struct piece *q = &o->piece[s[k]];
        int right = q->x0 + q->x1 > b->a + b->b;
        side_add(&d[right], q);
        size += q->size;
        if (k == i || o->piece[s[k - 1]].row != q->row) {
            left = NULL;
            counted = 0;
        }
        if (!right)
            left = q;
        else if (left && !counted && fabsf(left->y1 - q->y1) < 0.2F * q->size) {
            aligned++;
            counted = 1;
        }
    }
    b->worth = 0;
    if (d[0].rows && d[1].rows && is_prose(&d[0], &d[1], aligned, size / (float)(j - i)))
        b->worth = (float)(d[0].rows + d[1].rows) + (b->b - b->a) / 1000;
}

/* Narrows the gutter by one row; 0 when the row closes it. */
static int narrow(const struct order *o, const uint32_t *s, uint32_t i, uint32_t j, struct band *b,
                  float least)
{
    float at = (b->a + b->b) / 2;

    for (uint32_t k = i; k < j; k++) {
        const struct piece *q = &o->piece[s[k]];
        if (q->x1 <= b->a || q->x0 >= b->b)
            continue;
        if (q->x0 < at && q->x1 > at)
            return 0;
        if (q->x1 <= at)
            b->a = q->x1;
        else
            b->b = q->x0;
        if (b->b - b->a < least)
            return 0;
    }
    return 1;
}

/* start[row] is the first piece of a row, start[n_rows] = n. */
static void find_band(const struct order *o, const uint32_t *s, const uint32_t *start,
                      uint32_t n_rows, struct band *best)
{
    float tried_a = 0, tried_b = -1; /* the gutter that was grown last, and up to which row */
    uint32_t tried_to = 0;

    best->worth = 0;
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t k = start[r]; k + 1 < start[r + 1]; k++) {
            const struct piece *q = &o->piece[s[k]], *t = &o->piece[s[k + 1]];
            float least = GUTTER * fminf(q->size, t->size);
            struct band b = {r, r, q->x1, t->x0, 0};
            struct band try;
            if (b.b - b.a < least)
                continue;
            if (r <= tried_to && b.a <= tried_a && b.b >= tried_b && tried_b > tried_a)
                continue; /* the same gutter, seen from a later row */
            while (b.to + 1 < n_rows) {
                try = b;
                if (!narrow(o, s, start[b.to + 1], start[b.to + 2], &try, least))
                    break;
                b.a = try.a;
                b.b = try.b;
                b.to++;
            }
            while (b.from > 0) {
                try = b;
                if (!narrow(o, s, start[b.from - 1], start[b.from], &try, least))
                    break;
                b.a = try.a;
                b.b = try.b;
                b.from--;
            }
            tried_a = b.a;
            tried_b = b.b;
            tried_to = b.to;
            judge(o, s, start[b.from], start[b.to + 1], &b);
            if (b.worth > best->worth)
                *best = b;
        }
}

/* ---- rows -> lines ---- */

/* A bullet, a number or a letter before the text of a list. */
static int is_label(const struct order *o, const struct piece *s)
{
    const struct word *w = &o->p->word[s->first];
    const struct glyph *g = &o->p->glyph[w->first];
    char last = o->p->text[g[w->n - 1].at];

    if (s->n != 1 || w->n > 6)
        return 0;
    return w->n == 1 || last == '.' || last == ')';
}

static int is_currency(const struct order *o, const struct piece *s)
{
    const struct word *w = &o->p->word[s->first];
    uint32_t cp;

    if (s->chars != 1)
        return 0;
    utf8_next(o->p->text + o->p->glyph[w->first].at, o->p->glyph[w->first].n, &cp);
    return cp == '$' || cp == 0xA3 || cp == 0xA5 || cp == 0x20AC || cp == 0xFFE5;
}

static enum space space_between(const struct order *o, const struct piece *a, const struct piece *b,
                                int first)
{
    float gap = a->x0 <= b->x0 ? b->x0 - a->x1 : a->x0 - b->x1;
    float size = fmaxf(a->size, b->size);
    char c = o->p->text[o->p->glyph[o->p->word[b->first].first].at];

    if (gap < 0.1F * size || ((c == ')' || c == '%') && gap < CELL_GAP * size))
        return SPACE_NONE;
    if (gap < CELL_GAP * size || (first && is_label(o, a)) || is_currency(o, a))
        return SPACE_WORD;
    return SPACE_CELL;
}

/* A line written from right to left: a reader starts at the right, but takes figures and Latin
 * words in it from the left. */
static void turn(struct order *o, struct line *l)
{
    const struct word *w = o->p->word;
    struct place *q = o->p->place + l->first;

    for (uint32_t k = 1; k < l->n; k++) { /* by x, the rightmost first; a line has few words */
        struct place t = q[k];
        uint32_t i = k;
        for (; i > 0 && w[q[i - 1].word].x0 < w[t.word].x0; i--)
            q[i] = q[i - 1];
        q[i] = t;
    }
    for (uint32_t k = 0; k < l->n; k++) {
        float gap = k ? w[q[k - 1].word].x0 - w[q[k].word].x1 : 0;
        q[k].space = k == 0 ? SPACE_NONE : gap < CELL_GAP * l->size ? SPACE_WORD : SPACE_CELL;
    }
    for (uint32_t i = 0, j; i < l->n; i = j + 1) {
        for (j = i; j < l->n && !w[q[j].word].rtl; j++)
            continue;
        for (uint32_t k = 0; j > i && k < (j - i) / 2; k++) {
            uint32_t t = q[i + k].word;
            q[i + k].word = q[j - 1 - k].word;
            q[j - 1 - k].word = t;
        }
    }
}

static void line_box(struct order *o, struct line *l)
{
    uint32_t chars = 0, bold = 0, rtl = 0;
    float size = 0;

    l->x0 = l->y0 = 1e9F;
    l->x1 = l->y1 = -1e9F;
    for (uint32_t i = l->first; i < l->first + l->n; i++) {
        const struct word *w = &o->p->word[o->p->place[i].word];
        l->x0 = fminf(l->x0, w->x0);
        l->y0 = fminf(l->y0, w->y0);
        l->x1 = fmaxf(l->x1, w->x1);
        l->y1 = fmaxf(l->y1, w->y1);
        chars += w->n;
        size += w->size * (float)w->n;
        bold += w->bold ? w->n : 0;
        rtl += w->rtl ? w->n : 0;
        l->row |= o->p->place[i].space == SPACE_CELL;
    }
    l->size = size / (float)(chars ? chars : 1);
    l->bold = bold * 10 >= chars * 8;
    if (rtl * 2 > chars)
        turn(o, l);
}

static struct line *new_line(struct order *o)
{
    struct line *l = &o->p->line[o->p->n_lines++];

    memset(l, 0, sizeof *l);
    l->first = o->n_places;
    l->column = o->n_columns;
    return l;
}

static void put_word(struct order *o, struct line *l, uint32_t word, enum space space)
{
    o->p->place[o->n_places++] = (struct place){word, (uint8_t)space};
    l->n++;
}

/* Rows as lines of one column. */
static void read_rows(struct order *o, const uint32_t *s, uint32_t n)
{
    struct line *first = o->p->line + o->p->n_lines;
    struct line *l = NULL;
    float left = 1e9F, right = -1e9F;
    uint32_t lead = 0; /* first piece of the row */

    for (uint32_t i = 0; i < n; i++) {
        const struct piece *q = &o->piece[s[i]];
        const struct piece *before = i ? &o->piece[s[i - 1]] : NULL;
        int starts = !before || before->row != q->row;
        if (starts) {
            l = new_line(o);
            lead = i;
        }
        for (uint32_t k = 0; k < q->n; k++)
            put_word(o, l, q->first + k,
                     k        ? SPACE_WORD
                     : starts ? SPACE_NONE
                              : space_between(o, before, q, lead == i - 1));
        left = fminf(left, q->x0);
        right = fmaxf(right, q->x1);
    }
    for (l = first; l < o->p->line + o->p->n_lines; l++) {
        line_box(o, l);
        l->left = left;
        l->right = right;
    }
    o->n_columns++;
}

static void read_region(struct order *o, uint32_t *s, uint32_t n, int depth)
{
    uint32_t n_rows = make_rows(o, s, n);
    struct band b = {0};
    uint32_t *start, *part[4];
    uint32_t count[4] = {0};

    if (depth < MOST_DEPTH && n >= 6 && n <= MOST_PIECES) {
        start = arena_take(o->a, (size_t)n_rows + 1, sizeof *start);
        if (!start) {
            o->failed = 1;
            return;
        }
        for (uint32_t i = n; i-- > 0;)
            start[o->piece[s[i]].row] = i;
        start[n_rows] = n;
        find_band(o, s, start, n_rows, &b);
    }
    if (b.worth <= 0) {
        read_rows(o, s, n);
        return;
    }
    for (int k = 0; k < 4; k++) {
        part[k] = arena_take(o->a, n, sizeof *s);
        if (!part[k]) {
            o->failed = 1;
            return;
        }
    }
    for (uint32_t i = 0; i < n; i++) { /* above, left, right, below */
        const struct piece *q = &o->piece[s[i]];
        int k = q->row < b.from ? 0 : q->row > b.to ? 3 : q->x0 + q->x1 > b.a + b.b ? 2 : 1;
        part[k][count[k]++] = s[i];
    }
    for (int k = 0; k < 4; k++)
        if (count[k])
            read_region(o, part[k], count[k], depth + 1);
}

/* Lines as poppler has them: for pages, or stamps in the margin, that are not written across. */
static void read_as_is(struct order *o, int all)
{
    struct pdf_page *p = o->p;
    struct line *l = NULL;
    uint32_t line = 0;

    for (uint32_t i = 0; i < p->n_words; i++) {
        const struct word *w = &p->word[i];
        if (w->hidden || (w->upright && !all))
            continue;
        if (!l || w->line != line) {
            if (l)
                line_box(o, l);
            if (!all)
                o->n_columns++;
            l = new_line(o);
            l->left = 0;
            l->right = p->width;
        }
        line = w->line;
        put_word(o, l, i, l->n ? SPACE_WORD : SPACE_NONE);
    }
    if (l)
        line_box(o, l);
    o->n_columns++;
}

int pdf_order(struct pdf_page *p, struct arena *a, struct err *e)
{
    struct order o = {.p = p, .a = a};
    uint32_t *s = arena_take(a, (size_t)p->n_words + 1, sizeof *s);
    uint32_t across = 0;

    o.piece = arena_take(a, (size_t)p->n_words + 1, sizeof *o.piece);
    p->place = arena_take(a, (size_t)p->n_words + 1, sizeof *p->place);
    p->line = arena_take(a, (size_t)p->n_words + 1, sizeof *p->line);
    if (!s || !o.piece || !p->place || !p->line)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    for (uint32_t i = 0; i < p->n_words; i++)
        across += p->word[i].upright;
    if (across * 2 < p->n_words) {
        read_as_is(&o, 1);
        return 0;
    }
    make_pieces(&o);
    for (uint32_t i = 0; i < o.n_pieces; i++)
        s[i] = i;
    read_region(&o, s, o.n_pieces, 0);
    read_as_is(&o, 0);
    return o.failed ? err_set(e, ERR_NOMEM, "page %u", p->number) : 0;
}
