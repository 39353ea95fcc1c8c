/* queue.h - a bounded queue of pointers between the stages of a pipeline.
 * Its bound is what keeps memory bounded: a fast stage waits for a slow one. Any number of threads on
 * both ends. */
#ifndef DOCENT_BASE_QUEUE_H
#define DOCENT_BASE_QUEUE_H

#include <stddef.h>

#include "base/err.h"

struct queue;

int queue_open(struct queue **out, size_t bound, struct err *e);
void queue_close(struct queue *q); /* nobody may be waiting in it; items left are the caller's loss */
/* Waits while the queue is full. 0, or ERR_CANCELLED after queue_end()/queue_stop(). */
int queue_put(struct queue *q, void *item);
/* Waits for an item. NULL once the queue was ended and is empty, or was stopped. */
void *queue_get(struct queue *q);
/* As queue_get, but NULL at once when nothing is there. */
void *queue_poll(struct queue *q);
void queue_end(struct queue *q); /* no more puts; what is in it can still be got */
/* No more puts; gets return NULL. What is left comes out of queue_drain() only. */
void queue_stop(struct queue *q);
void *queue_drain(struct queue *q); /* an item or NULL, never waits, works after queue_stop() */
size_t queue_len(struct queue *q);

#endif
