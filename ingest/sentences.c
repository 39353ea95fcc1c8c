/* sentences.c - sentence borders: ICU's rules (UAX #29) over a copy of the text, then mends.
 * UAX #29 ends a sentence at every line end, which is wrong for the lines of a page; so in the copy a
 * line end becomes a space unless it ends something: a paragraph, a list item, a table row, a
 * heading. And it ends one behind "No." or "U.S." when a capital follows: those borders are
 * taken back here. Threads: one ICU iterator a thread (opening one costs 60 us, as much as 4 KB of
 * text), freed when the thread ends. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include "base/utf8.h"
#include "ingest/ingest.h"

/* Never the end of a sentence, whatever follows. */
static const char *const GLUE[] = {
    "no",  "nos",  "mr",   "mrs",  "ms",   "dr",   "prof", "st",   "vs",   "v",    "fig", "figs",
    "eq",  "eqs",  "sec",  "secs", "sect", "ch",   "vol",  "vols", "pp",   "p",    "art", "arts",
    "e.g", "i.e",  "cf",   "ca",   "approx", "gen", "sen", "rep",  "gov",  "hon",  "rev", "ref",
    "refs", "para", "tab", "ed",   "eds",  "al",   "viz",  "resp", "dept", "incl", "max", "min",
    "nr",  "messrs", "mt", "ft",   "col",  "lt",   "sgt",  "capt", "cmdr", NULL};
/* The end of one only when a word follows that begins sentences. */
static const char *const MAYBE[] = {
    "inc", "corp", "co",  "ltd", "llc",  "plc", "bros", "jr",  "sr",  "etc", "a.m", "p.m",
    "jan", "feb",  "mar", "apr", "jun",  "jul", "aug",  "sep", "sept", "oct", "nov", "dec",
    "est", "ave",  "blvd", "ph.d", "b.v", "n.v", "s.a", "gmbh", NULL};
static const char *const STARTERS[] = {
    "the",  "a",     "an",    "in",   "on",    "at",    "it",    "its",  "this", "that",
    "these", "those", "we",   "he",   "she",   "they",  "i",     "you",  "our",  "his",
    "her",  "their", "as",    "for",  "if",    "when",  "while", "however", "there", "but",
    "and",  "or",    "no",    "each", "all",   "any",   "by",    "to",   "from", "with",
    "such", "under", "upon",  "after", "before", "during", "since", "because", "although", NULL};
/* "Item 7." and such stand before their title. */
static const char *const LABELS[] = {"item", "section", "article", "chapter", "part", "clause",
                                     "schedule", "exhibit", "appendix", "annex", "note", "table",
                                     "figure", "step", "rule", "paragraph", NULL};

static int in_list(const char *const *list, const char *s, size_t n)
{
    for (; *list; list++)
        if (strlen(*list) == n && !strncasecmp(*list, s, n))
            return 1;
    return 0;
}

/* ---- the iterator of this thread ---- */

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_ok;

static void close_one(void *it)
{
    ubrk_close(it);
}

static void make_key(void)
{
    key_ok = pthread_key_create(&key, close_one) == 0;
}

static UBreakIterator *take_iterator(struct err *e)
{
    UErrorCode st = U_ZERO_ERROR;
    UBreakIterator *it;

    pthread_once(&key_once, make_key);
    it = key_ok ? pthread_getspecific(key) : NULL;
    if (it)
        return it;
    it = ubrk_open(UBRK_SENTENCE, "en", NULL, 0, &st);
    if (U_FAILURE(st) || !key_ok || pthread_setspecific(key, it)) {
        if (U_SUCCESS(st))
            ubrk_close(it);
        err_set(e, ERR_NOMEM, "ICU gives no sentence iterator: %s", u_errorName(st));
        return NULL;
    }
    return it;
}

/* ---- lines: which line ends are borders ---- */

static size_t line_end(const char *s, size_t at, size_t n)
{
    const char *nl = memchr(s + at, '\n', n - at);

    return nl ? (size_t)(nl - s) : n;
}

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static int blank(const char *s, size_t from, size_t to)
{
    while (from < to && is_space(s[from]))
        from++;
    return from == to;
}

