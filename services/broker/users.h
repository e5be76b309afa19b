/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What each user has open here: connections, queued output, services, log lines. */
#ifndef BROKER_USERS_H
#define BROKER_USERS_H

#include <flux/types.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/list.h"

#define GUEST_CONNECTIONS_MAX 512
#define GUEST_QUEUE_BYTES     (64u << 20) /* over all connections */
#define OWNER_QUEUE_BYTES     (256u << 20)
#define GUEST_CONN_BYTES      (8u << 20) /* of one connection */
#define GUEST_CONN_MESSAGES   8192
#define GUEST_PAYLOAD_BYTES   (64u << 20)
#define GUEST_SERVICES_MAX    1024 /* registered at run time: a job shell is one */
#define OWNER_SERVICES_MAX    65536
#define GUEST_LOG_LINES       200 /* in GUEST_LOG_SECONDS */
#define GUEST_LOG_SECONDS     5

struct client;

struct user {
    uint32_t uid;
    bool is_guest;
    TAILQ_HEAD(, client) clients;
    size_t nclients;
    size_t nservices;
    size_t queued_bytes; /* output that waits, when it was last summed up */
    size_t looks;        /* since then */
    uint64_t log_since_usec;
    unsigned int log_lines;
    UT_hash_handle hh;
};

struct users {
    uint32_t owner;
    struct user *all;
};

/* The user, created at need; -EMFILE: a guest with too many connections; -ENOMEM. A user without
 * clients must be given back by users_release(). */
int users_get(struct users *users, uint32_t uid, struct user **ret);
void users_release(struct users *users, struct user *u);
/* May the user register one more service? */
bool user_may_register(const struct user *u);
/* May the user log one more line now? */
bool user_may_log(struct user *u, uint64_t now_usec);

#endif
