/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The loop connector: what is sent is received on the same handle, in order. A message without
 * credentials gets those that the router would give to the instance owner. For tests and for code
 * that talks to itself; bounded like a socket. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rpc/connector.h"
#include "rpc/matchtag.h"
#include "rpc/msgqueue.h"

#define LOOP_MESSAGES_MAX 65536

struct loop {
    struct connector base;
    struct matchtag_pool tags; /* always empty: nothing is looked up by tag here */
    struct msgqueue queue;
};

static struct loop *loop_of(const struct connector *c)
{
    return (struct loop *)c;
}

static struct connector *loop_free(struct connector *c)
{
    if (c) {
        msgqueue_deinit(&loop_of(c)->queue);
        free(c);
    }
    return NULL;
}

static int loop_fd(const struct connector *c)
{
    return -EBADF;
}

/* A message that must be changed is copied: the sender's stays as it is. */
static const flux_msg_t *stamp(const flux_msg_t *msg)
{
    struct flux_msg_cred cred;
    flux_msg_t *copy;

    if (flux_msg_get_cred(msg, &cred) < 0 || cred.userid != FLUX_USERID_UNKNOWN)
        return flux_msg_incref(msg);
    copy = flux_msg_copy(msg, true);
    cred.userid = getuid();
    cred.rolemask = FLUX_ROLE_OWNER | FLUX_ROLE_LOCAL;
    if (copy && flux_msg_set_cred(copy, cred) < 0) {
        flux_msg_decref(copy);
        return NULL;
    }
    return copy;
}

static int loop_send(struct connector *c, const flux_msg_t *msg)
{
    struct loop *loop = loop_of(c);
    const flux_msg_t *m;
    int rc;

    if (loop->queue.count >= LOOP_MESSAGES_MAX)
        return -ENOBUFS;
    if (!(m = stamp(msg)))
        return -ENOMEM;
    rc = msgqueue_put(&loop->queue, m, false);
    if (rc < 0)
        flux_msg_decref(m);
    return rc;
}

static int loop_flush(struct connector *c)
{
    return 0;
}

static bool loop_pending(const struct connector *c)
{
    return false;
}

static int loop_recv(struct connector *c, flux_msg_t **ret, const char **ret_reason)
{
    struct msgqueue *q = &loop_of(c)->queue;
    struct msg_entry *e = TAILQ_FIRST(&q->entries);

    if (!e)
        return -EAGAIN;
    *ret = (flux_msg_t *)msgqueue_take(q, e);
    return 0;
}

static bool loop_has_input(const struct connector *c)
{
    return !TAILQ_EMPTY(&loop_of(c)->queue.entries);
}

static const struct connector_ops loop_ops = {
    .free = loop_free,
    .fd = loop_fd,
    .send = loop_send,
    .flush = loop_flush,
    .pending = loop_pending,
    .recv = loop_recv,
    .has_input = loop_has_input,
};

int connector_loop_open(struct connector **ret)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    loop->base.ops = &loop_ops;
    msgqueue_init(&loop->queue, &loop->tags);
    *ret = &loop->base;
    return 0;
}
