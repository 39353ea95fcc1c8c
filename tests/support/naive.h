/* naive.h - BM25 without any index, the truth that search is compared with: every document is scored for every
 * query, with the formula and the order of sums that index/bm25.c promises. Tests only. */
#ifndef DOCENT_TEST_NAIVE_H
#define DOCENT_TEST_NAIVE_H

#include <math.h>

#include "base/hash.h"
#include "base/limits.h"
#include "index/index.h"
#include "tests/support/test.h"

#define NAIVE_TITLE_WEIGHT 2 /* FIELD_WEIGHT of index/postings_impl.h */

struct naive_term {
    char *term;
    struct naive_posting {
        uint32_t doc, tf;
    } *at;
    uint32_t n, cap;
};
struct naive {
    struct naive_term *terms; /* open addressing */
    uint32_t n_slots, n_terms;
    uint32_t *len;
    unsigned char *live;
    uint32_t n_docs, cap_docs;
    struct arena a;
};

static inline void naive_open(struct naive *nv)
{
    memset(nv, 0, sizeof *nv);
    nv->n_slots = 1 << 12;
    nv->terms = mem_take(nv->n_slots, sizeof *nv->terms);
    arena_init(&nv->a, GIB);
}

static inline void naive_close(struct naive *nv)
{
    for (uint32_t i = 0; i < nv->n_slots; i++) {
        mem_give(nv->terms[i].term);
        mem_give(nv->terms[i].at);
    }
    mem_give(nv->terms);
    mem_give(nv->len);
    mem_give(nv->live);
    arena_free(&nv->a);
}

static inline struct naive_term *naive_slot(struct naive_term *terms, uint32_t n, const char *term)
{
    uint32_t s = (uint32_t)hash_xxh3(term, strlen(term)) & (n - 1);

    while (terms[s].term && strcmp(terms[s].term, term) != 0)
        s = (s + 1) & (n - 1);
    return &terms[s];
}

static inline struct naive_term *naive_term(struct naive *nv, const char *term, int make)
{
    struct naive_term *t = naive_slot(nv->terms, nv->n_slots, term);

    if (t->term || !make)
        return t->term ? t : NULL;
    if (nv->n_terms * 2 > nv->n_slots) {
        struct naive_term *more = mem_take(nv->n_slots * 2, sizeof *more);
        for (uint32_t i = 0; i < nv->n_slots; i++) {
            if (nv->terms[i].term)
                *naive_slot(more, nv->n_slots * 2, nv->terms[i].term) = nv->terms[i];
        }
        mem_give(nv->terms);
        nv->terms = more;
        nv->n_slots *= 2;
        t = naive_slot(nv->terms, nv->n_slots, term);
    }
    t->term = mem_strdup(term);
    nv->n_terms++;
    return t;
}

static inline void naive_field(struct naive *nv, const char *text, const char *lang, uint32_t doc,
                               uint32_t weight)
{
    struct term_at *at;
    uint32_t n;
    struct err e = { 0 };

    arena_reset(&nv->a);
    assert_ok(analyze(text, strlen(text), lang, 0, &nv->a, &at, &n, &e), e);
    for (uint32_t i = 0; i < n; i++) {
        struct naive_term *t = naive_term(nv, at[i].term, 1);
        if (!t->n || t->at[t->n - 1].doc != doc) {
            if (t->n == t->cap) {
                t->cap = t->cap ? 2 * t->cap : 4;
                t->at = mem_again(t->at, t->cap, sizeof *t->at);
            }
            t->at[t->n++] = (struct naive_posting){ doc, 0 };
        }
        t->at[t->n - 1].tf += weight;
    }
    nv->len[doc] += n * weight;
}

/* Returns the document's number: 0, 1, ... */
static inline uint32_t naive_add(struct naive *nv, const char *body, const char *title,
                                 const char *section, const char *lang)
{
    uint32_t doc = nv->n_docs++;

    if (doc == nv->cap_docs) {
        nv->cap_docs = nv->cap_docs ? 2 * nv->cap_docs : 64;
        nv->len = mem_again(nv->len, nv->cap_docs, sizeof *nv->len);
        nv->live = mem_again(nv->live, nv->cap_docs, 1);
    }
    nv->len[doc] = 0;
    nv->live[doc] = 1;
    naive_field(nv, body, lang, doc, 1);
    naive_field(nv, title, lang, doc, NAIVE_TITLE_WEIGHT);
    naive_field(nv, section, lang, doc, NAIVE_TITLE_WEIGHT);
    if (nv->len[doc] > 65535)
        nv->len[doc] = 65535;
    return doc;
}

/* scores: [n_docs], 0 for what does not match or is not live. Returns the number of matches. */
static inline uint32_t naive_search(struct naive *nv, const char *query, float *scores)
{
    struct term_at *at;
    struct err e = { 0 };
    uint32_t n, matches = 0, distinct = 0;
    uint64_t live = 0, len = 0;

    arena_reset(&nv->a);
    assert_ok(analyze(query, strlen(query), "", 1, &nv->a, &at, &n, &e), e);
    for (uint32_t d = 0; d < nv->n_docs; d++) {
        scores[d] = 0;
        live += nv->live[d];
        len += nv->live[d] ? nv->len[d] : 0;
    }
    for (uint32_t i = 0; i < n && distinct < LIM_QUERY_TERMS; i++) {
        struct naive_term *t;
        uint32_t count = 0;
        uint64_t df = 0;
        float idf, weight;
        int before = 0;

        for (uint32_t k = 0; k < n; k++) {
            count += strcmp(at[k].term, at[i].term) == 0;
            before |= k < i && strcmp(at[k].term, at[i].term) == 0;
        }
        if (before)
            continue;
        distinct++;
        t = naive_term(nv, at[i].term, 0);
        for (uint32_t k = 0; t && k < t->n; k++)
            df += nv->live[t->at[k].doc];
        if (!df)
            continue;
        idf = (float)log(1.0 + ((double)live - (double)df + 0.5) / ((double)df + 0.5));
        weight = idf * (float)count;
        for (uint32_t k = 0; k < t->n; k++) {
            uint32_t d = t->at[k].doc;
            float norm = (float)(0.9 * (1.0 - 0.4 + 0.4 * nv->len[d] / ((double)len / (double)live)));
            float tf = (float)t->at[k].tf;
            if (nv->live[d])
                scores[d] += weight * tf / (tf + norm);
        }
    }
    for (uint32_t d = 0; d < nv->n_docs; d++)
        matches += scores[d] > 0;
    return matches;
}

#endif
