/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-kvs: the key value store of an instance. See flux-kvs(1).
 *
 *   requests     manager requests-commit requests-lookup requests-watch
 *                requests-version
 *   a commit     txn (decoded) fence, commit (gathered and stored) apply (to the tree) seal (blobs
 *                of it), update (told to other nodes)
 *   the tree     kvs namespace key node dir, objcache loader remote (content store), digest-set
 *                strbuf
 *   readers      lookup, watch watch-index
 *   other ranks  follow (rank 0's side), follower relay
 *   collection   gc (which blobs are needed) collect (when, and requests)
 */
#include "kvs/manager.h"

int main(int argc, char **argv)
{
    CLEANUP(service_freep) struct service *svc = NULL;
    CLEANUP(manager_freep) struct manager *m = NULL;

    if (service_new(&kvs_desc, argc, argv, &svc) < 0 || manager_new(svc, &m) < 0)
        return EXIT_FAILURE;
    return service_run(svc, m);
}
