/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl --parent. */
#include "parent.h"

#include "client.h"

int parent_enter(void)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    const char *uri, *ns;

    if (!h)
        return EXIT_FAILURE;
    if (!(uri = flux_attr_get(h, "parent-uri")))
        return complain("this instance has no parent");
    ns = flux_attr_get(h, "parent-kvs-namespace");
    if (setenv("FLUX_URI", uri, 1) < 0 ||
        (ns ? setenv("FLUX_KVS_NAMESPACE", ns, 1) : unsetenv("FLUX_KVS_NAMESPACE")) < 0)
        return complain("cannot change the environment");
    return EXIT_SUCCESS;
}
