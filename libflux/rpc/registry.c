/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lists of names with counts. Clients have few of them, so they are searched one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpc/conn.h"
#include "rpc/registry.h"

struct registration {
    TAILQ_ENTRY(registration) link;
    int count;
    char name[];
};

void registration_init(struct registry *reg)
{
    TAILQ_INIT(&reg->topics);
    TAILQ_INIT(&reg->services);
}

static void list_deinit(struct registration_list *list)
{
    struct registration *r;

    while ((r = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, r, link);
        free(r);
    }
}

void registration_deinit(struct registry *reg)
{
    list_deinit(&reg->services);
    list_deinit(&reg->topics);
}

static struct registration *find(struct registration_list *list, const char *name)
{
    struct registration *r;

    TAILQ_FOREACH (r, list, link) {
        if (strcmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

int registration_add(struct registration_list *list, const char *name)
{
    struct registration *r = find(list, name);
    size_t size = strlen(name) + 1;

    if (!r) {
        r = calloc(1, sizeof(*r) + size);
        if (!r)
            return -ENOMEM;
        memcpy(r->name, name, size);
        TAILQ_INSERT_TAIL(list, r, link);
    }
    return ++r->count;
}

int registration_remove(struct registration_list *list, const char *name)
{
    struct registration *r = find(list, name);

    if (!r)
        return -ENOENT;
    if (--r->count > 0)
        return r->count;
    TAILQ_REMOVE(list, r, link);
    free(r);
    return 0;
}

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static int replay(const struct registration_list *list, struct conn *conn, const char *topic,
                  const char *key)
{
    const struct registration *r;

    TAILQ_FOREACH (r, list, link) {
        CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
        int rc;

        if (!msg || flux_msg_set_topic(msg, topic) < 0 ||
            flux_msg_pack(msg, "{s:s}", key, r->name) < 0 || flux_msg_set_noresponse(msg) < 0)
            return -errno;
        rc = conn->router.connector->ops->send(conn->router.connector, msg);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int registration_replay(const struct registry *reg, struct conn *conn)
{
    int rc = replay(&reg->topics, conn, "event.subscribe", "topic");

    return rc < 0 ? rc : replay(&reg->services, conn, "service.add", "service");
}
