/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The local connector: a thin layer over a channel to the router's socket. It adds nothing to the
 * messages: who we are is known to the router from the socket. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "rpc/connector.h"
#include "wire/channel.h"

struct local {
    struct connector base;
    struct channel *channel;
};

static struct channel *channel_of(const struct connector *c)
{
    return ((const struct local *)c)->channel;
}

static struct connector *local_free(struct connector *c)
{
    if (c) {
        channel_free(channel_of(c));
        free(c);
    }
    return NULL;
}

static int local_fd(const struct connector *c)
{
    return channel_fd(channel_of(c));
}

static int local_send(struct connector *c, const flux_msg_t *msg)
{
    return channel_send(channel_of(c), msg);
}

/* Who calls this in a loop over poll(2) would find a starved socket ready each time: a client that
 * has so much on its way may well pause. */
static int local_flush(struct connector *c)
{
    if (channel_starved(channel_of(c)))
        (void)poll(NULL, 0, CHANNEL_STARVED_MSEC);
    return channel_flush(channel_of(c));
}

static void local_cork(struct connector *c)
{
    channel_cork(channel_of(c));
}

static int local_uncork(struct connector *c)
{
    return channel_uncork(channel_of(c));
}

static bool local_pending(const struct connector *c)
{
    return channel_pending(channel_of(c));
}

static int local_recv(struct connector *c, flux_msg_t **ret, const char **ret_reason)
{
    int rc = channel_recv(channel_of(c), ret, ret_reason);

    /* A channel whose last fetch was short says EAGAIN once from memory. We are asked when poll(2)
     * has just found something, so that must not count. */
    return rc == -EAGAIN ? channel_recv(channel_of(c), ret, ret_reason) : rc;
}

static bool local_has_input(const struct connector *c)
{
    return channel_has_input(channel_of(c));
}

static const struct connector_ops local_ops = {
    .free = local_free,
    .fd = local_fd,
    .send = local_send,
    .flush = local_flush,
    .cork = local_cork,
    .uncork = local_uncork,
    .pending = local_pending,
    .recv = local_recv,
    .has_input = local_has_input,
};

static int local_new(struct channel *channel, struct connector **ret)
{
    struct local *local = calloc(1, sizeof(*local));

    if (!local) {
        channel_free(channel);
        return -ENOMEM;
    }
    local->base.ops = &local_ops;
    local->channel = channel;
    *ret = &local->base;
    return 0;
}

int connector_local_open(const char *path, struct connector **ret)
{
    struct channel *channel;
    int rc = channel_connect(path, &channel_limits_default, &channel);

    return rc < 0 ? rc : local_new(channel, ret);
}

int connector_local_adopt(int fd, struct connector **ret)
{
    struct channel *channel;
    int rc = channel_new(fd, &channel_limits_default, &channel);

    return rc < 0 ? rc : local_new(channel, ret);
}
