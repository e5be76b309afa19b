/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Not by a channel: the connection is closed at once, and what the kernel does not take is lost. */
#include <sys/socket.h>
#include <flux/core.h>

#include "base/cleanup.h"
#include "service/refusal.h"

#define TOPIC "broker.refuse"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static flux_msg_t *encode(int errnum, const char *why)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_RESPONSE);

    if (!msg || flux_msg_set_topic(msg, TOPIC) < 0 || flux_msg_set_errnum(msg, errnum) < 0 ||
        flux_msg_set_string(msg, why) < 0)
        return NULL;
    return TAKE(msg);
}

void refusal_send(int fd, int errnum, const char *why)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = encode(errnum, why);
    CLEANUP(freep) void *buf = NULL;
    size_t size;

    if (msg && flux_msg_encode(msg, &buf, &size) == 0)
        (void)send(fd, buf, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}
