/* extract.c - the parent's side of the parser child: starts it, reads its frames against deadlines,
 * judges its end. A page that kills or stalls the parser costs that page: the next child goes on
 * behind it (MOST_RESUMES times). The child gets descriptor 0 (the document, read only), 1 (a pipe)
 * and 2 (/dev/null); everything else docent opens with O_CLOEXEC. posix_spawn only: safe with
 * threads, LMDB and MPI in the parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/extract_wire.h"

static const char *const status_names[EXTRACT_STATUS_COUNT] = {
    "ok",        "empty",   "image-only", "encrypted", "damaged",   "unsupported",
    "too-large", "timeout", "memory",     "crashed",   "unreadable"};

const char *extract_status_name(enum extract_status s)
{
    return s < EXTRACT_STATUS_COUNT ? status_names[s] : "damaged";
}

#define MOST_RESUMES 3
#define EXIT_MS 2000 /* from the end frame to the end of the process */

struct child {
    pid_t pid;
    int pipe; /* our end */
};

/* Frames as they come in. */
struct intake {
    struct arena *a;
    struct extracted *x;
    uint32_t cap; /* of x->pages */
    uint64_t text_bytes;
    unsigned char *png;
    size_t n_png;
    int ended; /* the end frame came */
    double start_ms; /* of the document, whatever the number of children */
};

static int fail(struct extracted *x, enum extract_status s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail(struct extracted *x, enum extract_status s, const char *fmt, ...)
{
    va_list ap;

    x->status = s;
    va_start(ap, fmt);
    vsnprintf(x->reason, sizeof x->reason, fmt, ap);
    va_end(ap);
    utf8_printable(x->reason);
    return 0;
}

/* ---- starting ---- */

static int find_program(const struct extract_opts *o, char *path, size_t n, struct err *e)
{
    const char *env = getenv("DOCENT_EXTRACT");
    ssize_t len;
    char *slash;

    if (o->program || (env && *env)) {
        snprintf(path, n, "%s", o->program ? o->program : env);
    } else {
        len = readlink("/proc/self/exe", path, n - 32);
        if (len <= 0)
            return err_errno(e, errno, "find docent-extract");
        path[len] = '\0';
        slash = strrchr(path, '/');
        snprintf(slash + 1, n - (size_t)(slash + 1 - path), "docent-extract");
    }
    if (access(path, X_OK) < 0)
        return err_errno(e, errno, "the parser program %s", path);
    return 0;
}

/* dup2 onto the same number would leave O_CLOEXEC on: move the descriptors out of the way first. */
static int spawn(struct child *c, char **argv, int doc, struct err *e)
{
    static char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/", NULL};
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    sigset_t none;
    int ends[2];
    int high_doc = fcntl(doc, F_DUPFD_CLOEXEC, 10);
    int high_out = -1;
    int why = 0;

    if (high_doc < 0)
        return err_errno(e, errno, "start the parser");
    if (pipe2(ends, O_CLOEXEC) < 0) {
        why = errno;
        close(high_doc);
        return err_errno(e, why, "start the parser");
    }
    high_out = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&acts);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setpgroup(&attr, 0); /* Ctrl-C goes to docent, which then decides */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_adddup2(&acts, high_doc, 0);
    posix_spawn_file_actions_adddup2(&acts, high_out, 1);
    posix_spawn_file_actions_addopen(&acts, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&acts,
                                             3); /* libraries open sockets without O_CLOEXEC */
    why = high_out < 0 ? errno : posix_spawn(&c->pid, argv[0], &acts, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&acts);
    close(high_doc);
    if (high_out >= 0)
        close(high_out);
    close(ends[1]);
    c->pipe = ends[0];
    if (why) {
        close(ends[0]);
        return err_errno(e, why, "start %s", argv[0]);
    }
    return 0;
}

/* ---- frames ---- */

