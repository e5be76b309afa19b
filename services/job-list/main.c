/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-job-list: indexed queries over live and past jobs (service job-list), and what a job left in
 * the KVS for who may not read that himself (service job-info).
 *
 *   job-list   manager, journal (what happens) catchup, table order job attrs (live jobs), store
 *              (past ones) query answers oldest
 *   past jobs  rebuild (all of them, from the KVS) sweep (the purged ones)
 *   job-info   lookup watch lines access
 *   both       waiters
 */
#include "job-list/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&job_list_desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
