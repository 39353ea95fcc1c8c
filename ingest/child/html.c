/* html.c - HTML by libxml2: the text that a browser would show, in blocks.
 * The tree is walked without recursion. Dropped and counted: comments, what inline styles, the hidden
 * attribute or simple rules of <style> hide (display:none, visibility:hidden, no size, no opacity,
 * a text colour like its background). Dropped as no text: script, style, template, noscript, nav,
 * form controls. Nothing is loaded from anywhere. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <libxml/HTMLparser.h>
#include <libxml/xmlerror.h>

#include "base/limits.h"
#include "ingest/child/html.h"
#include "ingest/child/style.h"

#define DEPTH_MOST 4000 /* elements in elements; libxml2 itself stops at 256 without its HUGE flag */

struct html {
    struct emit *em;
    struct blocks *out;
    struct style *style;
    struct buf line; /* inline text at hand */
    struct buf row; /* cells of the row at hand */
    size_t mark; /* line's length when it holds a list mark and nothing more, else 0 */
    int row_depth; /* tables open: text of inner ones stays in the outer one's cell */
    int cells; /* of the row at hand */
    int pre; /* <pre> open */
    int heading; /* level of the heading open, 0 none */
    int titled;
    int rc;
};

/* ---- kinds of elements ---- */

static int in_words(const char *list, const xmlChar *name)
{
    size_t n = strlen((const char *)name);
    const char *at = list;

    while ((at = strcasestr(at, (const char *)name)) != NULL) {
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return 1;
        at += n;
    }
    return 0;
}

static int is(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && !strcasecmp((const char *)n->name, name);
}

/* Never text, whatever stands inside. */
static int is_skipped(const xmlNode *n)
{
    return in_words("script style template noscript head iframe object embed svg math canvas audio "
                    "video select option button input textarea datalist map nav", n->name);
}

static int is_block(const xmlNode *n)
{
    return in_words("address article aside blockquote body center dd details dialog div dl dt "
                    "fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html "
                    "legend li main menu nav ol p pre section summary table caption tbody thead "
                    "tfoot tr td th ul", n->name);
}

static int heading_level(const xmlNode *n)
{
    const char *s = (const char *)n->name;

    return (s[0] == 'h' || s[0] == 'H') && s[1] >= '1' && s[1] <= '6' && !s[2] ? s[1] - '0' : 0;
}

/* ---- blocks out ---- */

static int in_table(const struct html *h)
{
    return h->row_depth > 0;
}

static int has_text(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (!strchr(" \t\r\n|", b->data[i]))
            return 1;
    return 0;
}

/* Ends the inline text at hand: a block, or within a table a gap in its cell. */
static void flush(struct html *h)
{
    if (in_table(h)) {
        if (h->line.len && h->line.data[h->line.len - 1] != ' ')
            buf_char(&h->line, ' ');
        return;
    }
    if (h->mark && h->line.len == h->mark) /* <li><p>: the mark waits for the text */
        return;
    if (has_text(&h->line)) {
        if (h->heading)
            h->rc = blocks_heading(h->out, h->heading, h->line.data, h->line.len);
        else if (h->pre)
            h->rc = blocks_code(h->out, h->line.data, h->line.len);
        else
            h->rc = blocks_paragraph(h->out, h->line.data, h->line.len);
    }
    buf_clear(&h->line);
    h->mark = 0;
}

static void end_cell(struct html *h)
{
    if (h->cells++)
        buf_str(&h->row, " | ");
    buf_add(&h->row, h->line.data, h->line.len);
    buf_clear(&h->line);
}

static void end_row(struct html *h)
{
    if (has_text(&h->line))
        end_cell(h);
    if (has_text(&h->row)) /* joints of empty cells are none */
        h->rc = blocks_table_row(h->out, h->row.data, h->row.len);
    buf_clear(&h->row);
    buf_clear(&h->line);
    h->cells = 0;
}

static void add_text(struct html *h, const char *s)
{
    if (h->pre && !in_table(h)) {
        buf_str(&h->line, s);
        return;
    }
    for (; *s; s++) {
        int blank = *s == ' ' || *s == '\n' || *s == '\t' || *s == '\r' || *s == '\f';
        if (!blank)
            buf_char(&h->line, *s);
        else if (h->line.len && h->line.data[h->line.len - 1] != ' ' &&
                 h->line.data[h->line.len - 1] != '\n')
            buf_char(&h->line, ' ');
    }
}

/* ---- hidden text ---- */

