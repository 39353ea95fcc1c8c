/* markdown.c - Markdown by cmark-gfm, with tables. What a browser would show of the document goes on:
 * blocks of raw HTML by html.c, raw tags within a line left out. Comments, and what a raw tag hides,
 * are dropped and counted. */
#include <string.h>
#include <strings.h>

#include <cmark-gfm.h>
#include <cmark-gfm-core-extensions.h>

#include "base/limits.h"
#include "ingest/child/html.h"
#include "ingest/child/style.h"

struct md {
    struct emit *em;
    struct err *e;
    struct blocks *out;
    struct buf line; /* the inline text at hand */
    cmark_node *last_item; /* of an ordered list, and its number */
    int last_number;
    int titled;
};

/* ---- front matter ---- */

static const char *next_line(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));

    return nl ? nl + 1 : end;
}

static void take_title(struct md *m, const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '"' || *s == '\''))
        s++;
    while (end > s && strchr(" \"'\r\n", end[-1]))
        end--;
    if (end > s) {
        emit_title(m->em, s, (size_t)(end - s));
        m->titled = 1;
    }
}

/* "---" ... "---" at the very top: the title is taken, the rest is not text. Returns its length. */
static size_t front_matter(struct md *m, const char *s, size_t n)
{
    const char *end = s + n, *at, *close;

    if (n < 8 || strncmp(s, "---", 3) != 0 || (s[3] != '\n' && s[3] != '\r'))
        return 0;
    for (close = next_line(s, end); close < end; close = next_line(close, end)) {
        size_t len = (size_t)(next_line(close, end) - close);
        if (close - s > (long)(64 * KIB))
            return 0;
        if (len >= 3 && (!strncmp(close, "---", 3) || !strncmp(close, "...", 3)) &&
            strspn(close + 3, " \r\n") + 3 >= len)
            break;
    }
    if (close >= end)
        return 0;
    for (at = next_line(s, end); at < close; at = next_line(at, end)) {
        const char *stop = next_line(at, end);
        if (stop - at > 6 && !strncasecmp(at, "title:", 6))
            take_title(m, at + 6, stop);
        else if (stop - at > 7 && !strncasecmp(at, "lang:", 5)) {
            char lang[8] = "";
            for (size_t i = 0; i < 7 && at[6 + i] > ' '; i++)
                lang[i] = at[6 + i];
            emit_lang(m->em, lang);
        }
    }
    return (size_t)(next_line(close, end) - s);
}

/* ---- text of inlines ---- */

static void count_comments(struct md *m, const char *html)
{
    for (const char *at = html; at; ) {
        const char *from = strstr(at, "<!--"), *to;
        if (!from)
            return;
        to = strstr(from + 4, "-->");
        emit_hidden(m->em, 1, to ? (size_t)(to - from - 4) : strlen(from + 4));
        at = to;
    }
}

static int tag_is(const char *s, const char *name)
{
    size_t n = strlen(name);

    return !strncasecmp(s, name, n) && (s[n] == '>' || s[n] == '/' || strchr(" \t\r\n", s[n]));
}

/* Adds the text below node to m->line. Nesting is walked by cmark's own iterator. Text behind a raw
 * tag that hides it is dropped up to the tag that closes it, or the end. */
