/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-content: the content store of an instance. */
#include "content/manager.h"
#include "content/offline.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (offline_wanted(argc, argv))
        return offline_run(argc, argv);
    if (service_new(&content_desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
