/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires the router's parts. Ready when the configuration is read and the sockets are there; then,
 * on rank 0, wakes the services that must work without being asked.
 *
 * Stop: under a service manager the connections are handed to the next process (handover.c).
 * Without one: no new connections, no new requests; what services still answer is passed on for
 * STOP_SECONDS at most (streams never end by themselves and are not waited for). */
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/errorx.h"
#include "base/monotime.h"
#include "base/number.h"
#include "broker/handover.h"
#include "pmi/client.h"
#include "service/fdstore.h"
#include "broker/manager.h"
#include "rpc/direct.h"
#include "service/log.h"
#include "service/state.h"

#define PMI_SPARE_SECONDS 60 /* for the rest of it */
#define STOP_SECONDS      2.
#define DRAIN_SECONDS     0.02

static const char *const own_services[] = { "attr",    "barrier",      "broker", "config",
                                            "event",   "groups",       "log",    "overlay",
                                            "service", "state-machine" };

static void apply_config(struct manager *m)
{
    flux_error_t error;
    double period;

    m->router.clients.allow_guests = broker_config_flag(&m->config, "access", "allow-guest-user");
    m->router.clients.allow_root_owner =
        broker_config_flag(&m->config, "access", "allow-root-owner");
    if (heartbeat_period(m->config.o, &period, &error) == 0) /* config.c has refused what is not */
        heartbeat_set_period(&m->heartbeat, period);
}

/* A neighbour whose key is not good any more is cut off at once. */
static void reload_keys(struct manager *m)
{
    boot_reload_keys(&m->boot);
    if (m->router.overlay)
        overlay_check_keys(m->router.overlay, m->boot.keydir ? m->boot.parent.key : NULL);
}

int manager_reload(struct manager *m, struct request *req, flux_error_t *error)
{
    int rc = broker_config_reload(&m->config, error);

    if (rc < 0) {
        const char *fields[] = { "MESSAGE_ID=" LOG_ID_CONFIG_BAD, NULL };

        if (!error->text[0])
            (void)snprintf(error->text, sizeof(error->text), "%s", strerror(-rc));
        log_fields(LOG_ERR, fields, "the configuration was not reloaded, the old one stays: %s",
                   error->text);
        return rc;
    }
    apply_config(m);
    reload_keys(m);
    log_info("the configuration was reloaded");
    if ((rc = reloads_begin(&m->reloads, req)) < 0)
        (void)errorx_fail(error, -rc, "the services were not told: %s", strerror(-rc));
    return rc;
}

int manager_self(struct manager *m, flux_t **ret)
{
    CLEANUP(freep) char *uri = NULL;

    if (!m->self) {
        if (asprintf(&uri, "local://%s/local", service_rundir(m->svc)) < 0) {
            uri = NULL;
            return -ENOMEM;
        }
        m->self = flux_open(uri, 0);
        if (!m->self || flux_set_reactor(m->self, service_reactor(m->svc)) < 0)
            return -errno;
    }
    *ret = m->self;
    return 0;
}

/* What is under way as a client of ourselves ends. */
static void close_self(struct manager *m)
{
    shutdown_deinit(&m->shutdown);
    reloads_deinit(&m->reloads);
    flux_close(TAKE(m->self));
}

static void on_hangup(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_error_t error = { .text = "" };

    (void)manager_reload(arg, NULL, &error);
}

/* Once. */
static void begin(struct manager *m)
{
    flux_watcher_destroy(TAKE(m->start));
    life_begin(m);
    handover_resume(m);
}

/* The service manager's KillSignal=, where SIGTERM is for a restart. */
static void on_power(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    m->for_good = true;
    service_begin_stop(m->svc, "SIGPWR, for good");
}

static void on_start(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    begin(arg);
}

static void on_drain(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    if (inflight_count_plain(m->router.inflight) == 0 || flux_reactor_now(r) >= m->stop_time)
        service_exit(m->svc, EXIT_SUCCESS);
}

static void leave_tree(struct manager *m)
{
    struct overlay *o = m->router.overlay;

    if (o && !m->router.handed_on)
        barriers_abort(&m->barriers, EHOSTUNREACH, "a router on the way is being restarted");
    m->router.overlay = NULL;
    (void)overlay_free(o);
}