static int is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static int is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The length of a list marker at s: "-", "*", a bullet, "1.", "(a)", "iv)", "2.3"; 0 when none. A
 * blank must follow it. */
static size_t marker(const char *s, size_t n)
{
    static const char *const bullets[] = {"-", "*", "+", "\xE2\x80\xA2", "\xE2\x80\x93",
                                          "\xE2\x96\xAA", "\xE2\x97\x8F", "\xE2\x97\xA6",
                                          "\xC2\xB7", NULL};
    size_t i = 0, k, open = 0;

    for (k = 0; bullets[k]; k++) {
        size_t len = strlen(bullets[k]);
        if (n > len && !memcmp(s, bullets[k], len) && s[len] == ' ')
            return len;
    }
    if (i < n && s[i] == '(') {
        open = 1;
        i++;
    }
    k = i;
    while (i < n && i - k < 3 && is_digit(s[i]))
        i++;
    if (i == k) { /* one letter, or a small Roman number */
        if (i < n && (is_lower(s[i]) || is_upper(s[i])))
            i++;
        while (i < n && i - k < 5 && i > k && strchr("ivx", s[k]) && strchr("ivx", s[i]) && s[i])
            i++;
    }
    if (i == k || i >= n)
        return 0;
    if (s[i] != ')' && (open || s[i] != '.'))
        return 0;
    i++;
    return i < n && s[i] == ' ' ? i : 0;
}

/* A short line that ends without a stop, in front of a capital: a heading of its own. longest is
 * the longest line of the paragraph, by which a line counts as short. */
static int heading_like(const char *s, size_t from, size_t to, const char *next, size_t longest)
{
    size_t words = 0, capital = 0, n = to - from;

    if (n == 0 || n > 80 || n * 10 > longest * 6 || !(is_upper(*next) || is_digit(*next)))
        return 0;
    if (strchr(",;:-(&/", s[to - 1]) || !(is_upper(s[from]) || is_digit(s[from])))
        return 0;
    for (size_t i = from; i < to; i++) {
        if (is_space(s[i]) || (i > from && !is_space(s[i - 1])))
            continue;
        words++;
        capital += !is_lower(s[i]);
    }
    return words <= 10 && capital * 2 > words;
}

static int is_row(const char *s, size_t from, size_t to)
{
    return to > from + 3 && memmem(s + from, to - from, " | ", 3) != NULL;
}

/* Turns those line ends of the copy into spaces that are no borders. */
static void join_lines(char *s, size_t n)
{
    size_t para = 0; /* where the present paragraph begins */
    size_t longest = 0;

    for (size_t at = 0; at < n;) {
        size_t end = line_end(s, at, n), next, first;
        int row;
        if (at == para) { /* measure it once */
            longest = 0;
            for (size_t i = at; i < n;) {
                size_t j = line_end(s, i, n);
                if (j == i)
                    break;
                longest = j - i > longest ? j - i : longest;
                i = j + 1;
            }
        }
        if (end >= n)
            return;
        next = end + 1;
        first = next;
        while (first < n && (s[first] == ' ' || s[first] == '\t' || s[first] == '\r'))
            first++;
        if (first >= n || s[first] == '\n' || blank(s, at, end)) { /* an empty line: a paragraph ends */
            at = next;
            para = next;
            continue;
        }
        row = is_row(s, at, end) || is_row(s, first, line_end(s, first, n));
        if (!row && !marker(s + first, n - first) &&
            !heading_like(s, at, end > at && s[end - 1] == '\r' ? end - 1 : end, s + first,
                          longest))
            s[end] = ' ';
        at = next;
    }
}

/* ---- mends: borders that are none ---- */

static int starts_sentence(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && (is_lower(s[i]) || is_upper(s[i])))
        i++;
    return in_list(STARTERS, s, i);
}

/* Dotted letters: "U.S", "D.C", "J" (the last dot is not in s). */
static int dotted(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (i % 2 ? s[i] != '.' : !is_upper(s[i]))
            return 0;
    return n > 0 && n % 2;
}

