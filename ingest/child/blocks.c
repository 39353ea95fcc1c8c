/* blocks.c - paragraphs, headings, rows and code of a file without pages, cut into parts.
 * Everything a parser hands in is cleaned here, once for all formats: what a reader cannot see
 * (control, bidi, tag and zero-width characters) goes, the rest becomes valid UTF-8 in NFC. */
#include <string.h>

#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/child.h"

enum kind { KIND_PARAGRAPH, KIND_HEADING, KIND_ROW, KIND_CODE };

struct blocks {
    struct emit *em;
    struct buf text; /* of the present part */
    struct buf heads, marks; /* struct heading, struct mark in a row */
    struct buf clean; /* the block at hand */
    struct buf wide; /* UTF-16 for NFC */
    uint32_t number; /* of the present part */
    enum kind last; /* kind of the block that ends text */
    size_t total; /* text bytes sent, against LIM_DOC_TEXT */
};

int blocks_open(struct blocks **out, struct emit *em, struct err *e)
{
    struct blocks *b = mem_take(1, sizeof *b);

    *out = NULL;
    if (!b)
        return err_set(e, ERR_NOMEM, "no memory for text blocks");
    b->em = em;
    b->number = 1;
    buf_init(&b->text, LIM_PAGE_TEXT);
    buf_init(&b->heads, LIM_PAGE_TEXT);
    buf_init(&b->marks, LIM_PAGE_TEXT);
    buf_init(&b->clean, LIM_DOC_TEXT);
    buf_init(&b->wide, 2 * LIM_DOC_TEXT);
    *out = b;
    return 0;
}

/* ---- cleaning ---- */

static int is_tag_char(uint32_t cp)
{
    return cp >= 0xE0000 && cp <= 0xE007F;
}

/* Characters without a picture of their own that can hide or reorder text. The joiners U+200C and
 * U+200D are letters' business in Arabic and Indic scripts and in emoji: kept behind such. */
static int is_invisible(uint32_t cp, uint32_t before)
{
    if (cp < 0x20)
        return cp != '\n' && cp != '\t';
    if (cp < 0xAD)
        return cp >= 0x7F && cp < 0xA0;
    if (cp == 0x200C || cp == 0x200D)
        return before < 0x590;
    return cp == 0xAD || cp == 0x61C || cp == 0x115F || cp == 0x1160 || cp == 0x180E ||
           cp == 0x200B || cp == 0x200E || cp == 0x200F || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || cp == 0x3164 || cp == 0xFEFF || cp == 0xFFA0 ||
           (cp >= 0xFFF0 && cp <= 0xFFFB) || is_tag_char(cp) ||
           (cp & 0xFFFE) == 0xFFFE || (cp >= 0xFDD0 && cp <= 0xFDEF);
}

static int to_nfc(struct blocks *b)
{
    UErrorCode st = U_ZERO_ERROR;
    const UNormalizer2 *nfc = unorm2_getNFCInstance(&st);
    int32_t n16 = 0, n_out, n8 = 0;
    size_t n = b->clean.len;
    UChar *from, *to;

    buf_clear(&b->wide);
    /* NFC makes UTF-16 at most three times as long */
    from = (UChar *)buf_room(&b->wide, (n + 1) * 4 * sizeof *from);
    if (!from || n > INT32_MAX / 4)
        return ERR_NOMEM;
    to = from + n + 1;
    u_strFromUTF8(from, (int32_t)n + 1, &n16, b->clean.data, (int32_t)n, &st);
    if (U_SUCCESS(st) && unorm2_isNormalized(nfc, from, n16, &st))
        return 0;
    n_out = unorm2_normalize(nfc, from, n16, to, (int32_t)(3 * n), &st);
    u_strToUTF8(NULL, 0, &n8, to, n_out, &st);
    if (st == U_BUFFER_OVERFLOW_ERROR)
        st = U_ZERO_ERROR;
    if (U_FAILURE(st))
        return ERR_NOMEM;
    buf_clear(&b->clean);
    if (!buf_room(&b->clean, (size_t)n8 + 1))
        return ERR_NOMEM;
    u_strToUTF8(b->clean.data, n8 + 1, &n8, to, n_out, &st);
    b->clean.len = (size_t)n8;
    return U_FAILURE(st) ? ERR_NOMEM : 0;
}