static int room_for_page(struct intake *in, struct err *e)
{
    struct page *grown;
    uint32_t cap;

    if (in->x->n_pages < in->cap)
        return 0;
    cap = in->cap ? in->cap * 2 : 16;
    grown = arena_take(in->a, cap, sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, "%u pages", cap);
    if (in->x->n_pages)
        memcpy(grown, in->x->pages, in->x->n_pages * sizeof *grown);
    in->x->pages = grown;
    in->cap = cap;
    return 0;
}

static int take_page(struct intake *in, const void *p, size_t n, struct err *e)
{
    struct extracted *x = in->x;
    struct page *page;
    int rc;

    if (x->n_pages >= LIM_DOC_PAGES)
        return err_set(e, ERR_FORMAT, "more than %d pages", LIM_DOC_PAGES);
    rc = room_for_page(in, e);
    if (rc)
        return rc;
    page = &x->pages[x->n_pages];
    rc = wire_get_page(p, n, in->a, page, e);
    if (rc)
        return rc;
    if (x->n_pages && page->number <= page[-1].number)
        return err_set(e, ERR_FORMAT, "page %u after page %u", page->number, page[-1].number);
    in->text_bytes += page->n_text;
    if (in->text_bytes > LIM_DOC_TEXT)
        return err_set(e, ERR_FORMAT, "more text than the limit");
    x->n_pages++;
    return 0;
}

/* Text from the child for people: UTF-8 or nothing. */
static void take_text(char *to, size_t cap, const void *p, size_t n)
{
    if (n >= cap)
        n = utf8_floor(p, cap - 1);
    if (utf8_valid(p, n) != n)
        n = 0;
    memcpy(to, p, n);
    to[n] = '\0';
    utf8_printable(to);
}

static void add_up(uint64_t *sum, uint64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = UINT64_MAX;
}

static int take_frame(struct intake *in, unsigned type, const unsigned char *p, size_t n,
                      struct err *e)
{
    struct extracted *x = in->x;
    struct rd r = rd_of(p, n);

    switch (type) {
    case FRAME_PAGE: return take_page(in, p, n, e);
    case FRAME_TITLE: take_text(x->title, sizeof x->title, p, n); return 0;
    case FRAME_LANG: take_text(x->lang, sizeof x->lang, p, n < 7 ? n : 0); return 0;
    case FRAME_BAD_PAGE:
        if (x->n_bad_pages < LIM_DOC_PAGES)
            x->n_bad_pages++;
        return 0;
    case FRAME_HIDDEN:
        add_up(&x->hidden_spans, rd_u64le(&r));
        add_up(&x->hidden_chars, rd_u64le(&r));
        break;
    case FRAME_STATUS:
        x->status = (enum extract_status)rd_u8(&r);
        if (r.failed || x->status > EXTRACT_MEMORY)
            return err_set(e, ERR_FORMAT, "unknown status");
        take_text(x->reason, sizeof x->reason, r.p, r.left);
        return 0;
    case FRAME_PNG:
        in->png = arena_take(in->a, n ? n : 1, 1);
        if (!in->png)
            return err_set(e, ERR_NOMEM, "page image");
        memcpy(in->png, p, n);
        in->n_png = n;
        return 0;
    case FRAME_END:
        x->peak_bytes = rd_u64le(&r);
        in->ended = 1;
        break;
    default: return err_set(e, ERR_FORMAT, "unknown frame %u", type);
    }
    return r.failed || r.left ? err_set(e, ERR_FORMAT, "frame %u of %zu bytes", type, n) : 0;
}

/* All whole frames at the front of b; the rest moves to the front. */
static int take_frames(struct intake *in, struct buf *b, struct err *e)
{
    size_t at = 0;
    int rc = 0;

    while (!rc && !in->ended && b->len - at >= FRAME_HEAD) {
        const unsigned char *p = (const unsigned char *)b->data + at;
        size_t n = p[1] | (size_t)p[2] << 8 | (size_t)p[3] << 16 | (size_t)p[4] << 24;
        if (n > LIM_FRAME)
            return err_set(e, ERR_FORMAT, "frame of %zu bytes", n);
        if (b->len - at - FRAME_HEAD < n)
            break;
        rc = take_frame(in, p[0], p + FRAME_HEAD, n, e);
        at += FRAME_HEAD + n;
    }
    memmove(b->data, b->data + at, b->len - at);
    b->len -= at;
    return rc;
}

