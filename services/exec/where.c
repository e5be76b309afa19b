/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A node in words, for what is told to people: "node3 (rank 3)". The name is that of the job's R,
 * which is decoded anew: this is for failures only. */
#include <stdio.h>

#include "base/rset.h"
#include "job.h"

DEFINE_CLEANUP(struct rset *, rset_free)

const char *job_where(const struct job *job, uint32_t rank, char *buf, size_t size)
{
    CLEANUP(rset_freep) struct rset *rset = NULL;
    const struct rset_rank *node = NULL;

    if (job->R && rset_decode_string(job->R, &rset, NULL) == 0)
        node = rset_find(rset, rank);
    if (node && node->hostname)
        (void)snprintf(buf, size, "%s (rank %u)", node->hostname, rank);
    else
        (void)snprintf(buf, size, "rank %u", rank);
    return buf;
}
