/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-job-ingest: validates, authenticates, numbers and stores submitted jobs.
 *
 *   a submission  ingest validate submission depend, batch commit (stored together) announce (to
 *                 the job manager)
 *   at the start  load
 */
#include "ingest.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(ingest_freep) struct ingest *in = NULL;

    if (service_new(&ingest_desc, argc, argv, &svc) < 0)
        return EXIT_FAILURE;
    if (ingest_new(svc, &in) < 0)
        return service_run_without_kvs(svc);
    return service_run(svc, in);
}
