/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A user exists while he has a connection. */
#include "broker/users.h"

int users_get(struct users *users, uint32_t uid, struct user **ret)
{
    struct user *u;

    HASH_FIND(hh, users->all, &uid, sizeof(uid), u);
    if (u && u->is_guest && u->nclients >= GUEST_CONNECTIONS_MAX)
        return -EMFILE;
    if (!u) {
        u = calloc(1, sizeof(*u));
        if (!u)
            return -ENOMEM;
        u->uid = uid;
        u->is_guest = uid != users->owner;
        TAILQ_INIT(&u->clients);
        HASH_ADD(hh, users->all, uid, sizeof(u->uid), u);
        if (!u->hh.tbl) {
            free(u);
            return -ENOMEM;
        }
    }
    *ret = u;
    return 0;
}

void users_release(struct users *users, struct user *u)
{
    if (u->nclients > 0)
        return;
    HASH_DEL(users->all, u);
    free(u);
}

bool user_may_register(const struct user *u)
{
    return u->nservices < (u->is_guest ? GUEST_SERVICES_MAX : OWNER_SERVICES_MAX);
}

bool user_may_log(struct user *u, uint64_t now_usec)
{
    if (!u->is_guest)
        return true;
    if (now_usec - u->log_since_usec > GUEST_LOG_SECONDS * 1000000u) {
        u->log_since_usec = now_usec;
        u->log_lines = 0;
    }
    return u->log_lines++ < GUEST_LOG_LINES;
}
