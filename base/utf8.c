/* utf8.c - checking and walking UTF-8 (see utf8.h). */
#include "base/utf8.h"

#include <string.h>

size_t utf8_next(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    uint32_t c = p[0];
    uint32_t least;
    size_t len;

    if (c < 0x80) {
        *cp = c;
        return 1;
    }
    if (c >= 0xC2 && c < 0xE0) {
        len = 2;
        least = 0x80;
        c &= 0x1F;
    } else if (c >= 0xE0 && c < 0xF0) {
        len = 3;
        least = 0x800;
        c &= 0x0F;
    } else if (c >= 0xF0 && c < 0xF5) {
        len = 4;
        least = 0x10000;
        c &= 0x07;
    } else {
        *cp = 0xFFFD;
        return 1;
    }
    if (len > n) {
        *cp = 0xFFFD;
        return 1;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            *cp = 0xFFFD;
            return 1;
        }
        c = c << 6 | (p[i] & 0x3F);
    }
    if (c < least || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) {
        *cp = 0xFFFD;
        return 1;
    }
    *cp = c;
    return len;
}

size_t utf8_put(char out[4], uint32_t cp)
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        cp = 0xFFFD;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t utf8_valid(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n) {
        uint32_t cp;
        size_t len;
        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        len = utf8_next(s + i, n - i, &cp);
        if (len == 1)
            return i; /* a lone byte above 7F is always wrong */
        i += len;
    }
    return n;
}

size_t utf8_floor(const char *s, size_t at)
{
    size_t i = at;

    while (i > 0 && at - i < 3 && ((unsigned char)s[i] & 0xC0) == 0x80)
        i--;
    return i;
}

void utf8_printable(char *s)
{
    size_t n = strlen(s);
    size_t i = 0;

    while (i < n) {
        uint32_t cp;
        size_t len = utf8_next(s + i, n - i, &cp);
        int control = cp < 0x20 || (cp >= 0x7F && cp < 0xA0);
        if (cp == '\t')
            control = 0;
        if (control || (cp == 0xFFFD && len == 1)) {
            s[i] = '?';
            for (size_t j = 1; j < len; j++)
                s[i + j] = '?';
        }
        i += len;
    }
}
