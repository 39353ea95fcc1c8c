/* utf8.h - checking and walking UTF-8 (RFC 3629). No allocation, no locale. Any thread. */
#ifndef DOCENT_BASE_UTF8_H
#define DOCENT_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes one code point from s[0..n). Returns the bytes used (1..4); a byte that starts no valid
 * sequence gives U+FFFD and 1. n must be > 0. */
size_t utf8_next(const char *s, size_t n, uint32_t *cp);

/* Writes cp to out[0..4); returns the bytes written. Surrogates and values above 10FFFF are written
 * as U+FFFD. */
size_t utf8_put(char out[4], uint32_t cp);

/* The number of leading bytes of s[0..n) that are valid UTF-8; n when all of it is. */
size_t utf8_valid(const char *s, size_t n);

/* The largest i <= at that is a border between code points of s (a back-step of at most 3). */
size_t utf8_floor(const char *s, size_t at);

/* Makes s safe to print in place: control characters (not \t) and bytes outside valid UTF-8
 * become '?'; so does a sequence cut off at the end. */
void utf8_printable(char *s);

#endif
