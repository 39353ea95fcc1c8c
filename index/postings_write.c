/* postings_write.c - chunks in and out of the inverted index, a batch at a time.
 * A batch gathers (term, chunk, tf) in memory, sorts it by term once, and writes one segment. Formats and
 * the why of segments: postings_impl.h. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "index/index.h"
#include "index/postings_impl.h"
#include "index/stem.h"

#define ANALYSIS_MEMORY (64 * MIB) /* terms of one field; LIM_PART_TEXT needs about 1 MiB */
#define TEXT_PIECE (64 * KIB)
#define LEN_MAX 65535

struct batch_term {
    const unsigned char *bytes;
    uint32_t n, hash;
    uint32_t postings, removed;
    uint32_t chunk; /* serial of the chunk that has it last */
    uint32_t at; /* its posting of that chunk */
};

struct posting {
    uint32_t term, cid, tf;
};

struct chunk_len {
    uint32_t cid;
    uint16_t len;
};

struct postings_batch {
    struct txn *t;
    struct manifest m;
    struct batch_term *terms;
    uint32_t n_terms, cap_terms;
    uint32_t *slots; /* term + 1; 0 free */
    uint32_t n_slots; /* a power of two */
    struct posting *post;
    size_t n_post, cap_post;
    struct chunk_len *lens;
    size_t n_lens, cap_lens;
    uint32_t chunk; /* serial */
    struct arena bytes; /* the terms */
    unsigned char *text;
    size_t left;
    struct arena scratch; /* of one analysis */
};

int postings_begin(struct txn *t, struct postings_batch **out, struct err *e)
{
    struct postings_batch *b = mem_take(1, sizeof *b);
    int rc;

    if (!b)
        return err_set(e, ERR_NOMEM, "postings: batch");
    b->t = t;
    arena_init(&b->bytes, GIB);
    arena_init(&b->scratch, ANALYSIS_MEMORY);
    rc = manifest_load(t, &b->m, e);
    if (!rc) {
        b->n_slots = 4096;
        b->slots = mem_take(b->n_slots, sizeof *b->slots);
        if (!b->slots)
            rc = err_set(e, ERR_NOMEM, "postings: batch");
    }
    if (rc) {
        postings_drop(b);
        return rc;
    }
    *out = b;
    return 0;
}

void postings_drop(struct postings_batch *b)
{
    if (!b)
        return;
    manifest_free(&b->m);
    mem_give(b->terms);
    mem_give(b->slots);
    mem_give(b->post);
    mem_give(b->lens);
    arena_free(&b->bytes);
    arena_free(&b->scratch);
    mem_give(b);
}

uint64_t postings_batch_bytes(const struct postings_batch *b)
{
    return b->bytes.used + b->n_terms * sizeof *b->terms + b->n_slots * sizeof *b->slots +
           b->n_post * sizeof *b->post + b->n_lens * sizeof *b->lens;
}

/* Room for one more item in an array that doubles; 0 or ERR_NOMEM. */
static int room(void **items, size_t n, size_t *cap, size_t size, struct err *e)
{
    void *grown;

    if (n < *cap)
        return 0;
    grown = mem_again(*items, *cap ? *cap * 2 : 1024, size);
    if (!grown)
        return err_set(e, ERR_NOMEM, "postings: batch of %zu items", n);
    *items = grown;
    *cap = *cap ? *cap * 2 : 1024;
    return 0;
}

static int slots_grow(struct postings_batch *b, struct err *e)
{
    uint32_t n = b->n_slots * 2, *slots = mem_take(n, sizeof *slots);

    if (!slots)
        return err_set(e, ERR_NOMEM, "postings: batch of %u terms", b->n_terms);
    for (uint32_t i = 0; i < b->n_terms; i++) {
        uint32_t s = b->terms[i].hash & (n - 1);
        while (slots[s])
            s = (s + 1) & (n - 1);
        slots[s] = i + 1;
    }
    mem_give(b->slots);
    b->slots = slots;
    b->n_slots = n;
    return 0;
}

static int term_new(struct postings_batch *b, const struct term_at *t, uint32_t hash,
                    struct err *e)
{
    size_t cap = b->cap_terms;
    struct batch_term *bt;
    int rc = room((void **)&b->terms, b->n_terms, &cap, sizeof *b->terms, e);

