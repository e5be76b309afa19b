/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A planned restart that no client notices: the connections to this daemon's sockets, and the
 * requests that it has not answered, go to the service manager's descriptor store and are taken up
 * by the next process. */
#ifndef SERVICE_HANDOVER_H
#define SERVICE_HANDOVER_H

struct service;

/* At the end, when the loop no longer runs. Unanswered requests of methods without
 * RPC_METHOD_RESUME are answered ECONNRESET first. Where nothing can be stored, everything is left
 * as it is, to end with the process. */
void handover_save(struct service *svc);
/* Before the loop runs: connections come back, and then the requests are dispatched, in the order
 * in which they came. */
void handover_restore(struct service *svc);

#endif
