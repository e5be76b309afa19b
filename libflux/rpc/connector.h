/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a connection needs of its transport. There are two: "local" (a SEQPACKET socket, local.c)
 * and "loop" (what is sent is received, loop.c). Nothing here blocks. */
#ifndef RPC_CONNECTOR_H
#define RPC_CONNECTOR_H

#include <stdbool.h>
#include <flux/message.h>

struct connector;

struct connector_ops {
    struct connector *(*free)(struct connector *c);
    int (*fd)(const struct connector *c); /* -EBADF: there is none to poll */
    /* Queue and try to send; keeps a reference. 0; -ENOBUFS: queue full; others: connection lost.
     */
    int (*send)(struct connector *c, const flux_msg_t *msg);
    int (*flush)(struct connector *c);
    /* Between cork and uncork messages are only queued, to be sent together. Both may be NULL. */
    void (*cork)(struct connector *c);
    int (*uncork)(struct connector *c);
    bool (*pending)(const struct connector *c); /* output waits for POLLOUT */
    /* 0; -EAGAIN; others: connection lost, *ret_reason (may be NULL) says more. */
    int (*recv)(struct connector *c, flux_msg_t **ret, const char **ret_reason);
    bool (*has_input)(const struct connector *c); /* received already, not seen by poll(2) */
};

struct connector {
    const struct connector_ops *ops;
};

/* 0, -errno as channel_connect(). */
int connector_local_open(const char *path, struct connector **ret);
/* Consumes fd, a connected SEQPACKET socket. */
int connector_local_adopt(int fd, struct connector **ret);
int connector_loop_open(struct connector **ret);

#endif
