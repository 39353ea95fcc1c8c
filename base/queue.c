/* queue.c - see queue.h. One mutex; nothing is called with it held. */
#include "base/queue.h"

#include <pthread.h>

#include "base/mem.h"

struct queue {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    size_t bound;
    size_t first;
    size_t len;
    int ended;
    int stopped;
    void **items; /* [bound], a ring */
};

int queue_open(struct queue **out, size_t bound, struct err *e)
{
    struct queue *q = mem_take(1, sizeof *q);

    *out = NULL;
    if (q)
        q->items = mem_take(bound, sizeof *q->items);
    if (!q || !q->items || bound == 0) {
        if (q)
            mem_give(q->items);
        mem_give(q);
        return err_set(e, ERR_NOMEM, "queue of %zu", bound);
    }
    q->bound = bound;
    pthread_mutex_init(&q->mu, NULL);
    pthread_cond_init(&q->changed, NULL);
    *out = q;
    return 0;
}

void queue_close(struct queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->mu);
    mem_give(q->items);
    mem_give(q);
}

int queue_put(struct queue *q, void *item)
{
    int rc = 0;

    pthread_mutex_lock(&q->mu);
    while (q->len == q->bound && !q->ended)
        pthread_cond_wait(&q->changed, &q->mu);
    if (q->ended) {
        rc = ERR_CANCELLED;
    } else {
        q->items[(q->first + q->len) % q->bound] = item;
        q->len++;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->mu);
    return rc;
}

static void *first_of(struct queue *q)
{
    void *item = q->items[q->first];

    q->first = (q->first + 1) % q->bound;
    q->len--;
    pthread_cond_broadcast(&q->changed);
    return item;
}

void *queue_get(struct queue *q)
{
    void *item = NULL;

    pthread_mutex_lock(&q->mu);
    while (q->len == 0 && !q->ended)
        pthread_cond_wait(&q->changed, &q->mu);
    if (q->len && !q->stopped)
        item = first_of(q);
    pthread_mutex_unlock(&q->mu);
    return item;
}

void *queue_poll(struct queue *q)
{
    void *item = NULL;

    pthread_mutex_lock(&q->mu);
    if (q->len && !q->stopped)
        item = first_of(q);
    pthread_mutex_unlock(&q->mu);
    return item;
}

void queue_end(struct queue *q)
{
    pthread_mutex_lock(&q->mu);
    q->ended = 1;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mu);
}

void queue_stop(struct queue *q)
{
    pthread_mutex_lock(&q->mu);
    q->ended = 1;
    q->stopped = 1;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mu);
}

void *queue_drain(struct queue *q)
{
    void *item = NULL;

    pthread_mutex_lock(&q->mu);
    if (q->len)
        item = first_of(q);
    pthread_mutex_unlock(&q->mu);
    return item;
}

size_t queue_len(struct queue *q)
{
    size_t n;

    pthread_mutex_lock(&q->mu);
    n = q->len;
    pthread_mutex_unlock(&q->mu);
    return n;
}
