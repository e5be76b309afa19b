/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The timer runs while somebody subscribes and ends with the first beat that nobody wants, so that
 * an idle node sleeps. Invariant: rank 0 alone beats. */
#include <math.h>
#include <string.h>

#include "base/errorx.h"
#include "base/fsd.h"
#include "broker/heartbeat.h"
#include "service/log.h"

static void beat(struct heartbeat *hb)
{
    flux_msg_t *msg = flux_event_encode(HEARTBEAT_TOPIC, NULL);
    struct msg_proto *p;

    if (!msg)
        return; /* the next one may have memory */
    p = msg_proto_mut(msg);
    p->userid = hb->router->clients.users.owner;
    p->rolemask = FLUX_ROLE_OWNER;
    (void)router_publish(hb->router, msg);
    flux_msg_destroy(msg);
}

/* Who subscribes on other nodes is not known here. */
static bool is_wanted(const struct heartbeat *hb)
{
    return hb->router->size > 1 || events_wanted(&hb->router->events, HEARTBEAT_TOPIC);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct heartbeat *hb = arg;

    if (is_wanted(hb))
        beat(hb);
    else
        flux_watcher_stop(w);
}

int heartbeat_init(struct heartbeat *hb, struct router *router, flux_reactor_t *r)
{
    *hb = (struct heartbeat){ .router = router, .r = r, .period = HEARTBEAT_PERIOD };
    hb->timer = flux_timer_watcher_create(r, hb->period, hb->period, on_timer, hb);
    return hb->timer ? 0 : -ENOMEM;
}

void heartbeat_deinit(struct heartbeat *hb)
{
    flux_watcher_destroy(hb->timer);
    hb->timer = NULL;
}

static int parse(const json_t *value, double *ret_seconds)
{
    if (json_is_number(value)) {
        *ret_seconds = json_number_value(value);
        return 0;
    }
    return json_is_string(value) ? fsd_parse(json_string_value(value), ret_seconds) : -EINVAL;
}

int heartbeat_period(const json_t *config, double *ret_seconds, flux_error_t *error)
{
    const json_t *table = json_object_get(config, "heartbeat");
    const json_t *value = json_object_get(table, "period");
    double seconds = HEARTBEAT_PERIOD;

    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "heartbeat: must be a table");
    if (value && (parse(value, &seconds) < 0 || !isfinite(seconds)))
        return errorx_fail(error, EINVAL,
                           "heartbeat.period: must be a duration, such as \"2s\" or 0.5");
    if (seconds < HEARTBEAT_PERIOD_MIN)
        return errorx_fail(error, EINVAL, "heartbeat.period: must be %g s or more",
                           HEARTBEAT_PERIOD_MIN);
    *ret_seconds = seconds;
    return 0;
}

void heartbeat_set_period(struct heartbeat *hb, double seconds)
{
    const bool active = flux_watcher_is_active(hb->timer);

    if (seconds == hb->period)
        return;
    hb->period = seconds;
    flux_watcher_stop(hb->timer);
    flux_timer_watcher_reset(hb->timer, seconds, seconds);
    if (active)
        flux_watcher_start(hb->timer);
}

void heartbeat_wake(struct heartbeat *hb)
{
    if (hb->router->rank != 0 || flux_watcher_is_active(hb->timer) || !is_wanted(hb))
        return;
    flux_reactor_now_update(hb->r);
    flux_timer_watcher_reset(hb->timer, hb->period, hb->period);
    flux_watcher_start(hb->timer);
}
