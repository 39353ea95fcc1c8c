/* cmd_library.c - docent rm, compact, backup, restore: one call each on the library. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "coordinator/commands.h"
#include "coordinator/progress.h"

static int run_rm(int argc, char **argv);
static int run_compact(int argc, char **argv);
static int run_backup(int argc, char **argv);
static int run_restore(int argc, char **argv);

const struct command command_rm = {
    "rm", "rm PATH|ID...",
    "remove documents from the library (never from disk)\n"
    "PATH is a file or folder as it was indexed, ID the first 8 or more digits of a document's hash. Removed text answers\n"
    "no question once this returns; docent compact then erases its bytes from the library's file.",
    "0 removed, 1 failed, 2 wrong usage, 3 some were not in the library", run_rm,
};
const struct command command_compact = {
    "compact", "compact",
    "merge segments, drop dead rows and rewrite the library's file without free pages",
    "0 done, 1 failed, 2 wrong usage", run_compact,
};
const struct command command_backup = {
    "backup", "backup FILE",
    "copy the whole library into one file, consistent also while indexing goes on",
    "0 written, 1 failed, 2 wrong usage", run_backup,
};
const struct command command_restore = {
    "restore", "restore FILE",
    "make the library (-L DIR, which must not exist) from a backup file",
    "0 restored, 1 failed, 2 wrong usage", run_restore,
};

static const struct opt no_opts[] = {{NULL, 0, OPT_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

/* ---- rm ---- */

struct doomed {
    char **paths;
    size_t n, cap;
};

static int collect_path(void *arg, const char *path, const uint8_t id[DOC_ID_BYTES],
                        const struct index_path *known)
{
    struct doomed *d = arg;

    (void)id;
    (void)known;
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 64;
        char **grown = mem_again(d->paths, cap, sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        d->paths = grown;
        d->cap = cap;
    }
    d->paths[d->n] = mem_strdup(path);
    return d->paths[d->n] ? (d->n++, 0) : ERR_NOMEM;
}

struct id_search {
    const char *hex;
    uint8_t id[DOC_ID_BYTES];
    int found;
};

static int match_id(void *arg, const struct doc_view *d)
{
    struct id_search *s = arg;
    char hex[2 * DOC_ID_BYTES + 1];

    hash_hex(hex, d->id, DOC_ID_BYTES);
    if (!strncmp(hex, s->hex, strlen(s->hex))) {
        memcpy(s->id, d->id, DOC_ID_BYTES);
        s->found++;
    }
    return 0;
}

static int looks_like_id(const char *word)
{
    size_t n = strlen(word);

    return n >= 8 && n <= 2 * DOC_ID_BYTES && strspn(word, "0123456789abcdef") == n;
}

/* The path as given, as an absolute path, and everything below it when it is a folder. */
static int collect(struct snapshot *s, const char *word, struct doomed *d, struct err *e)
{
    char full[PATH_MAX];
    char below[PATH_MAX + 1];
    uint8_t id[DOC_ID_BYTES];
    struct index_path known;
    struct err ignored;
    const char *names[2] = {word, realpath(word, full) ? full : NULL};
    size_t before = d->n;
    int rc = 0;

    for (int i = 0; i < 2 && !rc && d->n == before; i++) {
        if (!names[i] || strlen(names[i]) >= sizeof below - 1)
            continue;
        if (snapshot_path(s, names[i], id, &known, &ignored) == 0) {
            rc = collect_path(d, names[i], id, &known);
            continue;
        }
        snprintf(below, sizeof below, "%s/", names[i]);
        rc = snapshot_paths(s, below, collect_path, d, e);
    }
    return rc;
}

static int remove_words(struct library *lib, char **words, int n, uint64_t *removed, int *missing,
                        struct err *e)
{
    struct doomed d = {.n = 0};
    struct index_batch *b = NULL;
    struct snapshot *s;
    int rc = snapshot_take(lib, &s, e);

