/* docx.c - Word documents: a ZIP archive by libarchive, its XML by libxml2's reader.
 * The archive is gone through twice: small parts first (relations, styles, title, notes), then the
 * main part, streamed, because styles stand behind it in the archive. Names in the archive are only
 * compared, never used as paths. Against bombs: entries, unpacked bytes, ratio and XML depth are
 * capped, and a DOCTYPE (the door to entities) is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <libxml/xmlerror.h>

#include "base/limits.h"
#include "ingest/child/docx.h"

#define PART_MOST (64 * MIB) /* of a part that is kept in memory */
#define STYLES_MOST 4000 /* they are searched in a row; Word itself stops at about as many */
#define XML_FLAGS (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT)

struct docx {
    struct emit *em;
    struct archive *zip;
    uint64_t size; /* of the file */
    uint64_t unpacked; /* so far, over both passes */
    char main[256]; /* name of the main part */
    struct err *e;
};

/* ---- XML ---- */

static void silent(void *arg, xmlErrorPtr error)
{
    (void)arg;
    (void)error;
}

int docx_next(xmlTextReaderPtr r, struct err *e)
{
    int more = xmlTextReaderRead(r);

    if (more < 0) {
        xmlErrorPtr x = xmlGetLastError();
        if (!e->code && x && x->code == XML_ERR_NO_MEMORY)
            err_set(e, ERR_NOMEM, "no memory for its XML");
        else if (!e->code)
            err_set(e, ERR_FORMAT, "its XML is damaged near line %d", x ? x->line : 0);
        return -1;
    }
    if (more && xmlTextReaderNodeType(r) == XML_READER_TYPE_DOCUMENT_TYPE) {
        err_set(e, ERR_FORMAT, "its XML has a DOCTYPE, which no Word document has");
        return -1;
    }
    if (more && xmlTextReaderDepth(r) > LIM_XML_DEPTH) {
        err_set(e, ERR_FORMAT, "its XML is more than %d elements deep", LIM_XML_DEPTH);
        return -1;
    }
    return more;
}

int docx_is(xmlTextReaderPtr r, const char *local_name)
{
    const xmlChar *name = xmlTextReaderConstLocalName(r);

    return name && !strcmp((const char *)name, local_name);
}

int docx_whole(const char *text)
{
    char *end;
    long v = strtol(text, &end, 10);

    return end == text || *end || v < 0 || v > 1000000 ? -1 : (int)v;
}

int docx_attr(xmlTextReaderPtr r, const char *local_name, char *out, size_t cap)
{
    int found = 0;

    out[0] = '\0';
    while (!found && xmlTextReaderMoveToNextAttribute(r) == 1)
        if (docx_is(r, local_name)) {
            const xmlChar *v = xmlTextReaderConstValue(r);
            size_t n = v ? strnlen((const char *)v, cap - 1) : 0;
            if (n)
                memcpy(out, v, n);
            out[n] = '\0';
            found = 1;
        }
    xmlTextReaderMoveToElement(r);
    return found;
}

int docx_on(xmlTextReaderPtr r)
{
    char val[8];

    return !docx_attr(r, "val", val, sizeof val) ||
           (strcmp(val, "0") && strcasecmp(val, "false") && strcasecmp(val, "off"));
}

/* ---- styles ---- */

static const struct docx_style *find_style(const struct docx_styles *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->list[i].id, id))
            return &s->list[i];
    return NULL;
}

int docx_style_level(const struct docx_styles *s, const char *id)
{
    for (int hop = 0; hop < 10 && *id; hop++) {
        const struct docx_style *st = find_style(s, id);
        if (!st)
            break;
        if (st->level)
            return st->level > 0 ? st->level : 0;
        id = st->based;
    }
    /* a document without styles.xml still says "Heading1" */
    if (!s->n && !strncasecmp(id, "heading", 7) && id[7] >= '1' && id[7] <= '6' && !id[8])
        return id[7] - '0';
    return 0;
}

int docx_style_title(const struct docx_styles *s, const char *id)
{
    const struct docx_style *st = find_style(s, id);

    return st ? st->title : !s->n && !strcasecmp(id, "title");
}

int docx_style_hidden(const struct docx_styles *s, const char *id)
{
    for (int hop = 0; hop < 10 && *id; hop++) {
        const struct docx_style *st = find_style(s, id);
        if (!st)
            break;
        if (st->vanish >= 0)
            return st->vanish;
        id = st->based;
    }
    return -1;
}

