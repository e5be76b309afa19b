/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From the first connection to RUN: what the tree tells becomes the state of the instance, as this
 * node sees it, and is told to the nodes below. The way back is shutdown.c.
 *
 * Rank 0 runs once its quorum was there; a router that is started again within the run does not
 * wait for it again. */
#include <string.h>

#include "base/fsd.h"
#include "base/number.h"
#include "broker/manager.h"
#include "service/log.h"
#include "service/state.h"

#define QUORUM_WARN_SECONDS 60.
#define ORPHAN_SECONDS      300.

static const char *const woken_services[] = { "job-manager", "resource" };

void manager_show_status(struct manager *m)
{
    const struct router *r = &m->router;
    const size_t online = r->overlay ? idset_count(overlay_online(r->overlay)) : 1;

    if (state_is_ending(&m->state))
        service_status(m->svc, "Shutting down: %s", state_name(m->state.now));
    else if (r->rank > 0 && !overlay_is_connected(r->overlay))
        service_status(m->svc, "Rank %u of %u: connecting to the parent %s (rank %u)", r->rank,
                       r->size, m->boot.parent.host, m->boot.parent.rank);
    else if (r->rank == 0 && m->state.now == STATE_QUORUM)
        service_status(m->svc, "Rank 0: waiting for nodes, %zu of %u are here", online, m->quorum);
    else
        service_status(m->svc, "Routing messages as rank %u of %u", r->rank, r->size);
}

/* Nobody starts a node of an instance by PMI again. If rank 0 is gone for good its nodes must not
 * hold what they were given for ever; while somebody waits for it its router is soon back. */
static void watch_orphan(struct manager *m)
{
    flux_watcher_stop(m->orphan);
    if (m->router.rank == 0 || m->orphan_limit <= 0 || m->state.now != STATE_JOIN)
        return;
    flux_timer_watcher_reset(m->orphan, m->orphan_limit, 0.);
    flux_watcher_start(m->orphan);
}

static void on_orphan(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    log_err("rank 0 has been out of reach for %gs: this node leaves the instance", m->orphan_limit);
    manager_leave(m);
}

void manager_set_state(struct manager *m, enum broker_state state, const char *why)
{
    if (!state_set(&m->state, state, why))
        return;
    if (m->router.overlay)
        overlay_tell_state(m->router.overlay, (int)state);
    watch_orphan(m);
    manager_show_status(m);
}

static void wake(struct manager *m, const char *name)
{
    int rc;

    if (!dial_exists(&m->router.dial, name))
        return;
    rc = router_notify(&m->router, name, "wake", NULL);
    if (rc < 0)
        log_warning("cannot wake flux-%s: %s", name, strerror(-rc));
}

/* --- rank 0 */

static void run(struct manager *m, const char *why)
{
    flux_watcher_stop(m->slow);
    runlog_set_quorum(&m->runlog);
    manager_set_state(m, STATE_RUN, why);
    if (m->runlog.resumed)
        m->state.since = m->runlog.start;
    for (size_t i = 0; i < ARRAY_SIZE(woken_services); i++)
        wake(m, woken_services[i]);
    service_ready(m->svc);
    shutdown_note_start(&m->shutdown);
}

static void begin_leader(struct manager *m)
{
    if (m->runlog.quorum) {
        run(m, "the instance has been running");
        return;
    }
    manager_set_state(m, STATE_QUORUM, "the router is ready");
    flux_timer_watcher_reset(m->slow, m->quorum_warn, m->quorum_warn);
    if (m->quorum_warn > 0)
        flux_watcher_start(m->slow);
}

static void on_slow(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    const struct manager *m = arg;
    const struct idset *online = m->router.overlay ? overlay_online(m->router.overlay) : NULL;
    struct idset *all = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(freep) char *missing = NULL;

    if (all && idset_range_set(all, 0, m->router.size - 1) == 0 &&
        (!online || idset_subtract(all, online) == 0))
        missing = idset_encode(all, IDSET_FLAG_RANGE);
    log_warning("still waiting for %u nodes to be there; missing are ranks %s", m->quorum,
                missing ? missing : "?");
    idset_destroy(all);
}

/* --- what the tree tells */

/* online: this node and those below, NULL: it is the only one. */
void life_on_tree(const struct idset *online, void *arg)
{
    struct manager *m = arg;
    const size_t n = online ? idset_count(online) : 1;

    if (m->router.rank == 0 && m->state.now == STATE_QUORUM && n >= m->quorum)
        run(m, "enough nodes are here");
    groups_set_online(&m->groups, online);
    manager_show_status(m);
    shutdown_on_tree(&m->shutdown);
}