    b->cap_terms = (uint32_t)cap;
    if (rc)
        return rc;
    if (b->left < t->n) {
        b->text = arena_take(&b->bytes, TEXT_PIECE, 1);
        if (!b->text)
            return err_set(e, ERR_NOMEM, "postings: batch of %u terms", b->n_terms);
        b->left = TEXT_PIECE;
    }
    memcpy(b->text, t->term, t->n);
    bt = &b->terms[b->n_terms++];
    memset(bt, 0, sizeof *bt);
    bt->bytes = b->text;
    bt->n = t->n;
    bt->hash = hash;
    b->text += t->n;
    b->left -= t->n;
    return 0;
}

/* The batch's number of a term; added when it is new. */
static int term_of(struct postings_batch *b, const struct term_at *t, uint32_t *out, struct err *e)
{
    uint32_t hash = (uint32_t)hash_xxh3(t->term, t->n), s;
    int rc;

    if (b->n_terms >= b->n_slots / 2) {
        rc = slots_grow(b, e);
        if (rc)
            return rc;
    }
    for (s = hash & (b->n_slots - 1); b->slots[s]; s = (s + 1) & (b->n_slots - 1)) {
        const struct batch_term *bt = &b->terms[b->slots[s] - 1];
        if (bt->hash == hash && bt->n == t->n && memcmp(bt->bytes, t->term, t->n) == 0) {
            *out = b->slots[s] - 1;
            return 0;
        }
    }
    rc = term_new(b, t, hash, e);
    if (rc)
        return rc;
    b->slots[s] = b->n_terms;
    *out = b->n_terms - 1;
    return 0;
}

/* One field of a chunk: its terms to postings (or removals), its length to *len. */
static int field(struct postings_batch *b, const struct part_text *c, const char *text, uint32_t n,
                 uint32_t weight, int removal, uint64_t *len, struct err *e)
{
    struct term_at *at;
    uint32_t n_at, id;
    int rc;

    if (!n || !weight)
        return 0;
    arena_reset(&b->scratch);
    rc = analyze(text, n, c->lang, 0, &b->scratch, &at, &n_at, e);
    for (uint32_t i = 0; !rc && i < n_at; i++) {
        struct batch_term *bt;

        rc = term_of(b, &at[i], &id, e);
        if (rc)
            break;
        bt = &b->terms[id];
        if (bt->chunk == b->chunk) {
            if (!removal)
                b->post[bt->at].tf += weight;
            continue;
        }
        bt->chunk = b->chunk;
        if (removal) {
            bt->removed++;
            continue;
        }
        rc = room((void **)&b->post, b->n_post, &b->cap_post, sizeof *b->post, e);
        if (rc)
            break;
        bt->at = (uint32_t)b->n_post;
        bt->postings++;
        b->post[b->n_post++] = (struct posting){ id, c->cid, weight };
    }
    *len += (uint64_t)n_at * weight;
    return rc ? err_wrap(e, "chunk %u", c->cid) : 0;
}

static int fields(struct postings_batch *b, const struct part_text *c, int removal, uint64_t *len,
                  struct err *e)
{
    int rc;

    *len = 0;
    b->chunk++;
    b->m.langs |= stem_bit(stem_lang(c->lang));
    rc = field(b, c, c->body, c->n_body, 1, removal, len, e);
    if (!rc)
        rc = field(b, c, c->title, c->n_title, FIELD_WEIGHT, removal, len, e);
    if (!rc)
        rc = field(b, c, c->section, c->n_section, FIELD_WEIGHT, removal, len, e);
    if (*len > LEN_MAX)
        *len = LEN_MAX;
    return rc;
}

int postings_add(struct postings_batch *b, const struct part_text *c, struct err *e)
{
    uint64_t len;
    int rc;

    if (c->cid < b->m.next_cid || c->cid == UINT32_MAX)
        return err_set(e, ERR_INVALID, "postings: chunk %u after chunk %u (ids must grow)", c->cid,
                       b->m.next_cid - 1);
    if (b->n_post > UINT32_MAX - LIM_PART_TEXT * 8)
        return err_set(e, ERR_LIMIT, "postings: a batch of %zu postings", b->n_post);
    rc = room((void **)&b->lens, b->n_lens, &b->cap_lens, sizeof *b->lens, e);
    if (!rc)
        rc = fields(b, c, 0, &len, e);
    if (rc)
        return rc;
    b->m.next_cid = c->cid + 1;
    b->lens[b->n_lens++] = (struct chunk_len){ c->cid, (uint16_t)len };
    b->m.n++;
    b->m.len += len;
    return 0;
}

