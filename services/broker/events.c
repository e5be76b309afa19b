/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Prefixes are hashed; an event looks up its own prefixes of those lengths that occur, so
 * publishing costs nothing for subscriptions that do not match. Invariant: a subscriber is found
 * once per event however many of its prefixes match (mark). */
#include <string.h>

#include "broker/events.h"

struct prefix {
    struct subscription_list subscriptions;
    UT_hash_handle hh;
    size_t len;
    char topic[];
};

const char *subscription_topic(const struct subscription *s)
{
    return s->prefix->topic;
}

void subscriber_init(struct subscriber *sub)
{
    *sub = (struct subscriber){ 0 };
    TAILQ_INIT(&sub->list);
}

static struct prefix *prefix_find(const struct events *ev, const char *topic, size_t len)
{
    struct prefix *p;

    HASH_FIND(hh, ev->prefixes, topic, len, p);
    return p;
}

static struct prefix *prefix_add(struct events *ev, const char *topic, size_t len)
{
    struct prefix *p = calloc(1, sizeof(*p) + len + 1);

    if (!p)
        return NULL;
    memcpy(p->topic, topic, len);
    p->len = len;
    TAILQ_INIT(&p->subscriptions);
    HASH_ADD(hh, ev->prefixes, topic[0], len, p);
    if (!p->hh.tbl) {
        free(p);
        return NULL;
    }
    ev->lengths[len]++;
    return p;
}

static void prefix_drop_if_unused(struct events *ev, struct prefix *p)
{
    if (!TAILQ_EMPTY(&p->subscriptions))
        return;
    HASH_DEL(ev->prefixes, p);
    ev->lengths[p->len]--;
    free(p);
}

static struct subscription *find(const struct subscriber *sub, const char *topic)
{
    struct subscription *s;

    TAILQ_FOREACH (s, &sub->list, sub_entry)
        if (strcmp(s->prefix->topic, topic) == 0)
            return s;
    return NULL;
}

int events_subscribe(struct events *ev, struct subscriber *sub, const char *topic)
{
    const size_t len = strlen(topic);
    struct subscription *s;
    struct prefix *p;

    if (len > MSG_TOPIC_MAX)
        return -EINVAL;
    s = find(sub, topic);
    if (s) {
        s->times++;
        return 0;
    }
    if (sub->count >= SUBSCRIPTIONS_MAX)
        return -ENOSPC;
    s = calloc(1, sizeof(*s));
    p = prefix_find(ev, topic, len);
    if (s && !p)
        p = prefix_add(ev, topic, len);
    if (!s || !p) {
        free(s);
        return -ENOMEM;
    }
    s->prefix = p;
    s->sub = sub;
    s->times = 1;
    TAILQ_INSERT_TAIL(&p->subscriptions, s, prefix_entry);
    TAILQ_INSERT_TAIL(&sub->list, s, sub_entry);
    sub->count++;
    return 0;
}

static void subscription_remove(struct events *ev, struct subscription *s)
{
    TAILQ_REMOVE(&s->prefix->subscriptions, s, prefix_entry);
    TAILQ_REMOVE(&s->sub->list, s, sub_entry);
    s->sub->count--;
    prefix_drop_if_unused(ev, s->prefix);
    free(s);
}

int events_unsubscribe(struct events *ev, struct subscriber *sub, const char *topic)
{
    struct subscription *s = find(sub, topic);

    if (!s)
        return -ENOENT;
    if (--s->times == 0)
        subscription_remove(ev, s);
    return 0;
}

void events_forget(struct events *ev, struct subscriber *sub)
{
    while (!TAILQ_EMPTY(&sub->list))
        subscription_remove(ev, TAILQ_FIRST(&sub->list));
}

void events_match(struct events *ev, const char *topic,
                  void (*cb)(struct subscriber *sub, void *arg), void *arg)
{
    const size_t len = strlen(topic);
    const uint64_t mark = ++ev->published;

    for (size_t n = 0; n <= len && n <= MSG_TOPIC_MAX; n++) {
        struct prefix *p = ev->lengths[n] ? prefix_find(ev, topic, n) : NULL;
        struct subscription *s;

        if (!p)
            continue;
        TAILQ_FOREACH (s, &p->subscriptions, prefix_entry) {
            if (s->sub->mark == mark)
                continue;
            s->sub->mark = mark;
            cb(s->sub, arg);
        }
    }
}

bool events_wanted(const struct events *ev, const char *topic)
{
    const size_t len = strlen(topic);

    for (size_t n = 0; n <= len && n <= MSG_TOPIC_MAX; n++)
        if (ev->lengths[n] && prefix_find(ev, topic, n))
            return true;
    return false;
}
