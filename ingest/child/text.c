/* text.c - plain text of any charset, and the charset work for HTML and Markdown.
 * Order: byte order mark, UTF-16 by its zero bytes, valid UTF-8 as it is, the declared charset, ICU's
 * detection, windows-1252. Valid UTF-8 stands before the declaration because text of another charset
 * is next to never valid UTF-8, while wrong declarations are common. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/child/child.h"

#define DETECT_BYTES (64 * KIB) /* ICU looks at so many; more makes it slower, not surer */
#define SURE 20 /* ICU's confidence, 0..100, from which its answer is taken */
#define SURE_LATIN 50 /* for Latin letters that differ from windows-1252 in a few places */

static int read_fd(int fd, uint64_t size, struct buf *b, struct err *e)
{
    uint64_t left = size;

    while (left) {
        size_t want = left < MIB ? (size_t)left : MIB;
        char *to = buf_room(b, want);
        ssize_t got;
        if (!to)
            return b->failed;
        got = read(fd, to, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "reading the document");
        if (got == 0)
            break;
        b->len += (size_t)got;
        left -= (uint64_t)got;
    }
    return 0;
}

/* Converts with ICU; bytes that mean nothing in charset become U+FFFD. */
static int convert(const char *charset, const char *s, size_t n, struct buf *out, struct err *e)
{
    UErrorCode st = U_ZERO_ERROR;
    UConverter *from = ucnv_open(charset, &st), *to = ucnv_open("UTF-8", &st);
    UChar pivot[2048], *pivot_from = pivot, *pivot_to = pivot;
    const char *src = s;
    int first = 1;

    while (U_SUCCESS(st)) {
        char *room = buf_room(out, 64 * KIB), *target = room;
        if (!room) {
            st = U_MEMORY_ALLOCATION_ERROR;
            break;
        }
        ucnv_convertEx(to, from, &target, room + 64 * KIB, &src, s + n, pivot, &pivot_from,
                       &pivot_to, pivot + 2048, (UBool)first, 1, &st);
        first = 0;
        out->len += (size_t)(target - room);
        if (st == U_BUFFER_OVERFLOW_ERROR) {
            st = U_ZERO_ERROR;
            continue;
        }
        break;
    }
    ucnv_close(from);
    ucnv_close(to);
    if (U_FAILURE(st))
        return err_set(e, out->failed ? out->failed : ERR_UNSUPPORTED, "charset %s: %s", charset,
                       u_errorName(st));
    return buf_add(out, "", 0);
}

/* What ICU takes the bytes for; windows-1252 when it is not sure. The name is static. */
static const char *detect(const char *s, size_t n)
{
    static const char *const known[] = {
        "GB18030", "Big5", "Shift_JIS", "EUC-JP", "EUC-KR", "ISO-2022-JP", "ISO-2022-KR",
        "ISO-2022-CN", "windows-1250", "windows-1251", "windows-1252", "windows-1253",
        "windows-1254", "windows-1255", "windows-1256", "KOI8-R", "ISO-8859-1", "ISO-8859-2",
        "ISO-8859-5", "ISO-8859-6", "ISO-8859-7", "ISO-8859-8", "ISO-8859-9", "UTF-16LE",
        "UTF-16BE", "UTF-32LE", "UTF-32BE", NULL};
    const char *found = "windows-1252", *name;
    UErrorCode st = U_ZERO_ERROR;
    UCharsetDetector *d = ucsdet_open(&st);
    const UCharsetMatch *m;

    ucsdet_setText(d, s, (int32_t)(n < DETECT_BYTES ? n : DETECT_BYTES), &st);
    m = ucsdet_detect(d, &st);
    if (U_SUCCESS(st) && m && ucsdet_getConfidence(m, &st) >= SURE) {
        int sure = ucsdet_getConfidence(m, &st);
        name = ucsdet_getName(m, &st);
        if (name && sure < SURE_LATIN && (!strcmp(name, "windows-1250") || !strcmp(name, "ISO-8859-2") ||
                                          !strcmp(name, "windows-1254") || !strcmp(name, "ISO-8859-9")))
            name = NULL;
        for (int i = 0; name && known[i]; i++)
            if (!strcmp(name, known[i]))
                found = known[i];
        if (!strcmp(found, "ISO-8859-1")) /* its controls 80..9F are never meant */
            found = "windows-1252";
    }
    ucsdet_close(d);
    return found;
}

/* UTF-16 without a mark; which side the zero bytes are on says its order. NULL: it is not. */
static const char *utf16_by_zeros(const char *s, size_t n)
{
    size_t zero[2] = {0, 0}, half;

    n = n < 4096 ? n : 4096;
    half = n / 2;
    for (size_t i = 0; i < n; i++)
        zero[i & 1] += s[i] == 0;
    if (half < 4)
        return NULL;
    if (zero[1] * 10 >= half * 7 && zero[0] * 20 <= half)
        return "UTF-16LE";
    if (zero[0] * 10 >= half * 7 && zero[1] * 20 <= half)
        return "UTF-16BE";
    return NULL;
}

