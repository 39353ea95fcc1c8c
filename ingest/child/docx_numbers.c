/* docx_numbers.c - the numbers that Word prints before paragraphs ("4.2", "(a)", "Article III").
 * They stand nowhere in the text, yet people ask for "clause 4.2" and cite it. numbering.xml has lists
 * (abstractNum, nine levels each) and uses of them (num); counters belong to the list, so that two
 * uses go on counting unless the second says where to start again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/child/docx.h"

#define LEVELS 9
#define LISTS_MOST 4000
#define LABEL_TEXT 64

enum format { FORMAT_DECIMAL, FORMAT_ZERO, FORMAT_LETTER, FORMAT_ROMAN, FORMAT_CHINESE, FORMAT_BULLET,
              FORMAT_NONE };

struct level {
    int start, count; /* count: the last number given, start - 1 before the first */
    enum format format;
    int upper;
    char text[LABEL_TEXT]; /* "%1.%2" */
    char style[DOCX_NAME]; /* paragraphs of this style stand on this level */
};

struct list {
    char id[16];
    struct level level[LEVELS];
};

struct use {
    char id[16];
    size_t list; /* LISTS_MOST: none */
    int restart[LEVELS]; /* where a level starts again at the first paragraph; -1: it goes on */
};

struct docx_numbers {
    struct list *lists;
    struct use *uses;
    size_t n_lists, cap_lists, n_uses, cap_uses;
};

int docx_numbers_open(struct docx_numbers **out, struct err *e)
{
    *out = mem_take(1, sizeof **out);
    return *out ? 0 : err_set(e, ERR_NOMEM, "no memory for its numbering");
}

void docx_numbers_free(struct docx_numbers *n)
{
    if (!n)
        return;
    mem_give(n->lists);
    mem_give(n->uses);
    mem_give(n);
}

/* ---- numbering.xml ---- */

static void *add(void *array, size_t *n, size_t *cap, size_t size)
{
    if (*n >= LISTS_MOST)
        return NULL;
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        void *grown = mem_again(array, more, size);
        if (!grown)
            return NULL;
        array = grown;
        *cap = more;
    }
    memset((char *)array + *n * size, 0, size);
    (*n)++;
    return array;
}

static int attr_int(xmlTextReaderPtr r, const char *name, int least, int most, int fallback)
{
    char val[16];
    int v;

    if (!docx_attr(r, name, val, sizeof val))
        return fallback;
    v = docx_whole(val);
    return v < least || v > most ? fallback : v;
}

static void read_format(struct level *l, xmlTextReaderPtr r)
{
    char val[40];

    docx_attr(r, "val", val, sizeof val);
    l->upper = !strncmp(val, "upper", 5);
    if (!strcmp(val, "bullet"))
        l->format = FORMAT_BULLET;
    else if (!strcmp(val, "none"))
        l->format = FORMAT_NONE;
    else if (!strcmp(val, "decimalZero"))
        l->format = FORMAT_ZERO;
    else if (strstr(val, "Letter"))
        l->format = FORMAT_LETTER;
    else if (strstr(val, "Roman"))
        l->format = FORMAT_ROMAN;
    else if (strstr(val, "hineseCounting") || strstr(val, "japaneseCounting"))
        l->format = FORMAT_CHINESE;
    else
        l->format = FORMAT_DECIMAL;
}

static void read_level(struct level *l, xmlTextReaderPtr r)
{
    if (docx_is(r, "start")) {
        l->start = attr_int(r, "val", 0, 100000, 1);
        l->count = l->start - 1;
    } else if (docx_is(r, "numFmt")) {
        read_format(l, r);
    } else if (docx_is(r, "lvlText")) {
        docx_attr(r, "val", l->text, sizeof l->text);
    } else if (docx_is(r, "pStyle")) {
        docx_attr(r, "val", l->style, sizeof l->style);
    }
}

static size_t find_list(const struct docx_numbers *n, const char *id)
{
    for (size_t i = 0; i < n->n_lists; i++)
        if (!strcmp(n->lists[i].id, id))
            return i;
    return LISTS_MOST;
}

static int begin_list(struct docx_numbers *n, xmlTextReaderPtr r)
{
    struct list *grown = add(n->lists, &n->n_lists, &n->cap_lists, sizeof *grown);
    struct list *l;

    if (!grown)
        return 0;
    n->lists = grown;
    l = &grown[n->n_lists - 1];
    docx_attr(r, "abstractNumId", l->id, sizeof l->id);
    for (int i = 0; i < LEVELS; i++)
        l->level[i].start = 1;
    return 1;
}

static int begin_use(struct docx_numbers *n, xmlTextReaderPtr r)
{
    struct use *grown = add(n->uses, &n->n_uses, &n->cap_uses, sizeof *grown);
    struct use *u;

    if (!grown)
        return 0;
    n->uses = grown;
    u = &grown[n->n_uses - 1];
    docx_attr(r, "numId", u->id, sizeof u->id);
    u->list = LISTS_MOST;
    for (int i = 0; i < LEVELS; i++)
        u->restart[i] = -1;
    return 1;
}

