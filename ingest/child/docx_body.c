/* docx_body.c - the text of a Word document, as a reader of its pages sees it.
 * One pass of libxml2's reader, so that memory does not grow with the document. Left out: deleted
 * and moved-away text, field codes, the second rendering of drawings (mc:Fallback). Left out and
 * counted: hidden runs (w:vanish, by itself or by a style), letters of 1 point or less, white ones
 * on nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/docx.h"

#define NESTED 8 /* paragraphs in paragraphs (text boxes); deeper ones run on */

struct para {
    struct buf line;
    int level; /* heading 1..6, 0 none */
    int title, hidden, shaded;
    char style[DOCX_NAME], num_id[16]; /* its own; the style's list counts when num_id is "" */
    int ilvl; /* -1 unsaid */
    int table_depth; /* tables open where it began */
};

struct run {
    int hidden; /* 1, 0, -1 as the paragraph's style says */
    int tiny, white, shaded;
};

struct body {
    xmlTextReaderPtr r;
    const struct docx_styles *styles;
    struct docx_numbers *numbers;
    struct blocks *out;
    struct emit *em;
    struct para para[NESTED];
    int open; /* paragraphs open */
    int extra; /* paragraphs open beyond NESTED */
    struct run run;
    int in_ppr, in_rpr, in_text;
    int table_depth;
    struct buf row, cell;
    int cells;
    int last_hidden; /* the run before was hidden: one span */
    int titled;
    int rc;
};

static struct para *top(struct body *b)
{
    return b->open > 0 ? &b->para[b->open - 1] : NULL;
}

/* ---- paragraphs and rows ---- */

static void begin_para(struct body *b)
{
    struct para *p;

    if (b->open == NESTED) {
        b->extra++;
        return;
    }
    p = &b->para[b->open++];
    buf_clear(&p->line);
    p->level = p->title = p->hidden = p->shaded = 0;
    p->style[0] = p->num_id[0] = '\0';
    p->ilvl = -1;
    p->table_depth = b->table_depth;
    b->last_hidden = 0;
}

/* Puts the number that Word prints before the paragraph in front of its text. */
static void put_label(struct body *b, struct para *p)
{
    const char *list = p->num_id, *owner = p->style;
    int ilvl = p->ilvl;
    char label[160];
    size_t n;

    if (!*list)
        list = docx_style_list(b->styles, p->style, &owner, ilvl < 0 ? &ilvl : &(int){0});
    if (!*list || !strcmp(list, "0")) /* 0 takes the style's number away */
        return;
    if (!docx_numbers_next(b->numbers, list, ilvl, owner, label, sizeof label - 1))
        snprintf(label, sizeof label, "-");
    n = strlen(label);
    if (n == 0 || p->line.len == 0)
        return;
    label[n++] = ' ';
    if (!buf_room(&p->line, n))
        return;
    memmove(p->line.data + n, p->line.data, p->line.len + 1);
    memcpy(p->line.data, label, n);
    p->line.len += n;
}

static void end_para(struct body *b)
{
    struct para *p = top(b);

    if (b->extra) {
        b->extra--;
        return;
    }
    if (!p)
        return;
    b->open--;
    put_label(b, p);
    if (p->line.failed) {
        b->rc = p->line.failed;
    } else if (p->line.len == 0) {
        return;
    } else if (p->table_depth) {
        if (b->cell.len)
            buf_char(&b->cell, ' ');
        buf_add(&b->cell, p->line.data, p->line.len);
    } else if (p->level || p->title) {
        if (p->title && !b->titled) {
            emit_title(b->em, p->line.data, p->line.len);
            b->titled = 1;
        }
        b->rc = blocks_heading(b->out, p->level ? p->level : 1, p->line.data, p->line.len);
    } else {
        b->rc = blocks_paragraph(b->out, p->line.data, p->line.len);
    }
}

static void end_cell(struct body *b)
{
    if (b->table_depth > 1) { /* an inner table runs on in the outer one's cell */
        buf_char(&b->cell, ' ');
        return;
    }
    if (b->cells++)
        buf_str(&b->row, " | ");
    buf_add(&b->row, b->cell.data, b->cell.len);
    buf_clear(&b->cell);
}