int postings_remove(struct postings_batch *b, const struct part_text *c, struct err *e)
{
    uint64_t len;
    int rc = fields(b, c, 1, &len, e);

    if (rc)
        return rc;
    if (!b->m.n || b->m.len < len)
        return err_set(e, ERR_CORRUPT, "postings: chunk %u removed from %llu chunks of %llu terms",
                       c->cid, (unsigned long long)b->m.n, (unsigned long long)b->m.len);
    b->m.n--;
    b->m.len -= len;
    return 0;
}

/* ---- flush ---- */

static int lens_write(struct postings_batch *b, struct err *e)
{
    unsigned char payload[2 * DL_BLOCK], key[4];
    size_t i = 0;

    while (i < b->n_lens) {
        uint32_t block = b->lens[i].cid >> DL_BITS;
        const void *old;
        size_t n = 0;
        int rc;

        be32(key, block);
        memset(payload, 0, sizeof payload);
        rc = txn_get(b->t, T_DL, key, sizeof key, &old, &n, e);
        if (rc && rc != ERR_NOTFOUND)
            return err_wrap(e, "lengths");
        err_clear(e);
        if (!rc)
            memcpy(payload, old, n < sizeof payload ? n : sizeof payload);
        for (; i < b->n_lens && b->lens[i].cid >> DL_BITS == block; i++) {
            uint32_t at = b->lens[i].cid & (DL_BLOCK - 1);
            payload[2 * at] = (unsigned char)b->lens[i].len;
            payload[2 * at + 1] = (unsigned char)(b->lens[i].len >> 8);
            n = 2 * (size_t)at + 2;
        }
        rc = txn_put(b->t, T_DL, key, sizeof key, payload, n, e);
        if (rc)
            return err_wrap(e, "lengths");
    }
    return 0;
}

struct ordered {
    uint64_t head; /* the first eight bytes, so that most comparisons stay here */
    struct batch_term *t;
};

static uint64_t head_of(const struct batch_term *t)
{
    uint64_t head = 0;

    for (uint32_t i = 0; i < 8; i++)
        head = head << 8 | (i < t->n ? t->bytes[i] : 0);
    return head;
}

static int by_bytes(const void *x, const void *y)
{
    const struct ordered *a = x, *b = y;

    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return term_order(a->t->bytes, a->t->n, b->t->bytes, b->t->n);
}

/* Postings grouped by term (a counting sort, so ids stay in their order) and written in term order. */
static int segment_write(struct postings_batch *b, struct segment *out, struct err *e)
{
    struct ordered *order = mem_take(b->n_terms, sizeof *order);
    uint32_t *sorted = mem_take(b->n_post + 1, sizeof *sorted), from = 0;
    struct seg_writer *w = NULL;
    int rc = 0;

    if (!order || !sorted) {
        rc = err_set(e, ERR_NOMEM, "postings: flush of %zu postings", b->n_post);
        goto out;
    }
    for (uint32_t i = 0; i < b->n_terms; i++) {
        order[i] = (struct ordered){ head_of(&b->terms[i]), &b->terms[i] };
        b->terms[i].at = from; /* where its postings begin */
        from += b->terms[i].postings;
    }
    for (size_t i = 0; i < b->n_post; i++)
        sorted[b->terms[b->post[i].term].at++] = (uint32_t)i;
    qsort(order, b->n_terms, sizeof *order, by_bytes);
    rc = seg_writer_open(&w, b->t, b->m.next_seg++, e);
    for (uint32_t i = 0; !rc && i < b->n_terms; i++) {
        const struct batch_term *bt = order[i].t;

        rc = seg_writer_term(w, bt->bytes, bt->n, e);
        for (uint32_t k = bt->at - bt->postings; !rc && k < bt->at; k++)
            rc = seg_writer_posting(w, b->post[sorted[k]].cid, b->post[sorted[k]].tf, e);
        if (!rc)
            rc = seg_writer_end(w, bt->removed, e);
    }
    if (!rc) {
        rc = seg_writer_close(w, out, e);
        w = NULL;
    }
out:
    seg_writer_drop(w);
    mem_give(sorted);
    mem_give(order);
    return rc;
}

int postings_flush(struct postings_batch *b, struct err *e)
{
    struct segment seg, *s;
    int rc = lens_write(b, e);

    if (!rc && b->n_terms) {
        rc = segment_write(b, &seg, e);
        if (!rc && (seg.postings || seg.removed)) {
            s = manifest_room(&b->m);
            if (s)
                *s = seg;
            else
                rc = err_set(e, ERR_NOMEM, "postings: %u segments", b->m.n_seg);
        }
        if (!rc)
            rc = segments_tidy(b->t, &b->m, e);
    }
    if (!rc)
        rc = manifest_save(b->t, &b->m, e);
    postings_drop(b);
    return rc;
}
