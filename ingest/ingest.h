/* ingest.h - the face of ingest: files -> pages -> chunks.
 * walk.c      finds files               sniff.c    says what a file is, by its bytes
 * extract.c   runs the parser child docent-extract and receives its pages
 * furniture.c marks running headers and footers that repeat over pages
 * chunk.c     cuts pages into chunks    boxes.c    word boxes as compact bytes
 * Nothing here knows of models, of the index or of MPI. Threads: each call on its own arena. */
#ifndef DOCENT_INGEST_H
#define DOCENT_INGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

/* ---- walk ---- */

struct walk_file {
    const char *path; /* absolute, as given by the folder walked; bytes, not always UTF-8 */
    uint64_t size;
    int64_t mtime_ns;
    uint64_t inode;
    uint64_t device;
};

/* Says what to do with an entry that was not taken: why is a sentence. Return non-zero to stop. */
typedef int walk_skip_fn(void *arg, const char *path, const char *why);
typedef int walk_file_fn(void *arg, const struct walk_file *f);

/* Visits every regular file below root (or root itself when it is a file), sorted by name, so that
 * two walks see the same order. Hidden entries (leading '.') below root are left out. Symbolic links are
 * followed once: a folder seen before (device, inode) is skipped, which ends loops. FIFOs,
 * sockets, devices and what may not be read go to on_skip, and the walk goes on.
 * Returns 0, ERR_CANCELLED when a callback stopped it, ERR_NOTFOUND/ERR_ACCESS for root itself. */
int walk_tree(const char *root, walk_file_fn *on_file, walk_skip_fn *on_skip, void *arg,
              struct err *e);

/* ---- sniff ---- */

enum doc_type { TYPE_UNKNOWN, TYPE_PDF, TYPE_HTML, TYPE_DOCX, TYPE_MARKDOWN, TYPE_TEXT };
const char *doc_type_name(enum doc_type t); /* "pdf", "html", "docx", "markdown", "text" */
enum doc_type doc_type_of(const char *name); /* TYPE_UNKNOWN for other words */

/* Type by magic bytes first, name second; only for text kinds (markdown, html, text) may the name decide.
 * head: the first n (<= 4096) bytes. TYPE_UNKNOWN: binary or a known foreign format; then why names it
 * ("PNG image", "ZIP archive without word/document.xml"). */
enum doc_type sniff(const char *path, const void *head, size_t n, const char **why);

/* ---- pages, as the child delivers them ---- */

struct word_box {
    uint32_t start, end; /* bytes of the page's text */
    float x0, y0, x1, y1; /* 0..1 of the page's width and height, origin top left */
};

struct heading {
    uint32_t start, end; /* bytes of the page's text */
    uint8_t level; /* 1..6 */
};

enum mark_kind { MARK_HEADER = 1, MARK_FOOTER = 2, MARK_TABLE = 3 };
struct mark {
    uint32_t start, end; /* bytes of the page's text */
    uint8_t kind;
};

struct page {
    uint32_t number; /* from 1; for files without pages: the part, from 1 */
    float width, height; /* points; 0 when the format has no pages */
    char *text; /* UTF-8, '\n' ends a line, an empty line ends a paragraph; NUL behind */
    uint32_t n_text;
    struct word_box *boxes; /* reading order, starts ascending, may be empty */
    uint32_t n_boxes;
    struct heading *heads; /* starts ascending */
    uint32_t n_heads;
    struct mark *marks; /* starts ascending */
    uint32_t n_marks;
};

enum extract_status {
    EXTRACT_OK,
    EXTRACT_EMPTY, /* parsed, but there is no text and no image */
    EXTRACT_IMAGE_ONLY, /* pages carry images but no text */
    EXTRACT_ENCRYPTED, /* a password is needed */
    EXTRACT_DAMAGED, /* the parser gave up; reason says where */
    EXTRACT_UNSUPPORTED, /* not a format that docent reads */
    EXTRACT_TOO_LARGE, /* over a ceiling of limits.h */
    EXTRACT_TIMEOUT,
    EXTRACT_MEMORY, /* the child ran into its address-space limit */
    EXTRACT_CRASHED, /* the child died of a signal */
    EXTRACT_UNREADABLE, /* the file could not be opened or read, or changed while it was read */
    EXTRACT_STATUS_COUNT
};
const char *extract_status_name(enum extract_status s); /* "ok", "empty", "image-only", ... */

