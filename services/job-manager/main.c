/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-job-manager: the job state machine, queues, dependencies and priorities of an instance. */
#include "daemon.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(daemon_freep) struct daemon *d = NULL;

    if (service_new(&daemon_desc, argc, argv, &svc) < 0 || daemon_new(svc, &d) < 0)
        return EXIT_FAILURE;
    return service_run(svc, d);
}