void life_on_parent(bool connected, void *arg)
{
    struct manager *m = arg;
    char why[256];

    if (connected) {
        groups_on_parent(&m->groups);
        barriers_on_parent(&m->barriers);
    } else {
        overlay_why(m->router.overlay, FLUX_NODEID_UPSTREAM, why, sizeof(why));
        barriers_abort(&m->barriers, EHOSTUNREACH, why);
    }
    if (!state_is_ending(&m->state))
        manager_set_state(m, connected ? STATE_INIT : STATE_JOIN,
                          connected ? "the parent is there" : "the parent was lost");
    manager_show_status(m);
}

void life_on_state(int parent, void *arg)
{
    struct manager *m = arg;

    if (state_is_ending(&m->state))
        return;
    if (parent >= STATE_SHUTDOWN)
        shutdown_begin_follower(&m->shutdown);
    else if (parent >= STATE_RUN)
        manager_set_state(m, STATE_RUN, "the instance runs");
    else if (parent == STATE_QUORUM)
        manager_set_state(m, STATE_QUORUM, "rank 0 waits for nodes");
    else
        manager_set_state(m, STATE_JOIN, "the parent has lost its own");
}

void life_begin(struct manager *m)
{
    if (m->router.rank == 0)
        begin_leader(m);
    else
        watch_orphan(m);
    life_on_tree(m->router.overlay ? overlay_online(m->router.overlay) : NULL, m);
}

/* --- settings */

/* An instance that a program waits for is ready when its nodes are there. One that was configured
 * is there for good, with the nodes that are up. */
static int set_quorum(struct manager *m)
{
    const char *text = broker_options_value(&m->options, "broker.quorum");
    int n = (int)m->boot.size;

    if (text && number_parse_int(text, 0, (int)m->boot.size, &n) < 0) {
        log_err("broker.quorum: '%s' is not a number of nodes from 0 to %u", text, m->boot.size);
        return -EINVAL;
    }
    m->quorum = (uint32_t)n;
    if (!text && strcmp(m->boot.method, "config") == 0)
        m->quorum = 1;
    return 0;
}

static int set_duration(const struct manager *m, const char *name, double standard, double *ret)
{
    const char *text = broker_options_value(&m->options, name);

    *ret = standard;
    if (!text)
        return 0;
    if (strcmp(text, "none") == 0) {
        *ret = 0;
        return 0;
    }
    if (fsd_parse(text, ret) < 0) {
        log_err("%s: '%s' is no duration such as 30s, nor none", name, text);
        return -EINVAL;
    }
    return 0;
}

/* The instance of a system has an administrator who will look; one that somebody has started for
 * himself goes on. */
bool life_wants_safe_mode(const struct manager *m)
{
    const json_t *value = json_object_get(json_object_get(m->config.o, "broker"), "safe-mode");

    return value ? json_is_true(value) : strcmp(service_rundir(m->svc), "/run/flux") == 0;
}

int life_init(struct manager *m)
{
    int rc;

    m->slow = flux_timer_watcher_create(service_reactor(m->svc), 0., 0., on_slow, m);
    m->orphan = flux_timer_watcher_create(service_reactor(m->svc), 0., 0., on_orphan, m);
    if (!m->slow || !m->orphan)
        return -ENOMEM;
    if ((rc = set_quorum(m)) < 0 ||
        (rc = set_duration(m, "broker.quorum-warn", QUORUM_WARN_SECONDS, &m->quorum_warn)) < 0 ||
        (rc = set_duration(m, "broker.orphan-timeout", ORPHAN_SECONDS, &m->orphan_limit)) < 0 ||
        (rc = set_duration(m, "broker.cleanup-timeout", CLEANUP_SECONDS,
                           &m->shutdown.cleanup_limit)) < 0 ||
        (rc = set_duration(m, "broker.shutdown-timeout", SHUTDOWN_SECONDS,
                           &m->shutdown.children_limit)) < 0)
        return rc;
    if (strcmp(m->boot.method, "config") == 0)
        m->orphan_limit = 0; /* rank 0 comes back when somebody starts it */
    if (m->boot.rank == 0 && (rc = runlog_begin(&m->runlog, m->svc)) < 0)
        return rc;
    if (m->boot.rank == 0 && m->quorum > 1 && !m->runlog.quorum)
        return service_hold_ready(m->svc);
    return 0;
}
