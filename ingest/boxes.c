/* boxes.c - word boxes as bytes: about 2.5 a word, where the plain array has 24.
 * What a reader of a page expects costs nothing: the next word begins one space on in the text and one
 * word gap on in the line, stands as high as the word before it, and is as wide as its length says.
 * So a word is one byte (4 bits length, 4 bits gap) and one byte of width, and a new line about
 * five more. All positions are in 1/4096 of the page.
 *   u8 version | varint words | codes [words] | varint bytes of widths | widths | rest
 * code: high half the length in bytes, 15: in rest; low half how the word's place differs:
 *   0..12  zigzag of the gap's difference from the last gap, same line, same text gap
 *   13     same line: text gap, x gap in rest
 *   14     new place: text gap, x0, y0, height in rest, all but x0 as differences */
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "ingest/ingest.h"

#define VERSION 1
#define GRID 4096
#define LEN_REST 15
#define GAP_MOST 12
#define GAP_REST 13
#define GAP_PLACE 14

/* What both sides know after a word. Differences go through here, so that pack and unpack agree. */
struct state {
    int64_t end; /* of the last word in the text */
    int64_t text_gap; /* between the last two words of a line */
    int64_t x0, x1, y0, height;
    int64_t gap; /* between the last two words of a line */
    int64_t per_byte; /* width of a byte of text, in 1/16 grid steps; a running mean */
};

static const struct state START = {0, 1, 0, 0, 0, 50, 16, 16 * 22};

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static int64_t grid(float v)
{
    if (!(v > 0)) /* NaN too */
        return 0;
    return v >= 1 ? GRID : (int64_t)(v * GRID + 0.5f);
}

static int64_t width_guess(const struct state *s, int64_t len)
{
    return (s->per_byte * len + 8) / 16;
}

static void width_learn(struct state *s, int64_t len, int64_t width)
{
    if (len > 0)
        s->per_byte += (width * 16 / len - s->per_byte) / 8;
}

/* ---- pack ---- */

static void pack_word(struct state *s, const struct word_box *w, unsigned char *code,
                      struct buf *widths, struct buf *rest)
{
    int64_t x0 = grid(w->x0), x1 = grid(w->x1), y0 = grid(w->y0), y1 = grid(w->y1);
    int64_t len = (int64_t)w->end - w->start, text_gap = (int64_t)w->start - s->end;
    int64_t gap = x0 - s->x1;
    int high = len < LEN_REST ? (int)len : LEN_REST, low;

    if (x1 < x0)
        x1 = x0;
    if (y1 < y0)
        y1 = y0;
    if (high == LEN_REST)
        buf_varint(rest, (uint64_t)len);
    if (y0 != s->y0 || y1 - y0 != s->height) {
        low = GAP_PLACE;
        buf_varint(rest, zigzag(text_gap - 1));
        buf_varint(rest, (uint64_t)x0);
        buf_varint(rest, zigzag(y0 - s->y0));
        buf_varint(rest, zigzag(y1 - y0 - s->height));
        s->y0 = y0;
        s->height = y1 - y0;
    } else {
        uint64_t diff = zigzag(gap - s->gap);
        if (text_gap == s->text_gap && diff <= GAP_MOST) {
            low = (int)diff;
        } else {
            low = GAP_REST;
            buf_varint(rest, zigzag(text_gap - s->text_gap));
            buf_varint(rest, zigzag(gap - s->gap));
        }
        s->text_gap = text_gap;
        s->gap = gap;
    }
    buf_varint(widths, zigzag(x1 - x0 - width_guess(s, len)));
    width_learn(s, len, x1 - x0);
    s->end = w->end;
    s->x0 = x0;
    s->x1 = x1;
    *code = (unsigned char)(high << 4 | low);
}

int boxes_pack(const struct word_box *boxes, uint32_t n, struct arena *a, unsigned char **bytes,
               size_t *n_bytes, struct err *e)
{
    struct state s = START;
    struct buf widths, rest, all;
    unsigned char *codes = NULL;
    int rc = 0;

    *bytes = NULL;
    *n_bytes = 0;
    if (n > LIM_PAGE_WORDS)
        return err_set(e, ERR_LIMIT, "%u words on a page, at most %d", n, LIM_PAGE_WORDS);
    for (uint32_t i = 0; i < n; i++)
        if (boxes[i].end < boxes[i].start || boxes[i].end > LIM_PAGE_TEXT ||
            (i && boxes[i].start < boxes[i - 1].start))
            return err_set(e, ERR_INVALID, "word box %u of %u is out of order", i, n);
    buf_init(&widths, 64 * MIB);
    buf_init(&rest, 64 * MIB);
    buf_init(&all, 128 * MIB);
    codes = mem_take(n, 1);
    if (!codes) {
        rc = err_set(e, ERR_NOMEM, "no memory for %u word boxes", n);
        goto out;
    }
    for (uint32_t i = 0; i < n; i++)
        pack_word(&s, &boxes[i], &codes[i], &widths, &rest);
    buf_u8(&all, VERSION);
    buf_varint(&all, n);
    buf_add(&all, codes, n);
    buf_varint(&all, widths.len);
    buf_add(&all, widths.data, widths.len);
    buf_add(&all, rest.data, rest.len);
    *bytes = arena_take(a, all.len, 1);
    if (widths.failed || rest.failed || all.failed || !*bytes) {
        rc = err_set(e, ERR_NOMEM, "no memory for %u word boxes", n);
        goto out;
    }
    memcpy(*bytes, all.data, all.len);
    *n_bytes = all.len;
out:
    mem_give(codes);
    buf_free(&widths);
    buf_free(&rest);
    buf_free(&all);
    return rc;
}

