/* stem.c - Snowball stemmers with a cache of words (see stem.h).
 * Texts repeat their words, so a direct-mapped cache of 8,192 words (512 KiB a thread) stands before the
 * stemmers. A set belongs to one thread, is made at
 * its first analysis and freed by the thread's end. */
#include "index/stem.h"

#include <libstemmer.h>
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#define SLOTS 8192
#define SLOT_BYTES 61 /* word and stem together; longer ones are not cached */

static const struct stem_lang langs[] = {
    { "en", "english", 0 },    { "ar", "arabic", 0 },     { "hy", "armenian", 0 },
    { "eu", "basque", 0 },     { "ca", "catalan", 1 },    { "da", "danish", 0 },
    { "nl", "dutch", 0 },      { "fi", "finnish", 0 },    { "fr", "french", 1 },
    { "de", "german", 0 },     { "el", "greek", 0 },      { "hi", "hindi", 0 },
    { "hu", "hungarian", 0 },  { "id", "indonesian", 0 }, { "ga", "irish", 1 },
    { "it", "italian", 1 },    { "lt", "lithuanian", 0 }, { "ne", "nepali", 0 },
    { "no", "norwegian", 0 },  { "nb", "norwegian", 0 },  { "nn", "norwegian", 0 },
    { "pt", "portuguese", 0 }, { "ro", "romanian", 0 },   { "ru", "russian", 0 },
    { "sr", "serbian", 0 },    { "es", "spanish", 0 },    { "sv", "swedish", 0 },
    { "ta", "tamil", 0 },      { "tr", "turkish", 0 },    { "yi", "yiddish", 0 },
};
#define N_LANGS (sizeof langs / sizeof langs[0])

struct slot {
    unsigned char lang, n_word, n_stem;
    char bytes[SLOT_BYTES]; /* word, stem */
};

struct stem_set {
    struct sb_stemmer *sb[N_LANGS]; /* made when first needed */
    struct slot slots[SLOTS];
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_failed;

static void set_free(void *p)
{
    struct stem_set *set = p;

    for (size_t i = 0; set && i < N_LANGS; i++)
        sb_stemmer_delete(set->sb[i]);
    mem_give(set);
}

static void make_key(void)
{
    key_failed = pthread_key_create(&key, set_free);
}

int stem_mine(struct stem_set **out, struct err *e)
{
    struct stem_set *set;

    pthread_once(&once, make_key);
    if (key_failed)
        return err_set(e, ERR_NOMEM, "stemmer: no thread key left");
    set = pthread_getspecific(key);
    if (!set) {
        set = mem_take(1, sizeof *set);
        if (!set || pthread_setspecific(key, set)) {
            mem_give(set);
            return err_set(e, ERR_NOMEM, "stemmer of a thread");
        }
    }
    *out = set;
    return 0;
}

const struct stem_lang *stem_lang(const char *code)
{
    if (!code || strlen(code) < 2 || (code[2] && code[2] != '-' && code[2] != '_'))
        return langs;
    for (size_t i = 0; i < N_LANGS; i++) {
        if (code[0] == langs[i].code[0] && code[1] == langs[i].code[1])
            return &langs[i];
    }
    return langs;
}

int stem_is_english(const struct stem_lang *lang)
{
    return lang == langs;
}

uint64_t stem_bit(const struct stem_lang *lang)
{
    return (uint64_t)1 << (lang - langs);
}

const char *stem_code(unsigned i)
{
    return i < N_LANGS ? langs[i].code : NULL;
}

const char *stem_word(struct stem_set *set, const struct stem_lang *lang, const char *word,
                      size_t n, size_t *n_stem)
{
    size_t id = (size_t)(lang - langs);
    struct slot *s = &set->slots[(hash_xxh3(word, n) + id) % SLOTS];
    const sb_symbol *stem;
    int n_out;

    if (s->n_word == n && s->lang == id && memcmp(s->bytes, word, n) == 0) {
        *n_stem = s->n_stem;
        return s->bytes + n;
    }
    *n_stem = n;
    if (!set->sb[id])
        set->sb[id] = sb_stemmer_new(lang->algorithm, "UTF_8");
    if (!set->sb[id])
        return NULL;
    stem = sb_stemmer_stem(set->sb[id], (const sb_symbol *)word, (int)n);
    if (!stem)
        return NULL;
    n_out = sb_stemmer_length(set->sb[id]);
    if (n_out <= 0)
        return word;
    *n_stem = (size_t)n_out;
    if (n + *n_stem <= SLOT_BYTES) {
        s->lang = (unsigned char)id;
        s->n_word = (unsigned char)n;
        s->n_stem = (unsigned char)n_out;
        memcpy(s->bytes, word, n);
        memcpy(s->bytes + n, stem, *n_stem);
    }
    return (const char *)stem;
}
