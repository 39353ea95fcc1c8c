/* style.c - which elements of a page are hidden (see style.h).
 * Rules inside @media and other at-rules are passed over: they hold for other screens or for paper
 * as often as for this one. A rule that shows again what an earlier one hid is not followed: such
 * text is rare, and text hidden on purpose is what this guards against. */
#include "ingest/child/style.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define RULES_MOST 4096
#define NAME_MOST 64

struct rule {
    char name[NAME_MOST]; /* lower case for elements */
    char kind; /* '.', '#' or 'e' */
};

struct style {
    struct rule *rules;
    size_t n, cap;
};

int style_open(struct style **out, struct err *e)
{
    *out = mem_take(1, sizeof **out);
    return *out ? 0 : err_set(e, ERR_NOMEM, "no memory for style rules");
}

void style_free(struct style *s)
{
    if (s)
        mem_give(s->rules);
    mem_give(s);
}

/* ---- declarations ---- */

struct decl {
    const char *name, *value;
    size_t n_name, n_value;
};

/* The next "name: value" of s; 0 at the end. *s moves on. */
static int next_decl(const char **s, const char *end, struct decl *d)
{
    while (*s < end) {
        const char *stop = memchr(*s, ';', (size_t)(end - *s)), *colon, *from = *s;
        if (!stop)
            stop = end;
        *s = stop < end ? stop + 1 : end;
        colon = memchr(from, ':', (size_t)(stop - from));
        if (!colon)
            continue;
        d->name = from;
        d->n_name = (size_t)(colon - from);
        d->value = colon + 1;
        d->n_value = (size_t)(stop - colon - 1);
        while (d->n_name && isspace((unsigned char)*d->name)) {
            d->name++;
            d->n_name--;
        }
        while (d->n_name && isspace((unsigned char)d->name[d->n_name - 1]))
            d->n_name--;
        while (d->n_value && isspace((unsigned char)*d->value)) {
            d->value++;
            d->n_value--;
        }
        while (d->n_value && isspace((unsigned char)d->value[d->n_value - 1]))
            d->n_value--;
        return 1;
    }
    return 0;
}

static int named(const struct decl *d, const char *name)
{
    return d->n_name == strlen(name) && !strncasecmp(d->name, name, d->n_name);
}

static int value_starts(const struct decl *d, const char *word)
{
    size_t n = strlen(word);

    return d->n_value >= n && !strncasecmp(d->value, word, n) &&
           (d->n_value == n || !isalnum((unsigned char)d->value[n]));
}

/* The number a value begins with; -1 when it begins with none. */
static double number(const struct decl *d)
{
    char text[32], *end;
    size_t n = d->n_value < sizeof text - 1 ? d->n_value : sizeof text - 1;
    double v;

    memcpy(text, d->value, n);
    text[n] = '\0';
    v = strtod(text, &end);
    return end == text ? -1 : v;
}

/* A colour as 0xRRGGBB; -1: none, or none that is understood here. */
static long colour(const struct decl *d)
{
    static const struct {
        const char *name;
        long rgb;
    } names[] = {{"white", 0xFFFFFF}, {"black", 0}, {"snow", 0xFFFAFA}, {"ivory", 0xFFFFF0},
                 {"whitesmoke", 0xF5F5F5}, {"transparent", -2}};
    long rgb = 0;
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_starts(d, names[i].name))
            return names[i].rgb;
    if (d->n_value && d->value[0] == '#') {
        for (n = 1; n < d->n_value && n < 7 && isxdigit((unsigned char)d->value[n]); n++) {
            int c = tolower((unsigned char)d->value[n]);
            rgb = rgb * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
        }
        if (n == 4) /* #abc is #aabbcc */
            rgb = (rgb >> 8 & 15) * 0x110000 + (rgb >> 4 & 15) * 0x1100 + (rgb & 15) * 0x11;
        return n == 4 || n == 7 ? rgb : -1;
    }
    if (value_starts(d, "rgb") || value_starts(d, "rgba")) {
        int r = -1, g = -1, b = -1;
        char text[48];
        n = d->n_value < sizeof text - 1 ? d->n_value : sizeof text - 1;
        memcpy(text, d->value, n);
        text[n] = '\0';
        if (strchr(text, '(') && sscanf(strchr(text, '('), "(%d , %d , %d", &r, &g, &b) == 3 &&
            r >= 0 && g >= 0 && b >= 0 && r < 256 && g < 256 && b < 256)
            return (long)r << 16 | (long)g << 8 | b;
    }
    return -1;
}

static int near(long a, long b)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (labs((a >> shift & 255) - (b >> shift & 255)) > 8)
            return 0;
    return 1;
}

/* 1: these declarations hide the element's text. */
static int decls_hide(const char *s, size_t n)
{
    const char *end = s + n;
    long text = -1, back = -1;
    double left = 0, indent = 0;
    int clipped = 0, absolute = 0;
    struct decl d;

    while (next_decl(&s, end, &d)) {
        if (named(&d, "display") && value_starts(&d, "none"))
            return 1;
        if (named(&d, "visibility") && (value_starts(&d, "hidden") || value_starts(&d, "collapse")))
            return 1;
        if (named(&d, "opacity") && number(&d) >= 0 && number(&d) < 0.05)
            return 1;
        if (named(&d, "font-size") && number(&d) >= 0 && number(&d) < 2 &&
            (number(&d) == 0 || memmem(d.value, d.n_value, "px", 2) ||
             memmem(d.value, d.n_value, "pt", 2)))
            return 1;
        if (named(&d, "color"))
            text = colour(&d);
        if (named(&d, "background-color") || named(&d, "background"))
            back = colour(&d);
        if (named(&d, "text-indent"))
            indent = strtod(d.value, NULL);
        if (named(&d, "left") || named(&d, "top") || named(&d, "margin-left"))
            left = strtod(d.value, NULL) < left ? strtod(d.value, NULL) : left;
        if (named(&d, "position"))
            absolute = value_starts(&d, "absolute") || value_starts(&d, "fixed");
        if (named(&d, "clip"))
            clipped = memmem(d.value, d.n_value, "rect(0", 6) != NULL ||
                      memmem(d.value, d.n_value, "rect(1px", 8) != NULL;
    }
    if (text == -2 || (text >= 0 && back >= 0 && near(text, back)))
        return 1;
    return indent <= -999 || (absolute && (left <= -999 || clipped));
}

