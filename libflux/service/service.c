/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A daemon from birth to end: wires the parts of the skeleton, connects to the router, runs the
 * loop.
 *
 * Refuses to start without FLUX_RUNDIR, without a socket to serve, or without its router. The end:
 * SIGTERM, SIGINT or a shutdown request stop accepting and reading; a daemon with on_stop has
 * STOP_SECONDS to finish; queued answers are flushed, connections and what was not answered are
 * left for the next process (handover.c); status 0. Loss of the router: status SERVICE_EXIT_ROUTER.
 *
 * While a daemon starts it may wait for answers, for START_SECONDS each: then it ends with
 * SERVICE_EXIT_ROUTER. Signals have their default effect until service_run(): there is nothing to
 * finish yet. The router asks nobody, but holds connections; it watches from the beginning. */
#include <signal.h>
#include <string.h>

#include "base/errorx.h"
#include "base/number.h"
#include "config.h"
#include "rpc/limit.h"
#include "service/handover.h"
#include "service/lastgood.h"
#include "service/log.h"
#include "service/refusal.h"
#include "service/state.h"

#define STOP_SECONDS  5.
#define HOLD_FIRST    1.  /* a start that waits for others asks for more time then, */
#define HOLD_SECONDS  15. /* and every so often */
#define START_SECONDS 20. /* for each answer that is waited for, $FLUX_START_TIMEOUT */

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

static void usage(const struct service_desc *desc)
{
    printf("Usage: flux-%s [OPTIONS]\n"
           "Flux daemon. It is started by its service unit or by flux-supervise, which pass its\n"
           "sockets and set FLUX_RUNDIR.\n\n"
           "  --help     show this text\n"
           "  --version  show the version\n%s",
           desc->name, desc->usage_extra ? desc->usage_extra : "");
}

/* Ends the process for --help and --version: they are answered before anything else exists. */
static int parse_options(const struct service_desc *desc, int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        usage(desc);
        exit(EXIT_SUCCESS);
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("flux-%s %s\n", desc->name, FLUX_VERSION);
        exit(EXIT_SUCCESS);
    }
    if (argc > 1 && !desc->usage_extra) {
        (void)fprintf(stderr, "flux-%s: unknown option %s (see --help)\n", desc->name, argv[1]);
        return -EINVAL;
    }
    return 0;
}

static int read_environment(struct service *svc)
{
    const char *rundir = getenv("FLUX_RUNDIR");
    const char *statedir = getenv("STATE_DIRECTORY");
    const char *instance = getenv("FLUX_INSTANCE");
    const char *limit = getenv("FLUX_START_TIMEOUT");

    if (rundir && *rundir && !instance) {
        const char *slash = strrchr(rundir, '/');

        instance = slash && slash[1] ? slash + 1 : rundir;
    }
    log_open(instance ? instance : "flux", svc->desc->name);
    if (!rundir || rundir[0] != '/') {
        log_err("FLUX_RUNDIR is not set to an absolute path: start flux-%s by its service unit",
                svc->desc->name);
        return -EINVAL;
    }
    svc->rundir = strdup(rundir);
    svc->instance = strdup(instance);
    if (!limit || number_parse_double(limit, &svc->start_limit) < 0 || svc->start_limit <= 0.)
        svc->start_limit = START_SECONDS;
    svc->statedir = statedir && *statedir ? strndup(statedir, strcspn(statedir, ":")) : NULL;
    return svc->rundir && svc->instance ? 0 : -ENOMEM;
}

/* --- the router */

static int on_router_lost(flux_t *h, void *arg)
{
    struct service *svc = arg;
    const char *fields[] = { "MESSAGE_ID=" LOG_ID_ROUTER_LOST, NULL };

    if (svc->router_leaves) {
        log_info("stopping: the instance was shut down");
        service_exit(svc, EXIT_SUCCESS);
        return 0;
    }
    if (!svc->stopping)
        log_fields(LOG_ERR, fields,
                   "lost the connection to flux-broker: exiting, to be started again");
    service_exit(svc, SERVICE_EXIT_ROUTER);
    return 0;
}

static void on_event(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct service *svc = arg;
    const char *topic;

    if (flux_msg_get_topic(msg, &topic) == 0 && strcmp(topic, SERVICE_GOODBYE) == 0)
        svc->router_leaves = svc->dismissed = true;
    else if (svc->desc->on_event)
        svc->desc->on_event(msg, svc->arg);
}

