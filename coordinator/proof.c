/* proof.c - proves citations against their source (see proof.h).
 * The order of proof: (1) the file at the path, when its bytes hash to the document's id, extracted again; (2) the
 * library's own text of that document, which was extracted from those bytes. A file of another hash proves nothing. */
#include "coordinator/proof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "ingest/ingest.h"

struct prover {
    struct library *lib;
    const char *program;
    struct arena file; /* the last file's pages */
    struct arena tmp;
    int loaded; /* 1: what follows is of the last file */
    char path[LIM_PATH + 1];
    uint8_t doc[DOC_ID_BYTES]; /* what the citation said it is */
    struct extracted x;
    char why[448]; /* why it cannot serve as a source; "": it can */
};

const char *proof_name(enum proof p)
{
    static const char *const names[] = {"proven", "proven against the library", "changed",
                                        "missing"};

    return (unsigned)p < PROOF_COUNT ? names[p] : "unknown";
}

int prover_open(struct prover **out, struct library *lib, const char *program, struct err *e)
{
    struct prover *p = mem_take(1, sizeof *p);

    if (!p)
        return err_set(e, ERR_NOMEM, "a prover");
    p->lib = lib;
    p->program = program;
    arena_init(&p->file, 4 * GIB);
    arena_init(&p->tmp, LIM_REQUEST_MEMORY);
    *out = p;
    return 0;
}

void prover_close(struct prover *p)
{
    if (!p)
        return;
    arena_free(&p->file);
    arena_free(&p->tmp);
    mem_give(p);
}

/* ---- the source file ---- */

static void no_source(struct prover *p, const char *why, const char *more)
{
    snprintf(p->why, sizeof p->why, "%s%s", why, more);
}

static int open_source(struct prover *p)
{
    int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0) {
        no_source(p, errno == ENOENT || errno == ENOTDIR ? "the source file is gone"
                                                         : "the source file cannot be opened: ",
                  errno == ENOENT || errno == ENOTDIR ? "" : strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        no_source(p, "the path is not a regular file", "");
        close(fd);
        return -1;
    }
    return fd;
}

static int extract_source(struct prover *p, int fd, struct err *e)
{
    struct extract_opts xo = {.program = p->program};
    uint8_t id[DOC_ID_BYTES];
    unsigned char head[4096];
    struct err why = {0};
    const char *unknown = "unknown format";
    enum doc_type type;
    uint64_t bytes;
    ssize_t n;
    int rc;

    if (hash_id_fd(id, fd, LIM_FILE_BYTES, &bytes, &why) || lseek(fd, 0, SEEK_SET) < 0) {
        no_source(p, "the source file cannot be read: ", why.msg);
        return 0;
    }
    if (memcmp(id, p->doc, DOC_ID_BYTES)) {
        no_source(p, "the source file has changed since it was indexed", "");
        return 0;
    }
    n = pread(fd, head, sizeof head, 0);
    type = n > 0 ? sniff(p->path, head, (size_t)n, &unknown) : TYPE_UNKNOWN;
    if (type == TYPE_UNKNOWN) {
        no_source(p, "the source file's format is not read: ", unknown ? unknown : "unknown");
        return 0;
    }
    rc = extract_fd(fd, type, &xo, &p->file, &p->x, e);
    if (!rc && p->x.status != EXTRACT_OK)
        no_source(p, "the source file cannot be parsed: ", p->x.reason);
    return rc;
}

static int load_source(struct prover *p, const struct claim *c, struct err *e)
{
    int fd;
    int rc = 0;

    if (p->loaded && !strcmp(p->path, c->path) && !memcmp(p->doc, c->doc, DOC_ID_BYTES))
        return 0;
    p->loaded = 0;
    arena_reset(&p->file);
    memset(&p->x, 0, sizeof p->x);
    p->why[0] = '\0';
    snprintf(p->path, sizeof p->path, "%s", c->path);
    memcpy(p->doc, c->doc, DOC_ID_BYTES);
    fd = open_source(p);
    if (fd >= 0) {
        rc = extract_source(p, fd, e);
        close(fd);
    }
    p->loaded = !rc;
    return rc;
}

/* ---- comparing ---- */

