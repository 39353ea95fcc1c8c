/* sniff.c - what a file is, by its first bytes (see ingest.h).
 * A name never makes a binary file readable: it only says which kind of text a text is, and that a
 * ZIP whose first entries say nothing is worth a try as DOCX. No allocation; any thread. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "ingest/ingest.h"

static const char *const TYPE_NAMES[] = {"unknown", "pdf", "html", "docx", "markdown", "text"};

const char *doc_type_name(enum doc_type t)
{
    return (unsigned)t < sizeof TYPE_NAMES / sizeof *TYPE_NAMES ? TYPE_NAMES[t] : "unknown";
}

enum doc_type doc_type_of(const char *name)
{
    for (int t = TYPE_PDF; t <= TYPE_TEXT; t++)
        if (!strcmp(name, TYPE_NAMES[t]))
            return (enum doc_type)t;
    return TYPE_UNKNOWN;
}

static const struct magic {
    unsigned at, n;
    const char *bytes;
    const char *why;
} MAGIC[] = {
    {0, 8, "\x89PNG\r\n\x1a\n", "PNG image"},
    {0, 3, "\xff\xd8\xff", "JPEG image"},
    {0, 4, "GIF8", "GIF image"},
    {8, 4, "WEBP", "WebP image"},
    {0, 4, "II*\0", "TIFF image"},
    {0, 4, "MM\0*", "TIFF image"},
    {4, 8, "ftypheic", "HEIC image"},
    {4, 8, "ftypavif", "AVIF image"},
    {4, 4, "ftyp", "MP4 video"},
    {0, 4, "\x1a\x45\xdf\xa3", "Matroska or WebM video"},
    {8, 4, "AVI ", "AVI video"},
    {8, 4, "WAVE", "WAV audio"},
    {0, 3, "ID3", "MP3 audio"},
    {0, 4, "OggS", "Ogg audio or video"},
    {0, 4, "fLaC", "FLAC audio"},
    {0, 3, "\x1f\x8b\x08", "gzip archive"},
    {0, 3, "BZh", "bzip2 archive"},
    {0, 6, "\xfd" "7zXZ\0", "xz archive"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd archive"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "7-Zip archive"},
    {0, 6, "Rar!\x1a\x07", "RAR archive"},
    {257, 5, "ustar", "tar archive"},
    {0, 8, "!<arch>\n", "ar archive or Debian package"},
    {0, 4, "\x7f" "ELF", "ELF program or library"},
    {0, 4, "\xca\xfe\xba\xbe", "Java class or Mach-O program"},
    {0, 4, "\xcf\xfa\xed\xfe", "Mach-O program"},
    {0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE2 document (Word, Excel or PowerPoint 97-2003)"},
    {0, 15, "SQLite format 3", "SQLite database"},
    {0, 5, "{\\rtf", "RTF document"},
    {0, 4, "%!PS", "PostScript document"},
    {0, 4, "AT&T", "DjVu document"},
    {0, 4, "GGUF", "GGUF model file"},
    {0, 4, "wOFF", "web font"},
    {0, 4, "wOF2", "web font"},
    {0, 4, "OTTO", "OpenType font"},
    {0, 5, "\0\1\0\0\0", "TrueType font"},
    {0, 4, "\0asm", "WebAssembly module"},
};

static int name_ends(const char *path, const char *const *ends)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');

    for (; dot && *ends; ends++)
        if (!strcasecmp(dot + 1, *ends))
            return 1;
    return 0;
}

static const char *const HTML_ENDS[] = {"html", "htm", "xhtml", NULL};
static const char *const MARKDOWN_ENDS[] = {"md", "markdown", "mkd", NULL};
static const char *const DOCX_ENDS[] = {"docx", "docm", "dotx", NULL};
static const char *const PDF_ENDS[] = {"pdf", NULL};

/* ---- ZIP ---- */

static int starts(const unsigned char *s, size_t n, const char *with)
{
    size_t k = strlen(with);

    return n >= k && !memcmp(s, with, k);
}

/* Looks at the names of those entries whose headers lie in the head. */
static enum doc_type sniff_zip(const char *path, const unsigned char *s, size_t n,
                               const char **why)
{
    int office = 0;

    for (size_t i = 0; i + 30 <= n; i++) {
        size_t len;
        const unsigned char *name = s + i + 30;
        if (memcmp(s + i, "PK\3\4", 4))
            continue;
        len = (size_t)s[i + 26] | (size_t)s[i + 27] << 8;
        if (len > n - i - 30)
            len = n - i - 30;
        if (starts(name, len, "word/"))
            return TYPE_DOCX;
        if (starts(name, len, "ppt/")) {
            *why = "PowerPoint presentation";
            return TYPE_UNKNOWN;
        }
        if (starts(name, len, "xl/")) {
            *why = "Excel workbook";
            return TYPE_UNKNOWN;
        }
        if (starts(name, len, "mimetype")) {
            const unsigned char *type = name + len;
            size_t left = n - (size_t)(type - s);
            *why = starts(type, left, "application/epub+zip") ? "EPUB book"
                   : starts(type, left, "application/vnd.oasis.opendocument")
                       ? "OpenDocument file"
                       : "ZIP archive without word/document.xml";
            return TYPE_UNKNOWN;
        }
        office |= starts(name, len, "[Content_Types].xml") || starts(name, len, "_rels/");
    }
    if (office || name_ends(path, DOCX_ENDS))
        return TYPE_DOCX; /* the parser says so when there is no word/document.xml after all */
    *why = "ZIP archive without word/document.xml";
    return TYPE_UNKNOWN;
}

/* ---- text ---- */

