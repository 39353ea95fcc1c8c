/* context.h - the words that stand in front of a chunk for the embedder, and the title that BM25 sees.
 * Filings repeat the same sentences on every page: without company and year in front, chunks of twelve filings are
 * indistinguishable. Part of a library's identity: change CONTEXT_VERSION with any change here. */
#ifndef DOCENT_COORDINATOR_CONTEXT_H
#define DOCENT_COORDINATOR_CONTEXT_H

#include <stddef.h>

#include "base/mem.h"

#define CONTEXT_VERSION 1
#define CONTEXT_TOKENS 48 /* kept free in the embedder's window for title and section */

/* The title shown and indexed: the file's own title and, when that lacks them, the words of its name
 * ("3M_2018_10K.pdf" -> "FORM 10-K (3M 2018 10K)"). In the arena; NULL: out of memory. */
char *context_title(const char *own_title, const char *path, struct arena *a);

/* Title, section and text as one string for the embedder. Title and section are cut to share CONTEXT_TOKENS,
 * estimated at 4 bytes a token. */
char *context_text(const char *title, const char *section, const char *text, size_t n_text,
                   size_t *n_out, struct arena *a);

#endif
