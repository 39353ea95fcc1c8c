/* fold.c - NFKC + case folding piece by piece (see fold.h).
 * ICU normalises UTF-16 strings and loses offsets; here a text is cut at normalisation borders (mostly one code
 * point a piece), so each folded code point knows the bytes of its piece. ASCII and plain Han, Kana
 * and Hangul letters, which folding never changes, do not reach ICU at all. */
#include "index/fold.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

#include "base/utf8.h"

#define PIECE 16 /* code points; longer piles of marks are cut (no script needs more) */
#define PIECE_OUT 320 /* UTF-16 units: the longest expansion (U+FDFA) is 18 a code point */

static const UNormalizer2 *folder(void)
{
    UErrorCode bad = U_ZERO_ERROR;
    const UNormalizer2 *n = unorm2_getNFKCCasefoldInstance(&bad);

    return U_FAILURE(bad) ? NULL : n;
}

int fold_ready(struct err *e)
{
    if (!folder())
        return err_set(e, ERR_UNSUPPORTED, "ICU has no normalisation data (nfkc_cf)");
    return 0;
}

static int is_blank(unsigned char c)
{
    return c <= ' ';
}

/* Letters that folding leaves alone and that never join with what stands before. */
static int is_plain_run(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3041 && cp <= 0x3096) ||
           (cp >= 0x30a1 && cp <= 0x30fa) || (cp >= 0xac00 && cp <= 0xd7a3);
}

/* Marks, jamo vowels and the like may join with the code point before them; below U+0300 and in
 * the plain runs nothing does. */
static int may_join(const UNormalizer2 *norm, uint32_t cp)
{
    if (cp < 0x300 || is_plain_run(cp))
        return 0;
    return !unorm2_hasBoundaryBefore(norm, (UChar32)cp);
}

static size_t put(struct fold_cp *out, uint32_t cp, size_t start, size_t end)
{
    out->cp = cp;
    out->start = (uint32_t)start;
    out->end = (uint32_t)end;
    return 1;
}

static size_t fold_piece(const UNormalizer2 *norm, const uint32_t *cps, size_t n_cps, size_t start,
                         size_t end, struct fold_cp *out, size_t room)
{
    UChar in[2 * PIECE], to[PIECE_OUT];
    UErrorCode bad = U_ZERO_ERROR;
    int32_t n_in = 0, n_to, i = 0;
    size_t n = 0;

    for (size_t k = 0; k < n_cps; k++) {
        UBool failed = 0;
        U16_APPEND(in, n_in, 2 * PIECE, cps[k], failed);
        (void)failed;
    }
    n_to = unorm2_normalize(norm, in, n_in, to, PIECE_OUT, &bad);
    if (U_FAILURE(bad)) { /* cannot be for these sizes; the text stays as it is */
        for (size_t k = 0; k < n_cps && n < room; k++)
            n += put(out + n, cps[k], start, end);
        return n;
    }
    while (i < n_to && n < room) {
        UChar32 cp;
        U16_NEXT(to, i, n_to, cp);
        n += put(out + n, (uint32_t)cp, start, end);
    }
    return n;
}

size_t fold_text(const char *s, size_t n, size_t from, struct fold_cp *out, size_t max,
                 size_t *next)
{
    const UNormalizer2 *norm = folder();
    size_t at = from, k = 0;

    while (norm && at < n && k + 18 <= max) {
        size_t start = at, n_cps = 1;
        uint32_t cps[PIECE], peek;

        if (is_blank((unsigned char)s[at]))
            break;
        at += utf8_next(s + at, n - at, &cps[0]);
        while (at < n && (unsigned char)s[at] >= 0x80 && n_cps < PIECE) {
            size_t step = utf8_next(s + at, n - at, &peek);
            if (!may_join(norm, peek))
                break;
            cps[n_cps++] = peek;
            at += step;
        }
        if (n_cps == 1 && cps[0] < 0x80)
            k += put(out + k, cps[0] - 'A' < 26u ? cps[0] + 32 : cps[0], start, at);
        else if (n_cps == 1 && is_plain_run(cps[0]))
            k += put(out + k, cps[0], start, at);
        else
            k += fold_piece(norm, cps, n_cps, start, at, out + k, max - k);
    }
    *next = at;
    return k;
}

static enum fold_class class_ascii(uint32_t cp)
{
    if (cp - '0' < 10u)
        return FOLD_DIGIT;
    if ((cp | 32) - 'a' < 26u)
        return FOLD_LETTER;
    return cp == '\'' ? FOLD_APOSTROPHE : cp == '.' ? FOLD_DOT : cp == ',' ? FOLD_COMMA : FOLD_OTHER;
}

static int is_run_script(uint32_t cp)
{
    UErrorCode bad = U_ZERO_ERROR;

    switch (uscript_getScript((UChar32)cp, &bad)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_HANGUL:
    case USCRIPT_BOPOMOFO:
    case USCRIPT_YI:
        return u_isalnum((UChar32)cp) || cp == 0x3005 || cp == 0x3007;
    default:
        return 0;
    }
}

enum fold_class fold_class(uint32_t cp)
{
    if (cp < 0x80)
        return class_ascii(cp);
    if (is_plain_run(cp))
        return FOLD_RUN;
    if (cp == 0x2019 || cp == 0x2bc)
        return FOLD_APOSTROPHE;
    switch (u_getIntPropertyValue((UChar32)cp, UCHAR_WORD_BREAK)) {
    case U_WB_EXTEND:
    case U_WB_FORMAT:
    case U_WB_ZWJ:
        return FOLD_EXTEND;
    case U_WB_KATAKANA:
        return FOLD_RUN;
    case U_WB_NUMERIC:
        return FOLD_DIGIT;
    case U_WB_ALETTER:
    case U_WB_HEBREW_LETTER:
        return is_run_script(cp) ? FOLD_RUN : FOLD_LETTER;
    case U_WB_MIDLETTER:
        return FOLD_MID;
    default:
        break;
    }
    if (is_run_script(cp))
        return FOLD_RUN;
    if (u_getIntPropertyValue((UChar32)cp, UCHAR_LINE_BREAK) == U_LB_COMPLEX_CONTEXT &&
        u_isalpha((UChar32)cp))
        return FOLD_RUN;
    /* letters and digits without a class of their own (superscripts folded, old scripts) */
    return u_isalnum((UChar32)cp) ? FOLD_LETTER : FOLD_OTHER;
}
