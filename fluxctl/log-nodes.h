/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The logs of many nodes as one, in order of time. */
#ifndef FLUXCTL_LOG_NODES_H
#define FLUXCTL_LOG_NODES_H

#include <flux/core.h>
#include <flux/hostlist.h>
#include <flux/idset.h>
#include <jansson.h>

#include "log-files.h"

struct log_nodes_query {
    flux_t *h;
    const struct idset *ranks;
    const struct hostlist *hosts; /* names by rank */
    json_t *arguments;            /* strings: of the command that reads a node's log there */
    bool follow;
    double timeout; /* seconds without a sign of life, until a node's records are all there */
};

/* Records of all nodes, as log_files_read() has them, with the name of the host: what there is in
 * order of time, then what comes as it comes. Nodes that do not answer, or are lost, are complained
 * about, and the others go on. Returns the exit status. */
int log_nodes_read(const struct log_nodes_query *q, log_record_f cb, void *arg);

#endif