/* A declared charset is believed when ICU knows it and it is a superset of ASCII: the declaration
 * itself was read as ASCII, so UTF-16, UTF-7 or EBCDIC cannot be true. */
static int believable(const char *name)
{
    UErrorCode st = U_ZERO_ERROR;
    UConverter *c;
    UConverterType t;

    if (!name || !*name || strlen(name) > 40)
        return 0;
    c = ucnv_open(name, &st);
    if (U_FAILURE(st))
        return 0;
    t = ucnv_getType(c);
    ucnv_close(c);
    return t != UCNV_UTF7 && t != UCNV_UTF16 && t != UCNV_UTF16_BigEndian &&
           t != UCNV_UTF16_LittleEndian && t != UCNV_UTF32 && t != UCNV_UTF32_BigEndian &&
           t != UCNV_UTF32_LittleEndian && t != UCNV_EBCDIC_STATEFUL && t != UCNV_SCSU &&
           t != UCNV_BOCU1 && t != UCNV_IMAP_MAILBOX && strncasecmp(name, "ibm-1", 5) != 0 &&
           strncasecmp(name, "utf-8", 5) != 0;
}

/* A file that was cut off inside a character, or has a bad byte or two, is still UTF-8. */
static int nearly_utf8(const char *s, size_t n)
{
    size_t good = 0, bad = 0;

    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t used;
        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        used = utf8_next(s + i, n - i, &cp);
        if (used == 1)
            bad++;
        else
            good++;
        i += used;
    }
    return bad == 0 || good >= bad * 10;
}

int text_to_utf8(int fd, uint64_t size, const char *declared, struct buf *b, struct err *e)
{
    const char *charset = NULL;
    struct buf raw;
    size_t skip = 0;
    int rc;

    buf_init(&raw, LIM_DOC_TEXT);
    rc = read_fd(fd, size, &raw, e);
    if (rc || raw.len == 0)
        goto out;
    if (raw.len >= 3 && !memcmp(raw.data, "\xEF\xBB\xBF", 3)) {
        charset = "UTF-8";
        skip = 3;
    } else if (raw.len >= 4 && (!memcmp(raw.data, "\xFF\xFE\0\0", 4) ||
                                !memcmp(raw.data, "\0\0\xFE\xFF", 4))) {
        charset = raw.data[0] ? "UTF-32LE" : "UTF-32BE";
        skip = 4;
    } else if (raw.len >= 2 && (!memcmp(raw.data, "\xFF\xFE", 2) ||
                                !memcmp(raw.data, "\xFE\xFF", 2))) {
        charset = raw.data[0] == '\xFF' ? "UTF-16LE" : "UTF-16BE";
        skip = 2;
    } else {
        charset = utf16_by_zeros(raw.data, raw.len);
    }
    if (!charset && (raw.len == utf8_valid(raw.data, raw.len) || nearly_utf8(raw.data, raw.len)))
        charset = "UTF-8";
    if (!charset)
        charset = believable(declared) ? declared : detect(raw.data, raw.len);
    if (!strcmp(charset, "UTF-8") && utf8_valid(raw.data + skip, raw.len - skip) == raw.len - skip)
        rc = buf_add(b, raw.data + skip, raw.len - skip);
    else
        rc = convert(charset, raw.data + skip, raw.len - skip, b, e);
out:
    buf_free(&raw);
    return rc;
}

/* ---- plain text ---- */

static int line_blank(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\r' || *s == '\f'))
        s++;
    return s == end;
}

int parse_text(int fd, uint64_t size, struct emit *em, struct err *e)
{
    struct blocks *out = NULL;
    const char *s, *end, *para;
    struct buf b;
    int rc;

    buf_init(&b, LIM_DOC_TEXT);
    rc = text_to_utf8(fd, size, NULL, &b, e);
    if (!rc)
        rc = blocks_open(&out, em, e);
    if (rc)
        goto out;
    para = s = b.data;
    end = s ? s + b.len : NULL;
    while (!rc && s < end) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        const char *stop = nl ? nl : end;
        if (line_blank(s, stop)) {
            rc = blocks_paragraph(out, para, (size_t)(s - para));
            para = nl ? nl + 1 : end;
        }
        s = nl ? nl + 1 : end;
    }
    if (!rc && para < end)
        rc = blocks_paragraph(out, para, (size_t)(end - para));
out:
    buf_free(&b);
    return blocks_close(out, rc, em, e);
}