enum intake_end {
    INTAKE_EOF,
    INTAKE_TIMEOUT,
    INTAKE_STALL,
    INTAKE_STOPPED,
    INTAKE_BAD,
    INTAKE_NOMEM
};

static enum intake_end read_all(struct child *c, struct intake *in, const struct extract_opts *o,
                                struct err *e)
{
    double last = clock_ms();
    double most = (o->deadline_s > 0 ? o->deadline_s : LIM_EXTRACT_SECONDS) * 1e3;
    double stall = (o->stall_s > 0 ? o->stall_s : LIM_EXTRACT_STALL_S) * 1e3;
    enum intake_end end = INTAKE_EOF;
    struct buf b;

    buf_init(&b, LIM_FRAME + FRAME_HEAD + 65536);
    for (;;) {
        struct pollfd pfd = {.fd = c->pipe, .events = POLLIN};
        int ready = poll(&pfd, 1, 100);
        double now = clock_ms();
        char *to;
        ssize_t n;
        int rc;

        if (o->stop && *o->stop) {
            end = INTAKE_STOPPED;
            break;
        }
        if (now - last > stall) {
            end = INTAKE_STALL;
            break;
        }
        /* 300 s, and a tenth of a second more for each page that came: 10,000 pages get 22 minutes
         */
        if (now - in->start_ms > most + in->x->n_pages * 100.0) {
            end = INTAKE_TIMEOUT;
            break;
        }
        if (ready <= 0)
            continue;
        to = buf_room(&b, 65536);
        if (!to) {
            end = INTAKE_NOMEM;
            break;
        }
        n = read(c->pipe, to, 65536);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            break;
        b.len += (size_t)n;
        last = now;
        rc = take_frames(in, &b, e);
        if (rc) {
            end = rc == ERR_NOMEM ? INTAKE_NOMEM : INTAKE_BAD;
            break;
        }
        if (in->ended) /* whatever follows is not wanted */
            break;
    }
    buf_free(&b);
    return end;
}

/* ---- the end ---- */

/* A child that closed its pipe but lives on is not waited for: *ours is set when it had to be killed. */
static int wait_child(pid_t pid, int soft, int *status, int *ours)
{
    double t0 = clock_ms();

    for (;;) {
        pid_t got = waitpid(pid, status, soft ? WNOHANG : 0);
        if (got == pid)
            return 0;
        if (got < 0 && errno != EINTR)
            return -1;
        if (!soft)
            continue;
        if (clock_ms() - t0 > EXIT_MS) {
            kill(pid, SIGKILL);
            *ours = 1;
            soft = 0;
        } else {
            clock_nap_ms(1);
        }
    }
}

