/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-sched: gives jobs their resources, strictly in order of priority; says what could ever run.
 *
 *   messages   manager
 *   decisions  engine queue (who is next) pool (what is free)
 */
#include "sched/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&sched_desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
