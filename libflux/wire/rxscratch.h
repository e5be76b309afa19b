/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Receive buffers for one recvmmsg(2), shared by all channels of a thread: what was received is
 * decoded into messages before the next call, so they are never in use across calls. */
#ifndef WIRE_RXSCRATCH_H
#define WIRE_RXSCRATCH_H

#include <stdint.h>
#include <sys/socket.h>
#include "wire/message.h"

#define RX_BATCH 16
#define RX_FDS                                                                        \
    1 /* room for so many descriptors; the kernel closes the rest and says MSG_CTRUNC \
       */
/* The largest datagram a well-behaved peer sends: everything larger is truncated and refused. */
#define RX_DATAGRAM (MSG_HEAD_MAX + MSG_INLINE_MAX + 1 + MSG_PROTO_SIZE)

struct rx_scratch {
    struct mmsghdr hdr[RX_BATCH];
    struct iovec iov[RX_BATCH];
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(RX_FDS * sizeof(int))];
    } control[RX_BATCH];
    uint8_t data[RX_BATCH][RX_DATAGRAM];
};

/* The calling thread's, ready for recvmmsg; NULL: out of memory. */
struct rx_scratch *rx_scratch_get(void);
/* The descriptors that came with datagram i: their number, the first in *ret_fd, which the caller
 * owns; all others are closed. */
int rx_scratch_fds(struct rx_scratch *rx, int i, int *ret_fd);

#endif
