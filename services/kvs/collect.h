/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* When collections begin, how fast they go, and who is told: the loop's side of gc.h. Rank 0. */
#ifndef KVS_COLLECT_H
#define KVS_COLLECT_H

#include "kvs/requests.h"

int collector_new(struct manager *m, struct collector **ret);
struct collector *collector_free(struct collector *c);

int collector_configure(struct collector *c, const json_t *config, flux_error_t *error);
void collector_check(struct manager *m); /* after each commit */
/* How it goes, for stats; NULL: out of memory. */
json_t *collector_stats(const struct manager *m);

int rpc_gc(struct request *req, void *arg);
/* True: it was a hold of the client of req. */
bool collector_cancel(struct manager *m, const struct request *req, uint32_t matchtag);
int rpc_hold(struct request *req, void *arg);

#endif
