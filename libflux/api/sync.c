/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux_sync_create(3): a future that each heartbeat event fulfills, at most once per `minimum`
 * seconds. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <flux/dispatch.h>
#include <flux/event.h>
#include <flux/sync.h>

#include "base/cleanup.h"
#include "base/monotime.h"

#define TOPIC    "heartbeat.pulse"
#define AUX_NAME "flux::sync"

struct sync {
    flux_t *h;
    flux_future_t *subscription; /* answer not waited for */
    double minimum;
    uint64_t last_usec; /* 0: none yet */
};

static void sync_destroy(void *arg)
{
    struct sync *sync = arg;

    if (sync->subscription) {
        flux_future_destroy(sync->subscription);
        flux_future_destroy(flux_event_unsubscribe_ex(sync->h, TOPIC, 0));
    }
    flux_decref(sync->h);
    free(sync);
}

static void on_heartbeat(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    flux_future_t *f = arg;
    struct sync *sync = flux_future_aux_get(f, AUX_NAME);
    uint64_t now = monotime_usec();

    if (sync->last_usec && (double)(now - sync->last_usec) < sync->minimum * 1e6)
        return;
    sync->last_usec = now;
    flux_future_fulfill(f, NULL, NULL);
}

static void handler_destroy(void *arg)
{
    flux_msg_handler_destroy(arg);
}

static void on_init(flux_future_t *f, void *arg)
{
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_msg_handler_t *mh;

    match.topic_glob = TOPIC;
    mh = flux_msg_handler_create(flux_future_get_flux(f), match, on_heartbeat, f);
    if (!mh || flux_future_aux_set(f, NULL, mh, handler_destroy) < 0) {
        flux_msg_handler_destroy(mh);
        flux_future_fulfill_error(f, errno, NULL);
        return;
    }
    flux_msg_handler_start(mh);
}

flux_future_t *flux_sync_create(flux_t *h, double minimum)
{
    flux_future_t *f;
    struct sync *sync;

    if (!h || !isfinite(minimum)) {
        errno = EINVAL;
        return NULL;
    }
    f = flux_future_create(on_init, NULL);
    sync = f ? calloc(1, sizeof(*sync)) : NULL;
    if (!sync) {
        flux_future_destroy(f);
        return NULL;
    }
    sync->minimum = minimum;
    flux_incref(h);
    sync->h = h;
    if (flux_future_aux_set(f, AUX_NAME, sync, sync_destroy) < 0) {
        sync_destroy(sync);
        flux_future_destroy(f);
        return NULL;
    }
    flux_future_set_flux(f, h);
    sync->subscription = flux_event_subscribe_ex(h, TOPIC, 0);
    if (!sync->subscription) {
        flux_future_destroy(f);
        return NULL;
    }
    return f;
}
