/* analyze.c - text to terms: the one rule for documents and queries (ANALYZER_VERSION).
 * Words follow UAX #29 over NFKC case-folded text with three turns made for search: underscores and dots between
 * letters part words ("foo_bar", "end.Next") unless they spell an acronym ("U.S.A." is usa), thousands commas
 * go ("1,234.5" is 1234.5), apostrophes go after 's is cut. Words without digits are stemmed.
 * Han, Kana, Hangul, Thai ... runs: every character and every pair of neighbours (a query: the pairs;
 * a run of one character: itself).
 * Two readers give the same terms: words of ASCII letters and digits are read directly; a word that touches other
 * bytes goes through fold.c. */
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "index/fold.h"
#include "index/index.h"
#include "index/stem.h"

#define WORD_MAX 512 /* bytes of one word; longer ones are read as several */
#define TERM_MAX 255 /* bytes of a term; of longer ones the head and a hash */
#define TERM_HEAD 200
#define CPS 1024 /* code points folded at a time */
#define CPS_MARGIN 256 /* a word that starts nearer to the end is read again with what follows */

struct reader {
    const char *s;
    size_t n;
    int is_query;
    const struct stem_lang *lang;
    struct stem_set *stems;
    struct arena *a;
    struct term_at *at;
    size_t n_at, cap;
    char *text; /* where the next term's bytes go */
    size_t left;
    struct fold_cp last_run; /* the run character before, when it touches the next */
    int has_last_run;
    int failed; /* 0, ERR_NOMEM or ERR_LIMIT */
};

/* ---- terms out ---- */

static void emit(struct reader *r, const char *term, size_t n, size_t start, size_t end)
{
    struct term_at *t;

    if (r->n_at == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct term_at *grown = arena_take(r->a, cap, sizeof *grown);
        if (!grown) {
            r->failed = ERR_NOMEM;
            return;
        }
        if (r->n_at)
            memcpy(grown, r->at, r->n_at * sizeof *grown);
        r->at = grown;
        r->cap = cap;
    }
    if (n + 1 > r->left) {
        r->left = 4096;
        r->text = arena_take(r->a, r->left, 1);
        if (!r->text) {
            r->left = 0;
            r->failed = ERR_NOMEM;
            return;
        }
    }
    memcpy(r->text, term, n);
    r->text[n] = '\0';
    t = &r->at[r->n_at++];
    t->term = r->text;
    t->n = (uint32_t)n;
    t->start = (uint32_t)start;
    t->end = (uint32_t)end;
    r->text += n + 1;
    r->left -= n + 1;
}

static void emit_cut(struct reader *r, const char *term, size_t n, size_t start, size_t end)
{
    char cut[TERM_MAX + 1];
    size_t head = utf8_floor(term, TERM_HEAD);
    uint64_t h = hash_xxh3(term, n);
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(h >> (56 - 8 * i));
    memcpy(cut, term, head);
    cut[head] = '#';
    hash_hex(cut + head + 1, bytes, 8);
    emit(r, cut, head + 17, start, end);
}

/* A word: letters, digits, inner apostrophes. */
static void emit_word(struct reader *r, char *w, size_t n, int digits, int apostrophes,
                      size_t start, size_t end)
{
    const char *term = w;

    if (apostrophes) {
        size_t k = 0;
        if (n > 2 && w[n - 2] == '\'' && w[n - 1] == 's' && stem_is_english(r->lang))
            n -= 2;
        for (size_t i = 0; i < n; i++) {
            if (w[i] != '\'')
                w[k++] = w[i];
        }
        n = k;
    }
    if (!n)
        return;
    if (!digits) {
        term = stem_word(r->stems, r->lang, w, n, &n);
        if (!term) {
            r->failed = ERR_NOMEM;
            return;
        }
    }
    if (n > TERM_MAX)
        emit_cut(r, term, n, start, end);
    else
        emit(r, term, n, start, end);
}

/* ---- words of ASCII only ---- */

enum { A_OTHER, A_LETTER, A_DIGIT, A_APOSTROPHE, A_DOT, A_COMMA, A_HIGH };
static unsigned char ascii_class[256];
static unsigned char ascii_fold[256];

__attribute__((constructor)) static void ascii_tables(void)
{
    for (int c = 0; c < 256; c++) {
        int low = c | 32;
        ascii_fold[c] = (unsigned char)(c >= 'A' && c <= 'Z' ? low : c);
        ascii_class[c] = c >= 0x80                    ? A_HIGH
                         : low >= 'a' && low <= 'z'   ? A_LETTER
                         : c >= '0' && c <= '9'       ? A_DIGIT
                         : c == '\''                  ? A_APOSTROPHE
                         : c == '.'                   ? A_DOT
                         : c == ','                   ? A_COMMA
                                                      : A_OTHER;
    }
}

