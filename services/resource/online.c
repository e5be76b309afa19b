/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A stream from the router, and nothing remembered of it. */
#include <string.h>

#include <flux/idset.h>

#include "resource/online.h"
#include "service/log.h"

struct online {
    struct service *svc;
    flux_future_t *stream;
    void (*fn)(const struct idset *ranks, void *arg);
    void *arg;
};

DEFINE_CLEANUP(struct idset *, idset_destroy)
DEFINE_CLEANUP(struct online *, online_free)

/* A router that knows no groups knows no other nodes either. */
static int without_groups(struct online *o)
{
    CLEANUP(idset_destroyp) struct idset *ranks = idset_create(0, IDSET_FLAG_AUTOGROW);

    if (!ranks || idset_range_set(ranks, 0, service_size(o->svc) - 1) < 0)
        return -ENOMEM;
    o->fn(ranks, o->arg);
    return 0;
}

static int update(struct online *o, flux_future_t *f)
{
    CLEANUP(idset_destroyp) struct idset *ranks = NULL;
    const char *members;

    if (flux_rpc_get_unpack(f, "{s:s}", "members", &members) < 0)
        return -errno;
    if (!(ranks = idset_decode(members)))
        return -EPROTO;
    o->fn(ranks, o->arg);
    return 0;
}

static void on_members(flux_future_t *f, void *arg)
{
    struct online *o = arg;
    int rc = update(o, f);

    if (rc == 0) {
        flux_future_reset(f);
        return;
    }
    if (rc == -ENOSYS)
        rc = without_groups(o);
    if (rc < 0) {
        log_err("the group broker.online cannot be followed: %s", strerror(-rc));
        service_exit(o->svc, SERVICE_EXIT_ROUTER);
    }
    flux_future_destroy(o->stream);
    o->stream = NULL;
}

int online_new(struct service *svc, void (*fn)(const struct idset *ranks, void *arg), void *arg,
               struct online **ret)
{
    CLEANUP(online_freep) struct online *o = calloc(1, sizeof(*o));

    if (!o)
        return -ENOMEM;
    *o = (struct online){ .svc = svc, .fn = fn, .arg = arg };
    o->stream = flux_rpc_pack(service_flux(svc), "groups.get", FLUX_NODEID_ANY, FLUX_RPC_STREAMING,
                              "{s:s}", "name", "broker.online");
    if (!o->stream || flux_future_then(o->stream, -1., on_members, o) < 0)
        return -errno;
    *ret = TAKE(o);
    return 0;
}

struct online *online_free(struct online *o)
{
    if (o) {
        flux_future_destroy(o->stream);
        free(o);
    }
    return NULL;
}