static void drop_last_blanks(struct buf *b)
{
    while (b->len && (b->data[b->len - 1] == ' ' || b->data[b->len - 1] == '\t'))
        b->len--;
}

/* b->clean = the block without what a reader does not see. lines: '\n' stays; else it is a blank.
 * No line of it is empty (an empty line ends a block), none ends in blanks. */
static int clean(struct blocks *b, const char *s, size_t n, int lines, int keep_blanks)
{
    uint32_t before = 0;
    size_t tags = 0;
    int marks = 0;

    buf_clear(&b->clean);
    for (size_t i = 0; i < n && !b->clean.failed;) {
        uint32_t cp;
        size_t used = utf8_next(s + i, n - i, &cp);
        char put[4];
        i += used;
        if (cp == '\r')
            cp = '\n';
        if (cp == 0x85 || cp == 0x2028 || cp == 0x2029 || cp == '\f' || cp == '\v')
            cp = '\n';
        if (cp == '\n' && !lines)
            cp = ' ';
        if (cp == '\n') {
            drop_last_blanks(&b->clean);
            if (b->clean.len && b->clean.data[b->clean.len - 1] != '\n')
                buf_char(&b->clean, '\n');
            before = cp;
            continue;
        }
        if (is_invisible(cp, before)) {
            tags += (size_t)is_tag_char(cp);
            continue;
        }
        if (cp == 0xA0 || cp == 0x3000 || cp == 0x202F || (cp >= 0x2000 && cp <= 0x200A))
            cp = ' ';
        if (cp == ' ' || (cp == '\t' && !keep_blanks)) {
            int at_line = !b->clean.len || b->clean.data[b->clean.len - 1] == '\n';
            if (keep_blanks || (!at_line && before != ' '))
                buf_char(&b->clean, ' ');
            before = ' ';
            continue;
        }
        marks |= cp >= 0x300;
        buf_add(&b->clean, put, utf8_put(put, cp));
        before = cp;
    }
    if (b->clean.failed)
        return b->clean.failed;
    if (tags)
        emit_hidden(b->em, 1, tags);
    drop_last_blanks(&b->clean);
    while (b->clean.len && b->clean.data[b->clean.len - 1] == '\n')
        b->clean.len--;
    drop_last_blanks(&b->clean);
    return marks && b->clean.len ? to_nfc(b) : 0;
}

/* ---- parts ---- */

static int send_part(struct blocks *b)
{
    struct page p = {0};
    int rc;

    if (b->text.failed || b->heads.failed || b->marks.failed)
        return ERR_NOMEM;
    if (b->text.len == 0)
        return 0;
    b->total += b->text.len;
    if (b->total > LIM_DOC_TEXT)
        return ERR_LIMIT;
    p.number = b->number++;
    p.text = b->text.data;
    p.n_text = (uint32_t)b->text.len;
    p.heads = (struct heading *)(void *)b->heads.data;
    p.n_heads = (uint32_t)(b->heads.len / sizeof(struct heading));
    p.marks = (struct mark *)(void *)b->marks.data;
    p.n_marks = (uint32_t)(b->marks.len / sizeof(struct mark));
    rc = emit_page(b->em, &p);
    buf_clear(&b->text);
    buf_clear(&b->heads);
    buf_clear(&b->marks);
    return rc;
}

static void note_row(struct blocks *b, size_t start, size_t end, int joins)
{
    struct mark m = {(uint32_t)start, (uint32_t)end, MARK_TABLE};

    if (joins && b->marks.len >= sizeof m) {
        memcpy(&m, b->marks.data + b->marks.len - sizeof m, sizeof m);
        m.end = (uint32_t)end;
        memcpy(b->marks.data + b->marks.len - sizeof m, &m, sizeof m);
    } else {
        buf_add(&b->marks, &m, sizeof m);
    }
}

