/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Peer credentials: what the kernel says about the other end, and what that makes of the
 * credentials that a message claims (design.md 3.2). Uids that stand for nobody are refused: the
 * overflow uid is what every stranger looks like across a user namespace. */
#include <errno.h>
#include <sys/socket.h>

#include "wire/cred.h"
#include "wire/message.h"

#define UID_OVERFLOW 65534

int peer_cred_get(int fd, struct peer_cred *ret)
{
    struct ucred uc;
    socklen_t len = sizeof(uc);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0)
        return -errno;
    if (len != sizeof(uc))
        return -EINVAL;
    if (uc.uid == UID_OVERFLOW || uc.uid == (uid_t)-1)
        return -EPERM;
    *ret = (struct peer_cred){ .uid = uc.uid, .gid = uc.gid, .pid = uc.pid };
    return 0;
}

void peer_cred_apply(const struct peer_cred *peer, uid_t owner, flux_msg_t *msg)
{
    struct msg_proto *proto = msg_proto_mut(msg);

    if (peer->uid != owner) {
        proto->userid = peer->uid;
        proto->rolemask = FLUX_ROLE_USER;
    } else if (proto->userid == FLUX_USERID_UNKNOWN) {
        proto->userid = owner;
        proto->rolemask = FLUX_ROLE_OWNER;
    }
}