const char *docx_style_list(const struct docx_styles *s, const char *id, const char **owner,
                            int *ilvl)
{
    for (int hop = 0; hop < 10 && *id; hop++) {
        const struct docx_style *st = find_style(s, id);
        if (!st)
            break;
        if (st->num_id[0]) {
            *owner = st->id;
            *ilvl = st->ilvl;
            return st->num_id;
        }
        id = st->based;
    }
    return "";
}

static int add_style(struct docx_styles *s, const char *id, struct err *e)
{
    if (s->n >= STYLES_MOST)
        return err_set(e, ERR_LIMIT, "it has more than %d styles", STYLES_MOST);
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct docx_style *grown = mem_again(s->list, cap, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "no memory for its styles");
        s->list = grown;
        s->cap = cap;
    }
    memset(&s->list[s->n], 0, sizeof s->list[0]);
    memcpy(s->list[s->n].id, id, DOCX_NAME);
    s->list[s->n].vanish = -1;
    s->list[s->n].ilvl = -1;
    s->n++;
    return 0;
}

static void style_part(struct docx_style *st, xmlTextReaderPtr r)
{
    char val[DOCX_NAME];

    if (docx_is(r, "vanish")) {
        st->vanish = docx_on(r);
    } else if (!docx_attr(r, "val", val, sizeof val)) {
        return;
    } else if (docx_is(r, "basedOn")) {
        memcpy(st->based, val, sizeof val);
    } else if (docx_is(r, "outlineLvl")) {
        int n = docx_whole(val);
        st->level = n >= 0 && n < 6 ? n + 1 : -1;
    } else if (docx_is(r, "numId")) {
        snprintf(st->num_id, sizeof st->num_id, "%.15s", val);
    } else if (docx_is(r, "ilvl")) {
        st->ilvl = val[0] >= '0' && val[0] <= '8' && !val[1] ? val[0] - '0' : -1;
    } else if (docx_is(r, "name")) {
        st->title = !strcasecmp(val, "title");
        if (!strncasecmp(val, "heading ", 8) && val[8] >= '1' && val[8] <= '6' && !val[9])
            st->level = val[8] - '0';
    }
}

int docx_styles_read(struct docx_styles *s, xmlTextReaderPtr r, struct err *e)
{
    int more, in_style = 0;

    while ((more = docx_next(r, e)) > 0) {
        int type = xmlTextReaderNodeType(r);
        if (type == XML_READER_TYPE_ELEMENT && docx_is(r, "style")) {
            char id[DOCX_NAME] = "";
            int rc;
            docx_attr(r, "styleId", id, sizeof id);
            rc = add_style(s, id, e);
            if (rc)
                return rc;
            in_style = !xmlTextReaderIsEmptyElement(r);
        } else if (type == XML_READER_TYPE_END_ELEMENT && docx_is(r, "style")) {
            in_style = 0;
        } else if (type == XML_READER_TYPE_ELEMENT && in_style) {
            style_part(&s->list[s->n - 1], r);
        }
    }
    return more < 0 ? (int)e->code : 0;
}

/* ---- the archive ---- */

static int zip_open(struct docx *d, int fd)
{
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_set(d->e, ERR_IO, "the file cannot be read twice");
    d->zip = archive_read_new();
    if (!d->zip)
        return err_set(d->e, ERR_NOMEM, "no memory for an archive");
    archive_read_support_format_zip(d->zip);
    if (archive_read_open_fd(d->zip, fd, 64 * KIB) != ARCHIVE_OK)
        return err_set(d->e, ERR_FORMAT, "the archive cannot be opened: %s",
                       archive_error_string(d->zip));
    return 0;
}

static void zip_close(struct docx *d)
{
    if (d->zip)
        archive_read_free(d->zip);
    d->zip = NULL;
}

/* The next entry: 1, 0 at the end, -1 with e set. */
static int zip_next(struct docx *d, struct archive_entry **ent, int *count)
{
    int rc = archive_read_next_header(d->zip, ent);

    if (rc == ARCHIVE_EOF)
        return 0;
    if (rc < ARCHIVE_WARN) {
        err_set(d->e, ERR_FORMAT, "the archive is damaged: %s", archive_error_string(d->zip));
        return -1;
    }
    if (++*count > LIM_ARCHIVE_ENTRIES) {
        err_set(d->e, ERR_LIMIT, "the archive has more than %d entries", LIM_ARCHIVE_ENTRIES);
        return -1;
    }
    return 1;
}

