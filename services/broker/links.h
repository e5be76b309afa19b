/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which client has sent requests to which target: who must hear that the client left, and whose
 * answers without a matchtag a client accepts. */
#ifndef BROKER_LINKS_H
#define BROKER_LINKS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/list.h"

struct link;
TAILQ_HEAD(link_list, link);

/* Embedded in client and target. */
struct link_end {
    uint32_t id; /* unique on its side */
    struct link_list list;
    size_t count;
};

struct link {
    uint64_t key;
    struct link_end *client;
    struct link_end *target;
    TAILQ_ENTRY(link) client_entry;
    TAILQ_ENTRY(link) target_entry;
    UT_hash_handle hh;
};

struct links {
    struct link *all;
    struct link *last; /* the one touched last: runs of requests cost no look-up */
};

void link_end_init(struct link_end *end, uint32_t id);
int links_touch(struct links *links, struct link_end *client, struct link_end *target);
bool links_has(const struct links *links, const struct link_end *client,
               const struct link_end *target);
void links_remove(struct links *links, struct link *l);
void links_drop_client(struct links *links, struct link_end *client);
void links_drop_target(struct links *links, struct link_end *target);

#endif
