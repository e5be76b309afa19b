/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* resource.status of rank 0; resource.topo-summary and topo-get of every rank: what this node has.
 */
#include <string.h>

#include "resource/hardware.h"
#include "resource/internal.h"

int rpc_status(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(freep) char *online = NULL;
    CLEANUP(freep) char *excluded = NULL;

    if (!m->loaded)
        return manager_wait_loaded(m, req, rpc_status);
    online = idset_encode(m->stock.online, IDSET_FLAG_RANGE);
    excluded = idset_encode(m->stock.excluded, IDSET_FLAG_RANGE);
    if (!online || !excluded)
        return -ENOMEM;
    return request_respond_pack(req, "{s:o s:s s:o s:s}", "R", rset_encode(m->stock.all), "online",
                                online, "drain", drain_encode(m->stock.drain), "exclude", excluded);
}

int rpc_topo_summary(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;
    CLEANUP(freep) char *score = NULL;
    CLEANUP(freep) char *sgpu = NULL;
    int rc = hardware_load(m->norestrict, &cores, &gpus);

    if (rc < 0)
        return request_explain(req, -rc, "the cores of this node cannot be counted: %s",
                               strerror(-rc));
    score = idset_encode(cores, IDSET_FLAG_RANGE);
    sgpu = idset_encode(gpus, IDSET_FLAG_RANGE);
    if (!score || !sgpu)
        return -ENOMEM;
    return request_respond_pack(req, "{s:s s:s s:s}", "hostname", m->hostname, "core", score, "gpu",
                                sgpu);
}

int rpc_topo_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    int rc = m->xml ? 0 : hardware_xml(m->norestrict, &m->xml);

    if (rc < 0)
        return request_explain(req, -rc, "hwloc cannot load the topology of this node: %s",
                               strerror(-rc));
    return request_respond_pack(req, "{s:s}", "xml", m->xml);
}