static int class_at(const struct reader *r, size_t i)
{
    return i < r->n ? ascii_class[(unsigned char)r->s[i]] : A_OTHER;
}

/* Exactly three digits follow at i: 1, a comma may have parted thousands; -1, bytes beyond ASCII decide. */
static int thousands(const struct reader *r, size_t i)
{
    for (size_t k = 0; k < 3; k++) {
        int c = class_at(r, i + k);
        if (c != A_DIGIT)
            return c == A_HIGH ? -1 : 0;
    }
    return class_at(r, i + 3) == A_HIGH ? -1 : class_at(r, i + 3) != A_DIGIT;
}

/* Reads the ASCII word that starts at i. Returns the byte behind it, or 0 when fold.c must read it. */
static size_t ascii_word(struct reader *r, size_t i)
{
    const unsigned char *s = (const unsigned char *)r->s;
    char w[WORD_MAX];
    size_t start = i, n = 0, part = i;
    int digits = 0, apostrophes = 0, acronym = 0;

    while (n < WORD_MAX) {
        int c, next, prev;

        while (i < r->n && n < WORD_MAX &&
               (ascii_class[s[i]] == A_LETTER || ascii_class[s[i]] == A_DIGIT)) {
            digits |= ascii_class[s[i]] == A_DIGIT;
            w[n++] = (char)ascii_fold[s[i++]];
        }
        c = class_at(r, i);
        if (c == A_HIGH)
            return 0;
        if (c == A_OTHER || n == WORD_MAX)
            break;
        next = class_at(r, i + 1);
        if (next == A_HIGH)
            return 0;
        prev = ascii_class[s[i - 1]];
        if (prev != next || (next != A_LETTER && next != A_DIGIT) || c > A_COMMA)
            break;
        if (c == A_APOSTROPHE) {
            if (next != A_LETTER || r->lang->elides)
                break;
            w[n++] = '\'';
            apostrophes = 1;
        } else if (c == A_COMMA) {
            int joins = next == A_DIGIT ? thousands(r, i + 1) : 0;
            if (joins < 0)
                return 0;
            if (!joins)
                break;
        } else if (next == A_DIGIT) {
            w[n++] = '.';
        } else { /* a dot between letters: only in an acronym */
            int behind = class_at(r, i + 2);
            if (behind == A_HIGH)
                return 0;
            if (i - part != 1 || behind == A_LETTER || behind == A_DIGIT ||
                (part != start && !acronym))
                break;
            acronym = 1;
            part = i + 1;
        }
        i++;
    }
    emit_word(r, w, n, digits || acronym, apostrophes, start, i);
    return i;
}

/* ---- words of any script ---- */

static void emit_run(struct reader *r, const struct fold_cp *c, int more)
{
    char t[8];
    size_t n = 0;

    if (r->has_last_run) {
        n = utf8_put(t, r->last_run.cp);
        n += utf8_put(t + n, c->cp);
        emit(r, t, n, r->last_run.start, c->end);
    }
    if (!r->is_query || (!r->has_last_run && !more)) {
        n = utf8_put(t, c->cp);
        emit(r, t, n, c->start, c->end);
    }
    r->last_run = *c;
    r->has_last_run = 1;
}

struct folded {
    struct fold_cp cp[CPS];
    unsigned char cls[CPS + 1];
    size_t n;
};

/* The class of code point j, blank behind the end. */
static int folded_class(const struct folded *f, size_t j)
{
    return j < f->n ? f->cls[j] : FOLD_OTHER;
}

static int folded_thousands(const struct folded *f, size_t j)
{
    for (size_t k = 0; k < 3; k++) {
        if (folded_class(f, j + k) != FOLD_DIGIT)
            return 0;
    }
    return folded_class(f, j + 3) != FOLD_DIGIT;
}