/* Reads from the entry, within the ceilings. -1 with e set. */
static int zip_read(void *arg, char *to, int n)
{
    struct docx *d = arg;
    la_ssize_t got = archive_read_data(d->zip, to, (size_t)n);

    if (got < 0) {
        err_set(d->e, ERR_FORMAT, "the archive is damaged: %s", archive_error_string(d->zip));
        return -1;
    }
    d->unpacked += (uint64_t)got;
    if (d->unpacked > LIM_ARCHIVE_BYTES ||
        (d->unpacked > MIB && d->unpacked / LIM_ARCHIVE_RATIO > d->size)) {
        err_set(d->e, ERR_LIMIT, "the archive unpacks to more than %s",
                d->unpacked > LIM_ARCHIVE_BYTES ? "512 MiB" : "100 times its size");
        return -1;
    }
    return (int)got;
}

static int keep_part(struct docx *d, struct buf *b)
{
    for (;;) {
        char *to = buf_room(b, 64 * KIB);
        int got;
        if (!to)
            return b->failed == ERR_LIMIT
                       ? err_set(d->e, ERR_LIMIT, "a part of the archive is too large")
                       : err_set(d->e, ERR_NOMEM, "no memory for a part of the archive");
        got = zip_read(d, to, (int)(64 * KIB));
        if (got < 0)
            return (int)d->e->code;
        if (got == 0)
            return 0;
        b->len += (size_t)got;
    }
}

/* name is "<folder of the main part>/<leaf>". */
static int beside_main(const struct docx *d, const char *name, const char *leaf)
{
    const char *slash = strrchr(d->main, '/');
    size_t n = slash ? (size_t)(slash - d->main) + 1 : 0;

    return !strncmp(name, d->main, n) && !strcmp(name + n, leaf);
}

struct parts {
    struct buf rels, core, styles, numbering, footnotes, endnotes;
};

static int read_small_parts(struct docx *d, int fd, struct parts *p)
{
    struct archive_entry *ent;
    int count = 0, more, rc = zip_open(d, fd);

    while (!rc && (more = zip_next(d, &ent, &count)) != 0) {
        const char *name = more > 0 ? archive_entry_pathname(ent) : NULL;
        struct buf *to = NULL;
        if (more < 0)
            rc = (int)d->e->code;
        else if (!name)
            continue;
        else if (!strcmp(name, "_rels/.rels"))
            to = &p->rels;
        else if (!strcmp(name, "docProps/core.xml"))
            to = &p->core;
        else if (beside_main(d, name, "styles.xml"))
            to = &p->styles;
        else if (beside_main(d, name, "numbering.xml"))
            to = &p->numbering;
        else if (beside_main(d, name, "footnotes.xml"))
            to = &p->footnotes;
        else if (beside_main(d, name, "endnotes.xml"))
            to = &p->endnotes;
        if (to && to->len == 0) /* the first of a name counts */
            rc = keep_part(d, to);
    }
    zip_close(d);
    return rc;
}

static xmlTextReaderPtr reader_of(const struct buf *b)
{
    return b->len && b->len <= INT32_MAX
               ? xmlReaderForMemory(b->data, (int)b->len, NULL, NULL, XML_FLAGS) : NULL;
}

/* The main part's name, when it is not the usual one. */
static void find_main(struct docx *d, const struct buf *rels)
{
    xmlTextReaderPtr r = reader_of(rels);
    struct err ignored = {0};

    while (r && docx_next(r, &ignored) > 0) {
        char type[200], target[200];
        const char *end = "/officeDocument";
        if (xmlTextReaderNodeType(r) != XML_READER_TYPE_ELEMENT || !docx_is(r, "Relationship") ||
            !docx_attr(r, "Type", type, sizeof type) ||
            !docx_attr(r, "Target", target, sizeof target))
            continue;
        if (strlen(type) > strlen(end) && !strcmp(type + strlen(type) - strlen(end), end))
            snprintf(d->main, sizeof d->main, "%s", target + (target[0] == '/'));
    }
    xmlFreeTextReader(r);
}

static void find_title(struct docx *d, const struct buf *core)
{
    xmlTextReaderPtr r = reader_of(core);
    struct err ignored = {0};
    int in_title = 0;

    while (r && docx_next(r, &ignored) > 0) {
        int type = xmlTextReaderNodeType(r);
        if (type == XML_READER_TYPE_ELEMENT)
            in_title = docx_is(r, "title") && !xmlTextReaderIsEmptyElement(r);
        else if (type == XML_READER_TYPE_END_ELEMENT)
            in_title = 0;
        else if (in_title && type == XML_READER_TYPE_TEXT) {
            const char *s = (const char *)xmlTextReaderConstValue(r);
            if (s && *s)
                emit_title(d->em, s, strlen(s));
        }
    }
    xmlFreeTextReader(r);
}