/* ---- unpack ---- */

/* The values of stored boxes are checked after every step: the bytes may be damaged. */
static int64_t within(int64_t v, int64_t least, int64_t most, int *bad)
{
    if (v < least || v > most) {
        *bad = 1;
        return least;
    }
    return v;
}

/* A varint as a difference; large ones are damage, and kept from overflowing what they are added to. */
static int64_t rd_diff(struct rd *r, int *bad)
{
    return within(unzigzag(rd_varint(r)), -(int64_t)(64 * MIB), 64 * MIB, bad);
}

static void unpack_word(struct state *s, unsigned char code, struct rd *widths, struct rd *rest,
                        struct word_box *w, int *bad)
{
    int64_t len = code >> 4, low = code & 15, start, text_gap = s->text_gap, width;

    if (len == LEN_REST)
        len = (int64_t)rd_varint(rest);
    len = within(len, 0, LIM_PAGE_TEXT, bad);
    if (low == GAP_PLACE) {
        text_gap = rd_diff(rest, bad) + 1;
        s->x0 = within((int64_t)rd_varint(rest), 0, GRID, bad);
        s->y0 = within(s->y0 + rd_diff(rest, bad), 0, GRID, bad);
        s->height = within(s->height + rd_diff(rest, bad), 0, GRID, bad);
    } else {
        int64_t gap;
        if (low == GAP_REST) {
            text_gap = s->text_gap + rd_diff(rest, bad);
            gap = s->gap + rd_diff(rest, bad);
        } else {
            gap = s->gap + unzigzag((uint64_t)low);
            if (low > GAP_MOST)
                *bad = 1;
        }
        s->text_gap = within(text_gap, -(int64_t)LIM_PAGE_TEXT, LIM_PAGE_TEXT, bad);
        s->gap = within(gap, -GRID, GRID, bad);
        s->x0 = within(s->x1 + s->gap, 0, GRID, bad);
    }
    width = width_guess(s, len) + rd_diff(widths, bad);
    s->x1 = within(s->x0 + width, s->x0, GRID, bad);
    width_learn(s, len, s->x1 - s->x0);
    start = within(s->end + text_gap, 0, LIM_PAGE_TEXT, bad);
    s->end = within(start + len, start, LIM_PAGE_TEXT, bad);
    w->start = (uint32_t)start;
    w->end = (uint32_t)s->end;
    w->x0 = (float)s->x0 / GRID;
    w->x1 = (float)s->x1 / GRID;
    w->y0 = (float)s->y0 / GRID;
    w->y1 = (float)within(s->y0 + s->height, 0, GRID, bad) / GRID;
}

int boxes_unpack(const unsigned char *bytes, size_t n_bytes, struct arena *a,
                 struct word_box **boxes, uint32_t *n, struct err *e)
{
    struct rd r = rd_of(bytes, n_bytes), widths;
    struct state s = START;
    const unsigned char *codes, *w;
    struct word_box *out;
    uint64_t words, n_widths;
    uint8_t version = rd_u8(&r);
    int bad = 0;

    *boxes = NULL;
    *n = 0;
    if (version != VERSION)
        return err_set(e, ERR_VERSION, "word boxes of version %u", version);
    words = rd_varint(&r);
    if (words > LIM_PAGE_WORDS || words > r.left)
        return err_set(e, ERR_CORRUPT, "word boxes are damaged: a count that does not fit");
    codes = rd_bytes(&r, words);
    n_widths = rd_varint(&r);
    w = rd_bytes(&r, n_widths);
    if (r.failed)
        return err_set(e, ERR_CORRUPT, "word boxes are damaged: they end early");
    widths = rd_of(w, n_widths);
    out = arena_take(a, words, sizeof *out);
    if (!out)
        return err_set(e, ERR_NOMEM, "no memory for %llu word boxes", (unsigned long long)words);
    for (uint64_t i = 0; i < words; i++) {
        unpack_word(&s, codes[i], &widths, &r, &out[i], &bad);
        if (bad || r.failed || widths.failed || (i && out[i].start < out[i - 1].start))
            return err_set(e, ERR_CORRUPT, "word boxes are damaged at word %llu of %llu",
                           (unsigned long long)i, (unsigned long long)words);
    }
    if (r.left || widths.left)
        return err_set(e, ERR_CORRUPT, "word boxes are damaged: bytes are left over");
    *boxes = out;
    *n = (uint32_t)words;
    return 0;
}
