/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-broker: the router of a node. See flux-broker(8).
 *
 *   messages          router route inflight links events, dial and registry (services), name
 *   clients           client users
 *   own services      methods, and attr config reload log_append logline collective barrier groups
 *                     heartbeat state shutdown
 *   one node of many  boot boot_config boot_keys boot_pmi boot_saved bootconf (how nodes find each
 *                     other), topology tbonconf endpoint, overlay/ (ZeroMQ), batch
 *   beginning, end    options instance manager life runlog publish, handover handover_tree (to the
 *                     next process)
 */
#include "broker/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&broker_desc, argc, argv, &svc) < 0 || manager_new(svc, argc, argv, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