static uint64_t text_length(xmlNode *top)
{
    uint64_t chars = 0;
    xmlNode *n = top;

    while (n) {
        if ((n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE) && n->content)
            for (const xmlChar *c = n->content; *c; c++)
                chars += *c > ' ' && (*c & 0xC0) != 0x80;
        if (n->children && n->type == XML_ELEMENT_NODE) {
            n = n->children;
            continue;
        }
        while (n && n != top && !n->next)
            n = n->parent;
        n = !n || n == top ? NULL : n->next;
    }
    return chars;
}

static void hide(struct html *h, xmlNode *n)
{
    uint64_t chars = text_length(n);

    if (chars)
        emit_hidden(h->em, 1, chars);
}

static void comment(struct html *h, const xmlNode *n)
{
    const char *s = n->content ? (const char *)n->content : "";

    s += strspn(s, " \t\r\n");
    if (*s && strncmp(s, "[if ", 4) != 0 && strncmp(s, "<![", 3) != 0)
        emit_hidden(h->em, 1, strlen(s));
}

/* ---- the walk ---- */

static void list_mark(struct html *h, const xmlNode *n)
{
    if (n->parent && is(n->parent, "ol")) {
        const xmlNode *last = n->parent->_private ? n->parent->_private : NULL;
        xmlChar *start = last ? NULL : xmlGetProp(n->parent, BAD_CAST "start");
        /* an item's number is kept at the item, and the last item at the list: no counting anew */
        intptr_t number = last ? (intptr_t)last->_private + 1
                          : start ? strtol((char *)start, NULL, 10) % 1000000 : 1;
        xmlFree(start);
        ((xmlNode *)(uintptr_t)n)->_private = (void *)number;
        n->parent->_private = (void *)(uintptr_t)n;
        buf_printf(&h->line, "%ld. ", (long)number);
    } else {
        buf_str(&h->line, "- ");
    }
    if (!in_table(h))
        h->mark = h->line.len;
}

static void drop_mark(struct html *h)
{
    if (h->mark && h->line.len == h->mark)
        buf_clear(&h->line);
    h->mark = 0;
}

/* Returns 1 to go into the element, 0 to pass it by. */
static int enter(struct html *h, xmlNode *n)
{
    int level;

    if (is_skipped(n))
        return 0;
    if (style_hides(h->style, n)) {
        hide(h, n);
        return 0;
    }
    if (is(n, "br")) {
        if (in_table(h))
            buf_char(&h->line, ' ');
        else
            buf_char(&h->line, h->heading ? ' ' : '\n');
        return 0;
    }
    if (is(n, "img")) /* what stands for it is seen when images are off; it is no text of the page */
        return 0;
    if (is(n, "td") || is(n, "th")) {
        if (h->row_depth == 1)
            buf_clear(&h->line);
        return 1;
    }
    if (!is_block(n))
        return 1;
    if (is(n, "tr") && h->row_depth == 1) {
        buf_clear(&h->line);
        return 1;
    }
    if (is(n, "li"))
        drop_mark(h); /* the item before it was empty */
    flush(h);
    if (is(n, "table")) {
        h->mark = 0;
        h->row_depth++;
    } else if (is(n, "li")) {
        list_mark(h, n);
    } else if (is(n, "pre")) {
        h->pre++;
    } else if (!in_table(h)) {
        level = heading_level(n);
        if (level)
            h->heading = level;
    }
    return 1;
}

static void leave(struct html *h, const xmlNode *n)
{
    if (!is_block(n))
        return;
    if (is(n, "td") || is(n, "th")) {
        if (h->row_depth == 1)
            end_cell(h);
        else
            buf_char(&h->line, ' ');
    } else if (is(n, "tr") && h->row_depth == 1) {
        end_row(h);
    } else if (is(n, "table")) {
        if (h->row_depth == 1)
            end_row(h);
        h->row_depth--;
    } else if (is(n, "caption") && h->row_depth == 1) {
        if (has_text(&h->line))
            h->rc = blocks_paragraph(h->out, h->line.data, h->line.len);
        buf_clear(&h->line);
    } else {
        if (is(n, "li"))
            drop_mark(h);
        flush(h);
        if (is(n, "pre") && h->pre > 0)
            h->pre--;
        if (heading_level(n) && !in_table(h))
            h->heading = 0;
    }
}

static int walk(struct html *h, xmlNode *top)
{
    xmlNode *n = top;
    int depth = 0;

    while (n && !h->rc) {
        int entered = 0, down;
        if (n->type == XML_ELEMENT_NODE)
            entered = depth < DEPTH_MOST && enter(h, n);
        else if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE)
            add_text(h, n->content ? (const char *)n->content : "");
        else if (n->type == XML_COMMENT_NODE)
            comment(h, n);
        if (h->line.failed || h->row.failed)
            return ERR_NOMEM;
        down = entered && n->children;
        if (down) {
            n = n->children;
            depth++;
            continue;
        }
        if (entered)
            leave(h, n); /* an element without content is left at once */
        while (n && n != top && !n->next) {
            n = n->parent;
            depth--;
            if (n)
                leave(h, n);
        }
        n = !n || n == top ? NULL : n->next;
    }
    if (!h->rc) {
        h->row_depth = 0;
        h->mark = 0;
        flush(h);
    }
    return h->rc;
}

