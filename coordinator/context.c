/* context.c - see context.h. */
#include "coordinator/context.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* The name without folders and ending, '_' and '-' as spaces. */
static char *stem_words(const char *path, struct arena *a)
{
    const char *base = strrchr(path, '/');
    const char *dot;
    char *s;
    size_t n;

    base = base ? base + 1 : path;
    dot = strrchr(base, '.');
    n = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    s = arena_strndup(a, base, n);
    if (!s)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (s[i] == '_' || s[i] == '-' || s[i] == '+')
            s[i] = ' ';
    utf8_printable(s);
    return s;
}

static int has_word(const char *text, const char *word, size_t n)
{
    for (const char *p = text; *p; p++)
        if (!strncasecmp(p, word, n))
            return 1;
    return 0;
}

/* 1: every word of stem stands in title already. */
static int covers(const char *title, const char *stem)
{
    while (*stem) {
        size_t n = strcspn(stem, " ");
        if (n && !has_word(title, stem, n))
            return 0;
        stem += n + (stem[n] == ' ');
    }
    return 1;
}

char *context_title(const char *own_title, const char *path, struct arena *a)
{
    char *stem = stem_words(path, a);

    if (!stem)
        return NULL;
    while (*own_title && isspace((unsigned char)*own_title))
        own_title++;
    if (!*own_title)
        return stem;
    if (covers(own_title, stem))
        return arena_strdup(a, own_title);
    return arena_printf(a, "%s (%s)", own_title, stem);
}

static size_t cut(const char *s, size_t most)
{
    size_t n = strlen(s);

    return n <= most ? n : utf8_floor(s, most);
}

char *context_text(const char *title, const char *section, const char *text, size_t n_text,
                   size_t *n_out, struct arena *a)
{
    size_t most = (size_t)CONTEXT_TOKENS * 4 / 2;
    size_t n_title = cut(title, most);
    size_t n_section = cut(section, most);
    size_t n = 0;
    char *s = arena_take(a, n_title + n_section + n_text + 8, 1);

    if (!s)
        return NULL;
    if (n_title) {
        memcpy(s, title, n_title);
        n = n_title;
        s[n++] = '\n';
    }
    if (n_section) {
        memcpy(s + n, section, n_section);
        n += n_section;
        s[n++] = '\n';
    }
    memcpy(s + n, text, n_text);
    n += n_text;
    s[n] = '\0';
    *n_out = n;
    return s;
}
