/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where a request goes by its header (RFC 3): nodeid and the upstream flag, against this node's
 * rank and the size of the instance. Pure. */
#include "broker/router.h"

enum route route_decide(const struct router *r, uint32_t nodeid, uint8_t flags)
{
    if (flags & FLUX_MSGFLAG_UPSTREAM)
        return nodeid == r->rank ? ROUTE_UP : ROUTE_HERE;
    if (nodeid == FLUX_NODEID_ANY || nodeid == r->rank)
        return ROUTE_HERE;
    return nodeid < r->size ? ROUTE_RANK : ROUTE_UNREACHABLE;
}