/* ---- rules ---- */

static void add_rule(struct style *s, const char *name, size_t n)
{
    struct rule *r;
    char kind = 'e';

    while (n && isspace((unsigned char)*name)) {
        name++;
        n--;
    }
    while (n && isspace((unsigned char)name[n - 1]))
        n--;
    if (n && (*name == '.' || *name == '#')) {
        kind = *name++;
        n--;
    }
    if (n == 0 || n >= NAME_MOST || s->n >= RULES_MOST)
        return;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
            return; /* more than one plain name: not followed */
    if (kind == 'e' && (!strncasecmp(name, "body", n) || !strncasecmp(name, "html", n)))
        return; /* pages that scripts show when they are ready */
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        struct rule *grown = mem_again(s->rules, cap, sizeof *grown);
        if (!grown)
            return;
        s->rules = grown;
        s->cap = cap;
    }
    r = &s->rules[s->n++];
    memcpy(r->name, name, n);
    r->name[n] = '\0';
    r->kind = kind;
}

static const char *past_comment(const char *s)
{
    const char *end;

    if (s[0] != '/' || s[1] != '*')
        return s;
    end = strstr(s + 2, "*/");
    return end ? end + 2 : s + strlen(s);
}

/* The end of the block that begins behind s's '{'. */
static const char *block_end(const char *s)
{
    int depth = 1;

    for (; *s; s++) {
        if (*s == '{')
            depth++;
        else if (*s == '}' && --depth == 0)
            return s;
    }
    return s;
}

void style_rules(struct style *s, const char *css)
{
    while (*css) {
        const char *from, *open, *end;
        css += strspn(css, " \t\r\n}");
        if (past_comment(css) != css) {
            css = past_comment(css);
            continue;
        }
        if (!strncmp(css, "<!--", 4) || !strncmp(css, "-->", 3)) {
            css += 3;
            continue;
        }
        from = css;
        open = css + strcspn(css, "{;");
        if (*open == '\0')
            return;
        if (*open == ';') { /* @import and such */
            css = open + 1;
            continue;
        }
        end = block_end(open + 1);
        if (*from != '@' && decls_hide(open + 1, (size_t)(end - open - 1)))
            while (from < open) {
                const char *comma = memchr(from, ',', (size_t)(open - from));
                const char *stop = comma ? comma : open;
                add_rule(s, from, (size_t)(stop - from));
                from = stop + 1;
            }
        css = *end ? end + 1 : end;
    }
}

/* ---- elements ---- */

static int has_class(const char *classes, const char *name)
{
    size_t n = strlen(name);

    while (classes && *classes) {
        size_t k = strcspn(classes, " \t\r\n");
        if (k == n && !memcmp(classes, name, n))
            return 1;
        classes += k;
        classes += strspn(classes, " \t\r\n");
    }
    return 0;
}

int style_hides(const struct style *s, xmlNode *n)
{
    xmlChar *css, *classes, *id;
    int hides = 0;

    if (!n->properties && s->n == 0)
        return 0;
    if (xmlHasProp(n, BAD_CAST "hidden"))
        return 1;
    css = xmlGetProp(n, BAD_CAST "style");
    if (css)
        hides = decls_hide((char *)css, strlen((char *)css));
    xmlFree(css);
    if (hides || s->n == 0)
        return hides;
    classes = xmlGetProp(n, BAD_CAST "class");
    id = xmlGetProp(n, BAD_CAST "id");
    for (size_t i = 0; !hides && i < s->n; i++) {
        const struct rule *r = &s->rules[i];
        if (r->kind == '.')
            hides = has_class((char *)classes, r->name);
        else if (r->kind == '#')
            hides = id && !strcmp((char *)id, r->name);
        else
            hides = !strcasecmp((const char *)n->name, r->name);
    }
    xmlFree(classes);
    xmlFree(id);
    return hides;
}

int style_tag_hides(const char *tag)
{
    const char *at = tag + strcspn(tag, " \t\r\n");

    while (*at && *at != '>') {
        const char *name, *value = NULL;
        size_t n, n_value = 0;
        at += strspn(at, " \t\r\n/");
        name = at;
        n = strcspn(at, " \t\r\n/>=");
        at += n;
        at += strspn(at, " \t\r\n");
        if (*at == '=') {
            char quote = 0;
            at += 1 + strspn(at + 1, " \t\r\n");
            if (*at == '"' || *at == '\'')
                quote = *at++;
            value = at;
            while (*at && (quote ? *at != quote : !isspace((unsigned char)*at) && *at != '>'))
                at++;
            n_value = (size_t)(at - value);
            at += quote && *at == quote;
        }
        if (n == 6 && !strncasecmp(name, "hidden", 6))
            return 1;
        if (n == 5 && !strncasecmp(name, "style", 5) && value && decls_hide(value, n_value))
            return 1;
        if (n == 0 && !value)
            break;
    }
    return 0;
}
