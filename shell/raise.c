/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Exceptions that the shell raises on its job: one of severity 0 is enough, so the first one counts
 * and further ones are dropped; the leader raises those of all shells. It is repeated while the job
 * manager is away: a task that hangs because another one failed must not hang for ever because of a
 * restart. */
#include <errno.h>
#include <string.h>

#include "peers.h"

#define RETRY 0.5 /* seconds */

struct raise {
    struct shell *shell;
    flux_future_t *f;
    flux_watcher_t *retry;
    char note[512];
};

static void try_again(struct raise *r)
{
    flux_timer_watcher_reset(r->retry, RETRY, 0.);
    flux_watcher_start(r->retry);
}

static void on_raised(flux_future_t *f, void *arg)
{
    struct raise *r = arg;

    r->f = NULL;
    if (flux_future_get(f, NULL) < 0 &&
        (errno == ECONNRESET || errno == ENOSYS || errno == EAGAIN || errno == EHOSTUNREACH))
        try_again(r);
    flux_future_destroy(f); /* any other refusal: the job has ended */
}

static void raise_send(struct raise *r)
{
    r->f = flux_job_raise(r->shell->h, r->shell->id, "exec", 0, r->note);
    if (r->f && flux_future_then(r->f, -1., on_raised, r) == 0)
        return;
    flux_future_destroy(r->f);
    r->f = NULL;
    try_again(r);
}

static void on_retry(flux_reactor_t *reactor, flux_watcher_t *w, int revents, void *arg)
{
    raise_send(arg);
}

void shell_raise(struct shell *shell, const char *note)
{
    struct raise *r;

    if (shell->raise || shell->finishing || peers_tell_raise(shell, note))
        return;
    r = shell->raise = calloc(1, sizeof(*r));
    if (!r)
        return;
    r->shell = shell;
    (void)snprintf(r->note, sizeof(r->note), "%s", note);
    r->retry = flux_timer_watcher_create(shell->reactor, RETRY, 0., on_retry, r);
    if (r->retry)
        raise_send(r);
}

struct raise *raise_free(struct raise *r)
{
    if (r) {
        flux_watcher_destroy(r->retry);
        flux_future_destroy(r->f);
        free(r);
    }
    return NULL;
}
