/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl --parent, --root. */
#include "parent.h"

#include "client.h"

/* 1: there is none further up. */
static int enter(void)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    const char *uri, *ns;

    if (!h)
        return -1;
    if (!(uri = flux_attr_get(h, "parent-uri")))
        return 1;
    ns = flux_attr_get(h, "parent-kvs-namespace");
    if (setenv("FLUX_URI", uri, 1) < 0 ||
        (ns ? setenv("FLUX_KVS_NAMESPACE", ns, 1) : unsetenv("FLUX_KVS_NAMESPACE")) < 0) {
        complain("cannot change the environment");
        return -1;
    }
    return 0;
}

int parent_enter(void)
{
    const int rc = enter();

    return rc > 0 ? complain("this instance has no parent") : rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int parent_enter_root(void)
{
    int rc;

    while ((rc = enter()) == 0)
        ;
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
