/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-resource: what the nodes have, which are up, drained or excluded, and who is told.
 *
 *   all of it      manager stock
 *   requests       requests requests-drain; acquire (the scheduler's)
 *   what there is  inventory (configuration) hardware (this node) census (all nodes) enclosing (the
 *                  job that the instance is) keep (in the KVS)
 *   which of it    online drain
 */
#include "resource/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&resource_desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
