/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-broker: the router of a node. See flux-broker(8). */
#include "broker/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&broker_desc, argc, argv, &svc) < 0 || manager_new(svc, argc, argv, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
