/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A monitor lives as long as its request, which its client's going ends. */
#include "base/monotime.h"
#include "broker/state.h"
#include "service/log.h"

struct state_monitor {
    TAILQ_ENTRY(state_monitor) entry;
    struct state *state;
    struct request *req;
};

static const char *const names[STATE_COUNT] = {
    [STATE_JOIN] = "join",         [STATE_INIT] = "init",       [STATE_QUORUM] = "quorum",
    [STATE_RUN] = "run",           [STATE_CLEANUP] = "cleanup", [STATE_SHUTDOWN] = "shutdown",
    [STATE_FINALIZE] = "finalize", [STATE_GOODBYE] = "goodbye",
};

const char *state_name(enum broker_state state)
{
    return names[state];
}

void state_init(struct state *s)
{
    *s = (struct state){ .now = STATE_JOIN, .since = walltime() };
    TAILQ_INIT(&s->monitors);
}

static void monitor_free(struct state_monitor *mon)
{
    TAILQ_REMOVE(&mon->state->monitors, mon, entry);
    request_on_gone(mon->req, NULL, NULL);
    request_unref(mon->req);
    free(mon);
}

void state_deinit(struct state *s)
{
    struct state_monitor *mon, *tmp;

    TAILQ_FOREACH_SAFE (mon, &s->monitors, entry, tmp)
        monitor_free(mon);
}

static int tell(const struct state *s, struct request *req)
{
    return request_respond_pack(req, "{s:s s:f}", "state", names[s->now], "since", s->since);
}

bool state_set(struct state *s, enum broker_state to, const char *why)
{
    const double now = walltime();
    struct state_monitor *mon, *tmp;

    if (s->now == to)
        return false;
    log_info("%s -> %s after %.3f s: %s", names[s->now], names[to], now - s->since, why);
    s->now = to;
    s->since = now;
    TAILQ_FOREACH_SAFE (mon, &s->monitors, entry, tmp)
        (void)tell(s, mon->req);
    return true;
}

bool state_is_ending(const struct state *s)
{
    return s->now >= STATE_CLEANUP;
}

static void on_gone(struct request *req, void *arg)
{
    monitor_free(arg);
}

int state_get(struct state *s, struct request *req)
{
    struct state_monitor *mon;

    if (!request_is_streaming(req))
        return tell(s, req);
    mon = calloc(1, sizeof(*mon));
    if (!mon)
        return -ENOMEM;
    mon->state = s;
    mon->req = request_ref(req);
    TAILQ_INSERT_TAIL(&s->monitors, mon, entry);
    request_on_gone(req, on_gone, mon);
    return tell(s, req);
}
