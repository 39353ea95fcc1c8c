/* pdf_layout.c - paragraphs, headings and the title of a page whose lines are in order.
 * Part of docent-extract: GPL-2.0-or-later, because it links poppler. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

float sizes_body(const struct sizes *s)
{
    int best = 20; /* 10 pt until something is known */

    for (int i = 1; i < SIZES; i++)
        if (s->count[i] > s->count[best])
            best = i;
    return (float)best / 2;
}

void sizes_add(struct sizes *s, const struct pdf_page *p)
{
    for (uint32_t i = 0; i < p->n_words; i++) {
        int size = (int)(p->word[i].size * 2 + 0.5F);
        if (!p->word[i].hidden && size > 0 && size < SIZES)
            s->count[size] += p->word[i].n;
    }
}

/* ---- paragraphs ---- */

static const struct word *first_word(const struct pdf_page *p, const struct line *l)
{
    return &p->word[p->place[l->first].word];
}

static const struct word *last_word(const struct pdf_page *p, const struct line *l)
{
    return &p->word[p->place[l->first + l->n - 1].word];
}

static int ends_sentence(const struct pdf_page *p, const struct line *l)
{
    const struct word *w = last_word(p, l);
    const struct glyph *g = &p->glyph[w->first + w->n - 1];
    uint32_t cp;

    utf8_next(p->text + g->at, g->n, &cp);
    if ((cp == '"' || cp == ')' || cp == 0x201D || cp == 0x2019) && w->n > 1) {
        g--;
        utf8_next(p->text + g->at, g->n, &cp);
    }
    return cp == '.' || cp == '!' || cp == '?' || cp == ':' || cp == ';' || cp == 0x3002 ||
           cp == 0xFF01 || cp == 0xFF1F || cp == 0xFF1A || cp == 0xFF1B;
}