int docx_numbers_read(struct docx_numbers *n, xmlTextReaderPtr r, struct err *e)
{
    int more, in_list = 0, in_use = 0, level = -1;

    while ((more = docx_next(r, e)) > 0) {
        int type = xmlTextReaderNodeType(r);
        char id[16];
        if (type == XML_READER_TYPE_END_ELEMENT && (docx_is(r, "abstractNum") || docx_is(r, "num")))
            in_list = in_use = 0;
        if (type == XML_READER_TYPE_END_ELEMENT && (docx_is(r, "lvl") || docx_is(r, "lvlOverride")))
            level = -1;
        if (type != XML_READER_TYPE_ELEMENT)
            continue;
        if (docx_is(r, "abstractNum"))
            in_list = begin_list(n, r) && !xmlTextReaderIsEmptyElement(r);
        else if (docx_is(r, "num"))
            in_use = begin_use(n, r) && !xmlTextReaderIsEmptyElement(r);
        else if (docx_is(r, "lvl") || docx_is(r, "lvlOverride"))
            level = attr_int(r, "ilvl", 0, LEVELS - 1, -1);
        else if (in_list && level >= 0)
            read_level(&n->lists[n->n_lists - 1].level[level], r);
        else if (in_use && docx_is(r, "abstractNumId") && docx_attr(r, "val", id, sizeof id))
            n->uses[n->n_uses - 1].list = find_list(n, id);
        else if (in_use && level >= 0 && docx_is(r, "startOverride"))
            n->uses[n->n_uses - 1].restart[level] = attr_int(r, "val", 0, 100000, 1);
    }
    return more < 0 ? (int)e->code : 0;
}

/* ---- labels ---- */

static void roman(char *out, size_t cap, int v)
{
    static const struct {
        int value;
        const char *text;
    } steps[] = {{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"},
                 {40, "xl"}, {10, "x"}, {9, "ix"}, {5, "v"}, {4, "iv"}, {1, "i"}};
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; v < 4000 && i < sizeof steps / sizeof *steps; i++)
        for (; v >= steps[i].value && n + 3 < cap; v -= steps[i].value)
            n += (size_t)snprintf(out + n, cap - n, "%s", steps[i].text);
}

/* 1..99 in Chinese numerals; beyond that in digits. */
static void chinese(char *out, size_t cap, int v)
{
    static const char *const digits[] = {"\xE3\x80\x87", "\xE4\xB8\x80", "\xE4\xBA\x8C", "\xE4\xB8\x89",
                                         "\xE5\x9B\x9B", "\xE4\xBA\x94", "\xE5\x85\xAD", "\xE4\xB8\x83",
                                         "\xE5\x85\xAB", "\xE4\xB9\x9D"};
    const char *ten = "\xE5\x8D\x81";

    if (v < 10)
        snprintf(out, cap, "%s", digits[v < 0 ? 0 : v]);
    else if (v < 100)
        snprintf(out, cap, "%s%s%s", v < 20 ? "" : digits[v / 10], ten, v % 10 ? digits[v % 10] : "");
    else
        snprintf(out, cap, "%d", v);
}

static void number(char *out, size_t cap, const struct level *l)
{
    int v = l->count;

    switch (l->format) {
    case FORMAT_ZERO: snprintf(out, cap, "%02d", v); break;
    case FORMAT_ROMAN: roman(out, cap, v); break;
    case FORMAT_CHINESE: chinese(out, cap, v); break;
    case FORMAT_LETTER: /* a..z, aa, bb, ... */
        out[0] = '\0';
        for (int i = 0; v > 0 && i <= (v - 1) / 26 && (size_t)i + 1 < cap; i++) {
            out[i] = (char)('a' + (v - 1) % 26);
            out[i + 1] = '\0';
        }
        break;
    case FORMAT_BULLET:
    case FORMAT_NONE: out[0] = '\0'; break;
    case FORMAT_DECIMAL: snprintf(out, cap, "%d", v); break;
    }
    for (char *c = out; l->upper && *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 32);
}

static void label(const struct list *l, int ilvl, char *out, size_t cap)
{
    size_t n = 0;

    for (const char *t = l->level[ilvl].text; *t && n + 1 < cap; t++) {
        if (t[0] == '%' && t[1] >= '1' && t[1] <= '9') {
            char digits[32];
            number(digits, sizeof digits, &l->level[t[1] - '1']);
            n += (size_t)snprintf(out + n, cap - n, "%s", digits);
            n = n < cap ? n : cap - 1;
            t++;
        } else {
            out[n++] = *t;
        }
    }
    out[n] = '\0';
}

int docx_numbers_next(struct docx_numbers *n, const char *num_id, int ilvl, const char *style,
                      char *out, size_t cap)
{
    struct use *u = NULL;
    struct list *l;

    out[0] = '\0';
    for (size_t i = 0; n && i < n->n_uses && !u; i++)
        if (!strcmp(n->uses[i].id, num_id))
            u = &n->uses[i];
    if (!u || u->list >= LISTS_MOST)
        return 0;
    l = &n->lists[u->list];
    for (int i = 0; ilvl < 0 && style && *style && i < LEVELS; i++)
        if (!strcmp(l->level[i].style, style))
            ilvl = i;
    if (ilvl < 0 || ilvl >= LEVELS)
        ilvl = 0;
    if (u->restart[ilvl] >= 0) {
        l->level[ilvl].count = u->restart[ilvl] - 1;
        u->restart[ilvl] = -1;
    }
    l->level[ilvl].count++;
    for (int i = 0; i < ilvl; i++) /* a level that was jumped over counts as begun */
        if (l->level[i].count < l->level[i].start)
            l->level[i].count = l->level[i].start;
    for (int i = ilvl + 1; i < LEVELS; i++)
        l->level[i].count = l->level[i].start - 1;
    if (l->level[ilvl].format == FORMAT_BULLET)
        snprintf(out, cap, "-");
    else
        label(l, ilvl, out, cap);
    return 1;
}