static int read_main(struct docx *d, int fd, const struct docx_styles *styles,
                     struct docx_numbers *numbers, struct blocks *out)
{
    struct archive_entry *ent;
    int count = 0, more = 0, rc = zip_open(d, fd);

    while (!rc && (more = zip_next(d, &ent, &count)) > 0) {
        const char *name = archive_entry_pathname(ent);
        xmlTextReaderPtr r;
        if (!name || strcmp(name, d->main) != 0)
            continue;
        if (archive_entry_is_encrypted(ent)) {
            rc = err_set(d->e, ERR_ACCESS, "the archive is encrypted");
            break;
        }
        r = xmlReaderForIO(zip_read, NULL, d, NULL, NULL, XML_FLAGS);
        rc = r ? docx_body(r, styles, numbers, out, d->em, d->e)
               : err_set(d->e, ERR_NOMEM, "no memory for a document");
        xmlFreeTextReader(r);
        break;
    }
    if (!rc && more < 0)
        rc = (int)d->e->code;
    if (!rc && more == 0)
        rc = err_set(d->e, ERR_UNSUPPORTED, "a ZIP archive without %.200s", d->main);
    zip_close(d);
    return rc;
}

/* What is wrong with the file is its status, not a failure. */
static int as_status(struct docx *d, int rc)
{
    enum extract_status s = rc == ERR_FORMAT        ? EXTRACT_DAMAGED
                            : rc == ERR_LIMIT       ? EXTRACT_TOO_LARGE
                            : rc == ERR_ACCESS      ? EXTRACT_ENCRYPTED
                            : rc == ERR_UNSUPPORTED ? EXTRACT_UNSUPPORTED
                                                    : EXTRACT_OK;

    if (s == EXTRACT_OK)
        return rc;
    emit_status(d->em, s, "%s", d->e->code ? d->e->msg : err_text(rc));
    err_clear(d->e);
    return 0;
}

/* Styles and numbering; a document whose own are damaged is read without. */
static int read_looks(struct parts *p, struct docx_styles *styles, struct docx_numbers *numbers,
                      struct err *e)
{
    xmlTextReaderPtr r = reader_of(&p->styles);
    int rc = r ? docx_styles_read(styles, r, e) : 0;

    xmlFreeTextReader(r);
    if (rc == 0 || rc == ERR_FORMAT) {
        err_clear(e);
        r = reader_of(&p->numbering);
        rc = r ? docx_numbers_read(numbers, r, e) : 0;
        xmlFreeTextReader(r);
    }
    if (rc == ERR_FORMAT) {
        err_clear(e);
        rc = 0;
    }
    return rc;
}

int parse_docx(int fd, uint64_t size, struct emit *em, struct err *e)
{
    struct docx d = {.em = em, .size = size, .main = "word/document.xml", .e = e};
    struct docx_styles styles = {0};
    struct docx_numbers *numbers = NULL;
    struct blocks *out = NULL;
    struct parts p;
    struct buf *const all[] = {&p.footnotes, &p.endnotes, &p.rels, &p.core, &p.styles, &p.numbering};
    int rc, bad;

    xmlSetStructuredErrorFunc(NULL, silent);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_init(all[i], PART_MOST);
    rc = read_small_parts(&d, fd, &p);
    if (!rc)
        rc = docx_numbers_open(&numbers, e);
    if (!rc)
        rc = blocks_open(&out, em, e);
    if (!rc) {
        find_main(&d, &p.rels);
        find_title(&d, &p.core);
        rc = read_looks(&p, &styles, numbers, e);
    }
    if (!rc)
        rc = read_main(&d, fd, &styles, numbers, out);
    for (size_t i = 0; !rc && i < 2; i++) {
        xmlTextReaderPtr r = reader_of(all[i]); /* notes stand behind the text */
        if (r)
            rc = docx_body(r, &styles, numbers, out, em, e);
        xmlFreeTextReader(r);
    }
    /* what was read before the damage is kept: the last part is sent before the status */
    bad = rc == ERR_FORMAT || rc == ERR_LIMIT || rc == ERR_ACCESS || rc == ERR_UNSUPPORTED;
    if (bad && out) {
        struct err why = *e;
        rc = blocks_end(out);
        *e = why;
        rc = rc ? rc : as_status(&d, (int)why.code);
    } else {
        rc = out ? blocks_close(out, rc, em, e) : as_status(&d, rc);
    }
    docx_numbers_free(numbers);
    mem_give(styles.list);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_free(all[i]);
    return rc;
}
