/* sandbox.c - rlimits, Landlock, seccomp (see sandbox.h). Part of docent-extract: GPL-2.0-or-later.
 * In a sanitizer build address space is not limited (shadow memory is 16 TiB) and seccomp lets the
 * runtime's calls pass. */
#include "ingest/child/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static int limit(int what, rlim_t v, const char *name, struct err *e)
{
    /* CPU time: SIGXCPU at the limit, and only 5 s later the SIGKILL that says nothing */
    struct rlimit l = {v, what == RLIMIT_CPU ? v + 5 : v};

    if (setrlimit((__rlimit_resource_t)what, &l) < 0)
        return err_errno(e, errno, "limit %s", name);
    return 0;
}

static int limits(uint64_t memory_bytes, unsigned cpu_s, struct err *e)
{
    struct stat st;
    int rc = 0;

    if (!SANITIZED && memory_bytes)
        rc = limit(RLIMIT_AS, memory_bytes, "address space", e);
    if (!rc && cpu_s)
        rc = limit(RLIMIT_CPU, cpu_s, "CPU time", e);
    if (!rc)
        rc = limit(RLIMIT_NOFILE, 64, "open files", e);
    if (!rc)
        rc = limit(RLIMIT_CORE, 0, "core files", e);
    if (!rc && (fstat(1, &st) < 0 || !S_ISREG(st.st_mode))) /* by hand, the output may be a file */
        rc = limit(RLIMIT_FSIZE, 0, "file size", e);
    return rc;
}

/* Read-only access to what poppler opens by itself: its CMap tables (poppler-data), fonts for
 * rendering, and the settings of fontconfig. */
static const char *const readable[] = {"/usr/share/poppler",     "/usr/share/fonts",
                                       "/usr/local/share/fonts", "/etc/fonts",
                                       "/usr/share/fontconfig",  "/var/cache/fontconfig",
                                       "/usr/share/ghostscript", "/usr/lib/x86_64-linux-gnu/gconv"};

static int landlock(struct sandbox_report *r, struct err *e)
{
    struct landlock_ruleset_attr all = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SYM,
    };
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int fd;

    if (abi < 1) /* an older kernel: seccomp alone */
        return 0;
    fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (fd < 0)
        return err_errno(e, errno, "Landlock rules");
    for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++) {
        struct landlock_path_beneath_attr a = {
            .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
            .parent_fd = open(readable[i], O_PATH | O_CLOEXEC),
        };
        if (a.parent_fd < 0)
            continue; /* not installed */
        syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &a, 0);
        close(a.parent_fd);
    }
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
        close(fd);
        return err_errno(e, errno, "Landlock");
    }
    close(fd);
    r->landlock = (int)abi;
    return 0;
}

/* What poppler, libxml2, ICU and libc need to parse from an open descriptor and write to another.
 * Anything else fails with EPERM: a library that probes for a feature goes on without it. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(getdents64),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getrandom),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(dup),
    SCMP_SYS(fcntl),
    SCMP_SYS(getcwd),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(membarrier),
};

static int seccomp(struct sandbox_report *r, struct err *e)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    pid_t self = getpid();
    int rc = c ? 0 : -ENOMEM;

    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0] && !rc; i++)
        rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0);
    /* opening is for reading only; where is Landlock's business */
    if (!rc)
        rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    if (!rc)
        rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    if (!rc) /* of itself, not of the parent */
        rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    if (!rc) /* abort() raises a signal in itself */
        rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self));
    if (!rc && SANITIZED) {
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 0);
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0);
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ptrace), 0);
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(wait4), 0);
        seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0);
    }
    if (!rc)
        rc = seccomp_load(c);
    if (c)
        seccomp_release(c);
    if (rc)
        return err_errno(e, -rc, "seccomp");
    r->seccomp = 1;
    return 0;
}

int sandbox_enter(uint64_t memory_bytes, unsigned cpu_s, struct sandbox_report *r, struct err *e)
{
    pid_t parent = getppid();
    int rc;

    memset(r, 0, sizeof *r);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(e, errno, "prctl");
    if (getppid() != parent) /* it died before PDEATHSIG was set */
        return err_set(e, ERR_CANCELLED, "the parent is gone");
    rc = limits(memory_bytes, cpu_s, e);
    if (!rc)
        rc = landlock(r, e);
    if (!rc)
        rc = seccomp(r, e);
    return rc;
}
