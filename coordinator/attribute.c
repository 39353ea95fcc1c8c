/* attribute.c - does a quote carry a generated sentence?
 *
 * Proven means: one quote has every number, date and capitalised name of the sentence, in the same order; a negation on
 * both sides or on none; and the content terms. Strict (what may stand in front of the evidence unasked): all terms, in the
 * order of one single sentence of the quote, so that "from $12 to $3" has no proof in "from $3 to $12". Loose: COVERAGE of
 * them and, with an embedder, a like meaning. Either way it must say something that the question did not.
 * A small model turns meanings round ("infrequent rain" became "frequent rain" twice in 16 answers) and echoes questions:
 * terms are compared whole and stemmed, never by prefix. What is proven stands in the document; whether it answers the
 * question, nothing here can say. */
#include <ctype.h>
#include <string.h>
#include <unicode/uchar.h>

#include "base/utf8.h"
#include "coordinator/query_impl.h"
#include "ingest/ingest.h"

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
    uint32_t missing; /* numbers and names that the quote lacks */
    uint32_t fresh; /* content terms that the question does not have */
    int in_order, must_in_order; /* all content terms, or numbers and names, stand in the quote in this order */
};

/* The first place of t in p at or after from; n_terms: none. */
static uint32_t find_term(const struct part *p, const struct term_at *t, uint32_t from)
{
    while (from < p->n_terms && (p->terms[from].n != t->n || memcmp(p->terms[from].term, t->term, t->n)))
        from++;
    return from;
}

static struct overlap compare(const struct part *said, const struct part *quote,
                              const struct part *question)
{
    struct overlap o = {.in_order = 1, .must_in_order = 1};
    uint32_t at = 0; /* in quote: behind the last term found in order */
    uint32_t must_at = 0;

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
        o.missing += must && !has;
        o.fresh += !has_term(question, t);
        at = find_term(quote, t, at);
        o.in_order &= at < quote->n_terms;
        at += at < quote->n_terms;
        if (must) {
            must_at = find_term(quote, t, must_at);
            o.must_in_order &= must_at < quote->n_terms;
            must_at += must_at < quote->n_terms;
        }
    }
    return o;
}

static int part_of(const char *text, size_t n, struct arena *a, struct part *p, struct err *e)
{
    p->text = text;
    p->n = n;
    return analyze(text, n, "", 0, a, &p->terms, &p->n_terms, e);
}

static int has_phrase(const struct part *p, const char *const *list, size_t k)
{
    for (size_t i = 0; i < k; i++)
        for (size_t at = 0; at + strlen(list[i]) <= p->n; at++)
            if (!strncasecmp(p->text + at, list[i], strlen(list[i])))
                return 1;
    return 0;
}

/* "how many", "when": an answer without a number or a month is none. */
static int wrong_kind(const struct part *said, const struct part *question)
{
    static const char *const asks[] = {"how many", "how much", "when did", "when was", "when were",
                                       "what year", "which year"};
    static const char *const numbers[] = {
        "one",     "two",      "three",   "four",     "five",  "six",      "seven", "eight",
        "nine",    "ten",      "eleven",  "twelve",   "dozen", "hundred",  "thousand", "million",
        "billion", "trillion", "percent", "half",     "third", "quarter",  "twice", "century",
        "january", "february", "march",   "april",    "may",   "june",     "july",  "august",
        "september", "october", "november", "december"};

    return has_phrase(question, asks, sizeof asks / sizeof *asks) &&
           !is_number(said->text, said->n) &&
           !has_phrase(said, numbers, sizeof numbers / sizeof *numbers);
}

static void judge(const struct part *said, const struct part *quote, const struct part *question,
                  int strict, struct support *su)
{
    struct overlap o = compare(said, quote, question);

    su->coverage = o.content ? (float)o.carried / (float)o.content : 0;
    su->why = NULL;
    if (!o.content)
        su->why = "it has no content";
    else if (o.content == 1 && said->n <= ONE_WORD_LEAST && !is_number(said->text, said->n))
        su->why = "a letter or a single character says nothing";
    else if (!o.fresh)
        su->why = "it only repeats the question";
    else if (strict && wrong_kind(said, question))
        su->why = "the question asks for a number or a date";
    else if (o.missing)
        su->why = "a number or a name is not in the quote";
    else if (su->coverage < (strict ? 1.0f : COVERAGE))
        su->why = "too few of its words are in the quote";
    else if (strict ? !o.in_order : !o.must_in_order)
        su->why = "the quote has its words in another order";
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

static void keep_better(struct support *best, const struct support *su)
{
    if (su->proven > best->proven || (su->proven == best->proven && su->coverage > best->coverage))
        *best = *su;
}

/* Strict: each sentence of the quote for itself. */
static int judge_sentences(const struct part *said, const char *quote, const struct part *question,
                           uint32_t which, struct arena *a, struct support *best, struct err *e)
{
    uint32_t *ends = NULL;
    uint32_t n = 0;
    uint32_t at = 0;
    int rc = sentences(quote, strlen(quote), a, &ends, &n, e);

    for (uint32_t i = 0; i < n && !rc; i++) {
        struct support su = {.citation = which};
        struct part q;
        rc = part_of(quote + at, ends[i] - at, a, &q, e);
        at = ends[i];
        if (rc)
            break;
        judge(said, &q, question, 1, &su);
        keep_better(best, &su);
    }
    return rc;
}

int attribute(struct embedder *emb, const char *question, const char *said, size_t n_said,
              const struct citation *c, uint32_t n, int strict, struct arena *a,
              struct support *out, struct err *e)
{
    struct part asked;
    struct part s;
    int rc = part_of(said, n_said, a, &s, e);

    *out = (struct support){.why = "there is no quote", .coverage = -1};
    if (!rc)
        rc = part_of(question, strlen(question), a, &asked, e);
    for (uint32_t i = 0; i < n && !rc; i++) {
        struct support su = {.citation = i};
        struct part q;
        if (strict) {
            rc = judge_sentences(&s, c[i].quote, &asked, i, a, out, e);
            continue;
        }
        rc = part_of(c[i].quote, strlen(c[i].quote), a, &q, e);
        if (rc)
            break;
        judge(&s, &q, &asked, 0, &su);
        keep_better(out, &su);
    }
    /* Few words that are all there need no likeness; paraphrases do. */
    if (!rc && out->proven && emb && out->coverage < 1) {
        struct part q = {.text = c[out->citation].quote, .n = strlen(c[out->citation].quote)};
        rc = likeness(emb, &s, &q, a, &out->cosine, e);
        if (!rc && out->cosine < LIKE) {
            out->proven = 0;
            out->why = "it means something else than the quote";
        }
    }
    return rc;
}
