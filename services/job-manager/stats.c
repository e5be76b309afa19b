/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Counters for job-manager.stats-get and getinfo. */
#include "manager.h"

json_t *stats_json(const struct manager *m)
{
    json_t *o =
        json_pack("{s:I s:I s:I s:I s:I s:I s:I s:I s:b s:b}",             //
                  "max_jobid", (json_int_t)m->max_jobid,                   //
                  "active", (json_int_t)HASH_COUNT(m->jobs),               //
                  "inactive", (json_int_t)m->ninactive,                    //
                  "purged", (json_int_t)m->purge.npurged,                  //
                  "commits", (json_int_t)m->commit.ncommits,               //
                  "events", (json_int_t)m->commit.nevents,                 //
                  "sched_pending", (json_int_t)m->alloc.pending.n,         //
                  "sched_outstanding", (json_int_t)m->alloc.outstanding.n, //
                  "sched_ready", m->alloc.ready != NULL, "exec_ready", m->start.hello != NULL);
    json_t *states = json_object();

    for (int i = 0; i < JOB_STATE_COUNT; i++)
        (void)json_object_set_new(states, job_state_name((enum job_state)i),
                                  json_integer((json_int_t)m->counts[i]));
    (void)json_object_set_new(o, "states", states);
    return o;
}