static int starts_lower(const struct pdf_page *p, const struct line *l)
{
    return islower((unsigned char)p->text[p->glyph[first_word(p, l)->first].at]) != 0;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

/* From one line's foot to the next, as most lines of the column have it; 0 when that cannot be
 * said. */
static float usual_step(const struct line *l, uint32_t n)
{
    float step[256];
    uint32_t k = 0;

    for (uint32_t i = 1; i < n && k < 256; i++) {
        float d = l[i].y1 - l[i - 1].y1;
        if (d > 0.5F * l[i].size && d < 3 * l[i].size)
            step[k++] = d;
    }
    if (k < 3)
        return 0;
    qsort(step, k, sizeof *step, by_value);
    return step[k / 2];
}

/* A paragraph ends where the lines stand apart, the type changes, a line begins further in after a
 * full stop, or the last one ended early. */
static int gap_between(const struct pdf_page *p, const struct line *a, const struct line *b,
                       float usual)
{
    float size = fmaxf(a->size, b->size);
    float step = b->y1 - a->y1;
    float wide = b->right - b->left;

    if (a->column != b->column)
        return ends_sentence(p, a) || !starts_lower(p, b) || a->row || b->row;
    if (step > (usual > 0 ? fmaxf(1.3F * usual, 1.2F * size) : 1.7F * size))
        return 1;
    if (a->row || b->row)
        return 0;
    if (fabsf(a->size - b->size) > 0.12F * size || a->bold != b->bold)
        return 1;
    if (!ends_sentence(p, a) || wide < 15 * size)
        return 0;
    return (b->x0 > a->x0 + 0.8F * size && b->x0 > b->left + 0.8F * size) ||
           (a->x1 < a->right - 0.15F * wide && !starts_lower(p, b));
}

void pdf_paragraphs(struct pdf_page *p)
{
    uint32_t end;

    for (uint32_t i = 0; i < p->n_lines; i = end) {
        float usual;
        for (end = i + 1; end < p->n_lines && p->line[end].column == p->line[i].column;)
            end++;
        usual = usual_step(p->line + i, end - i);
        for (uint32_t k = i ? i : 1; k < end; k++)
            p->line[k].gap = (uint8_t)gap_between(p, &p->line[k - 1], &p->line[k], usual);
    }
}

/* ---- headings ---- */

/* "Item 7.", "Part II", "3.1 Methods", "Chapter 4", and chapters or articles in Chinese. */
static int numbered(const char *s, size_t n)
{
    static const char *const words[] = {"item ", "part ", "chapter ", "appendix ", "article "};
    size_t i = 0;

    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (n > strlen(words[k]) + 1 && !strncasecmp(s, words[k], strlen(words[k])))
            return 1;
    if (n > 9 &&
        !memcmp(s, "\xE7\xAC\xAC", 3)) /* U+7B2C, "number", with what is counted a little later */
        for (i = 3; i + 3 <= n && i <= 12; i += 3)
            if (!memcmp(s + i, "\xE7\xAB\xA0", 3) || !memcmp(s + i, "\xE8\x8A\x82", 3) ||
                !memcmp(s + i, "\xE6\x9D\xA1", 3))
                return 1;
    i = 0;
    while (i < n && (isdigit((unsigned char)s[i]) || s[i] == '.'))
        i++;
    return i > 0 && i < n && i < 8 && s[i] == ' ' && isdigit((unsigned char)s[0]) && i + 1 < n &&
           (isupper((unsigned char)s[i + 1]) || (unsigned char)s[i + 1] >= 0x80);
}

/* Letters against digits: a bold row of figures is no heading. */
static int wordy(const char *s, size_t n)
{
    size_t letters = 0;
    size_t digits = 0;

    for (size_t i = 0; i < n; i++) {
        letters += isalpha((unsigned char)s[i]) || (unsigned char)s[i] >= 0x80;
        digits += isdigit((unsigned char)s[i]) || s[i] == '$' || s[i] == '%';
    }
    return letters >= 3 && letters > 2 * digits;
}

static int level_by_type(const struct line *l, const char *s, size_t n, float body)
{
    float ratio = l->size / body;

    if (n > 160 || !wordy(s, n))
        return 0;
    if (ratio > 1.6F)
        return 1;
    if (ratio > 1.3F)
        return 2;
    if (ratio > 1.12F)
        return 3;
    if (!l->bold || n > 120 || ratio < 0.95F || s[n - 1] == ',' || s[n - 1] == ';')
        return 0;
    if (numbered(s, n))
        return 3;
    return s[n - 1] == '.' ? 0 : 4;
}

/* Lines [i, end) stand alone (an empty line on both sides) and are set alike: one heading of at
 * most three lines. */
static uint32_t block_end(const struct pdf_page *p, uint32_t i)
{
    uint32_t end = i + 1;

    while (end < p->n_lines && !p->line[end].gap)
        end++;
    return end;
}

static int one_type(const struct line *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (l[i].row || l[i].bold != l[0].bold || fabsf(l[i].size - l[0].size) > 0.06F * l[0].size)
            return 0;
    return 1;
}

static void heading_add(struct page *out, struct line *l, uint32_t n, int level)
{
    out->heads[out->n_heads++] = (struct heading){l[0].start, l[n - 1].end, (uint8_t)level};
    for (uint32_t i = 0; i < n; i++)
        l[i].heading = (uint8_t)level;
}

int pdf_headings(struct pdf_page *p, const struct outline *o, float body, struct arena *a,
                 struct page *out, struct err *e)
{
    uint32_t end;

    out->heads = arena_take(a, (size_t)p->n_lines + 1, sizeof *out->heads);
    if (!out->heads)
        return err_set(e, ERR_NOMEM, "page %u", p->number);
    for (uint32_t i = 0; i < p->n_lines; i = end) {
        struct line *l = &p->line[i];
        uint32_t alone = block_end(p, i);
        const char *s = out->text + l->start;
        size_t n = p->line[alone - 1].end - l->start;
        int level = 0;
        end = i + 1;
        if (l->end <= l->start)
            continue;
        if (o && (i == 0 || l->gap || l[-1].heading)) {
            level = alone - i <= 3 ? outline_level(o, p->number, s, n) : 0;
            if (level) {
                end = alone;
            } else {
                level = outline_level(o, p->number, s, l->end - l->start);
            }
        }
        if (!level && (i == 0 || l->gap) && alone - i <= 3 && one_type(l, alone - i)) {
            level = level_by_type(l, s, n, body);
            end = level ? alone : end;
        }
        if (level)
            heading_add(out, l, end - i, level);
    }
    return 0;
}

void pdf_title(const struct pdf_page *p, const struct page *out, float body, char *title,
               size_t cap)
{
    float largest = 0;
    size_t n = 0;
    int lines = 0;

    title[0] = '\0';
    for (uint32_t i = 0; i < p->n_lines; i++)
        if (p->line[i].end - p->line[i].start >= 4 && p->line[i].size > largest)
            largest = p->line[i].size;
    if (largest < 1.15F * body)
        return;
    for (uint32_t i = 0; i < p->n_lines && lines < 3; i++) {
        const struct line *l = &p->line[i];
        size_t len = l->end - l->start;
        if (l->size < 0.97F * largest) {
            if (lines)
                break;
            continue;
        }
        if (n + len + 2 > cap)
            break;
        if (n)
            title[n++] = ' ';
        memcpy(title + n, out->text + l->start, len);
        n += len;
        lines++;
    }
    title[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (title[i] == '\n')
            title[i] = ' ';
}