static void end_row(struct body *b)
{
    if (b->table_depth > 1)
        return;
    if (b->row.failed)
        b->rc = b->row.failed;
    else if (b->row.len > (size_t)(b->cells > 0 ? (b->cells - 1) * 3 : 0)) /* more than joints */
        b->rc = blocks_table_row(b->out, b->row.data, b->row.len);
    buf_clear(&b->row);
    b->cells = 0;
}

/* ---- runs ---- */

static int run_hidden(const struct body *b, const struct para *p)
{
    if (b->run.hidden >= 0 ? b->run.hidden : p->hidden)
        return 1;
    if (b->run.tiny)
        return 1;
    /* white letters in a table stand on a colour that the table's style may bring */
    return b->run.white && !b->run.shaded && !p->shaded && b->table_depth == 0;
}

static uint64_t letters(const char *s)
{
    uint64_t n = 0;

    for (; *s; s++)
        n += (unsigned char)*s > ' ' && (*s & 0xC0) != 0x80;
    return n;
}

static void add_text(struct body *b, const char *s)
{
    struct para *p = top(b);

    if (!p || !s || !*s)
        return;
    if (run_hidden(b, p)) {
        emit_hidden(b->em, !b->last_hidden, letters(s));
        b->last_hidden = 1;
        return;
    }
    b->last_hidden = 0;
    buf_str(&p->line, s);
}

static void para_property(struct body *b, struct para *p)
{
    char val[DOCX_NAME];

    if (docx_is(b->r, "pStyle") && docx_attr(b->r, "val", val, sizeof val)) {
        if (!p->level)
            p->level = docx_style_level(b->styles, val);
        p->title = docx_style_title(b->styles, val);
        p->hidden = docx_style_hidden(b->styles, val) == 1;
        memcpy(p->style, val, sizeof val);
    } else if (docx_is(b->r, "outlineLvl") && docx_attr(b->r, "val", val, sizeof val)) {
        int n = docx_whole(val);
        p->level = n >= 0 && n < 6 ? n + 1 : 0; /* 9 is body text */
    } else if (docx_is(b->r, "numId") && docx_attr(b->r, "val", val, sizeof val)) {
        snprintf(p->num_id, sizeof p->num_id, "%.15s", val);
    } else if (docx_is(b->r, "ilvl") && docx_attr(b->r, "val", val, sizeof val)) {
        p->ilvl = val[0] >= '0' && val[0] <= '8' && !val[1] ? val[0] - '0' : -1;
    } else if (docx_is(b->r, "shd")) {
        p->shaded = docx_attr(b->r, "fill", val, sizeof val) && strcasecmp(val, "auto") &&
                    strcasecmp(val, "FFFFFF");
    }
}

static void run_property(struct body *b)
{
    char val[DOCX_NAME];

    if (docx_is(b->r, "vanish") || docx_is(b->r, "specVanish")) {
        b->run.hidden = docx_on(b->r);
    } else if (docx_is(b->r, "rStyle") && docx_attr(b->r, "val", val, sizeof val)) {
        if (b->run.hidden < 0)
            b->run.hidden = docx_style_hidden(b->styles, val);
    } else if (docx_is(b->r, "sz") && docx_attr(b->r, "val", val, sizeof val)) {
        b->run.tiny = docx_whole(val) >= 0 && docx_whole(val) <= 2; /* half points */
    } else if (docx_is(b->r, "color") && docx_attr(b->r, "val", val, sizeof val)) {
        b->run.white = !strcasecmp(val, "FFFFFF");
    } else if (docx_is(b->r, "highlight")) {
        b->run.shaded = 1;
    } else if (docx_is(b->r, "shd") && docx_attr(b->r, "fill", val, sizeof val)) {
        b->run.shaded = strcasecmp(val, "auto") && strcasecmp(val, "FFFFFF");
    }
}

/* ---- the walk ---- */

