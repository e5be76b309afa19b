/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An instance of several nodes on this host, for tests and for trying things: each node has a
 * flux-supervise and a run-time directory of its own, and PMI from here. */
#ifndef SUPERVISE_CLUSTER_H
#define SUPERVISE_CLUSTER_H

#include "supervise/supervisor.h"

struct cluster_options {
    uint32_t size;
    char *const *hosts;  /* FLUX_FAKE_HOSTNAME of each rank; NULL: the real name */
    bool trace;          /* show PMI requests */
    bool no_clique;      /* PMI does not say that all are on one host: they are joined by TCP */
    double exit_timeout; /* seconds, once the first node (or the leader) has ended */
    bool exit_leader;    /* the end is rank 0's, whose status counts; else any's, and the highest */
    bool leader_only;    /* start rank 0 alone */
};

/* Runs the program on rank 0 and returns its status. */
int cluster_run(const struct supervisor_options *node, const struct cluster_options *opts);

#endif
