/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Topic and route stack of a message. Routes lie packed, oldest hop first, each NUL-terminated, so
 * that a hop is pushed or deleted at the end without moving anything. Hops hold 1 to MSG_ROUTE_MAX
 * bytes and no NUL; topics 1 to MSG_TOPIC_MAX printable ASCII characters without space. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/message_impl.h"

static int result(int rc)
{
    if (rc < 0) {
        errno = -rc;
        return -1;
    }
    return 0;
}

bool msg_topic_valid(const char *topic, size_t size)
{
    if (size == 0 || size > MSG_TOPIC_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (topic[i] <= ' ' || topic[i] > '~')
            return false;
    }
    return true;
}

int msg_set_topic_bytes(flux_msg_t *msg, const char *topic, size_t size)
{
    char *space = msg->topic_space;
    char *heap = NULL;

    if (size + 1 > msg->topic_room) {
        space = heap = malloc(size + 1);
        if (!heap)
            return -ENOMEM;
    }
    memmove(space, topic, size);
    space[size] = '\0';
    free(msg->topic_heap);
    msg->topic_heap = heap;
    msg->topic = space;
    msg->topic_size = size;
    msg->proto.flags |= FLUX_MSGFLAG_TOPIC;
    return 0;
}

int flux_msg_set_topic(flux_msg_t *msg, const char *topic)
{
    if (!msg)
        return result(-EINVAL);
    if (topic) {
        size_t size = strlen(topic);

        if (!msg_topic_valid(topic, size))
            return result(-EINVAL);
        return result(msg_set_topic_bytes(msg, topic, size));
    }
    free(msg->topic_heap);
    msg->topic_heap = NULL;
    msg->topic = NULL;
    msg->topic_size = 0;
    msg->proto.flags &= ~FLUX_MSGFLAG_TOPIC;
    return 0;
}

int flux_msg_get_topic(const flux_msg_t *msg, const char **topic)
{
    if (!msg || !topic)
        return result(-EINVAL);
    if (msg->topic_size == 0)
        return result(-EPROTO);
    *topic = msg->topic;
    return 0;
}

const char *msg_topic(const flux_msg_t *msg)
{
    return msg->topic_size > 0 ? msg->topic : "";
}

static int grow_routes(flux_msg_t *msg, size_t room)
{
    size_t new_room = MSG_ROUTES_MAX * (MSG_ROUTE_MAX + 1);
    char *heap;

    if (room <= msg->routes_room)
        return 0;
    heap = realloc(msg->routes_heap, new_room);
    if (!heap)
        return -ENOMEM;
    if (!msg->routes_heap)
        memcpy(heap, msg->routes, msg->routes_used);
    msg->routes = msg->routes_heap = heap;
    msg->routes_room = new_room;
    return 0;
}

int msg_push_route_bytes(flux_msg_t *msg, const char *id, size_t size)
{
    int rc;

    if (size == 0 || size > MSG_ROUTE_MAX || memchr(id, '\0', size))
        return -EINVAL;
    if (msg->nroutes == MSG_ROUTES_MAX)
        return -ELOOP;
    rc = grow_routes(msg, msg->routes_used + size + 1);
    if (rc < 0)
        return rc;
    memcpy(msg->routes + msg->routes_used, id, size);
    msg->routes[msg->routes_used + size] = '\0';
    msg->routes_used += size + 1;
    msg->route_size[msg->nroutes++] = size;
    return 0;
}

int flux_msg_route_enable(flux_msg_t *msg)
{
    if (!msg || msg->proto.type == FLUX_MSGTYPE_CONTROL)
        return result(-EINVAL);
    msg->proto.flags |= FLUX_MSGFLAG_ROUTE;
    return 0;
}

void flux_msg_route_disable(flux_msg_t *msg)
{
    if (!msg)
        return;
    msg->nroutes = 0;
    msg->routes_used = 0;
    msg->proto.flags &= ~FLUX_MSGFLAG_ROUTE;
}

static int check_enabled(const flux_msg_t *msg)
{
    if (!msg)
        return -EINVAL;
    return (msg->proto.flags & FLUX_MSGFLAG_ROUTE) ? 0 : -EPROTO;
}

int flux_msg_route_clear(flux_msg_t *msg)
{
    int rc = check_enabled(msg);

    if (rc < 0)
        return result(rc);
    msg->nroutes = 0;
    msg->routes_used = 0;
    return 0;
}

int flux_msg_route_push(flux_msg_t *msg, const char *id)
{
    int rc = id ? check_enabled(msg) : -EINVAL;

    return result(rc < 0 ? rc : msg_push_route_bytes(msg, id, strlen(id)));
}

int flux_msg_route_delete_last(flux_msg_t *msg)
{
    int rc = check_enabled(msg);

    if (rc < 0)
        return result(rc);
    if (msg->nroutes == 0)
        return result(-EPROTO);
    msg->routes_used -= msg->route_size[--msg->nroutes] + 1;
    return 0;
}

const char *flux_msg_route_first(const flux_msg_t *msg)
{
    return msg && msg->nroutes > 0 ? msg->routes : NULL;
}

const char *flux_msg_route_last(const flux_msg_t *msg)
{
    if (!msg || msg->nroutes == 0)
        return NULL;
    return msg->routes + msg->routes_used - msg->route_size[msg->nroutes - 1] - 1;
}

int flux_msg_route_count(const flux_msg_t *msg)
{
    int rc = check_enabled(msg);

    return rc < 0 ? result(rc) : msg->nroutes;
}

char *flux_msg_route_string(const flux_msg_t *msg)
{
    int rc = check_enabled(msg);
    char *s;

    if (rc < 0) {
        errno = -rc;
        return NULL;
    }
    s = malloc(msg->routes_used + 1);
    if (!s)
        return NULL;
    memcpy(s, msg->routes, msg->routes_used);
    for (size_t i = 0; i < msg->routes_used; i++) {
        if (s[i] == '\0')
            s[i] = '!';
    }
    s[msg->routes_used > 0 ? msg->routes_used - 1 : 0] = '\0';
    return s;
}

bool flux_msg_route_match_first(const flux_msg_t *a, const flux_msg_t *b)
{
    const char *first_a = flux_msg_route_first(a);
    const char *first_b = flux_msg_route_first(b);

    if (!a || !b)
        return false;
    if (first_a && first_b)
        return strcmp(first_a, first_b) == 0;
    return !first_a && !first_b && a->proto.userid == b->proto.userid;
}
