/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-job-manager: the job state machine, queues, dependencies and priorities of an instance.
 *
 *   around it        daemon rpc rpc-queue turn, kvs peers ingest (its three ways out), load (at the
 *                    start)
 *   a job            job state event advance; submit restart
 *   all jobs         manager queue commit (events to the KVS)
 *   others           alloc (scheduler) start (execution)
 *   what users ask   raise kill urgency annotate dependency wait
 *   what owners ask  control quiesce, purge purge-run, journal stats
 *   helper           text
 */
#include "daemon.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(daemon_freep) struct daemon *d = NULL;

    if (service_new(&daemon_desc, argc, argv, &svc) < 0)
        return EXIT_FAILURE;
    if (daemon_new(svc, &d) < 0)
        return service_run_without_kvs(svc);
    return service_run(svc, d);
}
