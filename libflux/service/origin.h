/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where requests come from and responses go back to: a connection of the skeleton (peer.c), or a
 * client of the router that asks one of the router's own services. Embedded in the connection. */
#ifndef SERVICE_ORIGIN_H
#define SERVICE_ORIGIN_H

#include <stdbool.h>
#include <flux/message.h>
#include "base/list.h"

#define ORIGIN_REQUESTS_MAX 65536u /* in flight, of a client that is connected itself */

struct request;
struct origin;
TAILQ_HEAD(request_list, request);

struct origin {
    /* Queue a response. 0, or -errno when the connection is lost; it must not be freed from
     * within (do that at the next chance outside). Keeps no reference unless it takes one. */
    int (*send)(struct origin *o, flux_msg_t *msg);
    struct request_list requests; /* that were not answered to the end */
    size_t count;                 /* of them */
    bool session;                 /* a method with RPC_METHOD_SESSION was called over it */
};

void origin_init(struct origin *o, int (*send)(struct origin *o, flux_msg_t *msg));
/* The connection is lost: every request of it is gone now. */
void origin_deinit(struct origin *o);

#endif
