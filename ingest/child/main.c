/* main.c - docent-extract: parses one document from descriptor 0 and writes its pages to
 * descriptor 1. This program is GPL-2.0-or-later, because it links poppler; the rest of docent is
 * Apache-2.0 and talks to it through a pipe.
 *
 *   docent-extract --type pdf|html|docx|markdown|text [--memory BYTES] [--cpu SECONDS] [--json] <
 * FILE docent-extract --png PAGE --dpi DPI < FILE.pdf       one page as a PNG frame docent-extract
 * --probe                               what the sandbox of this machine denies */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "ingest/child/emit.h"
#include "ingest/child/pdf.h"
#include "ingest/child/sandbox.h"
#include "ingest/extract_wire.h"

struct wish {
    enum doc_type type;
    uint64_t memory;
    unsigned cpu_s;
    uint32_t png_page;
    uint32_t from; /* first page to read */
    int dpi;
    int json, probe, no_sandbox;
};

static uint64_t number(const char *s)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(s ? s : "", &end, 10);
    return errno || !s || *end ? 0 : v;
}

static int parse_args(struct wish *w, int argc, char **argv)
{
    memset(w, 0, sizeof *w);
    w->dpi = 100;
    w->from = 1;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--json"))
            w->json = 1;
        else if (!strcmp(argv[i], "--probe"))
            w->probe = 1;
        else if (!strcmp(argv[i], "--no-sandbox"))
            w->no_sandbox = 1;
        else if (!next)
            return 0;
        else if (!strcmp(argv[i], "--type"))
            w->type = doc_type_of(argv[++i]);
        else if (!strcmp(argv[i], "--memory"))
            w->memory = number(argv[++i]);
        else if (!strcmp(argv[i], "--cpu"))
            w->cpu_s = (unsigned)number(argv[++i]);
        else if (!strcmp(argv[i], "--png"))
            w->png_page = (uint32_t)number(argv[++i]);
        else if (!strcmp(argv[i], "--from"))
            w->from = (uint32_t)number(argv[++i]);
        else if (!strcmp(argv[i], "--dpi"))
            w->dpi = (int)number(argv[++i]);
        else
            return 0;
    }
    if (w->dpi < 36 || w->dpi > 300 || w->from < 1 || w->from > LIM_DOC_PAGES)
        return 0;
    return w->probe || w->png_page || w->type != TYPE_UNKNOWN;
}

/* Tries what a parser that was taken over would try. Each line: what, and whether it was denied. */
static int probe(const struct sandbox_report *r)
{
    struct rlimit one = {1, 1};
    int leaks = 0;
    const struct {
        const char *what;
        int done;
    } tries[] = {
        {"read /etc/passwd", open("/etc/passwd", O_RDONLY) >= 0},
        {"list /", open("/", O_RDONLY | O_DIRECTORY) >= 0},
        {"read the memory of the parent", open("/proc/self/mem", O_RDONLY) >= 0},
        {"create a file", open("docent-probe", O_WRONLY | O_CREAT, 0600) >= 0},
        {"rename a file",
         rename("/tmp/docent-probe", "/tmp/docent-probe-2") == 0 || errno == ENOENT},
        {"remove a file", unlink("/tmp/docent-probe") == 0 || errno == ENOENT},
        {"socket", socket(AF_INET, SOCK_STREAM, 0) >= 0},
        {"local socket", socket(AF_UNIX, SOCK_STREAM, 0) >= 0},
        {"execute a program", execl("/bin/true", "true", (char *)NULL) == 0},
        {"fork", syscall(SYS_fork) >= 0},
        {"new namespaces", unshare(CLONE_NEWUSER) == 0},
        {"signal the parent", kill(getppid(), 0) == 0},
        {"trace the parent", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0},
        {"limits of the parent", prlimit(getppid(), RLIMIT_NOFILE, &one, NULL) == 0},
        {"64 GiB of memory",
         mmap(NULL, 64 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
              -1, 0) != MAP_FAILED},
    };

    printf("landlock %d%s, seccomp %d\n", r->landlock,
           r->landlock ? ""
                       : " (this kernel has none: files that users may read are open to a parser)",
           r->seccomp);
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        printf("%s: %s\n", tries[i].what, tries[i].done ? "ALLOWED" : "denied");
        leaks += tries[i].done;
    }
    return leaks ? 1 : 0;
}

/* GLib and C++ end the process when memory is out. 16 MiB that cannot be had tell that from other
 * ends. */
static void on_death(int sig)
{
    if (mmap(NULL, 16 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        _exit(CHILD_NOMEM);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void watch_death(void)
{
#ifdef __SANITIZE_ADDRESS__ /* which has its own handlers */
    (void)on_death;
#else
    static char stack[64 * 1024]; /* a stack overflow leaves none */
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction act = {.sa_handler = on_death, .sa_flags = SA_ONSTACK | SA_NODEFER};

    sigaltstack(&own, NULL);
    sigaction(SIGABRT, &act, NULL);
    sigaction(SIGTRAP, &act, NULL);
    sigaction(SIGSEGV, &act, NULL);
#endif
}

static int parse(const struct wish *w, struct emit *em, uint64_t size, struct err *e)
{
    switch (w->type) {
    case TYPE_PDF: return parse_pdf(0, size, em, e);
    case TYPE_HTML: return parse_html(0, size, em, e);
    case TYPE_DOCX: return parse_docx(0, size, em, e);
    case TYPE_MARKDOWN: return parse_markdown(0, size, em, e);
    case TYPE_TEXT: return parse_text(0, size, em, e);
    case TYPE_UNKNOWN: break;
    }
    return err_set(e, ERR_UNSUPPORTED, "unknown type");
}

int main(int argc, char **argv)
{
    struct sandbox_report report = {0};
    struct emit *em = NULL;
    struct err e = {0};
    struct stat st;
    struct wish w;
    int rc = 0;

    if (!parse_args(&w, argc, argv)) {
        fputs("docent-extract is started by docent; by hand: docent-extract --json --type "
              "pdf|html|docx|markdown|text < FILE\n",
              stderr);
        return 2;
    }
    watch_death();
    if (w.type == TYPE_PDF || w.png_page)
        pdf_warm_up();
    if (!w.no_sandbox)
        rc = sandbox_enter(w.memory ? w.memory : LIM_EXTRACT_MEMORY, w.cpu_s, &report, &e);
    if (rc) {
        fprintf(stderr, "docent-extract: %s\n", e.msg);
        return 3;
    }
    if (w.probe) {
        if (w.no_sandbox)
            return 2;
        return probe(&report);
    }
    if (fstat(0, &st) < 0 || !S_ISREG(st.st_mode)) {
        fputs("docent-extract: the document on descriptor 0 is not a regular file\n", stderr);
        return 2;
    }
    if (emit_open(&em, 1, w.json, &e))
        return CHILD_NOMEM;
    pdf_start_at(w.from);
    if (w.png_page)
        rc = pdf_page_png(0, (uint64_t)st.st_size, w.png_page, w.dpi, em, &e);
    else
        rc = parse(&w, em, (uint64_t)st.st_size, &e);
    rc = emit_end(em, rc, &e);
    /* No tidying: the process ends here, and freeing a damaged document's structures is one more
     * way to crash. */
    fflush(stdout);
    _exit(rc ? 4 : CHILD_OK);
}