static int judge(struct extracted *x, const struct intake *in, enum intake_end end, int status,
                 int ours, const struct extract_opts *o, struct err *e)
{
    switch (end) {
    case INTAKE_STOPPED: return err_set(e, ERR_CANCELLED, "stopped while parsing");
    case INTAKE_NOMEM:
        return fail(x, EXTRACT_TOO_LARGE, "its text and boxes do not fit into memory");
    case INTAKE_TIMEOUT:
        return fail(x, EXTRACT_TIMEOUT, "parsing took longer than %.0f s (%u pages came)",
                    o->deadline_s > 0 ? o->deadline_s : (double)LIM_EXTRACT_SECONDS, x->n_pages);
    case INTAKE_STALL:
        return fail(x, EXTRACT_TIMEOUT, "no page came for %.0f s (stopped behind page %u)",
                    o->stall_s > 0 ? o->stall_s : (double)LIM_EXTRACT_STALL_S, x->n_pages);
    case INTAKE_BAD: return fail(x, EXTRACT_CRASHED, "the parser sent nonsense: %.150s", e->msg);
    case INTAKE_EOF: break;
    }
    if (in->ended)
        return 0;
    if (WIFSIGNALED(status)) {
        int sig = WTERMSIG(status);
        if (ours)
            return fail(x, EXTRACT_TIMEOUT, "the parser closed its pipe but did not end (%u pages came)",
                        x->n_pages);
        if (sig == SIGKILL) { /* its CPU limit shows as SIGXCPU: this was somebody else */
            x->again = 1;
            return fail(x, EXTRACT_CRASHED,
                        "the parser was killed from outside: by hand, or because the machine's memory ran out");
        }
        if (sig == SIGXCPU)
            return fail(x, EXTRACT_TIMEOUT, "the parser used up its CPU time (%u pages came)",
                        x->n_pages);
        if (sig == SIGBUS) /* the file is mapped */
            return fail(x, EXTRACT_UNREADABLE, "the file became shorter while it was read");
        return fail(x, EXTRACT_CRASHED, "the parser died of signal %d (%s) behind page %u", sig,
                    strsignal(sig), x->n_pages);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_NOMEM)
        return fail(x, EXTRACT_MEMORY,
                    "the parser needed more than its memory limit (%u pages came)", x->n_pages);
    return fail(x, EXTRACT_CRASHED, "the parser ended early (exit %d) behind page %u",
                WIFEXITED(status) ? WEXITSTATUS(status) : -1, x->n_pages);
}

/* *end: how the intake ended. */
static int run_child(int fd, char **argv, const struct extract_opts *o, struct intake *in,
                     enum intake_end *end, struct err *e)
{
    struct child c = {.pid = -1};
    struct err why = {0};
    int status = 0;
    int ours = 0;
    int rc = spawn(&c, argv, fd, e);

    if (rc)
        return rc;
    *end = read_all(&c, in, o, &why);
    if (*end != INTAKE_EOF)
        kill(c.pid, SIGKILL);
    close(c.pipe);
    if (wait_child(c.pid, *end == INTAKE_EOF, &status, &ours) < 0)
        return err_errno(e, errno, "wait for the parser");
    rc = judge(in->x, in, *end, status, ours, o, &why);
    if (rc)
        *e = why;
    return rc;
}

/* ---- documents ---- */

/* Worth another child behind the page that this one died of: the document itself did not end it. */
static int resumable(const struct extracted *x, const struct intake *in, enum intake_end end)
{
    if (in->ended || x->again || x->type != TYPE_PDF || x->n_pages >= LIM_DOC_PAGES - 1)
        return 0;
    return end == INTAKE_STALL ||
           (end == INTAKE_EOF && (x->status == EXTRACT_CRASHED || x->status == EXTRACT_MEMORY ||
                                  x->status == EXTRACT_TIMEOUT));
}

/* The page that could not be read stays in its place, empty: page numbers are those of the file. */
static int put_bad_page(struct intake *in, uint32_t number, struct err *e)
{
    struct extracted *x = in->x;
    char *empty = arena_strdup(in->a, "");
    int rc = room_for_page(in, e);

    if (rc || !empty)
        return rc ? rc : err_set(e, ERR_NOMEM, "page %u", number);
    x->pages[x->n_pages++] = (struct page){.number = number, .text = empty};
    x->n_bad_pages++;
    return 0;
}

/* argv has room for "--from N" behind its n words. */
static int run_children(int fd, char **argv, int n, const struct extract_opts *o, struct intake *in,
                        struct err *e)
{
    struct extracted *x = in->x;
    struct extracted first; /* how the first child failed */
    enum intake_end end = INTAKE_EOF;
    char from[16];
    int rc = run_child(fd, argv, o, in, &end, e);

