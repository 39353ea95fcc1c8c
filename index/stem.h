/* stem.h - Snowball stemmers by language, one set a thread. */
#ifndef DOCENT_INDEX_STEM_H
#define DOCENT_INDEX_STEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What a language asks of words. Static, never freed. */
struct stem_lang {
    const char *code; /* ISO 639-1 */
    const char *algorithm; /* of libstemmer */
    int elides; /* l'homme: the apostrophe parts two words */
};
/* The language of a code such as "de" or "de-AT"; English for "", NULL, Chinese, and whatever Snowball
 * does not know, so that Latin words in such texts meet the same words of a query. */
const struct stem_lang *stem_lang(const char *code);
int stem_is_english(const struct stem_lang *lang);
/* Languages as a set of bits; stem_bit of English is 1. stem_code: of bit 1 << i, NULL behind the last. The order of
 * the table is part of the index format: new languages go to its end. */
uint64_t stem_bit(const struct stem_lang *lang);
const char *stem_code(unsigned i);

struct stem_set;
/* This thread's stemmers; freed with the thread. ERR_NOMEM. */
int stem_mine(struct stem_set **out, struct err *e);
/* The stem of word[0..n), n > 0, lower case: points into the set or the word, until the next call.
 * NULL: out of memory. */
const char *stem_word(struct stem_set *set, const struct stem_lang *lang, const char *word,
                      size_t n, size_t *n_stem);

#endif
