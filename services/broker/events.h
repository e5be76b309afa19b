/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Event subscriptions: who wants events whose topic begins with what. */
#ifndef BROKER_EVENTS_H
#define BROKER_EVENTS_H

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/list.h"
#include "wire/message.h"

#define SUBSCRIPTIONS_MAX 4096 /* per subscriber */

struct subscription {
    struct prefix *prefix;
    struct subscriber *sub;
    unsigned int times;
    TAILQ_ENTRY(subscription) prefix_entry;
    TAILQ_ENTRY(subscription) sub_entry;
};
TAILQ_HEAD(subscription_list, subscription);

/* Embedded in the client. */
struct subscriber {
    struct subscription_list list;
    size_t count;
    uint64_t mark; /* number of the last event it was found for */
};

struct events {
    struct prefix *prefixes;
    size_t lengths[MSG_TOPIC_MAX + 1]; /* prefixes of each length */
    uint64_t published;
};

void subscriber_init(struct subscriber *sub);
/* A topic that is subscribed to twice must be unsubscribed from twice. 0, -EINVAL (too long),
 * -ENOSPC, -ENOMEM; -ENOENT. */
int events_subscribe(struct events *ev, struct subscriber *sub, const char *topic);
int events_unsubscribe(struct events *ev, struct subscriber *sub, const char *topic);
void events_forget(struct events *ev, struct subscriber *sub);

const char *subscription_topic(const struct subscription *s);

/* Calls cb once for each subscriber with a prefix of topic. cb must not change subscriptions. */
void events_match(struct events *ev, const char *topic,
                  void (*cb)(struct subscriber *sub, void *arg), void *arg);

/* Does anybody subscribe to a prefix of topic? */
bool events_wanted(const struct events *ev, const char *topic);

#endif
