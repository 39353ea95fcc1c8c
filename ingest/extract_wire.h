/* extract_wire.h - what docent-extract writes to its pipe: frames {u8 type, u32 length, payload},
 * little-endian. The reader takes them for hostile: a parser that was taken over writes what it
 * likes. Inside ingest only. */
#ifndef DOCENT_INGEST_EXTRACT_WIRE_H
#define DOCENT_INGEST_EXTRACT_WIRE_H

#include "base/buf.h"
#include "base/mem.h"
#include "ingest/ingest.h"

enum frame_type {
    FRAME_PAGE = 'P',
    FRAME_TITLE = 'T',
    FRAME_LANG = 'L',
    FRAME_HIDDEN = 'H', /* u64 spans, u64 characters; they add up */
    FRAME_BAD_PAGE = 'B',
    FRAME_STATUS = 'S', /* u8 status, text */
    FRAME_PNG = 'G',
    FRAME_END = 'E', /* u64 peak bytes; nothing follows */
};
#define FRAME_HEAD 5

/* Exit codes of the child that mean something to the parent. */
#define CHILD_OK 0
#define CHILD_NOMEM 20

int wire_put_page(struct buf *b, const struct page *p); /* the payload; 0 or an error code */
/* Arrays and text in a. ERR_FORMAT says what is wrong with the payload: sizes against what is there
 * and against limits.h, UTF-8, spans inside the text, starts ascending. Box corners are put into
 * 0..1 and in order. */
int wire_get_page(const void *payload, size_t n, struct arena *a, struct page *p, struct err *e);

#endif