static int get_number_attr(flux_t *h, const char *name, uint32_t *ret)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc_pack(h, "attr.get", FLUX_NODEID_ANY, 0, "{s:s}", "name", name);
    const char *value;
    char *end;

    if (!f || flux_rpc_get_unpack(f, "{s:s}", "value", &value) < 0)
        return -errno;
    errno = 0;
    *ret = (uint32_t)strtoul(value, &end, 10);
    return errno || end == value || *end ? -EPROTO : 0;
}

static int get_config(struct service *svc)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_rpc(svc->h, "config.get", NULL, FLUX_NODEID_ANY, 0);
    flux_error_t error = { .text = "" };
    json_t *o = NULL;

    if (!f || flux_rpc_get_unpack(f, "o", &o) < 0)
        return -errno;
    o = json_deep_copy(o);
    return o ? service_set_config(svc, o, &error) : -ENOMEM;
}

static void on_stuck(const char *topic, void *arg)
{
    const struct service *svc = arg;

    log_err("%s was not answered in %g s: exiting, to be started again", topic, svc->start_limit);
    _exit(SERVICE_EXIT_ROUTER);
}

/* Who we are, for the router's list of services: nobody needs the answer. Before the configuration
 * is asked for, so that the router tells us when it changes after that. */
static int announce(struct service *svc)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    json_t *names = dispatch_services(svc->dispatch);

    if (!names)
        return -ENOMEM;
    f = flux_rpc_pack(svc->h, "service.announce", FLUX_NODEID_ANY, FLUX_RPC_NORESPONSE, "{s:o}",
                      "services", names);
    return f ? 0 : -errno;
}

static int connect_router(struct service *svc)
{
    CLEANUP(freep) char *uri = NULL;
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_error_t error = { .text = "" };
    int rc;

    if (asprintf(&uri, "local://%s/local", svc->rundir) < 0) {
        uri = NULL;
        return -ENOMEM;
    }
    svc->h = flux_open_ex(uri, 0, &error);
    if (!svc->h) {
        rc = -errno;
        log_err("cannot connect to flux-broker at %s: %s", uri,
                error.text[0] ? error.text : strerror(-rc));
        return rc;
    }
    if (flux_set_reactor(svc->h, svc->reactor) < 0)
        return -errno;
    handle_limit_waits(svc->h, svc->start_limit, on_stuck, svc);
    flux_comms_error_set(svc->h, on_router_lost, svc);
    if ((rc = get_number_attr(svc->h, "rank", &svc->rank)) < 0 ||
        (rc = get_number_attr(svc->h, "size", &svc->size)) < 0 || (rc = announce(svc)) < 0 ||
        (rc = get_config(svc)) < 0) {
        log_err("flux-broker did not tell rank, size and configuration: %s", strerror(-rc));
        return rc;
    }
    log_set_rank(svc->rank);
    /* Also what makes the handle notice that the router goes away. */
    svc->events = flux_msg_handler_create(svc->h, match, on_event, svc);
    if (!svc->events)
        return -errno;
    flux_msg_handler_start(svc->events);
    return 0;
}

/* --- new and free */

static void on_accept(int fd, void *arg)
{
    struct service *svc = arg;

    if (svc->desc->on_accept)
        svc->desc->on_accept(fd, svc->arg);
    else
        peers_add(svc->peers, fd);
}

static void on_refuse(int fd, void *arg)
{
    const struct service *svc = arg;
    char why[128];

    (void)snprintf(why, sizeof(why), "flux-%s has no descriptors left; try again", svc->desc->name);
    refusal_send(fd, EMFILE, why);
}

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct service *svc = arg;

    service_begin_stop(svc, flux_signal_watcher_get_signum(w) == SIGINT ? "SIGINT" : "SIGTERM");
}

static void on_deadline(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct service *svc = arg;

    log_notice("%zu requests were not finished in %.0f s; ending without them", request_count(svc),
               STOP_SECONDS);
    service_exit(svc, EXIT_SUCCESS);
}

static void watch_signals(struct service *svc)
{
    for (size_t i = 0; i < ARRAY_SIZE(svc->signals); i++)
        flux_watcher_start(svc->signals[i]);
}

