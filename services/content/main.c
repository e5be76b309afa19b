/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-content: the content store of an instance. See flux-content(1), flux-config-content(5).
 *
 *   requests   manager requests requests-attr requests-backup requests-check requests-sweep pending
 *              report, settings startattr
 *   in memory  cache; upstream (other ranks than 0: the parent's store)
 *   threads    worker (who does what), keeper (one work, or a piece of one), pace (not too fast)
 *   on disk    change (what is to be stored), journal segment record order, then store (SQLite),
 *              checkpoint
 *   chores     sweep (what nobody needs), backup writer, inspect repair salvage, offline (all that
 *              without a daemon), lock
 *   tests      power (a disk that loses power)
 */
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
