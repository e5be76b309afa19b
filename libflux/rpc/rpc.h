/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RPCs in flight, as the connection and the dispatchers see them. */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include <flux/rpc.h>

struct dispatch;
struct rpc;

/* A response with the RPC's matchtag; consumes msg. The RPC may be finished by it. */
void rpc_deliver(struct rpc *rpc, const flux_msg_t *msg);
/* No response will come. */
void rpc_fail(struct rpc *rpc, int errnum, const char *reason);
/* Does somebody wait for it in the reactor of d (NULL: of any dispatcher)? */
bool rpc_started_on(const struct rpc *rpc, const struct dispatch *d);

/* Call back when the (final) answer is there, errnum 0: success, before the future is fulfilled.
 * free_arg is called in any case, also without an answer. */
void rpc_on_answer(flux_future_t *f, void (*cb)(flux_t *h, int errnum, void *arg), void *arg,
                   flux_free_f free_arg);
/* Replace the request of an RPC with an answer: a future that is fulfilled already, empty. */
flux_future_t *rpc_answered(flux_t *h);

/* Decoding that all three message types share: *topic and *s may be NULL. 0, -1 EINVAL, EPROTO. */
int message_decode(const flux_msg_t *msg, int type, const char **topic);
int message_string(const flux_msg_t *msg, const char **s);
int message_raw(const flux_msg_t *msg, const void **data, int *len);
flux_msg_t *message_encode(int type, const char *topic, const char *s);
flux_msg_t *message_encode_raw(int type, const char *topic, const void *data, int len);

/* The dispatcher's own answers. */
int rpc_respond_unknown(flux_t *h, const flux_msg_t *request, const char *topic);
int rpc_respond_denied(flux_t *h, const flux_msg_t *request);

#endif