/* ---- head ---- */

static void head(struct html *h, xmlNode *root)
{
    xmlChar *lang = xmlGetProp(root, BAD_CAST "lang");

    if (!lang)
        lang = xmlGetProp(root, BAD_CAST "xml:lang");
    if (lang && *lang) {
        char two[8] = "";
        memcpy(two, lang, strnlen((char *)lang, 7));
        emit_lang(h->em, two);
    }
    xmlFree(lang);
    for (xmlNode *n = root->children; n; n = n->next) {
        if (!is(n, "head") && !is(n, "body"))
            continue;
        for (xmlNode *c = n->children; c; c = c->next) {
            xmlChar *text;
            if (!is(c, "style") && !(is(c, "title") && !h->titled))
                continue;
            text = xmlNodeGetContent(c);
            if (text && is(c, "style")) {
                style_rules(h->style, (char *)text);
            } else if (text && *text) {
                emit_title(h->em, (char *)text, strlen((char *)text));
                h->titled = 1;
            }
            xmlFree(text);
        }
    }
}

static void silent(void *arg, xmlErrorPtr error)
{
    (void)arg;
    (void)error;
}

/* The charset that a <meta> in the first KiB declares, "" when none. */
static void declared(const char *s, size_t n, char out[41])
{
    const char *end = s + (n < 2048 ? n : 2048);
    const char *at = s;
    size_t k = 0;

    out[0] = '\0';
    while (at + 8 < end && strncasecmp(at, "charset=", 8) != 0)
        at++;
    if (at + 8 >= end)
        return;
    for (at += 8; at < end && (*at == '"' || *at == '\'' || *at == ' '); at++)
        ;
    while (at < end && k < 40 && (*at == '-' || *at == '_' || (*at >= '0' && *at <= '9') ||
                                  (unsigned)(*at | 32) - 'a' < 26))
        out[k++] = *at++;
    out[k] = '\0';
}

int html_blocks(char *text, size_t n, struct blocks *out, struct emit *em, int whole,
                struct err *e)
{
    struct html h = {.em = em, .out = out, .titled = !whole};
    htmlParserCtxtPtr ctxt;
    xmlDocPtr doc = NULL;
    xmlNode *root;
    int rc = style_open(&h.style, e);

    if (rc)
        return rc;
    xmlSetStructuredErrorFunc(NULL, silent);
    buf_init(&h.line, LIM_DOC_TEXT);
    buf_init(&h.row, LIM_DOC_TEXT);
    for (size_t i = 0; i < n; i++)
        if (!text[i]) /* libxml2 takes it for the end */
            text[i] = ' ';
    ctxt = n && n <= INT32_MAX ? htmlNewParserCtxt() : NULL;
    if (ctxt)
        doc = htmlCtxtReadMemory(ctxt, text, (int)n, NULL, "UTF-8",
                                 HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                     HTML_PARSE_NONET | HTML_PARSE_COMPACT);
    root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (root && whole)
        head(&h, root);
    for (xmlNode *top = doc ? doc->children : NULL; !rc && top; top = top->next)
        rc = walk(&h, top); /* comments may stand beside the root */
    if (!rc && !doc && ctxt && ctxt->errNo == XML_ERR_NO_MEMORY)
        rc = ERR_NOMEM;
    if (doc)
        xmlFreeDoc(doc);
    if (ctxt)
        htmlFreeParserCtxt(ctxt);
    style_free(h.style);
    buf_free(&h.line);
    buf_free(&h.row);
    return rc;
}

int parse_html(int fd, uint64_t size, struct emit *em, struct err *e)
{
    struct blocks *out = NULL;
    char charset[41], peek[2049];
    struct buf b;
    ssize_t got = pread(fd, peek, sizeof peek - 1, 0);
    int rc;

    buf_init(&b, LIM_DOC_TEXT);
    declared(peek, got > 0 ? (size_t)got : 0, charset);
    rc = text_to_utf8(fd, size, charset, &b, e);
    if (!rc)
        rc = blocks_open(&out, em, e);
    if (!rc)
        rc = html_blocks(b.data, b.len, out, em, 1, e);
    buf_free(&b);
    return blocks_close(out, rc, em, e);
}