    first = *x;
    argv[n] = "--from";
    argv[n + 1] = from;
    argv[n + 2] = NULL;
    for (int i = 0; i < MOST_RESUMES && !rc && resumable(x, in, end); i++) {
        uint32_t bad = x->n_pages ? x->pages[x->n_pages - 1].number + 1 : 1;
        rc = put_bad_page(in, bad, e);
        if (rc)
            return rc;
        snprintf(from, sizeof from, "%u", bad + 1);
        x->status = EXTRACT_OK;
        x->reason[0] = '\0';
        rc = run_child(fd, argv, o, in, &end, e);
        if (!rc && !in->ended && x->pages[x->n_pages - 1].number == bad)
            break; /* no page more: it is not the page */
    }
    if (!rc && first.status != EXTRACT_OK && !first.n_pages && x->n_pages == x->n_bad_pages) {
        x->n_pages = x->n_bad_pages = 0; /* nothing was gained */
        x->status = first.status;
        memcpy(x->reason, first.reason, sizeof x->reason);
    } else if (in->ended && (x->status == EXTRACT_EMPTY || x->status == EXTRACT_IMAGE_ONLY) &&
               in->text_bytes) {
        x->status = EXTRACT_OK; /* the last child had only the rest */
        x->reason[0] = '\0';
    }
    return rc;
}

int extract_fd(int fd, enum doc_type type, const struct extract_opts *o, struct arena *a,
               struct extracted *x, struct err *e)
{
    char program[4200];
    char memory[32];
    char cpu[32];
    char *argv[12];
    int n = 0;
    struct intake in = {.a = a, .x = x, .start_ms = clock_ms()};
    int rc;

    memset(x, 0, sizeof *x);
    x->type = type;
    x->paged = type == TYPE_PDF;
    rc = find_program(o, program, sizeof program, e);
    if (rc)
        return rc;
    snprintf(memory, sizeof memory, "%llu",
             (unsigned long long)(o->memory_bytes ? o->memory_bytes : LIM_EXTRACT_MEMORY));
    snprintf(cpu, sizeof cpu, "%d", LIM_EXTRACT_SECONDS * 12);
    argv[n++] = program;
    argv[n++] = "--type";
    argv[n++] = (char *)(uintptr_t)doc_type_name(type);
    argv[n++] = "--memory";
    argv[n++] = memory;
    argv[n++] = "--cpu";
    argv[n++] = cpu;
    if (o->no_sandbox)
        argv[n++] = "--no-sandbox";
    argv[n] = NULL;
    rc = run_children(fd, argv, n, o, &in, e);
    x->wall_ms = clock_ms() - in.start_ms;
    return rc;
}

int extract_page_png(int fd, uint32_t page, int dpi, const struct extract_opts *o, struct arena *a,
                     unsigned char **png, size_t *n_png, struct err *e)
{
    char program[4200];
    char number[16];
    char resolution[16];
    char *argv[] = {program, "--png", number, "--dpi", resolution, NULL};
    struct extracted x;
    struct intake in = {.a = a, .x = &x, .start_ms = clock_ms()};
    enum intake_end end = INTAKE_EOF;
    int rc;

    memset(&x, 0, sizeof x);
    if (page < 1 || page > LIM_DOC_PAGES || dpi < 36 || dpi > 300)
        return err_set(e, ERR_INVALID, "page %u at %d dpi", page, dpi);
    rc = find_program(o, program, sizeof program, e);
    if (rc)
        return rc;
    snprintf(number, sizeof number, "%u", page);
    snprintf(resolution, sizeof resolution, "%d", dpi);
    rc = run_child(fd, argv, o, &in, &end, e);
    if (!rc && (x.status != EXTRACT_OK || !in.n_png))
        rc = err_set(e, ERR_FORMAT, "page %u: %.200s", page, x.reason[0] ? x.reason : "no image");
    *png = in.png;
    *n_png = in.n_png;
    return rc;
}