struct extracted {
    enum extract_status status;
    char reason[256]; /* a sentence when status is not EXTRACT_OK */
    int again; /* 1: a failure of the moment (the parser was killed from outside), not of the file: try again later */
    enum doc_type type;
    int paged; /* 1: page numbers are those of the file; 0: parts of a file without pages */
    char title[512]; /* "" when the file has none */
    char lang[8]; /* as the file declares it ("en", "zh"), "" when it does not */
    struct page *pages; /* [n_pages], ascending numbers; pages without text are there too */
    uint32_t n_pages;
    uint32_t n_bad_pages; /* pages that could not be parsed (kept, empty) */
    uint64_t hidden_spans; /* runs of text that a reader does not see: dropped */
    uint64_t hidden_chars;
    double wall_ms;
    uint64_t peak_bytes; /* the child's peak resident memory */
};

struct extract_opts {
    const char *program; /* path of docent-extract; NULL: beside this program */
    uint64_t memory_bytes; /* RLIMIT_AS; 0: LIM_EXTRACT_MEMORY */
    double deadline_s; /* whole document; 0: LIM_EXTRACT_SECONDS */
    double stall_s; /* between two pages; 0: LIM_EXTRACT_STALL_S */
    int no_sandbox; /* only for tests of the parsers */
    const volatile int *stop; /* when not NULL and set: gives up with ERR_CANCELLED */
};

/* Parses an open regular file (fd at offset 0, read only) of the given type in a child process that can
 * read that descriptor, write one pipe, and nothing else. What is wrong with the file is x->status, with
 * return 0; a non-zero return means docent itself could not work (no child program, no memory, stop).
 * All of x lives in a. Starts the child by posix_spawn; safe from any thread. */
int extract_fd(int fd, enum doc_type type, const struct extract_opts *o, struct arena *a,
               struct extracted *x, struct err *e);

/* A page of a PDF as PNG (for showing a citation): the same child. dpi 36..300. */
int extract_page_png(int fd, uint32_t page, int dpi, const struct extract_opts *o, struct arena *a,
                     unsigned char **png, size_t *n, struct err *e);

/* ---- furniture ---- */

/* Finds first and last lines that repeat over pages (digits taken as equal) and adds MARK_HEADER and
 * MARK_FOOTER marks. Works from 3 pages on. Marks live in a. */
int furniture_mark(struct extracted *x, struct arena *a, struct err *e);

/* ---- chunks ---- */

struct chunk {
    uint32_t page; /* index into pages, not the number */
    uint32_t start, end; /* bytes of that page's text; a chunk never crosses a page */
    const char *section; /* heading path "Part II > Item 7 > Liquidity", "" above the first heading */
    uint32_t n_tokens; /* of the text alone, as count_fn says */
};

/* How many tokens the embedder makes of text[0..n) (no special tokens). */
typedef uint32_t count_fn(void *arg, const char *text, size_t n);

struct chunk_opts {
    uint32_t target_tokens; /* about this many; default 200 */
    uint32_t max_tokens; /* never more (the model's window less title and section) */
    count_fn *count; /* NULL: a word/character estimate */
    void *count_arg;
};

/* Cuts all pages. Borders: never across a heading or page, at sentence ends (ICU), a sentence longer than max_tokens
 * at word ends. Marked headers and footers are in no chunk. The same input gives the same chunks.
 * out: array in a. */
int chunk_pages(const struct extracted *x, const struct chunk_opts *o, struct arena *a,
                struct chunk **out, uint32_t *n_out, struct err *e);

/* Sentence borders of text[0..n) by ICU, UAX #29, with the mends that real documents need
 * ("No. 5", "Inc.", "e.g."; list items and line-broken headings). ends: byte offsets behind each sentence,
 * ascending, the last is n. Works for English and Chinese. Lives in a. */
int sentences(const char *text, size_t n, struct arena *a, uint32_t **ends, uint32_t *n_ends,
              struct err *e);

/* ---- boxes as bytes (what the index stores with a page) ---- */

/* Packs boxes (starts ascending) into bytes; positions are kept to 1/4096 of the page. */
int boxes_pack(const struct word_box *boxes, uint32_t n, struct arena *a, unsigned char **bytes,
               size_t *n_bytes, struct err *e);
int boxes_unpack(const unsigned char *bytes, size_t n_bytes, struct arena *a,
                 struct word_box **boxes, uint32_t *n, struct err *e);

#endif