/* The border at b, in the sentence that began at a, is none. s is the copy. */
static int false_end(const char *s, size_t a, size_t b, size_t n)
{
    size_t end = b, word, first = a;

    while (end > a && is_space(s[end - 1])) {
        end--;
        if (s[end] == '\n')
            return 0; /* join_lines() wants it */
    }
    if (end == a)
        return 0;
    if (b < n && (s[end - 1] == '?' || s[end - 1] == '!'))
        return is_lower(s[b]);
    while (first < end && is_space(s[first]))
        first++;
    if (marker(s + first, n - first) == end - first) /* "3." alone: the number of what follows */
        return 1;
    if (s[end - 1] != '.' || b >= n)
        return 0;
    word = --end;
    while (word > a && !is_space(s[word - 1]) && s[word - 1] != '(' && s[word - 1] != '"')
        word--;
    if (word == end)
        return 0;
    if (in_list(GLUE, s + word, end - word)) /* "The answer is no. They left": only "No. 5" */
        return (strncasecmp(s + word, "no", end - word) != 0 &&
                strncasecmp(s + word, "max", end - word) != 0 &&
                strncasecmp(s + word, "min", end - word) != 0) ||
               is_digit(s[b]);
    if (in_list(MAYBE, s + word, end - word) || dotted(s + word, end - word))
        return !starts_sentence(s + b, n - b);
    if (end - first <= 24 && is_digit(s[end - 1])) { /* "Section 4.2. Rent": label and number */
        size_t k = first;
        while (k < end && !is_space(s[k]))
            k++;
        if (in_list(LABELS, s + first, k - first))
            return 1;
        for (k = first; k < end && (is_digit(s[k]) || s[k] == '.'); k++)
            ;
        return k == end; /* "4.2." alone */
    }
    return 0;
}

int sentences(const char *text, size_t n, struct arena *a, uint32_t **ends, uint32_t *n_ends,
              struct err *e)
{
    UErrorCode st = U_ZERO_ERROR;
    UText ut = UTEXT_INITIALIZER;
    UBreakIterator *it;
    uint32_t *out, k = 0;
    size_t cap = n / 24 + 8, from = 0;
    char *copy;

    *ends = NULL;
    *n_ends = 0;
    if (n == 0)
        return 0;
    if (n > UINT32_MAX / 2)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes is too long for sentences", n);
    it = take_iterator(e);
    if (!it)
        return ERR_NOMEM;
    out = arena_take(a, cap, sizeof *out);
    copy = mem_strndup(text, n);
    if (!out || !copy) {
        mem_give(copy);
        return err_set(e, ERR_NOMEM, "no memory for sentence borders");
    }
    join_lines(copy, n);
    utext_openUTF8(&ut, copy, (int64_t)n, &st);
    ubrk_setUText(it, &ut, &st);
    if (U_FAILURE(st)) {
        utext_close(&ut);
        mem_give(copy);
        return err_set(e, ERR_NOMEM, "ICU: %s", u_errorName(st));
    }
    for (int32_t b = ubrk_next(it); b != UBRK_DONE; b = ubrk_next(it)) {
        if (blank(copy, from, (size_t)b)) { /* an empty line belongs to what stands before it */
            if (k > 0 || (size_t)b < n) {
                if (k > 0) {
                    out[k - 1] = (uint32_t)b;
                    from = (size_t)b;
                }
                continue;
            }
        } else if ((size_t)b < n && false_end(copy, from, (size_t)b, n)) {
            continue;
        }
        if (k == cap) {
            uint32_t *grown = arena_take(a, cap * 2, sizeof *grown);
            if (!grown) {
                st = U_MEMORY_ALLOCATION_ERROR;
                break;
            }
            memcpy(grown, out, k * sizeof *out);
            out = grown;
            cap *= 2;
        }
        out[k++] = (uint32_t)b;
        from = (size_t)b;
    }
    utext_close(&ut);
    mem_give(copy);
    if (U_FAILURE(st))
        return err_set(e, ERR_NOMEM, "no memory for sentence borders");
    *ends = out;
    *n_ends = k;
    return 0;
}
