/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests that were forwarded to a service and are not answered to the end. The ends of both sides
 * are embedded in the client and in the target. Requests without a matchtag, or that want no
 * response, are not here: nobody could tell their answers apart. */
#ifndef BROKER_INFLIGHT_H
#define BROKER_INFLIGHT_H

#include <flux/message.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/list.h"

#define INFLIGHT_MAX_PER_CLIENT 65536

struct inflight;
TAILQ_HEAD(inflight_list, inflight);

struct inflight_client {
    uint32_t id; /* unique among clients */
    size_t count;
    struct inflight_list list;
};

struct inflight_target {
    size_t count;
    struct inflight_list list;
};

struct inflight {
    uint64_t key;
    struct inflight_client *client;
    struct inflight_target *target;
    uint32_t matchtag;
    uint32_t userid;
    size_t bytes; /* of the request's payload, for whoever keeps accounts */
    bool streaming;
    TAILQ_ENTRY(inflight) client_entry;
    TAILQ_ENTRY(inflight) target_entry;
    UT_hash_handle hh;
    char topic[256];
};

struct inflight_table;

int inflight_table_new(struct inflight_table **ret);
struct inflight_table *inflight_table_free(struct inflight_table *t);
DEFINE_CLEANUP(struct inflight_table *, inflight_table_free)

void inflight_client_init(struct inflight_client *c, uint32_t id);
void inflight_target_init(struct inflight_target *t);

/* 0; -EEXIST: the client uses this matchtag already; -EAGAIN: too many; -ENOMEM. */
int inflight_add(struct inflight_table *t, struct inflight_client *client,
                 struct inflight_target *target, const flux_msg_t *request, struct inflight **ret);
struct inflight *inflight_find(struct inflight_table *t, const struct inflight_client *client,
                               uint32_t matchtag);
void inflight_remove(struct inflight_table *t, struct inflight *e);
/* Is this response the last one to e? */
bool inflight_is_final(const struct inflight *e, const flux_msg_t *response);
size_t inflight_count(const struct inflight_table *t);
/* Of those, the ones that will end by themselves. */
size_t inflight_count_plain(const struct inflight_table *t);

#endif
