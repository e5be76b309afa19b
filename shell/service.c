/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The service UID-shell-ID: .kill for the tasks of this shell, of all shells at the leader; at the
 * leader .stdin, and what other shells tell (leader.h). For the job's user and the instance owner.
 * Registration is sent along and not waited for: the events that announce the shell travel behind
 * it. libflux repeats it after a restart of the router, if it had been answered; one that was lost
 * on the way is repeated here, or nobody would find the job. Input that the tasks have no room for
 * stays unanswered until they have, in order, up to a limit. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/errorx.h"
#include "base/list.h"
#include "input.h"
#include "peers.h"
#include "plugins.h"

#define WAITING_MAX   64  /* requests */
#define RETRY_SECONDS 0.1 /* between registrations that are lost */

struct waiting {
    TAILQ_ENTRY(waiting) link;
    const flux_msg_t *msg;
};

struct shell_service {
    struct shell *shell;
    char name[48];
    flux_future_t *f; /* registration */
    flux_watcher_t *retry;
    flux_msg_handler_t *mh[2];
    TAILQ_HEAD(, waiting) waiting;
    int nwaiting;
};

static void answer(struct shell_service *sv, const flux_msg_t *msg, int rc)
{
    if (flux_msg_is_noresponse(msg))
        return;
    if (rc < 0)
        (void)flux_respond_error(sv->shell->h, msg, -rc,
                                 rc == -EPIPE ? "the job does not read from users" : NULL);
    else
        (void)flux_respond(sv->shell->h, msg, NULL);
}

/* -EAGAIN: try again later. */
static int take_input(struct shell_service *sv, const flux_msg_t *msg)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct iodata io;
    const char *text;
    int rc;

    if (flux_request_decode(msg, NULL, &text) < 0 || !text || !(o = json_loads(text, 0, NULL)))
        return -EPROTO;
    rc = iodata_decode(o, &io);
    if (rc < 0)
        return rc;
    rc = input_write(sv->shell->input, &io);
    iodata_deinit(&io);
    return rc;
}

static void on_room(void *arg)
{
    struct shell_service *sv = arg;
    struct waiting *wait;

    while ((wait = TAILQ_FIRST(&sv->waiting))) {
        const int rc = take_input(sv, wait->msg);

        if (rc == -EAGAIN)
            return;
        answer(sv, wait->msg, rc);
        TAILQ_REMOVE(&sv->waiting, wait, link);
        sv->nwaiting--;
        flux_msg_decref(wait->msg);
        free(wait);
    }
}

static int keep(struct shell_service *sv, const flux_msg_t *msg)
{
    struct waiting *wait = sv->nwaiting < WAITING_MAX ? calloc(1, sizeof(*wait)) : NULL;

    if (!wait)
        return -EAGAIN;
    wait->msg = flux_msg_incref(msg);
    TAILQ_INSERT_TAIL(&sv->waiting, wait, link);
    sv->nwaiting++;
    return 0;
}

static void on_stdin(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct shell_service *sv = arg;
    int rc;

    if (flux_msg_authorize(msg, sv->shell->info.userid) < 0) {
        answer(sv, msg, -EPERM);
        return;
    }
    rc = sv->nwaiting > 0 ? -EAGAIN : take_input(sv, msg);
    if (rc == -EAGAIN && keep(sv, msg) == 0)
        return;
    answer(sv, msg, rc);
}

static void on_kill(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct shell_service *sv = arg;
    int signum, rc = 0;

    if (flux_msg_authorize(msg, sv->shell->info.userid) < 0)
        rc = -EPERM;
    else if (flux_request_unpack(msg, NULL, "{s:i}", "signum", &signum) < 0)
        rc = -EPROTO;
    else if (signum < 1 || signum >= NSIG)
        rc = -EINVAL;
    else
        tasks_signal(sv->shell, signum);
    if (rc == 0)
        peers_signal(sv->shell, signum);
    answer(sv, msg, rc);
}

static int add_handler(struct shell_service *sv, int i, const char *method, flux_msg_handler_f cb)
{
    char topic[64];
    struct flux_match match = FLUX_MATCH_REQUEST;

    (void)snprintf(topic, sizeof(topic), "%s.%s", sv->name, method);
    match.topic_glob = topic;
    sv->mh[i] = flux_msg_handler_create(sv->shell->h, match, cb, sv);
    if (!sv->mh[i])
        return -errno;
    flux_msg_handler_allow_rolemask(sv->mh[i], FLUX_ROLE_USER);
    flux_msg_handler_start(sv->mh[i]);
    return 0;
}

static void on_registered(flux_future_t *f, void *arg)
{
    struct shell_service *sv = arg;

    if (flux_rpc_get(f, NULL) == 0)
        return;
    if (errno == ECONNRESET || errno == EHOSTUNREACH || errno == EPIPE || errno == ECANCELED) {
        flux_timer_watcher_reset(sv->retry, RETRY_SECONDS, 0.);
        flux_watcher_start(sv->retry);
        return;
    }
    shell_log(sv->shell, LOG_WARNING, "the job cannot be attached to: %s",
              flux_future_error_string(f));
}

static void service_register(struct shell_service *sv)
{
    flux_future_destroy(sv->f);
    sv->f = flux_service_register(sv->shell->h, sv->name);
    if (!sv->f || flux_future_then(sv->f, -1., on_registered, sv) < 0)
        shell_log(sv->shell, LOG_WARNING, "the job cannot be attached to: %s", strerror(errno));
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    service_register(arg);
}

static int on_shell_init(struct shell *shell, flux_error_t *error)
{
    struct shell_service *sv;
    int rc = 0;

    sv = shell->service = calloc(1, sizeof(*sv));
    if (!sv)
        return errorx_fail(error, ENOMEM, "out of memory");
    sv->shell = shell;
    TAILQ_INIT(&sv->waiting);
    (void)snprintf(sv->name, sizeof(sv->name), "%u-shell-%" PRIu64, shell->info.userid,
                   shell->info.id);
    if (peers_is_leader(shell)) {
        input_set_on_room(shell->input, on_room, sv);
        rc = add_handler(sv, 0, "stdin", on_stdin);
    }
    if (rc < 0 || (rc = add_handler(sv, 1, "kill", on_kill)) < 0)
        return errorx_fail(error, -rc, "out of memory");
    sv->retry = flux_timer_watcher_create(shell->reactor, RETRY_SECONDS, 0., on_retry, sv);
    if (!sv->retry)
        return errorx_fail(error, ENOMEM, "out of memory");
    service_register(sv);
    return 0;
}

static void on_shell_exit(struct shell *shell)
{
    struct shell_service *sv = shell->service;
    struct waiting *wait;

    if (!sv)
        return;
    while ((wait = TAILQ_FIRST(&sv->waiting))) {
        TAILQ_REMOVE(&sv->waiting, wait, link);
        answer(sv, wait->msg, -EPIPE);
        flux_msg_decref(wait->msg);
        free(wait);
    }
    flux_msg_handler_destroy(sv->mh[1]);
    flux_msg_handler_destroy(sv->mh[0]);
    flux_watcher_destroy(sv->retry);
    flux_future_destroy(sv->f);
    free(sv);
    shell->service = NULL;
}

const struct shell_plugin plugin_service = {
    .name = "service",
    .shell_init = on_shell_init,
    .shell_exit = on_shell_exit,
};
