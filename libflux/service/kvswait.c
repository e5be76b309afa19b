/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A KVS that refuses (its store is damaged, being repaired, full from the beginning, or badly
 * configured): who cannot begin without it would only be started again and again, and nobody would
 * know why. So he says it to whoever asks, and begins anew when the KVS answers. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/state.h"

#define PROBE_SECONDS 0.5
#define AUX           "service::kvswait"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

struct kvswait {
    struct service *svc;
    char *key;
    flux_watcher_t *timer;
    flux_future_t *probe;
};

static void kvswait_free(void *arg)
{
    struct kvswait *kw = arg;

    flux_future_destroy(kw->probe);
    flux_watcher_destroy(kw->timer);
    free(kw->key);
    free(kw);
}

static flux_future_t *ask(flux_t *h, const char *key)
{
    return key ? flux_kvs_lookup(h, KVS_PRIMARY_NAMESPACE, 0, key)
               : flux_kvs_getroot(h, KVS_PRIMARY_NAMESPACE, 0);
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct kvswait *kw = arg;
    const bool served = flux_future_get(f, NULL) == 0 || errno == ENOENT;

    flux_future_destroy(f);
    kw->probe = NULL;
    if (served)
        service_exit(kw->svc, SERVICE_EXIT_ROUTER);
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct kvswait *kw = arg;

    if (kw->probe || !(kw->probe = ask(kw->svc->h, kw->key)))
        return;
    if (flux_future_then(kw->probe, -1., on_answer, kw) < 0) {
        flux_future_destroy(kw->probe);
        kw->probe = NULL;
    }
}

static bool is_refusal(int errnum)
{
    return errnum == ENOSPC || errnum == EIO || errnum == EPROTO || errnum == EINVAL ||
           errnum == EAGAIN;
}

int service_wait_for_kvs(struct service *svc, const char *key, int errnum, const char *why)
{
    struct kvswait *kw;

    if (!is_refusal(errnum))
        return -errnum;
    kw = calloc(1, sizeof(*kw));
    if (!kw || flux_aux_set(svc->h, AUX, kw, kvswait_free) < 0) {
        free(kw);
        return -ENOMEM;
    }
    kw->svc = svc;
    if (key && !(kw->key = strdup(key)))
        return -ENOMEM;
    kw->timer = flux_timer_watcher_create(svc->reactor, PROBE_SECONDS, PROBE_SECONDS, on_timer, kw);
    if (!kw->timer)
        return -ENOMEM;
    flux_watcher_start(kw->timer);
    service_refuse(svc, errnum, why);
    service_status(svc, "Refusing: %s", why);
    return 0;
}

/* Its parts were not made: none of its functions may be called. */
static const struct service_desc *without_callbacks(const struct service_desc *desc)
{
    static struct service_desc bare;

    bare = (struct service_desc){ .name = desc->name,
                                  .methods = desc->methods,
                                  .nmethods = desc->nmethods,
                                  .allow_guests = desc->allow_guests };
    return &bare;
}

int service_run_without_kvs(struct service *svc)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = ask(svc->h, NULL);

    if (!f || flux_future_get(f, NULL) == 0 ||
        service_wait_for_kvs(svc, NULL, errno, flux_future_error_string(f)) < 0)
        return EXIT_FAILURE;
    svc->desc = without_callbacks(svc->desc);
    svc->bare = true;
    service_ready(svc);
    return service_run(svc, NULL);
}