/* NULL: the bytes are the quote; else what differs. */
static const char *differs(const struct claim *c, const char *text, uint32_t n_text)
{
    if (c->start > c->end || c->end > n_text)
        return "the page's text is shorter than the quote's place";
    if (c->end - c->start != strlen(c->quote))
        return "the quote is longer or shorter than its place";
    if (memcmp(text + c->start, c->quote, c->end - c->start))
        return "other text stands at the quote's place";
    return NULL;
}

static const char *check_source(const struct prover *p, const struct claim *c)
{
    for (uint32_t i = 0; i < p->x.n_pages; i++)
        if (p->x.pages[i].number == c->page)
            return differs(c, p->x.pages[i].text, p->x.pages[i].n_text);
    return "the source file has no such page";
}

static int check_library(struct prover *p, const struct claim *c, struct verdict *v, struct err *e)
{
    struct snapshot *s = NULL;
    struct page_view page;
    struct err why = {0};
    const char *diff;
    int rc;

    if (!p->lib) {
        v->proof = MISSING;
        snprintf(v->why, sizeof v->why, "%s", p->why);
        return 0;
    }
    rc = snapshot_take(p->lib, &s, e);
    if (rc)
        return rc;
    rc = snapshot_page(s, c->doc, c->page, &p->tmp, &page, &why);
    if (rc) {
        v->proof = MISSING;
        snprintf(v->why, sizeof v->why, "%s, and the library does not hold it: %.100s", p->why,
                 why.msg);
    } else {
        diff = differs(c, page.text, page.n_text);
        v->proof = diff ? CHANGED : PROVEN_LIBRARY;
        snprintf(v->why, sizeof v->why, "%s; %s", p->why,
                 diff ? diff : "proven against the library's text");
    }
    snapshot_give(s);
    arena_reset(&p->tmp);
    return rc == ERR_NOMEM ? err_set(e, ERR_NOMEM, "%s", why.msg) : 0;
}

int prover_check(struct prover *p, const struct claim *c, struct verdict *v, struct err *e)
{
    const char *diff;
    int rc = load_source(p, c, e);

    memset(v, 0, sizeof *v);
    if (rc)
        return rc;
    if (p->why[0])
        return check_library(p, c, v, e);
    diff = check_source(p, c);
    v->proof = diff ? CHANGED : PROVEN;
    snprintf(v->why, sizeof v->why, "%s", diff ? diff : "the source file has the quote at that place");
    return 0;
}

/* ---- an answer ---- */

static int read_claim(const json_t *o, uint32_t n, struct claim *c, struct err *e)
{
    long long page = 0;
    long long start = 0;
    long long end = 0;
    int rc = json_is_object(o) ? 0 : err_set(e, ERR_FORMAT, "citation %u is not an object", n);

    if (rc)
        return rc;
    memset(c, 0, sizeof *c);
    c->path = json_str(o, "path", "");
    c->quote = json_str(o, "quote", NULL);
    if (strlen(c->path) > LIM_PATH || !c->quote)
        return err_set(e, ERR_FORMAT, "citation %u has no quote, or too long a path", n);
    if (hash_unhex(c->doc, DOC_ID_BYTES, json_str(o, "doc", "")))
        return err_set(e, ERR_FORMAT, "citation %u: doc is not 32 hex digits", n);
    rc = json_int(o, "page", 1, LIM_DOC_PAGES, 0, &page, e);
    if (!rc)
        rc = json_int(o, "start", 0, UINT32_MAX, 0, &start, e);
    if (!rc)
        rc = json_int(o, "end", 0, UINT32_MAX, 0, &end, e);
    c->page = (uint32_t)page;
    c->start = (uint32_t)start;
    c->end = (uint32_t)end;
    return rc ? err_wrap(e, "citation %u", n) : 0;
}

int proof_answer(struct prover *p, const json_t *answer, proof_fn *on_verdict, void *arg,
                 struct proof_report *r, struct err *e)
{
    const json_t *list = json_object_get(answer, "citations");
    int rc = 0;

    memset(r, 0, sizeof *r);
    if (!json_is_array(list))
        return err_set(e, ERR_FORMAT,
                       "this is not an answer: it has no list of citations (docent ask --json)");
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        struct claim c;
        struct verdict v;
        rc = read_claim(json_array_get(list, i), (uint32_t)i + 1, &c, e);
        if (!rc)
            rc = prover_check(p, &c, &v, e);
        if (rc)
            break;
        r->citations++;
        r->count[v.proof]++;
        if (on_verdict)
            on_verdict(arg, (uint32_t)i + 1, &c, &v);
    }
    return rc;
}
