/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-job-list: the daemon. */
#include "job-list/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&job_list_desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