/* Does what stands at j, between letters or digits, keep the word together? *put: the byte it leaves. */
static int joins(const struct reader *r, const struct folded *f, size_t j, size_t start,
                 size_t part, int *acronym, char *put)
{
    int c = folded_class(f, j), next = folded_class(f, j + 1), prev = f->cls[j - 1];

    *put = 0;
    if (c == FOLD_EXTEND)
        return 0;
    while (prev == FOLD_EXTEND && j > start + 1)
        prev = f->cls[--j - 1];
    if (prev != next || (next != FOLD_LETTER && next != FOLD_DIGIT))
        return 0;
    switch (c) {
    case FOLD_APOSTROPHE:
        *put = '\'';
        return next == FOLD_LETTER && !r->lang->elides;
    case FOLD_COMMA:
        return next == FOLD_DIGIT && folded_thousands(f, j + 1);
    case FOLD_MID:
        return next == FOLD_LETTER;
    case FOLD_DOT:
        if (next == FOLD_DIGIT) {
            *put = '.';
            return 1;
        }
        if (j - part != 1 || (part != start && !*acronym))
            return 0;
        if (folded_class(f, j + 2) == FOLD_LETTER || folded_class(f, j + 2) == FOLD_DIGIT)
            return 0;
        *acronym = 1;
        return 1;
    default:
        return 0;
    }
}

/* Reads the word at code point j; returns the code point behind it. */
static size_t folded_word(struct reader *r, const struct folded *f, size_t j)
{
    char w[WORD_MAX + 4];
    size_t start = j, part = j, n = 0;
    int digits = 0, apostrophes = 0, acronym = 0;

    for (; j < f->n && n < WORD_MAX; j++) {
        int c = f->cls[j];
        char keep;

        if (c == FOLD_LETTER || c == FOLD_DIGIT || c == FOLD_EXTEND) {
            digits |= c == FOLD_DIGIT;
            n += utf8_put(w + n, f->cp[j].cp);
            continue;
        }
        if (!joins(r, f, j, start, part, &acronym, &keep))
            break;
        if (keep)
            w[n++] = keep;
        apostrophes |= keep == '\'';
        part = j + 1;
    }
    emit_word(r, w, n, digits || acronym, apostrophes, f->cp[start].start, f->cp[j - 1].end);
    return j;
}

/* Reads from byte i to the next ASCII blank, or as far as one round of folding goes. Returns the byte behind. */
static size_t folded_part(struct reader *r, size_t i, struct folded *f)
{
    size_t next, j = 0, stop;

    f->n = fold_text(r->s, r->n, i, f->cp, CPS, &next);
    if (!f->n)
        return next > i ? next : i + 1; /* only ignorable characters */
    for (size_t k = 0; k < f->n; k++)
        f->cls[k] = (unsigned char)fold_class(f->cp[k].cp);
    /* Cut off in the middle: what starts in the margin is read again in the next round. */
    stop = f->n + 18 + 1 > CPS && next < r->n ? f->n - CPS_MARGIN : f->n;
    while (j < f->n && !r->failed) {
        int c = f->cls[j];

        if (j >= stop && f->cp[j].start != f->cp[j - 1].start)
            return f->cp[j].start;
        if (c == FOLD_RUN) {
            size_t k = j + 1;
            while (k < f->n && f->cls[k] == FOLD_EXTEND)
                k++;
            emit_run(r, &f->cp[j], folded_class(f, k) == FOLD_RUN);
            j = k;
            continue;
        }
        r->has_last_run = 0;
        if (c == FOLD_LETTER || c == FOLD_DIGIT)
            j = folded_word(r, f, j);
        else
            j++;
    }
    return next;
}

int analyze(const char *text, size_t n, const char *lang, int is_query, struct arena *a,
            struct term_at **out, uint32_t *n_out, struct err *e)
{
    struct reader r = { .s = text, .n = n, .is_query = is_query, .a = a };
    struct folded *f = NULL;
    size_t i = 0;
    int rc;

    *out = NULL;
    *n_out = 0;
    if (n > LIM_DOC_TEXT)
        return err_set(e, ERR_LIMIT, "text of %zu bytes is too long to analyse", n);
    rc = stem_mine(&r.stems, e);
    if (rc)
        return rc;
    r.lang = stem_lang(lang);
    while (i < n && !r.failed) {
        int c = ascii_class[(unsigned char)text[i]];
        size_t next = 0;

        if (c != A_LETTER && c != A_DIGIT && c != A_HIGH) {
            r.has_last_run = 0;
            i++;
            continue;
        }
        if (c != A_HIGH)
            next = ascii_word(&r, i);
        if (next) {
            r.has_last_run = 0;
            i = next;
            continue;
        }
        if (!f) {
            f = arena_take(a, 1, sizeof *f);
            rc = fold_ready(e);
            if (rc || !f)
                return rc ? rc : err_set(e, ERR_NOMEM, "analysis of %zu bytes", n);
        }
        i = folded_part(&r, i, f);
    }
    if (r.failed)
        return err_set(e, r.failed, "analysis of %zu bytes: too many terms for the memory", n);
    *out = r.at;
    *n_out = (uint32_t)r.n_at;
    return 0;
}