/* UTF-16 without a mark: Latin text has zero bytes at every other place, on one side only. */
static int looks_utf16(const unsigned char *s, size_t n)
{
    size_t zero[2] = {0, 0}, half = n / 2;

    for (size_t i = 0; i < n; i++)
        zero[i & 1] += s[i] == 0;
    return half >= 4 && ((zero[0] * 10 >= half * 7 && zero[1] * 20 <= half) ||
                         (zero[1] * 10 >= half * 7 && zero[0] * 20 <= half));
}

/* 1: text of some encoding. Legacy charsets use all bytes above 0x7F, and ISO-2022 uses ESC, but
 * none uses more than a stray control byte; of random bytes every tenth is one. */
static int looks_text(const unsigned char *s, size_t n)
{
    size_t controls = 0;

    if (n >= 2 && ((s[0] == 0xFF && s[1] == 0xFE) || (s[0] == 0xFE && s[1] == 0xFF)))
        return 1;
    if (memchr(s, 0, n) && looks_utf16(s, n))
        return 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = s[i];
        if (c == 0)
            controls += 4; /* some logs hold a few; a file of numbers holds many */
        else
            controls += c < 0x20 ? !strchr("\t\n\r\f\b\033", c) : c == 0x7F;
    }
    return controls * 50 <= n;
}

static int tag_at(const char *s, const char *tag)
{
    size_t k = strlen(tag);

    return !strncasecmp(s, tag, k) && !isalnum((unsigned char)s[k]);
}

/* s: the head as ASCII with NUL behind. Skips what may stand in front of <html>. */
static int looks_html(const char *s)
{
    for (int round = 0; round < 32; round++) {
        const char *end = NULL;
        s += strspn(s, " \t\r\n\f");
        if (!strncmp(s, "<!--", 4))
            end = strstr(s, "-->");
        else if (!strncmp(s, "<?xml", 5))
            end = strchr(s, '>');
        else if (!strncasecmp(s, "<!doctype", 9)) {
            s += 9 + strspn(s + 9, " \t\r\n");
            return tag_at(s, "html");
        } else
            return tag_at(s, "<html") || tag_at(s, "<head") || tag_at(s, "<body");
        if (!end)
            return 0;
        s = strchr(end, '>') + 1;
    }
    return 0;
}

static enum doc_type text_kind(const char *path, const unsigned char *s, size_t n)
{
    char ascii[1025];
    size_t k = 0, i = 0;
    int html;

    if (n >= 3 && !memcmp(s, "\xEF\xBB\xBF", 3))
        i = 3;
    else if (n >= 2 && ((s[0] == 0xFF && s[1] == 0xFE) || (s[0] == 0xFE && s[1] == 0xFF)))
        i = 2;
    for (; i < n && k < sizeof ascii - 1; i++)
        if (s[i]) /* the zero halves of UTF-16 */
            ascii[k++] = (char)s[i];
    ascii[k] = '\0';
    html = looks_html(ascii);
    if (name_ends(path, MARKDOWN_ENDS))
        return html && strncasecmp(ascii, "<!doctype", 9) == 0 ? TYPE_HTML : TYPE_MARKDOWN;
    return html || name_ends(path, HTML_ENDS) ? TYPE_HTML : TYPE_TEXT;
}

/* A PDF may have up to 1024 bytes in front of its mark; a text about PDF may quote the mark. So
 * further in it counts only with the name, or in bytes that are no text. */
static int looks_pdf(const char *path, const unsigned char *s, size_t n)
{
    size_t lead = 0;

    while (lead < n && strchr(" \t\r\n\xEF\xBB\xBF", s[lead]))
        lead++;
    for (size_t i = 0; i + 6 <= n && i <= 1024; i++) {
        if (memcmp(s + i, "%PDF-", 5) || s[i + 5] < '0' || s[i + 5] > '9')
            continue;
        return i <= lead || name_ends(path, PDF_ENDS) || !looks_text(s, n);
    }
    return 0;
}

/* A magic of letters alone ("ID3", "GIF8") may also be how a text begins. */
static int sure_magic(const struct magic *m)
{
    for (unsigned i = 0; i < m->n; i++)
        if ((unsigned char)m->bytes[i] < 0x20 || (unsigned char)m->bytes[i] > 0x7E)
            return 1;
    return m->bytes[0] == '{' || m->bytes[0] == '%';
}

enum doc_type sniff(const char *path, const void *head, size_t n, const char **why)
{
    const unsigned char *s = head;
    const char *dummy;

    if (!why)
        why = &dummy;
    *why = NULL;
    if (n == 0) /* the parser will say that it is empty */
        return name_ends(path, MARKDOWN_ENDS) ? TYPE_MARKDOWN
               : name_ends(path, HTML_ENDS)   ? TYPE_HTML
                                              : TYPE_TEXT;
    if (looks_pdf(path, s, n))
        return TYPE_PDF;
    if (n >= 4 && (!memcmp(s, "PK\3\4", 4)))
        return sniff_zip(path, s, n, why);
    if (n >= 4 && !memcmp(s, "PK\5\6", 4)) {
        *why = "empty ZIP archive";
        return TYPE_UNKNOWN;
    }
    for (size_t i = 0; i < sizeof MAGIC / sizeof *MAGIC; i++)
        if (MAGIC[i].at + MAGIC[i].n <= n &&
            !memcmp(s + MAGIC[i].at, MAGIC[i].bytes, MAGIC[i].n) &&
            (sure_magic(&MAGIC[i]) || !looks_text(s, n))) {
            *why = MAGIC[i].why;
            return TYPE_UNKNOWN;
        }
    if (!looks_text(s, n)) {
        *why = "binary data of an unknown format";
        return TYPE_UNKNOWN;
    }
    return text_kind(path, s, n);
}
