/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals to a command that is attached to a job; the rules are in the header. */
#include "interrupt.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "client.h"
#include "job-request.h"
#include "terminal.h"

static const int signums[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };

struct interrupt {
    flux_t *h;
    flux_jobid_t id; /* FLUX_JOBID_ANY: it is being submitted */
    int early;       /* a signal that came meanwhile */
    flux_watcher_t *watchers[ARRAY_SIZE(signums)];
    uint64_t last_usec; /* time of the last Ctrl-C, 0: none */
    bool owns;          /* the command began the job */
    bool running;
    bool canceled;
    flux_future_t *signaling, *canceling; /* the last ones, or NULL */
};

DEFINE_CLEANUP(struct interrupt *, interrupt_free)

struct interrupt *interrupt_free(struct interrupt *in)
{
    if (in) {
        for (size_t i = 0; i < ARRAY_SIZE(signums); i++)
            flux_watcher_destroy(in->watchers[i]);
        flux_future_destroy(in->signaling);
        flux_future_destroy(in->canceling);
        free(in);
    }
    return NULL;
}

void interrupt_set_running(struct interrupt *in)
{
    if (in)
        in->running = true;
}

static void on_answer(flux_future_t *f, void *arg)
{
    if (flux_future_get(f, NULL) < 0)
        complain_future(f, "cannot %s the job", (const char *)arg);
}

/* The job may end, and the command with it, before the answer comes. */
static void send(flux_future_t **ret, flux_future_t *f, const char *what)
{
    if (!f || flux_future_then(f, -1., on_answer, (void *)what) < 0)
        complain_future(f, "cannot %s the job", what);
    flux_future_destroy(*ret);
    *ret = f;
}

static void cancel(struct interrupt *in, const char *reason)
{
    in->canceled = true;
    complain("canceling job %s: %s", jobid_text(in->id), reason);
    send(&in->canceling, flux_job_cancel(in->h, in->id, reason), "cancel");
}

static void on_ctrl_c(struct interrupt *in)
{
    uint64_t now = monotime_usec();

    if (in->last_usec && now - in->last_usec < INTERRUPT_SECONDS * 1E6) {
        cancel(in, "interrupted by ctrl-C");
        return;
    }
    in->last_usec = now;
    if (in->running) {
        complain("interrupting job %s; press Ctrl-C again within %g s to cancel it",
                 jobid_text(in->id), INTERRUPT_SECONDS);
        send(&in->signaling, flux_job_kill(in->h, in->id, SIGINT), "signal");
    } else {
        complain("job %s does not run yet; press Ctrl-C again within %g s to cancel it",
                 jobid_text(in->id), INTERRUPT_SECONDS);
    }
}

static void on_early_signal(struct interrupt *in, int signum)
{
    if (in->early) {
        (void)complain("ended while the job was being submitted: it may or may not have been "
                       "accepted, see `flux jobs`");
        _exit(128 + signum);
    }
    in->early = signum;
    if (signum == SIGINT)
        complain("the job is being submitted; press Ctrl-C again to end this command at once");
}

static void handle(struct interrupt *in, int signum)
{
    if (in->canceled && signum == SIGPIPE)
        return;
    if (in->canceled) {
        terminal_restore();
        _exit(128 + signum);
    }
    if (signum != SIGINT && !in->owns) {
        terminal_restore();
        (void)complain("detached from job %s, which goes on", jobid_text(in->id));
        _exit(128 + signum);
    }
    if (signum == SIGINT)
        on_ctrl_c(in);
    else if (signum == SIGPIPE)
        cancel(in, "nobody reads its output");
    else
        cancel(in, signum == SIGTERM ? "the command that submitted it was terminated"
                                     : "the terminal was closed");
}

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct interrupt *in = arg;
    const int signum = flux_signal_watcher_get_signum(w);

    if (in->id == FLUX_JOBID_ANY)
        on_early_signal(in, signum);
    else
        handle(in, signum);
}

struct interrupt *interrupt_new(flux_t *h, flux_jobid_t id, bool owns)
{
    CLEANUP(interrupt_freep) struct interrupt *in = calloc(1, sizeof(*in));

    if (!in)
        return NULL;
    in->h = h;
    in->id = id;
    in->owns = owns;
    for (size_t i = 0; i < ARRAY_SIZE(signums); i++) {
        if (signums[i] == SIGPIPE && !owns)
            continue;
        in->watchers[i] =
            flux_signal_watcher_create(flux_get_reactor(h), signums[i], on_signal, in);
        if (!in->watchers[i])
            return NULL;
        flux_watcher_start(in->watchers[i]);
    }
    return TAKE(in);
}

static void on_submitted(flux_future_t *f, void *arg)
{
    flux_reactor_stop(flux_get_reactor(arg));
}

struct interrupt *interrupt_submit(flux_t *h, const struct job_request *req, flux_jobid_t *ret_id)
{
    CLEANUP(interrupt_freep) struct interrupt *in = interrupt_new(h, FLUX_JOBID_ANY, true);
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!in) {
        complain("out of memory");
        return NULL;
    }
    f = flux_job_submit(h, req->jobspec, req->urgency, req->flags);
    if (!f || flux_future_then(f, -1., on_submitted, h) < 0 ||
        flux_reactor_run(flux_get_reactor(h), 0) < 0 || flux_job_submit_get_id(f, ret_id) < 0) {
        complain_future(f, "cannot submit the job");
        return NULL;
    }
    in->id = *ret_id;
    if (in->early)
        handle(in, in->early);
    return TAKE(in);
}