    if (rc)
        return rc;
    rc = index_begin(lib, 0, &b, e);
    for (int i = 0; i < n && !rc; i++) {
        size_t before = d.n;
        struct id_search ids = {.hex = words[i]};
        rc = collect(s, words[i], &d, e);
        if (!rc && d.n == before && looks_like_id(words[i]))
            rc = snapshot_docs(s, match_id, &ids, e);
        if (!rc && ids.found > 1)
            rc = err_set(e, ERR_INVALID, "%s stands for %d documents: give more digits", words[i], ids.found);
        if (!rc && ids.found == 1) {
            rc = index_rm_doc(b, ids.id, e);
            *removed += !rc;
        } else if (!rc && d.n == before) {
            struct err line;
            err_set(&line, ERR_NOTFOUND, "%s", words[i]);
            fprintf(stderr, "docent rm: not in the library: %s\n", line.msg);
            ++*missing;
        }
    }
    for (size_t i = 0; i < d.n; i++) {
        if (!rc) {
            rc = index_rm_path(b, d.paths[i], e);
            if (rc == ERR_NOTFOUND) /* named twice on the command line */
                rc = 0;
            else
                *removed += !rc;
        }
        mem_give(d.paths[i]);
    }
    mem_give(d.paths);
    snapshot_give(s);
    if (rc)
        index_abort(b);
    else
        rc = index_commit(b, e);
    return rc;
}

static int run_rm(int argc, char **argv)
{
    struct globals g;
    struct library *lib = NULL;
    struct err e = {0};
    uint64_t removed = 0;
    int missing = 0;
    char **rest;
    int n_rest;
    int rc = args_parse(&command_rm, no_opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (!n_rest) {
        fputs("docent rm: name at least one path or document id\n", stderr);
        return EXIT_USAGE;
    }
    rc = library_open(&lib, g.library, LIB_WRITE, &e);
    if (!rc)
        rc = remove_words(lib, rest, n_rest, &removed, &missing, &e);
    library_close(lib);
    if (rc)
        return args_fail(&command_rm, &e);
    if (g.json)
        print_json(json_pack("{s:I,s:i}", "removed", (json_int_t)removed, "missing", missing));
    else
        printf("%s removed\n", grouped(removed));
    return missing ? EXIT_PARTLY : EXIT_OK;
}

/* ---- compact, backup, restore ---- */

static int run_compact(int argc, char **argv)
{
    struct globals g;
    struct library *lib = NULL;
    struct err e = {0};
    uint64_t before = 0;
    uint64_t after = 0;
    char **rest;
    int n_rest;
    int rc = args_parse(&command_compact, no_opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    rc = library_open(&lib, g.library, LIB_WRITE, &e);
    if (!rc)
        rc = library_compact(lib, &before, &after, &e);
    library_close(lib);
    if (rc)
        return args_fail(&command_compact, &e);
    if (g.json)
        return print_json(json_pack("{s:I,s:I}", "before_bytes", (json_int_t)before, "after_bytes",
                                    (json_int_t)after));
    printf("%s before, %s now\n", bytes_text(before), bytes_text(after));
    return EXIT_OK;
}

static int run_backup(int argc, char **argv)
{
    struct globals g;
    struct library *lib = NULL;
    struct err e = {0};
    uint64_t bytes = 0;
    char **rest;
    int n_rest;
    int rc = args_parse(&command_backup, no_opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (n_rest != 1) {
        fputs("docent backup: give the file to write\n", stderr);
        return EXIT_USAGE;
    }
    rc = library_open(&lib, g.library, LIB_READ, &e);
    if (!rc)
        rc = library_backup(lib, rest[0], &bytes, &e);
    library_close(lib);
    if (rc)
        return args_fail(&command_backup, &e);
    if (g.json)
        return print_json(json_pack("{s:I}", "bytes", (json_int_t)bytes));
    printf("%s written to %s\n", bytes_text(bytes), rest[0]);
    return EXIT_OK;
}

static int run_restore(int argc, char **argv)
{
    struct globals g;
    struct err e = {0};
    char **rest;
    int n_rest;
    int rc = args_parse(&command_restore, no_opts, &g, argc, argv, &rest, &n_rest);

    if (rc >= 0)
        return rc;
    if (n_rest != 1) {
        fputs("docent restore: give the backup file\n", stderr);
        return EXIT_USAGE;
    }
    if (library_restore(rest[0], g.library, &e))
        return args_fail(&command_restore, &e);
    if (g.json)
        return print_json(json_pack("{s:s}", "library", g.library));
    printf("restored into %s\n", g.library);
    return EXIT_OK;
}
