/* pdf.c - PDF documents through poppler-glib: open, walk the pages, title (see pdf.h).
 * Part of docent-extract: GPL-2.0-or-later, because it links poppler. */
#include "ingest/child/pdf.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/emit.h"
#include "ingest/child/pdf_page.h"

static void silent(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer arg)
{
    (void)domain;
    (void)level;
    (void)text;
    (void)arg;
}

void pdf_warm_up(void)
{
    g_log_set_default_handler(silent, NULL);
    g_type_ensure(POPPLER_TYPE_DOCUMENT);
    g_type_ensure(POPPLER_TYPE_PAGE);
}

static uint32_t first_page = 1;

void pdf_start_at(uint32_t page)
{
    first_page = page;
}

/* The file is mapped, not read: poppler touches what it needs, and the address-space limit counts
 * it once. */
static PopplerDocument *open_pdf(int fd, uint64_t size, const unsigned char **map, struct emit *em,
                                 struct err *e)
{
    GError *why = NULL;
    GBytes *bytes;
    PopplerDocument *doc;
    void *p;

    if (size == 0 || size > LIM_FILE_BYTES) {
        emit_status(em, size ? EXTRACT_TOO_LARGE : EXTRACT_EMPTY, "a file of %llu bytes",
                    (unsigned long long)size);
        return NULL;
    }
    p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        err_set(e, ERR_NOMEM, "map the file");
        return NULL;
    }
    *map = p;
    bytes = g_bytes_new_static(p, size);
    doc = poppler_document_new_from_bytes(bytes, NULL, &why);
    if (!doc && why && g_error_matches(why, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED))
        emit_status(em, EXTRACT_ENCRYPTED, "a password is needed to open it");
    else if (!doc)
        emit_status(em, EXTRACT_DAMAGED, "%s", why ? why->message : "not a PDF that can be read");
    g_clear_error(&why);
    return doc;
}

/* ---- one page ---- */

struct reading {
    struct emit *em;
    struct arena a; /* one page */
    struct arena whole; /* the document: its outline */
    struct outline *outline;
    struct sizes sizes;
    struct seen *seen;
    uint64_t text; /* bytes of text that came out */
    uint64_t hidden_chars;
    int titled;
};

static int sensible_title(const char *t);

/* Where the document gives no sensible title: the largest text of the first page that has any. */
static void name_it(struct reading *r, const struct pdf_page *p, const struct page *out)
{
    char title[LIM_TITLE];

    if (r->titled || !out->n_text)
        return;
    r->titled = 1;
    pdf_title(p, out, sizes_body(&r->sizes), title, sizeof title);
    if (sensible_title(title))
        emit_title(r->em, title, strlen(title));
}

static void drop_hidden(struct reading *r, struct pdf_page *p, PopplerPage *pp)
{
    uint64_t chars = 0;
    uint64_t spans = pdf_mark_hidden(pp, p, &chars);

    emit_hidden(r->em, spans, chars);
    r->hidden_chars += chars;
    sizes_add(&r->sizes, p);
}

static int read_page(struct reading *r, PopplerPage *pp, uint32_t number, struct err *e)
{
    struct pdf_page p = {.number = number};
    struct page out = {0};
    char *text = poppler_page_get_text(pp);
    int rc;

    arena_reset(&r->a);
    rc = pdf_glyphs(&p, pp, text ? text : "", &r->a, e);
    if (!rc)
        drop_hidden(r, &p, pp);
    if (!rc)
        rc = pdf_order(&p, &r->a, e);
    if (!rc)
        pdf_paragraphs(&p);
    if (!rc)
        rc = pdf_compose(&p, r->seen, &r->a, &out, e);
    if (!rc)
        rc = pdf_headings(&p, r->outline, sizes_body(&r->sizes), &r->a, &out, e);
    if (!rc)
        name_it(r, &p, &out);
    if (!rc)
        rc = pdf_forms(pp, &p, &r->a, &out, e);
    g_free(text);
    if (rc)
        return rc;
    r->text += out.n_text;
    rc = emit_page(r->em, &out);
    return rc ? err_set(e, (enum err_code)rc, "page %u does not fit the limits", number) : 0;
}

/* ---- the document ---- */

static int sensible_title(const char *t)
{
    static const char *const bad[] = {"untitled",  "microsoft word", "powerpoint", ".doc",
                                      ".pdf",      ".indd",          ".xls",       ".qxd",
                                      "document1", "slide 1",        "adobe"};
    char low[256];
    size_t letters = 0;
    size_t n = strlen(t);

    if (n < 4 || n > LIM_TITLE || utf8_valid(t, n) != n)
        return 0;
    for (size_t i = 0; i < n; i++)
        letters += isalpha((unsigned char)t[i]) || (unsigned char)t[i] >= 0x80;
    for (size_t i = 0; i < sizeof low; i++) {
        low[i] = (char)tolower((unsigned char)t[i]);
        if (!t[i])
            break;
    }
    low[sizeof low - 1] = '\0';
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (strstr(low, bad[i]))
            return 0;
    return letters >= n / 2;
}

