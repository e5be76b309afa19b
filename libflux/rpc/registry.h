/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a client has asked its router for and must ask again after a reconnect: event subscriptions
 * (counted) and service names. */
#ifndef RPC_REGISTRY_H
#define RPC_REGISTRY_H

#include <stdbool.h>
#include "base/list.h"

struct conn;
struct registration;
TAILQ_HEAD(registration_list, registration);

struct registry {
    struct registration_list topics;
    struct registration_list services;
};

void registration_init(struct registry *reg);
void registration_deinit(struct registry *reg);
/* How often the name is in the list after this call (so 1: it is new), -ENOMEM. */
int registration_add(struct registration_list *list, const char *name);
/* How often it still is (so 0: it is gone), -ENOENT. */
int registration_remove(struct registration_list *list, const char *name);
/* Send it all again. Answers are not asked for. 0 or -errno of sending. */
int registration_replay(const struct registry *reg, struct conn *conn);

#endif
