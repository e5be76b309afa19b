/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Offering a service by name at run time. A registration that the router has accepted is repeated
 * after a reconnect. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <flux/service.h>

#include "rpc/handle_impl.h"
#include "rpc/rpc.h"

static void on_added(flux_t *h, int errnum, void *arg)
{
    if (errnum == 0)
        (void)registration_add(&h->conn->registry.services, arg);
}

flux_future_t *flux_service_register(flux_t *h, const char *name)
{
    flux_future_t *f;
    char *copy;

    if (!h || !name) {
        errno = EINVAL;
        return NULL;
    }
    copy = strdup(name);
    f = copy ? flux_rpc_pack(h, "service.add", FLUX_NODEID_ANY, 0, "{s:s}", "service", name) : NULL;
    if (f)
        rpc_on_answer(f, on_added, copy, free);
    else
        free(copy);
    return f;
}

flux_future_t *flux_service_unregister(flux_t *h, const char *name)
{
    if (!h || !name) {
        errno = EINVAL;
        return NULL;
    }
    (void)registration_remove(&h->conn->registry.services, name);
    return flux_rpc_pack(h, "service.remove", FLUX_NODEID_ANY, 0, "{s:s}", "service", name);
}