static int send_title(PopplerDocument *doc, struct emit *em)
{
    char *own = poppler_document_get_title(doc);
    const char *t = own ? own : "";
    int good;

    if (!strncmp(t, "Microsoft Word - ", 17))
        t += 17;
    good = sensible_title(t);
    if (good)
        emit_title(em, t, strlen(t));
    g_free(own);
    return good;
}

/* Whether the file has images, by its bytes: their dictionaries are never packed. Poppler's own
 * list of a page's images runs its drawing code, which takes minutes for some shadings. Images
 * inside packed contents are missed. */
static int has_images(const unsigned char *p, size_t n)
{
    const unsigned char *end = p + n;

    for (const unsigned char *q = p; (q = memmem(q, (size_t)(end - q), "/Image", 6)); q += 6)
        if (q + 6 < end && !isalnum(q[6])) /* not /ImageMask, nor the old list /ImageB /ImageC */
            return 1;
    for (const unsigned char *q = p; (q = memmem(q, (size_t)(end - q), "BI ", 3)); q += 3)
        if (q > p && isspace(q[-1]) &&
            memmem(q, (size_t)(end - q) < 400 ? (size_t)(end - q) : 400, " ID", 3))
            return 1;
    return 0;
}

int parse_pdf(int fd, uint64_t size, struct emit *em, struct err *e)
{
    const unsigned char *map = NULL;
    PopplerDocument *doc = open_pdf(fd, size, &map, em, e);
    struct reading r = {.em = em};
    int n;
    int rc = 0;

    if (!doc)
        return e->code ? (int)e->code : 0;
    n = poppler_document_get_n_pages(doc);
    if (n <= 0) {
        emit_status(em, EXTRACT_DAMAGED, "it has no pages that can be read");
        return 0;
    }
    if (n > LIM_DOC_PAGES) {
        emit_status(em, EXTRACT_TOO_LARGE, "%d pages", n);
        return 0;
    }
    arena_init(&r.a, GIB);
    arena_init(&r.whole, 64 * MIB);
    rc = seen_open(&r.seen, e);
    r.titled = send_title(doc, em) || first_page > 1;
    r.outline = outline_read(doc, &r.whole);
    for (int i = (int)first_page - 1; i < n && !rc; i++) {
        PopplerPage *pp = poppler_document_get_page(doc, i);
        if (pp) {
            rc = read_page(&r, pp, (uint32_t)i + 1, e);
            g_object_unref(pp);
        } else { /* kept, empty: page numbers must stay those of the file */
            struct page empty = {.number = (uint32_t)i + 1, .text = (char *)(uintptr_t) ""};
            emit_bad_page(em);
            rc = emit_page(em, &empty);
        }
    }
    if (rc)
        return rc;
    if (!r.text && !r.hidden_chars && has_images(map, size))
        emit_status(em, EXTRACT_IMAGE_ONLY,
                    "its %d pages are images without text: it needs character recognition first",
                    n);
    else if (!r.text)
        emit_status(em, EXTRACT_EMPTY,
                    r.hidden_chars ? "all of its text is hidden" : "there is no text in it");
    return 0;
}

/* ---- a page as an image ---- */

#define MOST_PIXELS 40e6 /* 160 MB at 4 bytes */

static cairo_status_t collect(void *arg, const unsigned char *bytes, unsigned n)
{
    return buf_add(arg, bytes, n) ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

int pdf_page_png(int fd, uint64_t size, uint32_t page, int dpi, struct emit *em, struct err *e)
{
    const unsigned char *map = NULL;
    PopplerDocument *doc = open_pdf(fd, size, &map, em, e);
    PopplerPage *pp = doc ? poppler_document_get_page(doc, (int)page - 1) : NULL;
    cairo_surface_t *surface;
    cairo_t *cr;
    struct buf b;
    double w, h;
    double scale = dpi / 72.0;

    if (!doc)
        return e->code ? (int)e->code : 0;
    if (!pp) {
        emit_status(em, EXTRACT_DAMAGED, "there is no page %u", page);
        return 0;
    }
    poppler_page_get_size(pp, &w, &h);
    if (!(w > 0 && h > 0) || w * h * scale * scale > MOST_PIXELS)
        return err_set(e, ERR_LIMIT, "page %u is %.0f x %.0f points: too large at %d dpi", page, w,
                       h, dpi);
    surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(w * scale), (int)ceil(h * scale));
    cr = cairo_create(surface);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_scale(cr, scale, scale);
    poppler_page_render(pp, cr);
    buf_init(&b, LIM_FRAME);
    if (cairo_surface_write_to_png_stream(surface, collect, &b) != CAIRO_STATUS_SUCCESS)
        return err_set(e, ERR_NOMEM, "page %u as an image", page);
    return emit_png(em, (unsigned char *)b.data, b.len);
}