void manager_exit(struct manager *m)
{
    handover_settle(&m->router);
    service_exit(m->svc, BROKER_EXIT_SHUTDOWN);
}

/* The daemons of this node learn that the router does not come back: they end quietly with it. */
static void tell_daemons(struct manager *m)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    struct client *c, *tmp;

    if (msg && flux_msg_set_topic(msg, SERVICE_GOODBYE) == 0)
        HASH_ITER (hh, m->router.clients.by_name, c, tmp)
            if (c->kind == CLIENT_ACCEPTED && (c->announced || c->ntargets > 0))
                (void)client_send(c, msg);
    flux_msg_destroy(msg);
}

void manager_leave(struct manager *m)
{
    if (m->router.rank > 0 && strcmp(m->boot.method, "config") == 0) {
        manager_set_state(m, STATE_JOIN, "waiting for rank 0 to be started again");
        overlay_rejoin(m->router.overlay);
        return;
    }
    leave_tree(m);
    tell_daemons(m);
    manager_exit(m);
}

/* Without a service manager, or when it does not take them. */
static void drain(struct manager *m)
{
    flux_reactor_t *r = service_reactor(m->svc);

    leave_tree(m);
    service_status(m->svc, "Stopping: waiting for answers to %zu requests",
                   inflight_count_plain(m->router.inflight));
    clients_stop_reading(&m->router.clients);
    m->stop_time = flux_reactor_now(r) + STOP_SECONDS;
    flux_watcher_start(m->drain);
}

static void hand_on(struct manager *m)
{
    int n;

    close_self(m);
    n = handover_save(m);
    if (n < 0) {
        drain(m);
        return;
    }
    if (m->router.overlay)
        overlay_hand_on(m->router.overlay);
    log_info("left %d connections to the process that follows", n);
    service_exit(m->svc, EXIT_SUCCESS);
}

/* Nothing is on its way between nodes any more, as far as they have answered. */
static void on_paused(void *arg)
{
    struct manager *m = arg;

    overlay_abandon(m->router.overlay);
    if (!overlay_is_connected(m->router.overlay))
        barriers_abort(&m->barriers, EHOSTUNREACH, "the way to rank 0 was lost");
    hand_on(m);
}

static void begin_hand_on(struct manager *m)
{
    handover_quiet(&m->router);
    if (m->router.overlay && !m->for_good && !state_is_ending(&m->state) &&
        overlay_pause(m->router.overlay, on_paused, m) == 0)
        return;
    leave_tree(m);
    hand_on(m);
}

int manager_stop(struct manager *m)
{
    if (m->start) /* stopped already: what was taken up goes on all the same */
        begin(m);
    if (m->router.rank == 0)
        runlog_stopped(&m->runlog);
    if (m->svc->dismissed) {
        if (fdstore_possible())
            handover_quiet(&m->router);
        leave_tree(m);
        manager_exit(m);
        return 0;
    }
    if (fdstore_possible()) {
        begin_hand_on(m);
        return 0;
    }
    close_self(m);
    drain(m);
    return 0;
}

/* Without the list clients lose speed only. */
static void publish(struct manager *m)
{
    const int rc = publish_update(&m->router.publish, &m->router.dial);

    if (rc < 0)
        log_warning("cannot write %s/" DIRECT_FILE ": %s", service_rundir(m->svc), strerror(-rc));
}

/* As it was when it was found bad. */
struct bad_config {
    struct manager *m;
    flux_error_t why;
};

static int read_config(const struct manager *m, struct broker_config *c, flux_error_t *error)
{
    const int rc = broker_config_load(c, m->options.config_path, service_rundir(m->svc), error);

    if (rc < 0 && !error->text[0])
        (void)snprintf(error->text, sizeof(error->text), "%s", strerror(-rc));
    return rc;
}

static bool is_mended(void *arg)
{
    struct bad_config *bad = arg;
    struct broker_config c = { 0 };
    flux_error_t error = { .text = "" };
    const int rc = read_config(bad->m, &c, &error);

    broker_config_deinit(&c);
    return rc == 0 || strcmp(error.text, bad->why.text) != 0;
}

