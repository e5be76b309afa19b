/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Nodes that a command is for, by rank or by name, and asking all of them. */
#ifndef FLUXCTL_RANKS_H
#define FLUXCTL_RANKS_H

#include <flux/core.h>
#include <flux/hostlist.h>
#include <flux/idset.h>
#include <jansson.h>

#include "base/cleanup.h"

#define RANKS_TIMEOUT 10. /* seconds for an answer, where the user does not say */

DEFINE_CLEANUP(struct hostlist *, hostlist_destroy)
DEFINE_CLEANUP(struct idset *, idset_destroy)

/* Host names by rank. NULL: has complained. */
struct hostlist *ranks_hosts(flux_t *h);

/* "0-3,7", "node[0-3]" or "all", none of them out of range. NULL: has complained. */
struct idset *ranks_parse(flux_t *h, const char *s);

typedef void (*ranks_answer_f)(uint32_t rank, const json_t *answer, void *arg);

struct ranks_query {
    flux_t *h;
    const struct idset *ranks;
    const char *topic;
    const char *payload; /* or NULL */
    const char *what;    /* for sentences: "rank N: cannot WHAT: reason" */
    int skip_errnum;     /* who answers this is passed over silently; 0: nobody */
    ranks_answer_f fn;   /* or NULL */
    void *arg;
};

/* Ask each of the ranks, many at a time, and call fn with the answers in order of rank. Whoever
 * fails, or does not answer in time, is complained about, and the others go on. Returns the exit
 * status. */
int ranks_ask(const struct ranks_query *q);

#endif