/* By whoever started us: then it is not for us. */
static bool is_ignored(int signum)
{
    struct sigaction sa;

    return sigaction(signum, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

static int make_watchers(struct service *svc)
{
    static const int signums[] = { SIGTERM, SIGINT };

    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_SIZE(signums); i++) {
        if (signums[i] == SIGINT && is_ignored(SIGINT))
            continue;
        svc->signals[i] = flux_signal_watcher_create(svc->reactor, signums[i], on_signal, svc);
        if (!svc->signals[i])
            return -ENOMEM;
    }
    svc->deadline = flux_timer_watcher_create(svc->reactor, STOP_SECONDS, 0., on_deadline, svc);
    if (!svc->deadline)
        return -ENOMEM;
    if (svc->desc->standalone)
        watch_signals(svc);
    return 0;
}

/* In the order of the fields of struct service. */
static int build(struct service *svc)
{
    int rc;

    svc->reactor = flux_reactor_create(0);
    if (!svc->reactor)
        return -errno;
    if ((rc = notify_new(svc->reactor, &svc->notify)) < 0 ||
        (rc = quota_new(svc->owner, &quota_limits_owner, &quota_limits_guest, &svc->quota)) < 0 ||
        (rc = dispatch_new(svc->desc, &svc->dispatch)) < 0 ||
        (rc = conn_loop_new(svc->reactor, &svc->conns)) < 0 ||
        (rc = peers_new(svc, &svc->peers)) < 0)
        return rc;
    rc = listeners_new(svc->reactor, on_accept, svc, &svc->listeners);
    if (rc < 0 || listeners_count(svc->listeners) == 0) {
        log_err("no listening socket was passed (LISTEN_FDS): start flux-%s by its socket unit or "
                "by flux-supervise",
                svc->desc->name);
        return -EINVAL;
    }
    if (!svc->desc->standalone)
        listeners_refuse_with(svc->listeners, on_refuse);
    svc->config = json_object();
    if (!svc->config)
        return -ENOMEM;
    if (!svc->desc->standalone && (rc = connect_router(svc)) < 0)
        return rc;
    return make_watchers(svc);
}

int service_new(const struct service_desc *desc, int argc, char **argv, struct service **ret)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    int rc = parse_options(desc, argc, argv);

    if (rc < 0)
        return rc;
    svc = calloc(1, sizeof(*svc));
    if (!svc)
        return -ENOMEM;
    svc->desc = desc;
    svc->owner = geteuid();
    svc->size = 1;
    stats_init(&svc->stats);
    rc = read_environment(svc);
    if (rc == 0)
        rc = build(svc);
    if (rc < 0) {
        log_err("flux-%s cannot start: %s", desc->name, strerror(-rc));
        return rc;
    }
    *ret = TAKE(svc);
    return 0;
}

struct service *service_free(struct service *svc)
{
    if (!svc)
        return NULL;
    flux_watcher_destroy(svc->hold);
    flux_watcher_destroy(svc->deadline);
    for (size_t i = 0; i < ARRAY_SIZE(svc->signals); i++)
        flux_watcher_destroy(svc->signals[i]);
    flux_msg_handler_destroy(svc->events);
    flux_close(svc->h);
    json_decref(svc->config);
    listeners_free(svc->listeners);
    peers_free(svc->peers);
    conn_loop_free(svc->conns);
    dispatch_free(svc->dispatch);
    request_index_free(svc->requests);
    quota_free(svc->quota);
    notify_free(svc->notify);
    flux_reactor_destroy(svc->reactor);
    free(svc->instance);
    free(svc->statedir);
    free(svc->rundir);
    free(svc);
    return NULL;
}

/* --- run and end */

/* An end of which it is known what was done and what was not, and after which another process
 * follows. */
static bool is_planned(const struct service *svc)
{
    return !svc->dismissed && (svc->status == EXIT_SUCCESS || svc->status == SERVICE_EXIT_ROUTER);
}

static void on_hold(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    service_progress(arg);
}

int service_hold_ready(struct service *svc)
{
    svc->not_ready = true;
    svc->hold = flux_timer_watcher_create(svc->reactor, HOLD_FIRST, HOLD_SECONDS, on_hold, svc);
    if (!svc->hold)
        return -ENOMEM;
    flux_watcher_start(svc->hold);
    return 0;
}

