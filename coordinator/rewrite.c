/* rewrite.c - a follow-up question of a chat, so that it can be searched alone. No model: the same history and question
 * always give the same text.
 *
 * A question leans on what came before when it has a pronoun ("how long did it last?"), opens as a continuation ("and in
 * 2021?", "what about ..."), or has next to no words of its own. Then the content words of the earlier questions, the
 * nearest first, that it lacks are put behind it; the question itself is never changed. Answers are not carried over:
 * they may be wrong, and they are long. */
#include <ctype.h>
#include <string.h>

#include "base/utf8.h"
#include "coordinator/query_impl.h"

#define LOOK_BACK 2 /* earlier questions; a longer chain drifts */
#define MOST_CARRIED 16 /* words */
#define FEW_WORDS 2 /* content words: "and in 2021?" */
#define FEW_CJK 6 /* characters: two or three words */

static const char *const pronouns[] = {"it",   "its",   "they",  "them",  "their", "he",   "him",
                                       "his",  "she",   "her",   "this",  "that",  "these", "those",
                                       "there", "one",  "ones",  "same",  "former", "latter"};
static const char *const openings[] = {"and ", "but ", "what about", "how about", "also ", "so ", "then ",
                                       "or ", "why?", "how?", "when?", "where?", "who?"};
static const char *const cjk_leans[] = {"它", "他", "她", "这", "這", "那", "其", "该", "呢",
                                        "此", "上述", "前者", "后者", "還", "还有", "その", "それ", "これ"};
#define COUNT(list) (sizeof(list) / sizeof *(list))

struct word {
    const char *at;
    size_t n;
};

/* Next run of letters and digits (ASCII; all bytes above 7F count as letters, so other scripts stay whole). */
static int next_word(const char **p, struct word *w)
{
    const char *s = *p;

    while (*s && !isalnum((unsigned char)*s) && !((unsigned char)*s & 0x80))
        s++;
    w->at = s;
    while (isalnum((unsigned char)*s) || ((unsigned char)*s & 0x80) ||
           ((*s == '\'' || *s == '-' || *s == '.' || *s == ',') && isalnum((unsigned char)s[1])))
        s++;
    w->n = (size_t)(s - w->at);
    *p = s;
    return w->n > 0;
}

static int is_cjk(uint32_t cp)
{
    return (cp >= 0x2E80 && cp <= 0x9FFF && !(cp >= 0x3000 && cp <= 0x303F)) || (cp >= 0xAC00 && cp <= 0xD7A3);
}

static size_t count_cjk(const char *s)
{
    size_t n = strlen(s);
    size_t k = 0;

    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_next(s + i, n - i, &cp);
        k += (size_t)is_cjk(cp);
    }
    return k;
}

static int leans(const char *q)
{
    const char *p = q + strspn(q, " \t\n");
    size_t cjk = count_cjk(q);
    size_t content = 0;
    struct word w;

    if (cjk) {
        for (size_t i = 0; i < COUNT(cjk_leans); i++)
            if (strstr(q, cjk_leans[i]))
                return 1;
        return cjk <= FEW_CJK;
    }
    for (size_t i = 0; i < COUNT(openings); i++)
        if (!strncasecmp(p, openings[i], strlen(openings[i])))
            return 1;
    while (next_word(&p, &w)) {
        if (word_listed(w.at, w.n, pronouns, COUNT(pronouns)))
            return 1;
        content += !stopword(w.at, w.n);
    }
    return content <= FEW_WORDS;
}

static int has(const char *text, const struct word *w)
{
    const char *p = text;
    struct word x;

    while (next_word(&p, &x))
        if (x.n == w->n && !strncasecmp(x.at, w->at, x.n))
            return 1;
    return 0;
}

static char *carry(char *text, const char *earlier, int *room, struct arena *a)
{
    const char *p = earlier;
    struct word w;

    while (text && *room && next_word(&p, &w)) {
        if (stopword(w.at, w.n) || has(text, &w))
            continue;
        text = arena_printf(a, "%s %.*s", text, (int)w.n, w.at);
        --*room;
    }
    return text;
}

int rewrite(const char *question, const struct turn *history, uint32_t n, struct arena *a,
            const char **out, struct err *e)
{
    char *text;
    int room = MOST_CARRIED;

    *out = question;
    if (!n || !history || !leans(question))
        return 0;
    text = arena_strdup(a, question);
    for (uint32_t i = 0; i < LOOK_BACK && i < n; i++) {
        const char *earlier = history[n - 1 - i].question;
        text = carry(text, earlier ? earlier : "", &room, a);
        if (earlier && !leans(earlier))
            break; /* it stood alone: what came before it is another matter */
    }
    if (!text)
        return err_set(e, ERR_NOMEM, "the question with its history");
    *out = text;
    return 0;
}
