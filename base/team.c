/* team.c - a fixed team of threads (see team.h).
 * Who may touch what: mu guards round, open, n_tasks, busy, stop; next is taken with an atomic add.
 * A round does not wait for members that have not woken: on a busy machine a wake-up takes milliseconds, and a decoded
 * token has some 150 rounds. Who comes after the caller has closed the round finds it closed.
 * A member spins SPINS times for the next round before it sleeps: rounds inside one forward pass
 * follow each other within microseconds, and a futex sleep and wake costs some 50 us. */
#include "base/team.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/mem.h"

#define SPINS 2000

struct team {
    int size;
    int started; /* threads that must be joined */
    pthread_t *threads; /* [size - 1] */
    pthread_mutex_t mu;
    pthread_cond_t wake;
    pthread_cond_t done;
    atomic_ulong round; /* counts team_run calls */
    int open; /* the round still takes members */
    atomic_int busy; /* members inside it */
    int stop;
    void (*fn)(void *arg, size_t task, int worker);
    void *arg;
    size_t n_tasks;
    atomic_size_t next;
};

struct member {
    struct team *team;
    int worker;
};

static void take_tasks(struct team *t, int worker)
{
    for (;;) {
        size_t task = atomic_fetch_add(&t->next, 1);
        if (task >= t->n_tasks)
            return;
        t->fn(t->arg, task, worker);
    }
}

static void *member_main(void *arg)
{
    struct member m = *(struct member *)arg;
    struct team *t = m.team;
    unsigned long seen = 0;

    mem_give(arg);
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&t->round) == seen; i++)
            __builtin_ia32_pause();
        pthread_mutex_lock(&t->mu);
        while (atomic_load(&t->round) == seen && !t->stop)
            pthread_cond_wait(&t->wake, &t->mu);
        if (t->stop) {
            pthread_mutex_unlock(&t->mu);
            return NULL;
        }
        seen = atomic_load(&t->round);
        if (!t->open) {
            pthread_mutex_unlock(&t->mu);
            continue;
        }
        atomic_fetch_add(&t->busy, 1);
        pthread_mutex_unlock(&t->mu);
        take_tasks(t, m.worker);
        pthread_mutex_lock(&t->mu);
        if (atomic_fetch_sub(&t->busy, 1) == 1)
            pthread_cond_signal(&t->done);
        pthread_mutex_unlock(&t->mu);
    }
}

int team_cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}

int team_open(struct team **out, int n_threads, struct err *e)
{
    struct team *t;
    sigset_t all;
    sigset_t old;

    *out = NULL;
    if (n_threads < 0 || n_threads > 1024)
        return err_set(e, ERR_INVALID, "%d threads", n_threads);
    if (n_threads == 0)
        n_threads = team_cores();
    t = mem_take(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "thread team");
    t->size = n_threads;
    pthread_mutex_init(&t->mu, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_cond_init(&t->done, NULL);
    t->threads = mem_take((size_t)n_threads, sizeof *t->threads);
    if (!t->threads) {
        team_close(t);
        return err_set(e, ERR_NOMEM, "thread team");
    }
    sigfillset(&all); /* signals go to the threads that wait for them, never to a worker */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 1; i < n_threads; i++) {
        struct member *m = mem_take(1, sizeof *m);
        int why = EAGAIN;
        if (m) {
            m->team = t;
            m->worker = i;
            why = pthread_create(&t->threads[t->started], NULL, member_main, m);
        }
        if (why) {
            mem_give(m);
            pthread_sigmask(SIG_SETMASK, &old, NULL);
            team_close(t);
            return err_set(e, ERR_NOMEM, "thread %d of %d", i + 1, n_threads);
        }
        t->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *out = t;
    return 0;
}

void team_close(struct team *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->mu);
    t->stop = 1;
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mu);
    for (int i = 0; i < t->started; i++)
        pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->done);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mu);
    mem_give(t->threads);
    mem_give(t);
}

int team_size(const struct team *t)
{
    return t ? t->size : 1;
}

void team_run(struct team *t, void (*fn)(void *arg, size_t task, int worker), void *arg,
              size_t n_tasks)
{
    if (!t || t->size == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++)
            fn(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&t->mu);
    t->fn = fn;
    t->arg = arg;
    t->n_tasks = n_tasks;
    atomic_store(&t->next, 0);
    t->open = 1;
    atomic_fetch_add(&t->round, 1);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mu);
    take_tasks(t, 0);
    for (int i = 0; i < SPINS && atomic_load(&t->busy) > 0; i++)
        __builtin_ia32_pause();
    pthread_mutex_lock(&t->mu);
    t->open = 0;
    while (atomic_load(&t->busy) > 0)
        pthread_cond_wait(&t->done, &t->mu);
    pthread_mutex_unlock(&t->mu);
}
