/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The thread has salvage() to itself; the loop hears of its end through a descriptor. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "content/repair.h"

struct repair {
    struct store_params params;
    void (*done)(int rc, const struct salvage_report *report, const char *error, void *arg);
    void *arg;
    int event_fd;
    flux_watcher_t *watcher;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    /* The thread's, until it has ended. */
    int rc;
    struct salvage_report report;
    flux_error_t error;
};

static void *thread_main(void *arg)
{
    struct repair *rp = arg;

    rp->rc = salvage(&rp->params, &rp->stop, &rp->report, &rp->error);
    (void)eventfd_write(rp->event_fd, 1);
    return NULL;
}

static void on_event(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct repair *rp = arg;

    flux_watcher_stop(w);
    (void)pthread_join(rp->thread, NULL);
    rp->running = false;
    rp->done(rp->rc, &rp->report, rp->error.text, rp->arg);
}

static int start(struct repair *rp)
{
    sigset_t all, old;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&rp->thread, NULL, thread_main, rp);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    rp->running = rc == 0;
    return -rc;
}

int repair_new(flux_reactor_t *r, const struct store_params *params,
               void (*done)(int rc, const struct salvage_report *report, const char *error,
                            void *arg),
               void *arg, struct repair **ret)
{
    struct repair *rp = calloc(1, sizeof(*rp));
    int rc;

    if (!rp)
        return -ENOMEM;
    rp->params = *params;
    rp->done = done;
    rp->arg = arg;
    rp->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rp->watcher = flux_fd_watcher_create(r, rp->event_fd, FLUX_POLLIN, on_event, rp);
    rc = rp->event_fd < 0 || !rp->watcher ? -ENOMEM : start(rp);
    if (rc < 0) {
        repair_free(rp);
        return rc;
    }
    flux_watcher_start(rp->watcher);
    *ret = rp;
    return 0;
}

struct repair *repair_free(struct repair *rp)
{
    if (rp) {
        atomic_store(&rp->stop, true);
        if (rp->running)
            (void)pthread_join(rp->thread, NULL);
        flux_watcher_destroy(rp->watcher);
        closep(&rp->event_fd);
        free(rp);
    }
    return NULL;
}