/* Appends a piece that fits into a part. */
static int put_piece(struct blocks *b, enum kind kind, int level, const char *s, size_t n)
{
    int joins = kind == KIND_ROW && b->text.len && b->last == KIND_ROW;
    size_t start;

    if (b->text.len) {
        buf_str(&b->text, joins ? "" : "\n");
        start = b->text.len;
    } else {
        start = 0;
    }
    buf_add(&b->text, s, n);
    if (kind == KIND_HEADING) {
        struct heading h = {(uint32_t)start, (uint32_t)(start + n), (uint8_t)level};
        buf_add(&b->heads, &h, sizeof h);
    }
    if (kind == KIND_ROW)
        note_row(b, start, start + n, joins);
    buf_char(&b->text, '\n');
    b->last = kind;
    return b->text.failed || b->heads.failed || b->marks.failed ? ERR_NOMEM : 0;
}

/* Where to cut a block that is longer than a part: the last line end, else stop, else blank. */
static size_t cut_at(const char *s, size_t n)
{
    size_t most = LIM_PART_TEXT, i;

    if (n <= most)
        return n;
    for (i = most; i > most / 2; i--)
        if (s[i] == '\n')
            return i;
    for (i = most; i > most / 2; i--)
        if (s[i] == ' ' && strchr(".!?", s[i - 1]))
            return i;
    for (i = most; i > most / 2; i--)
        if (s[i] == ' ')
            return i;
    return utf8_floor(s, most);
}

static int put(struct blocks *b, enum kind kind, int level)
{
    const char *s = b->clean.data;
    size_t n = b->clean.len;
    /* a heading near the end of a part would stand alone there */
    size_t full = kind == KIND_HEADING ? LIM_PART_TEXT - LIM_PART_TEXT / 8 : LIM_PART_TEXT;
    int rc = 0;

    if (n == 0)
        return 0;
    if (kind == KIND_HEADING && n > 1000) /* nobody's heading: a page set in <h1> */
        kind = KIND_PARAGRAPH;
    if (b->text.len && b->text.len + n > full)
        rc = send_part(b);
    while (!rc && n) {
        size_t k = cut_at(s, n);
        rc = put_piece(b, kind, level, s, k);
        s += k;
        n -= k;
        while (n && (*s == ' ' || *s == '\n')) {
            s++;
            n--;
        }
        if (!rc && n)
            rc = send_part(b);
    }
    return rc;
}

int blocks_paragraph(struct blocks *b, const char *text, size_t n)
{
    int rc = clean(b, text, n, 1, 0);

    return rc ? rc : put(b, KIND_PARAGRAPH, 0);
}

int blocks_heading(struct blocks *b, int level, const char *text, size_t n)
{
    int rc = clean(b, text, n, 0, 0);

    return rc ? rc : put(b, KIND_HEADING, level < 1 ? 1 : level > 6 ? 6 : level);
}

int blocks_table_row(struct blocks *b, const char *text, size_t n)
{
    int rc = clean(b, text, n, 0, 0);

    return rc ? rc : put(b, KIND_ROW, 0);
}

int blocks_code(struct blocks *b, const char *text, size_t n)
{
    int rc = clean(b, text, n, 1, 1);

    return rc ? rc : put(b, KIND_CODE, 0);
}

static void drop(struct blocks *b)
{
    buf_free(&b->text);
    buf_free(&b->heads);
    buf_free(&b->marks);
    buf_free(&b->clean);
    buf_free(&b->wide);
    mem_give(b);
}

int blocks_end(struct blocks *b)
{
    int rc = send_part(b);

    if (!rc && b->number == 1)
        emit_status(b->em, EXTRACT_EMPTY, "there is no text in it");
    drop(b);
    return rc;
}

int blocks_close(struct blocks *b, int rc, struct emit *em, struct err *e)
{
    if (b && rc)
        drop(b);
    else if (b)
        rc = blocks_end(b);
    if (rc == ERR_LIMIT) {
        emit_status(em, EXTRACT_TOO_LARGE, "its text is larger than %zu MiB",
                    (size_t)(LIM_DOC_TEXT / MIB));
        return 0;
    }
    if (rc && !e->code)
        err_set(e, rc, "the text could not be passed on: %s", err_text(rc));
    return rc;
}
