/* bpe_text.c - text before the matcher: valid UTF-8, composed where the model wants NFC.
 * Text that is fine already, nearly all of it, is passed through without a copy. Otherwise each
 * byte of the copy remembers the source bytes it came from. */
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "base/utf8.h"
#include "nn/bpe_impl.h"

/* Code points normalised together at most. A longer chain of combining marks is no writing, and
 * reordering it costs the square of its length: it is cut here. */
#define GROUP_MAX 64

struct copy {
    char *s;
    uint32_t *from, *to;
    size_t n;
};

static void put(struct copy *c, const char *bytes, size_t n, size_t from, size_t to)
{
    for (size_t i = 0; i < n; i++) {
        c->s[c->n] = bytes[i];
        c->from[c->n] = (uint32_t)from;
        c->to[c->n] = (uint32_t)to;
        c->n++;
    }
}

/* One code point, each byte with its own source byte where it was copied unchanged. */
static void put_source(struct copy *c, const char *s, size_t at, size_t len, uint32_t cp)
{
    char text[4];
    size_t n = utf8_put(text, cp);

    if (n == len && memcmp(text, s + at, n) == 0)
        for (size_t i = 0; i < n; i++)
            put(c, text + i, 1, at + i, at + i + 1);
    else
        put(c, text, n, at, at + len);
}

static int starts_group(uint32_t cp)
{
    return cp < 0x300 || (u_getIntPropertyValue((UChar32)cp, UCHAR_NFC_QUICK_CHECK) == UNORM_YES &&
                          u_getCombiningClass((UChar32)cp) == 0);
}

static int is_composed(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        i += utf8_next(s + i, n - i, &cp);
        if (!starts_group(cp))
            return 0;
    }
    return 1;
}

/* Composes the code points of source bytes [from, to). */
static int put_composed(struct copy *c, const uint32_t *cps, size_t n_cps, size_t from, size_t to)
{
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2 *nfc = unorm2_getNFCInstance(&status);
    UChar in[2 * GROUP_MAX];
    UChar out[8 * GROUP_MAX];
    int32_t n = 0;
    int32_t n_out;

    for (size_t i = 0; i < n_cps; i++)
        U16_APPEND_UNSAFE(in, n, cps[i]);
    n_out = unorm2_normalize(nfc, in, n, out, 8 * GROUP_MAX, &status);
    if (U_FAILURE(status))
        return ERR_INVALID;
    for (int32_t i = 0; i < n_out;) {
        UChar32 cp;
        char text[4];
        U16_NEXT(out, i, n_out, cp);
        put(c, text, utf8_put(text, (uint32_t)cp), from, to);
    }
    return 0;
}

static int compose(struct copy *c, const char *s, size_t n)
{
    uint32_t cps[GROUP_MAX];
    size_t lens[GROUP_MAX];
    int rc = 0;

    for (size_t i = 0; !rc && i < n;) {
        size_t from = i;
        size_t count = 0;
        int plain = 1;
        while (i < n && count < GROUP_MAX) {
            size_t len = utf8_next(s + i, n - i, &cps[count]);
            if (count && starts_group(cps[count]))
                break;
            plain = plain && (starts_group(cps[count]));
            lens[count++] = len;
            i += len;
        }
        if (plain)
            put_source(c, s, from, lens[0], cps[0]);
        else
            rc = put_composed(c, cps, count, from, i);
    }
    return rc;
}

int bpe_clean(const struct bpe *b, const char *s, size_t n, struct arena *a, struct bpe_text *out,
              struct err *e)
{
    int valid = utf8_valid(s, n) == n;
    int composed = !b->nfc || is_composed(s, n);
    int prefix = b->prefix_space && n && s[0] != ' ';
    struct copy c = {0};
    int rc = 0;

    *out = (struct bpe_text){.s = s, .n = n};
    if (valid && composed && !prefix)
        return 0;
    /* three bytes of U+FFFD for one; NFC makes UTF-8 three times longer at most */
    c.s = arena_take(a, n + 1, 3);
    c.from = arena_take(a, n + 1, 3 * sizeof *c.from);
    c.to = arena_take(a, n + 1, 3 * sizeof *c.to);
    if (!c.s || !c.from || !c.to)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes is too large to tokenize", n);
    if (prefix)
        put(&c, " ", 1, 0, 0);
    if (composed) {
        for (size_t i = 0; i < n;) {
            uint32_t cp;
            size_t len = utf8_next(s + i, n - i, &cp);
            put_source(&c, s, i, len, cp);
            i += len;
        }
    } else {
        rc = compose(&c, s, n);
    }
    *out = (struct bpe_text){c.s, c.n, c.from, c.to};
    return rc ? err_set(e, rc, "composing a text failed") : 0;
}
