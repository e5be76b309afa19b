/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who is at the other end of a socket, and what that makes of the credentials in a message. */
#ifndef WIRE_CRED_H
#define WIRE_CRED_H

#include <sys/types.h>
#include <flux/message.h>

struct peer_cred {
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

/* 0, -errno; -EPERM for uids that name nobody (65534, (uid_t)-1). */
int peer_cred_get(int fd, struct peer_cred *ret);

/* Design 3.2: the owner's peers are believed; a message of an owner's peer without credentials
 * (userid unknown) gets the owner's. Everybody else's are overwritten with the peer's uid and the
 * guest role. */
void peer_cred_apply(const struct peer_cred *peer, uid_t owner, flux_msg_t *msg);

#endif