static int load_config(struct manager *m)
{
    struct bad_config bad = { .m = m };
    char sentence[sizeof(bad.why.text) + PATH_MAX];
    const int rc = read_config(m, &m->config, &bad.why);

    if (rc < 0) {
        (void)snprintf(sentence, sizeof(sentence), "cannot read the configuration in %s: %s",
                       m->config.path ? m->config.path : "memory", bad.why.text);
        service_misconfigured(m->svc, sentence, is_mended, &bad);
    }
    return rc;
}

static int add_own_services(struct manager *m)
{
    int rc = 0;

    for (size_t i = 0; i < ARRAY_SIZE(own_services) && rc == 0; i++)
        rc = registry_add(&m->router.registry, own_services[i], TARGET_OWN, NULL, NULL);
    return rc;
}

static int make_watchers(struct manager *m)
{
    flux_reactor_t *r = service_reactor(m->svc);

    m->hangup = flux_signal_watcher_create(r, SIGHUP, on_hangup, m);
    m->power = flux_signal_watcher_create(r, SIGPWR, on_power, m);
    m->start = flux_timer_watcher_create(r, 0., 0., on_start, m);
    m->drain = flux_timer_watcher_create(r, 0., DRAIN_SECONDS, on_drain, m);
    if (!m->hangup || !m->power || !m->start || !m->drain)
        return -ENOMEM;
    flux_watcher_start(m->hangup);
    flux_watcher_start(m->power);
    flux_watcher_start(m->start);
    return 0;
}

static int parse_options(struct manager *m, int argc, char **argv)
{
    flux_error_t error = { .text = "" };
    const int rc = broker_options_parse(argc, argv, &m->options, &error);

    if (rc < 0)
        log_err("%s", error.text);
    return rc;
}

static int set_attributes(struct manager *m)
{
    flux_error_t error = { .text = "" };
    int rc = instance_attrs(m);

    if (rc == 0 && (rc = broker_options_apply(&m->options, &m->attrs, &error)) < 0)
        log_err("%s", error.text);
    return rc;
}

static int place(struct manager *m, const json_t *config, struct tbonconf *tbon, struct boot *boot,
                 flux_error_t *error)
{
    const struct boot_options opts = { .config = config,
                                       .rundir = service_rundir(m->svc),
                                       .tbon = tbon };
    int rc = tbonconf_read(tbon, config, &m->options, error);

    if (rc == 0)
        rc = boot_begin(boot, &opts, error);
    if (rc < 0 && !error->text[0])
        (void)snprintf(error->text, sizeof(error->text), "%s", strerror(-rc));
    return rc;
}

/* The files, a certificate, or this host's name may be others now. */
static bool is_placed(void *arg)
{
    struct bad_config *bad = arg;
    struct broker_config c = { 0 };
    struct tbonconf tbon = { 0 };
    struct boot boot = { 0 };
    flux_error_t error = { .text = "" };
    int rc = read_config(bad->m, &c, &error);

    if (rc == 0)
        rc = place(bad->m, c.o, &tbon, &boot, &error);
    boot_deinit(&boot);
    broker_config_deinit(&c);
    return rc == 0 || strcmp(error.text, bad->why.text) != 0;
}

static int find_place(struct manager *m)
{
    struct bad_config bad = { .m = m };
    char sentence[sizeof(bad.why.text) + 64];
    const int rc = place(m, m->config.o, &m->tbon, &m->boot, &bad.why);

    if (rc < 0) {
        (void)snprintf(sentence, sizeof(sentence),
                       "cannot find out the place of this node in the instance: %s", bad.why.text);
        if (json_object_get(m->config.o, "bootstrap"))
            service_misconfigured(m->svc, sentence, is_placed, &bad);
        else
            log_err("%s", sentence);
    }
    log_set_rank(m->boot.rank);
    m->svc->rank = m->boot.rank;
    m->svc->size = m->boot.size;
    return rc;
}

