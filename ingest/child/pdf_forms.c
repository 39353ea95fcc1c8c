/* pdf_forms.c - what was filled into the form of a page, and free text notes: poppler's page text
 * has neither. Part of docent-extract: GPL-2.0-or-later, because it links poppler. Each value
 * becomes a line behind the page's text, "name: value" where the field tells its name to people
 * (the name for scripts, "topmostSubform[0].f1_02[0]", is none). */
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/pdf_page.h"

#define MOST_FIELDS 10000

struct notes {
    const struct pdf_page *p;
    struct page *out;
    struct buf text;
    uint32_t cap;
    uint32_t n_words; /* of the page itself */
};

static float share(double v, float of)
{
    double r = v / of;

    return r > 0 ? (r < 1 ? (float)r : 1) : 0;
}

/* UTF-8 on one line, without controls. */
static void put_clean(struct buf *b, const char *s)
{
    size_t n = strlen(s);

    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t k = utf8_next(s + i, n - i, &cp);
        if (cp < 0x20 || cp == 0x7F)
            buf_char(b, ' ');
        else if (cp != 0xFFFD && !(cp >= 0x202A && cp <= 0x202E) &&
                 !(cp >= 0x2066 && cp <= 0x2069) && !(cp >= 0xE0000 && cp <= 0xE0FFF) &&
                 !(cp >= 0x200B && cp <= 0x200F) && cp != 0xAD && cp != 0xFEFF)
            buf_add(b, s + i, k);
        i += k;
    }
}

/* PDF rectangles count from the bottom. */
static void put_note(struct notes *n, const char *label, const char *value,
                     const PopplerRectangle *r)
{
    struct word_box *b = &n->out->boxes[n->out->n_boxes];
    size_t start;

    if (!value || !*value || n->out->n_boxes >= n->cap)
        return;
    if (n->text.len)
        buf_str(&n->text, "\n");
    start = n->text.len;
    if (label && *label && strlen(label) < 200) {
        put_clean(&n->text, label);
        buf_str(&n->text, ": ");
    }
    put_clean(&n->text, value);
    while (n->text.len > start && n->text.data[n->text.len - 1] == ' ')
        n->text.len--;
    while (start < n->text.len && n->text.data[start] == ' ')
        start++;
    if (n->text.failed || start == n->text.len)
        return;
    *b = (struct word_box){(uint32_t)start,           (uint32_t)n->text.len,
                           share(r->x1, n->p->width), 1 - share(r->y2, n->p->height),
                           share(r->x2, n->p->width), 1 - share(r->y1, n->p->height)};
    n->out->n_boxes++;
}

static void put_choice(struct notes *n, PopplerFormField *f, const char *label,
                       const PopplerRectangle *area)
{
    gchar *typed =
        poppler_form_field_choice_is_editable(f) ? poppler_form_field_choice_get_text(f) : NULL;
    int items = poppler_form_field_choice_get_n_items(f);

    if (typed && *typed)
        put_note(n, label, typed, area);
    for (int i = 0; i < items && i < MOST_FIELDS && !(typed && *typed); i++)
        if (poppler_form_field_choice_is_item_selected(f, i)) {
            gchar *item = poppler_form_field_choice_get_item(f, i);
            put_note(n, label, item, area);
            g_free(item);
        }
    g_free(typed);
}

static void put_fields(struct notes *n, GList *fields)
{
    for (GList *i = fields; i; i = i->next) {
        const PopplerFormFieldMapping *m = i->data;
        PopplerFormFieldType type = poppler_form_field_get_field_type(m->field);
        gchar *label = poppler_form_field_get_alternate_ui_name(m->field);
        if (type == POPPLER_FORM_FIELD_TEXT && !poppler_form_field_text_is_password(m->field)) {
            gchar *value = poppler_form_field_text_get_text(m->field);
            put_note(n, label, value, &m->area);
            g_free(value);
        } else if (type == POPPLER_FORM_FIELD_CHOICE) {
            put_choice(n, m->field, label, &m->area);
        }
        g_free(label);
    }
}

static int shown(const PopplerAnnot *a)
{
    PopplerAnnotFlag f = poppler_annot_get_flags((PopplerAnnot *)(uintptr_t)a);

    return !(f & (POPPLER_ANNOT_FLAG_HIDDEN | POPPLER_ANNOT_FLAG_NO_VIEW));
}

static void put_annots(struct notes *n, GList *annots)
{
    for (GList *i = annots; i; i = i->next) {
        const PopplerAnnotMapping *m = i->data;
        gchar *value;
        if (poppler_annot_get_annot_type(m->annot) != POPPLER_ANNOT_FREE_TEXT || !shown(m->annot))
            continue;
        value = poppler_annot_get_contents(m->annot);
        put_note(n, NULL, value, &m->area);
        g_free(value);
    }
}

/* Behind the page's own text, with the boxes moved. */
static int append(struct notes *n, struct arena *a, struct err *e)
{
    struct page *out = n->out;
    uint32_t shift = out->n_text ? out->n_text + 2 : 0;
    size_t total = shift + n->text.len;
    char *text = total <= LIM_PAGE_TEXT ? arena_take(a, total + 1, 1) : NULL;

    if (!text)
        return err_set(e, ERR_LIMIT, "page %u: its form is too large", out->number);
    if (out->n_text) {
        memcpy(text, out->text, out->n_text);
        memcpy(text + out->n_text, "\n\n", 2);
    }
    memcpy(text + shift, n->text.data, n->text.len + 1);
    for (uint32_t i = n->n_words; i < out->n_boxes; i++) {
        out->boxes[i].start += shift;
        out->boxes[i].end += shift;
    }
    out->text = text;
    out->n_text = (uint32_t)total;
    return 0;
}

static uint32_t length(const GList *l)
{
    uint32_t n = 0;

    for (; l && n < MOST_FIELDS; l = l->next)
        n++;
    return n;
}

int pdf_forms(PopplerPage *pp, const struct pdf_page *p, struct arena *a, struct page *out,
              struct err *e)
{
    GList *fields = poppler_page_get_form_field_mapping(pp);
    GList *annots = poppler_page_get_annot_mapping(pp);
    struct notes n = {.p = p, .out = out, .n_words = out->n_boxes};
    uint32_t more = length(fields) + length(annots);
    struct word_box *boxes;
    int rc = 0;

    if (more) {
        boxes = arena_take(a, (size_t)out->n_boxes + more + 1, sizeof *boxes);
        if (!boxes) {
            rc = err_set(e, ERR_NOMEM, "form of page %u", p->number);
            goto out;
        }
        memcpy(boxes, out->boxes, out->n_boxes * sizeof *boxes);
        out->boxes = boxes;
        n.cap = out->n_boxes + more < LIM_PAGE_WORDS ? out->n_boxes + more : LIM_PAGE_WORDS;
        buf_init(&n.text, LIM_PAGE_TEXT);
        put_fields(&n, fields);
        put_annots(&n, annots);
        if (n.text.len)
            rc = append(&n, a, e);
        buf_free(&n.text);
    }
out:
    poppler_page_free_form_field_mapping(fields);
    poppler_page_free_annot_mapping(annots);
    return rc;
}
