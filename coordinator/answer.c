/* answer.c - the text of a reply.
 * extract: the best sentence of each citation with its mark, best first. The sentences around it stand in the citation.
 * generate: the proven text first, the evidence below it, so that it never displaces what is quoted. */
#include <string.h>

#include "base/utf8.h"
#include "coordinator/query_impl.h"

/* A further sentence is told only when its score is near the first one's; its citation is there in any case. */
#define TELL_ALSO 0.6f

char *answer_plain(const char *s, size_t n, struct arena *a)
{
    char *to = arena_take(a, 3 * n + 1, 1); /* a bad byte becomes U+FFFD */
    size_t len = 0;

    if (!to)
        return NULL;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += utf8_next(s + i, n - i, &cp);
        if (cp <= ' ' || cp == 0x7F || cp == 0xA0) {
            if (len && to[len - 1] != ' ')
                to[len++] = ' ';
        } else {
            len += utf8_put(to + len, cp);
        }
    }
    while (len && to[len - 1] == ' ')
        len--;
    to[len] = '\0';
    return to;
}

/* "sentence [1]\nsentence [2]" after front. */
static char *evidence_text(const struct answer *out, const struct sentence *s, uint32_t n,
                           const char *front, struct arena *a)
{
    char *text = arena_strdup(a, front);

    for (uint32_t i = 0; i < n && text; i++) {
        const struct citation *c = &out->citations[i];
        char *plain = answer_plain(c->quote + c->mark_start, c->mark_end - c->mark_start, a);
        if (i && s[i].score < TELL_ALSO * s[0].score)
            continue;
        if (!plain)
            return NULL;
        text = arena_printf(a, "%s%s%s [%u]", text, *text ? "\n" : "", plain, c->n);
    }
    return text;
}

int answer_extract(struct answer *out, const struct sentence *s, uint32_t n, struct arena *a,
                   struct err *e)
{
    out->text = evidence_text(out, s, n, "", a);
    return out->text ? 0 : err_set(e, ERR_NOMEM, "the answer's text");
}

int answer_generated(struct answer *out, const char *generated, const struct sentence *s,
                     uint32_t n, struct arena *a, struct err *e)
{
    char *front = arena_printf(a, "%s\n", generated);

    out->text = front ? evidence_text(out, s, n, front, a) : NULL;
    return out->text ? 0 : err_set(e, ERR_NOMEM, "the answer's text");
}

int answer_abstain(struct answer *out, struct arena *a, struct err *e)
{
    out->text = arena_strdup(a, out->n_nearest
                                    ? "Not found in these documents. The nearest passages are "
                                      "closest, not an answer."
                                    : "Not found in these documents.");
    return out->text ? 0 : err_set(e, ERR_NOMEM, "the answer's text");
}
