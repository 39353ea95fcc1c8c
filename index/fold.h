/* fold.h - text as NFKC case-folded code points that still know the bytes they came from. */
#ifndef DOCENT_INDEX_FOLD_H
#define DOCENT_INDEX_FOLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct fold_cp {
    uint32_t cp;
    uint32_t start, end; /* bytes of the original text */
};

/* What a code point does to a word (UAX #29 classes, with our own for scripts that write no spaces). */
enum fold_class {
    FOLD_OTHER, /* separates words */
    FOLD_LETTER,
    FOLD_DIGIT,
    FOLD_EXTEND, /* marks and formats: belong to what stands before */
    FOLD_APOSTROPHE,
    FOLD_DOT,
    FOLD_COMMA,
    FOLD_MID, /* joins letters: middle dot and its like */
    FOLD_RUN /* Han, Kana, Hangul, Thai and other scripts without spaces: indexed by bigrams */
};
enum fold_class fold_class(uint32_t cp);

/* Folds s[from..n) up to the first ASCII blank or until out holds max code points (max >= 32).
 * *next: the byte behind what was folded. Returns the number of code points, 0 at a blank or the end;
 * invalid bytes come out as U+FFFD. ICU's tables are shared and read-only: any thread. */
size_t fold_text(const char *s, size_t n, size_t from, struct fold_cp *out, size_t max,
                 size_t *next);
/* Loads the normaliser; ERR_UNSUPPORTED when ICU has no data. Cheap after the first time. */
int fold_ready(struct err *e);

#endif