void service_ready(struct service *svc)
{
    if (!svc->not_ready)
        return;
    svc->not_ready = false;
    flux_watcher_stop(svc->hold);
    if (svc->running)
        notify_ready(svc->notify);
}

void service_progress(struct service *svc)
{
    notify_extend(svc->notify);
}

void service_allow(struct service *svc, unsigned int seconds)
{
    notify_allow(svc->notify, seconds);
}

/* A daemon that wants to begin anew because another one went away may be the first to see that all
 * of them do: the router's goodbye is then waiting to be read. */
static bool goodbye_waits(struct service *svc)
{
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_msg_t *msg;

    if (svc->router_leaves || !svc->h)
        return svc->router_leaves;
    match.topic_glob = SERVICE_GOODBYE;
    msg = flux_recv(svc->h, match, FLUX_O_NONBLOCK);
    flux_msg_destroy(msg);
    return msg != NULL;
}

int service_run(struct service *svc, void *arg)
{
    int rc;

    svc->arg = arg;
    svc->running = true;
    watch_signals(svc);
    if (!svc->desc->standalone)
        handover_restore(svc);
    rc = listeners_start(svc->listeners);
    if (rc < 0) {
        log_err("cannot listen: %s", strerror(-rc));
        return EXIT_FAILURE;
    }
    if (!svc->not_ready)
        notify_ready(svc->notify);
    if (!notify_has_status(svc->notify))
        service_status(svc, "Serving requests");
    log_info("flux-%s %s ready as rank %u of instance %s", svc->desc->name, FLUX_VERSION, svc->rank,
             svc->instance);
    if (flux_reactor_run(svc->reactor, 0) < 0 && svc->status == 0 && !svc->router_leaves) {
        log_err("the event loop failed: %s", strerror(errno));
        svc->status = EXIT_FAILURE;
    }
    svc->running = false;
    if (svc->status == SERVICE_EXIT_ROUTER && goodbye_waits(svc)) {
        svc->dismissed = true;
        svc->status = EXIT_SUCCESS;
    }
    if (svc->desc->on_end)
        svc->desc->on_end(arg);
    if (svc->dismissed)
        lastgood_forget();
    if (!svc->desc->standalone && is_planned(svc))
        handover_save(svc);
    return svc->status;
}

void service_exit(struct service *svc, int status)
{
    svc->status = status;
    flux_reactor_stop(svc->reactor);
}

void service_begin_stop(struct service *svc, const char *why)
{
    if (svc->stopping)
        return;
    svc->stopping = true;
    log_info("stopping: %s", why);
    notify_stopping(svc->notify);
    listeners_stop(svc->listeners);
    peers_stop_reading(svc->peers);
    if (!svc->running || !svc->desc->on_stop) {
        service_exit(svc, EXIT_SUCCESS);
        return;
    }
    flux_timer_watcher_reset(svc->deadline, STOP_SECONDS, 0.);
    flux_watcher_start(svc->deadline);
    if (svc->desc->on_stop(svc->arg) < 0)
        service_exit(svc, EXIT_FAILURE);
}

/* --- what it knows */

void service_refuse(struct service *svc, int errnum, const char *why)
{
    svc->refuse_errnum = errnum;
    errorx_set(&svc->refuse_why, "%s", why);
}

bool service_is_ending(const struct service *svc)
{
    return svc->stopping || svc->router_leaves;
}

flux_t *service_flux(struct service *svc)
{
    return svc->h;
}

flux_reactor_t *service_reactor(struct service *svc)
{
    return svc->reactor;
}

uint32_t service_rank(const struct service *svc)
{
    return svc->rank;
}

uint32_t service_size(const struct service *svc)
{
    return svc->size;
}

uid_t service_owner(const struct service *svc)
{
    return svc->owner;
}

const char *service_rundir(const struct service *svc)
{
    return svc->rundir;
}

const char *service_statedir(const struct service *svc)
{
    return svc->statedir;
}

void service_status(struct service *svc, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    notify_status(svc->notify, text);
}

int service_take_listen_fd(struct service *svc, const char *name)
{
    return listeners_take(svc->listeners, name);
}
