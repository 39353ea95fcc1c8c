/* attribute.c - does a quote carry a generated sentence?
 *
 * Proven means: one quote has every number, date and capitalised name of the sentence, a negation on both sides or on none,
 * and its content terms: all of them (strict), or COVERAGE of them and, with an embedder, a like meaning. A small model
 * turns meanings round ("infrequent rain" became "frequent rain" twice in 16 answers): terms are compared whole and
 * stemmed, never by prefix. What is proven stands in the document; whether it answers the question, nothing here can say. */
#include <ctype.h>
#include <string.h>
#include <unicode/uchar.h>

#include "base/utf8.h"
#include "coordinator/query_impl.h"

#define COVERAGE 0.7f
#define LIKE 0.5f /* cosine of sentence and quote */

#define ONE_WORD_LEAST 3 /* bytes: one Han character, "a.": it stands in nearly every quote; numbers may be short */

static const char *const negations[] = {"no",    "not",     "never", "none",    "nor",
                                        "neither", "without", "cannot", "nothing", "nobody"};

struct part {
    const char *text;
    size_t n;
    struct term_at *terms;
    uint32_t n_terms;
};

static int has_term(const struct part *p, const struct term_at *t)
{
    for (uint32_t i = 0; i < p->n_terms; i++)
        if (p->terms[i].n == t->n && !memcmp(p->terms[i].term, t->term, t->n))
            return 1;
    return 0;
}

static int negated(const struct part *p)
{
    for (uint32_t i = 0; i < p->n_terms; i++) {
        const char *w = p->text + p->terms[i].start;
        size_t n = p->terms[i].end - p->terms[i].start;
        if (word_listed(w, n, negations, sizeof negations / sizeof *negations) || (n > 3 && !strncasecmp(w + n - 2, "'t", 2)))
            return 1;
    }
    return 0;
}

/* A run of the quote's own bytes means what the quote means; blanks count as one. */
static int verbatim(const struct part *quote, const struct part *said)
{
    for (size_t i = 0; i + 1 <= quote->n; i++) {
        size_t q = i;
        size_t s = 0;
        while (s < said->n && q < quote->n) {
            int blank_s = isspace((unsigned char)said->text[s]);
            int blank_q = isspace((unsigned char)quote->text[q]);
            if (blank_s != blank_q || (!blank_s && said->text[s] != quote->text[q]))
                break;
            s++;
            q++;
            while (blank_s && s < said->n && isspace((unsigned char)said->text[s]))
                s++;
            while (blank_q && q < quote->n && isspace((unsigned char)quote->text[q]))
                q++;
        }
        if (s == said->n || (s + 1 == said->n && said->text[s] == '.'))
            return 1;
    }
    return 0;
}

static int is_number(const char *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isdigit((unsigned char)w[i]))
            return 1;
    return 0;
}

/* A capital anywhere but at the sentence's beginning, where every word has one. */
static int is_name(const struct part *p, const struct term_at *t)
{
    uint32_t cp;

    utf8_next(p->text + t->start, p->n - t->start, &cp);
    return t->start > 0 && u_isupper((UChar32)cp);
}

struct overlap {
    uint32_t content, carried; /* terms of the sentence, and those the quote has */
    uint32_t must, missing; /* numbers and names, and those the quote lacks */
};

static struct overlap compare(const struct part *said, const struct part *quote)
{
    struct overlap o = {0};

    for (uint32_t i = 0; i < said->n_terms; i++) {
        const struct term_at *t = &said->terms[i];
        const char *w = said->text + t->start;
        size_t n = t->end - t->start;
        int must = is_number(w, n) || is_name(said, t);
        int has = has_term(quote, t);
        if (stopword(w, n) && !must)
            continue;
        o.content++;
        o.carried += (uint32_t)has;
        o.must += (uint32_t)must;
        o.missing += must && !has;
    }
    return o;
}

static int part_of(const char *text, size_t n, struct arena *a, struct part *p, struct err *e)
{
    p->text = text;
    p->n = n;
    return analyze(text, n, "", 0, a, &p->terms, &p->n_terms, e);
}

static void judge(const struct part *said, const struct part *quote, int strict,
                  struct support *su)
{
    struct overlap o = compare(said, quote);

    su->coverage = o.content ? (float)o.carried / (float)o.content : 0;
    su->why = NULL;
    if (!o.content)
        su->why = "it has no content";
    else if (o.content == 1 && said->n <= ONE_WORD_LEAST && !is_number(said->text, said->n))
        su->why = "a letter or a single character says nothing";
    else if (o.missing)
        su->why = "a number or a name is not in the quote";
    else if (su->coverage < (strict ? 1.0f : COVERAGE))
        su->why = "too few of its words are in the quote";
    else if (negated(said) != negated(quote) && !verbatim(quote, said))
        su->why = "it says yes where the quote says no, or the other way";
    su->proven = !su->why;
}

static int likeness(struct embedder *emb, const struct part *said, const struct part *quote,
                    struct arena *a, float *cosine, struct err *e)
{
    uint32_t dim = embedder_info(emb)->dim;
    struct embed_text t[2] = {{said->text, said->n}, {quote->text, quote->n}};
    float *v = arena_take(a, 2, dim * sizeof *v);
    double dot = 0;
    int rc;

    if (!v)
        return err_set(e, ERR_NOMEM, "two vectors");
    rc = embedder_embed(emb, t, 2, a, v, NULL, e);
    for (uint32_t d = 0; d < dim && !rc; d++)
        dot += (double)v[d] * (double)v[dim + d];
    *cosine = (float)dot;
    return rc;
}

int attribute(struct embedder *emb, const char *said, size_t n_said, const struct citation *c,
              uint32_t n, int strict, struct arena *a, struct support *out, struct err *e)
{
    struct part s;
    int rc = part_of(said, n_said, a, &s, e);

    *out = (struct support){.why = "there is no quote"};
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct support su = {.citation = i};
        struct part q;
        rc = part_of(c[i].quote, strlen(c[i].quote), a, &q, e);
        if (rc)
            break;
        judge(&s, &q, strict, &su);
        if (i == 0 || su.proven > out->proven ||
            (su.proven == out->proven && su.coverage > out->coverage))
            *out = su;
    }
    /* Few words that are all there need no likeness; paraphrases do. */
    if (!rc && out->proven && !strict && emb && out->coverage < 1) {
        struct part q = {.text = c[out->citation].quote, .n = strlen(c[out->citation].quote)};
        rc = likeness(emb, &s, &q, a, &out->cosine, e);
        if (!rc && out->cosine < LIKE) {
            out->proven = 0;
            out->why = "it means something else than the quote";
        }
    }
    return rc;
}
