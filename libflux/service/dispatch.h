/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From a request message to its handler: topic, role, streaming flag, quota, shape; then the
 * handler; then the answer it did not give itself. */
#ifndef SERVICE_DISPATCH_H
#define SERVICE_DISPATCH_H

#include "service/origin.h"
#include "service/service.h"

struct dispatch;

/* The methods of desc, and the built-in ones for each service name that occurs in them. */
int dispatch_new(const struct service_desc *desc, struct dispatch **ret);
struct dispatch *dispatch_free(struct dispatch *d);
DEFINE_CLEANUP(struct dispatch *, dispatch_free)

/* Never fails: what is wrong with the request is answered to its sender. */
void dispatch_request(struct service *svc, struct origin *origin, const flux_msg_t *msg);
/* The same for one that the process before did not answer. resume is lent, may be NULL. */
void dispatch_resume(struct service *svc, struct origin *origin, const flux_msg_t *msg,
                     json_t *resume);
/* The names of all services that have a method here, as an array. NULL: no memory. */
json_t *dispatch_services(const struct dispatch *d);
/* Calls and errors per method that was ever called. */
json_t *dispatch_stats(const struct dispatch *d);
void dispatch_stats_clear(struct dispatch *d);

/* builtin.c: methods named without their service ("ping"). Their arg is the service. */
extern const struct rpc_method builtin_methods[];
extern const size_t builtin_nmethods;

#endif
