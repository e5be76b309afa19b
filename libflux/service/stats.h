/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Counters of a daemon, answered by SERVICE.stats-get. */
#ifndef SERVICE_STATS_H
#define SERVICE_STATS_H

#include <jansson.h>
#include <stdint.h>

struct service;

struct stats {
    uint64_t start_usec;
    uint64_t requests;
    uint64_t errors;   /* requests answered with an error */
    uint64_t refused;  /* connections */
    uint64_t bad_peer; /* connections dropped for breaking the protocol */
    uint64_t disconnects;
};

void stats_init(struct stats *s);
void stats_clear(struct stats *s); /* the counters; it has run for as long as it has */
json_t *service_stats_json(const struct service *svc);
json_t *stats_rusage(void);

#endif