static int passed_by(struct body *b)
{
    static const char *const names[] = {"del", "moveFrom", "instrText", "delText", "Fallback", "rt",
                                        "delInstrText", "fldData", "sectPr", "footnotePr", NULL};

    for (int i = 0; names[i]; i++)
        if (docx_is(b->r, names[i]))
            return !(b->in_ppr || b->in_rpr) || i >= 2; /* in properties, del is a mark */
    return 0;
}

static void begin(struct body *b)
{
    struct para *p = top(b);

    if (docx_is(b->r, "p")) {
        begin_para(b);
    } else if (docx_is(b->r, "pPr")) {
        b->in_ppr = 1;
    } else if (docx_is(b->r, "rPr")) {
        b->in_rpr = 1;
    } else if (docx_is(b->r, "r")) {
        b->run = (struct run){.hidden = -1};
    } else if (b->in_rpr) {
        if (!b->in_ppr)
            run_property(b);
    } else if (b->in_ppr) {
        if (p)
            para_property(b, p);
    } else if (docx_is(b->r, "t")) {
        b->in_text = 1;
    } else if (docx_is(b->r, "tab")) {
        add_text(b, "\t");
    } else if (docx_is(b->r, "br") || docx_is(b->r, "cr")) {
        add_text(b, "\n");
    } else if (docx_is(b->r, "noBreakHyphen")) {
        add_text(b, "-");
    } else if (docx_is(b->r, "tbl")) {
        b->table_depth++;
    }
}

static void end(struct body *b)
{
    if (docx_is(b->r, "p"))
        end_para(b);
    else if (docx_is(b->r, "pPr"))
        b->in_ppr = 0;
    else if (docx_is(b->r, "rPr"))
        b->in_rpr = 0;
    else if (docx_is(b->r, "r"))
        b->run = (struct run){.hidden = -1};
    else if (docx_is(b->r, "t"))
        b->in_text = 0;
    else if (docx_is(b->r, "tc") && b->table_depth)
        end_cell(b);
    else if (docx_is(b->r, "tr") && b->table_depth)
        end_row(b);
    else if (docx_is(b->r, "tbl") && b->table_depth)
        b->table_depth--;
}

int docx_body(xmlTextReaderPtr r, const struct docx_styles *styles, struct docx_numbers *numbers,
              struct blocks *out, struct emit *em, struct err *e)
{
    struct body *b = mem_take(1, sizeof *b);
    int more;

    if (!b)
        return err_set(e, ERR_NOMEM, "no memory for a document");
    b->r = r;
    b->styles = styles;
    b->numbers = numbers;
    b->out = out;
    b->em = em;
    b->run.hidden = -1;
    buf_init(&b->row, LIM_PAGE_TEXT);
    buf_init(&b->cell, LIM_PAGE_TEXT);
    for (int i = 0; i < NESTED; i++)
        buf_init(&b->para[i].line, LIM_PAGE_TEXT);
    more = docx_next(r, e);
    while (more > 0 && !b->rc) {
        int type = xmlTextReaderNodeType(r);
        if (type == XML_READER_TYPE_ELEMENT && passed_by(b)) {
            more = xmlTextReaderNext(r);
            if (more < 0)
                err_set(e, ERR_FORMAT, "its XML is damaged");
            continue;
        }
        if (type == XML_READER_TYPE_ELEMENT) {
            int empty = xmlTextReaderIsEmptyElement(r);
            begin(b);
            if (empty)
                end(b);
        } else if (type == XML_READER_TYPE_END_ELEMENT) {
            end(b);
        } else if (b->in_text && (type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_CDATA ||
                                  type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE ||
                                  type == XML_READER_TYPE_WHITESPACE)) {
            add_text(b, (const char *)xmlTextReaderConstValue(r));
        }
        if (!b->rc && b->cell.failed)
            b->rc = b->cell.failed;
        more = docx_next(r, e);
    }
    if (!b->rc && more < 0)
        b->rc = e->code ? (int)e->code : ERR_FORMAT;
    for (int i = 0; i < NESTED; i++)
        buf_free(&b->para[i].line);
    buf_free(&b->row);
    buf_free(&b->cell);
    more = b->rc;
    mem_give(b);
    return more;
}