static int listen_in_tree(struct manager *m, flux_error_t *error)
{
    const struct boot *b = &m->boot;
    const struct overlay_config conf = { .rank = b->rank,
                                         .size = b->size,
                                         .topo = b->topo,
                                         .hostname = b->host,
                                         .bind = b->bind[0] ? b->bind : NULL,
                                         .public_key = b->public_key[0] ? b->public_key : NULL,
                                         .secret_key = b->secret_key,
                                         .ipv6 = b->ipv6,
                                         .connect_timeout = m->tbon.connect_timeout,
                                         .tcp_user_timeout = m->tbon.tcp_user_timeout,
                                         .restart_timeout = m->tbon.restart_timeout,
                                         .torpid_min = m->tbon.torpid_min,
                                         .torpid_max = m->tbon.torpid_max,
                                         .debug = m->tbon.zmqdebug,
                                         .key_owner = boot_key_owner,
                                         .key_matches = boot_key_matches,
                                         .arg = &m->boot };
    const struct overlay_ops ops = {
        .on_online = life_on_tree, .on_parent = life_on_parent, .on_state = life_on_state, .arg = m
    };

    return overlay_new(&conf, &ops, &m->router, service_reactor(m->svc), &m->router.overlay, error);
}

/* The tree is there when the parent is found, which may take as long as it likes. */
static int join_tree(struct manager *m)
{
    const struct boot_neighbour *parent = &m->boot.parent;
    flux_error_t error = { .text = "" };
    const char *uri;
    int rc = 0;

    handover_take(m);
    if (m->boot.size > 1 && (rc = listen_in_tree(m, &error)) == 0)
        handover_restore_tree(m);
    uri = m->router.overlay ? overlay_uri(m->router.overlay) : NULL;
    if (m->boot.pmi && m->boot.size > 1)
        service_allow(m->svc, PMI_BARRIER_SECONDS + PMI_SPARE_SECONDS);
    if (rc == 0)
        rc = boot_finish(&m->boot, uri, service_rundir(m->svc), &error);
    if (rc == 0 && m->boot.rank > 0)
        rc = overlay_connect(m->router.overlay, parent->uri, parent->key[0] ? parent->key : NULL,
                             parent->host);
    if (rc < 0)
        log_err("cannot join the tree: %s", error.text[0] ? error.text : strerror(-rc));
    return rc;
}

int manager_new(struct service *svc, int argc, char **argv, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    state_init(&m->state);
    reloads_init(&m->reloads, m);
    if ((rc = parse_options(m, argc, argv)) < 0 || (rc = load_config(m)) < 0 ||
        (rc = find_place(m)) < 0 || (rc = life_init(m)) < 0 ||
        (rc = shutdown_init(&m->shutdown, m)) < 0 ||
        (rc = router_init(&m->router, svc, m->boot.rank, m->boot.size)) < 0 ||
        (rc = groups_init(&m->groups, &m->router, m->boot.topo, service_reactor(svc))) < 0 ||
        (rc = barriers_init(&m->barriers, &m->router, service_reactor(svc))) < 0 ||
        (rc = heartbeat_init(&m->heartbeat, &m->router, service_reactor(svc))) < 0 ||
        (rc = add_own_services(m)) < 0 || (rc = join_tree(m)) < 0 || (rc = set_attributes(m)) < 0 ||
        (rc = make_watchers(m)) < 0) {
        log_err("flux-broker cannot start: %s", strerror(-rc));
        return rc;
    }
    apply_config(m);
    publish(m);
    (void)handover_restore(m);
    heartbeat_wake(&m->heartbeat);
    manager_show_status(m);
    *ret = TAKE(m);
    return 0;
}

/* The service manager may say it to a process that is about to end by itself. */
static void block_power(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGPWR);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

struct manager *manager_free(struct manager *m)
{
    if (m) {
        close_self(m);
        state_deinit(&m->state);
        runlog_deinit(&m->runlog);
        flux_watcher_destroy(m->orphan);
        flux_watcher_destroy(m->slow);
        flux_watcher_destroy(m->drain);
        flux_watcher_destroy(m->start);
        block_power(); /* nobody catches it any more, and it would look like a failure */
        flux_watcher_destroy(m->power);
        flux_watcher_destroy(m->hangup);
        attrs_deinit(&m->attrs);
        heartbeat_deinit(&m->heartbeat);
        leave_tree(m);
        router_deinit(&m->router);
        barriers_deinit(&m->barriers);
        groups_deinit(&m->groups);
        boot_deinit(&m->boot);
        json_decref(m->before);
        broker_config_deinit(&m->config);
        broker_options_deinit(&m->options);
        free(m);
    }
    return NULL;
}
