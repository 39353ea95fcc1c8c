/* stopwords.c - English words that carry no content: questions are full of them.
 * The index keeps them (BM25 weighs them by their frequency); here they are left out where words are counted: follow-up
 * questions, attribution, evidence. */
#include <string.h>

#include "coordinator/query_impl.h"

static const char *const words[] = {
    "a", "about", "also", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can",
    "could", "did", "do", "does", "for", "former", "from", "give", "had", "has", "have", "he",
    "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "latter", "many",
    "may", "me", "much", "my", "of", "on", "one", "ones", "or", "our", "please", "same", "she",
    "should", "show", "so", "some", "such", "tell", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "us", "was", "we", "were", "what",
    "when", "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you",
    "your",
};

int word_listed(const char *w, size_t n, const char *const *list, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (strlen(list[i]) == n && !strncasecmp(w, list[i], n))
            return 1;
    return 0;
}

int stopword(const char *w, size_t n)
{
    return word_listed(w, n, words, sizeof words / sizeof *words);
}