static int inline_text(struct md *m, cmark_node *node)
{
    cmark_iter *it = cmark_iter_new(node);
    cmark_event_type ev;
    char hides[16] = ""; /* name of the tag that hides the text at hand */
    int nested = 0; /* tags of that name open in it */

    while ((ev = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
        cmark_node *at = cmark_iter_get_node(it);
        cmark_node_type t = cmark_node_get_type(at);
        const char *s = cmark_node_get_literal(at);
        if (ev != CMARK_EVENT_ENTER)
            continue;
        if (*hides) {
            if (t == CMARK_NODE_TEXT || t == CMARK_NODE_CODE)
                emit_hidden(m->em, 0, s ? strlen(s) : 0);
            else if (t == CMARK_NODE_HTML_INLINE && s && tag_is(s + 1, hides))
                nested++;
            else if (t == CMARK_NODE_HTML_INLINE && s && s[1] == '/' && tag_is(s + 2, hides) &&
                     --nested == 0)
                *hides = '\0';
            continue;
        }
        if (t == CMARK_NODE_HTML_INLINE && s && s[0] == '<' && style_tag_hides(s)) {
            size_t n = strcspn(s + 1, " \t\r\n/>");
            if (n < sizeof hides && !strstr(s, "/>")) {
                memcpy(hides, s + 1, n);
                hides[n] = '\0';
                nested = 1;
                emit_hidden(m->em, 1, 0);
                continue;
            }
        }
        if (t == CMARK_NODE_TEXT || t == CMARK_NODE_CODE)
            buf_str(&m->line, s ? s : "");
        else if (t == CMARK_NODE_SOFTBREAK)
            buf_char(&m->line, ' ');
        else if (t == CMARK_NODE_LINEBREAK)
            buf_char(&m->line, '\n');
        else if (t == CMARK_NODE_HTML_INLINE && s) {
            count_comments(m, s);
            if (!strncasecmp(s, "<br", 3))
                buf_char(&m->line, ' ');
        }
    }
    cmark_iter_free(it);
    return m->line.failed;
}

/* ---- blocks ---- */

static int heading(struct md *m, cmark_node *node)
{
    int rc = inline_text(m, node);

    if (rc || m->line.len == 0)
        return rc;
    if (!m->titled) { /* the first heading is the title when nothing else is */
        emit_title(m->em, m->line.data, m->line.len);
        m->titled = 1;
    }
    return blocks_heading(m->out, cmark_node_get_heading_level(node), m->line.data, m->line.len);
}

static int row(struct md *m, cmark_node *node)
{
    int rc = 0;

    for (cmark_node *cell = cmark_node_first_child(node); !rc && cell;
         cell = cmark_node_next(cell)) {
        if (m->line.len || cmark_node_previous(cell))
            buf_str(&m->line, " | ");
        rc = inline_text(m, cell);
    }
    return rc ? rc : blocks_table_row(m->out, m->line.data, m->line.len);
}

/* The number or bullet of the item whose first paragraph this is. */
static int item_mark(struct md *m, cmark_node *para)
{
    cmark_node *item = cmark_node_parent(para), *list;
    int n;

    if (!item || cmark_node_get_type(item) != CMARK_NODE_ITEM || cmark_node_previous(para))
        return 0;
    list = cmark_node_parent(item);
    if (cmark_node_get_list_type(list) != CMARK_ORDERED_LIST)
        return buf_str(&m->line, "- ");
    /* items come in order: one up from the last, without counting from the top each time */
    n = m->last_item && cmark_node_previous(item) == m->last_item
            ? m->last_number + 1 : cmark_node_get_list_start(list);
    m->last_item = item;
    m->last_number = n;
    return buf_printf(&m->line, "%d. ", n);
}

/* A tight list of plain items is one block with a line an item: its items are read together. -1: it
 * is not such a list, and goes item by item. Looks at the items' children only, not further down, so
 * that lists in lists in lists cost no more than their number. */
static int tight_list(struct md *m, cmark_node *list)
{
    int rc = 0, number = cmark_node_get_list_start(list);

    for (cmark_node *item = cmark_node_first_child(list); item; item = cmark_node_next(item))
        for (cmark_node *p = cmark_node_first_child(item); p; p = cmark_node_next(p))
            if (cmark_node_get_type(p) != CMARK_NODE_PARAGRAPH)
                return -1;
    for (cmark_node *item = cmark_node_first_child(list); !rc && item;
         item = cmark_node_next(item)) {
        if (m->line.len)
            buf_char(&m->line, '\n');
        if (cmark_node_get_list_type(list) == CMARK_ORDERED_LIST)
            buf_printf(&m->line, "%d. ", number++);
        else
            buf_str(&m->line, "- ");
        for (cmark_node *p = cmark_node_first_child(item); !rc && p; p = cmark_node_next(p)) {
            if (cmark_node_previous(p))
                buf_char(&m->line, ' ');
            rc = inline_text(m, p);
        }
    }
    return rc ? rc : blocks_paragraph(m->out, m->line.data, m->line.len);
}

/* Takes a node whose subtree is handled here: 1, failure code, or 0 to go on into it. */
static int take(struct md *m, cmark_node *node, int *rc)
{
    cmark_node_type t = cmark_node_get_type(node);
    const char *s;

    buf_clear(&m->line);
    if (t == CMARK_NODE_HEADING) {
        *rc = heading(m, node);
    } else if (t == CMARK_NODE_PARAGRAPH) {
        *rc = item_mark(m, node);
        if (!*rc)
            *rc = inline_text(m, node);
        if (!*rc)
            *rc = blocks_paragraph(m->out, m->line.data, m->line.len);
    } else if (t == CMARK_NODE_LIST && cmark_node_get_list_tight(node)) {
        *rc = tight_list(m, node);
        if (*rc < 0) {
            *rc = 0;
            return 0;
        }
    } else if (t == CMARK_NODE_CODE_BLOCK) {
        s = cmark_node_get_literal(node);
        *rc = s ? blocks_code(m->out, s, strlen(s)) : 0;
    } else if (t == CMARK_NODE_HTML_BLOCK) {
        s = cmark_node_get_literal(node);
        buf_str(&m->line, s ? s : "");
        *rc = m->line.failed;
        if (!*rc)
            *rc = html_blocks(m->line.data, m->line.len, m->out, m->em, 0, m->e);
    } else if (!strncmp(cmark_node_get_type_string(node), "table_", 6)) { /* row or header */
        *rc = row(m, node);
    } else {
        return 0;
    }
    return 1;
}

static int walk(struct md *m, cmark_node *doc)
{
    cmark_iter *it = cmark_iter_new(doc);
    cmark_event_type ev;
    int rc = 0;

    while (!rc && (ev = cmark_iter_next(it)) != CMARK_EVENT_DONE) {
        cmark_node *node = cmark_iter_get_node(it);
        if (ev == CMARK_EVENT_ENTER && take(m, node, &rc))
            cmark_iter_reset(it, node, CMARK_EVENT_EXIT);
    }
    cmark_iter_free(it);
    return rc;
}

int parse_markdown(int fd, uint64_t size, struct emit *em, struct err *e)
{
    struct md m = {.em = em, .e = e};
    cmark_syntax_extension *tables;
    cmark_parser *parser = NULL;
    cmark_node *doc = NULL;
    struct buf b;
    size_t skip;
    int rc;

    buf_init(&b, LIM_DOC_TEXT);
    buf_init(&m.line, LIM_DOC_TEXT);
    rc = text_to_utf8(fd, size, NULL, &b, e);
    if (!rc)
        rc = blocks_open(&m.out, em, e);
    if (rc || b.len == 0)
        goto out;
    skip = front_matter(&m, b.data, b.len);
    cmark_gfm_core_extensions_ensure_registered();
    parser = cmark_parser_new(CMARK_OPT_DEFAULT | CMARK_OPT_VALIDATE_UTF8);
    tables = cmark_find_syntax_extension("table");
    if (tables)
        cmark_parser_attach_syntax_extension(parser, tables);
    cmark_parser_feed(parser, b.data + skip, b.len - skip);
    doc = cmark_parser_finish(parser);
    rc = doc ? walk(&m, doc) : ERR_NOMEM;
out:
    if (doc)
        cmark_node_free(doc);
    if (parser)
        cmark_parser_free(parser);
    buf_free(&b);
    buf_free(&m.line);
    return blocks_close(m.out, rc, em, e);
}
