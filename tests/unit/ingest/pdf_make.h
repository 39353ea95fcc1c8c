/* pdf_make.h - small PDF files from content streams, and the way to docent-extract. For tests. */
#ifndef DOCENT_TEST_PDF_MAKE_H
#define DOCENT_TEST_PDF_MAKE_H

#include <fcntl.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "ingest/ingest.h"
#include "tests/support/test.h"

struct pdf_make {
    struct buf b;
    size_t at[64]; /* where object i begins */
    int n;
};

static inline void pdf_object(struct pdf_make *m, const char *body)
{
    m->at[++m->n] = m->b.len;
    buf_printf(&m->b, "%d 0 obj\n%s\nendobj\n", m->n, body);
}

/* Objects: 1 catalog (whose form has object 7 as its field, where that is one), 2 pages, 3
 * Helvetica, 4 Helvetica-Bold, then page and content of each page, then extra ones (NULL ends);
 * page_keys goes into each page, trailer_keys into the trailer. Pages are 600 x 800 points. */
static inline void pdf_make(struct pdf_make *m, const char *const *contents,
                            const char *const *extra, const char *page_keys,
                            const char *trailer_keys)
{
    char s[8192];
    int n = 0;
    size_t len = 0;
    size_t xref;

    memset(m, 0, sizeof *m);
    buf_init(&m->b, MIB);
    buf_str(&m->b, "%PDF-1.4\n");
    while (contents[n])
        n++;
    pdf_object(m, "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [7 0 R] >> >>");
    len = (size_t)snprintf(s, sizeof s, "<< /Type /Pages /Count %d /Kids [", n);
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(s + len, sizeof s - len, " %d 0 R", 5 + 2 * i);
    snprintf(s + len, sizeof s - len, " ] >>");
    pdf_object(m, s);
    pdf_object(m, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
    pdf_object(m, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>");
    for (int i = 0; i < n; i++) {
        snprintf(s, sizeof s,
                 "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R %s "
                 "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>",
                 6 + 2 * i, page_keys);
        pdf_object(m, s);
        snprintf(s, sizeof s, "<< /Length %zu >>\nstream\n%s\nendstream", strlen(contents[i]),
                 contents[i]);
        pdf_object(m, s);
    }
    for (int i = 0; extra && extra[i]; i++)
        pdf_object(m, extra[i]);
    xref = m->b.len;
    buf_printf(&m->b, "xref\n0 %d\n0000000000 65535 f \n", m->n + 1);
    for (int i = 1; i <= m->n; i++)
        buf_printf(&m->b, "%010zu 00000 n \n", m->at[i]);
    buf_printf(&m->b, "trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%zu\n%%%%EOF\n", m->n + 1,
               trailer_keys, xref);
    assert_int_equal(m->b.failed, 0);
}

/* DOCENT_EXTRACT, or docent-extract in the build folder that this test lies in. NULL: not built. */
static inline const char *child_program(void)
{
    static char path[4200];
    const char *env = getenv("DOCENT_EXTRACT");
    ssize_t n;

    if (env && *env)
        return access(env, X_OK) == 0 ? env : NULL;
    n = readlink("/proc/self/exe", path, 4000);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    for (int up = 0; up < 4; up++) /* BUILD/tests/unit/ingest/test_x */
        *strrchr(path, '/') = '\0';
    strcat(path, "/docent-extract");
    return access(path, X_OK) == 0 ? path : NULL;
}

/* The bytes as an open file without a name. */
static inline int file_of(const void *bytes, size_t n)
{
    int fd = memfd_create("document", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, bytes, n), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

#endif
