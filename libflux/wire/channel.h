/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One SEQPACKET connection: messages in, messages out, a bounded output queue. No event loop: the
 * owner polls channel_fd() for channel_poll_events() and calls channel_flush() and channel_recv().
 * One datagram is one message. What breaks the rules of design.md 3.3 is -EPROTO with a reason. */
#ifndef WIRE_CHANNEL_H
#define WIRE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <flux/message.h>
#include "wire/cred.h"

struct channel;

struct channel_limits {
    size_t queue_bytes; /* of not yet accepted output, memfd payloads included: no further message
                           when so much waits (so any message can be sent, however large) */
    size_t queue_messages; /* likewise */
    size_t payload_bytes;  /* largest payload accepted from the peer */
    bool read_memfd; /* true: pread memfd payloads into the message at once; false: keep the fd
                        (router) */
};
extern const struct channel_limits
    channel_limits_default; /* 64 MiB, 65536, MSG_PAYLOAD_MAX, true */

struct channel_stats {
    uint64_t rx_messages, rx_bytes, tx_messages, tx_bytes;
    size_t queued_bytes, queued_messages;
};

/* Consumes fd (also on failure). It is made non-blocking. */
int channel_new(int fd, const struct channel_limits *limits, struct channel **ret);
struct channel *channel_free(struct channel *ch); /* closes */
/* Connect to a socket path (non-blocking after connect). 0, -ENOENT, -ECONNREFUSED, -EAGAIN
 * (backlog full)... */
int channel_connect(const char *path, const struct channel_limits *limits, struct channel **ret);

int channel_fd(const struct channel *ch);
const struct peer_cred *channel_peer(const struct channel *ch);
const struct channel_stats *channel_stats(const struct channel *ch);

/* Queue a message (keeps a reference to its payload; the message may be changed afterwards) and
 * try to send. 0; -ENOBUFS: the limit is reached, the
 * message was not queued; -EPIPE/-ECONNRESET: the peer is gone. */
int channel_send(struct channel *ch, const flux_msg_t *msg);
int channel_flush(struct channel *ch);          /* 0, or the peer is gone */
bool channel_pending(const struct channel *ch); /* output is waiting: poll for POLLOUT */
/* It waits until this user has fewer descriptors in flight, of which POLLOUT says nothing: flush
 * again after CHANNEL_STARVED_MSEC instead. After 10 s in vain the peer is gone. */
#define CHANNEL_STARVED_MSEC 5
bool channel_starved(const struct channel *ch);
/* Between cork and uncork messages are only queued; uncork sends them together (sendmmsg) and
 * returns what channel_flush() does. For the many answers of one wake-up. */
void channel_cork(struct channel *ch);
int channel_uncork(struct channel *ch);

/* Next message. 0; -EAGAIN: none now; -ECONNRESET: end of file; -EPROTO: broken rules, drop the
 * peer
 * (*ret_reason, a constant sentence fragment, says which). Up to 16 datagrams are fetched per
 * system call (recvmmsg), so call until -EAGAIN or until the budget of this wake-up is spent;
 * channel_has_input() tells whether messages wait in the channel itself, which poll(2) does not
 * see. */
int channel_recv(struct channel *ch, flux_msg_t **ret, const char **ret_reason);
bool channel_has_input(const struct channel *ch);

#endif
