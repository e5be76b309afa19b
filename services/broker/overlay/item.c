/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An item holds its frame as it goes out, and a descriptor of its own with the payload of a large
 * message. The next process gets the frames as base64 and the descriptors by name; what is too much
 * for that is not cut: then the session cannot be handed on. */
#include <fcntl.h>
#include <string.h>

#include "base/base64.h"
#include "broker/overlay/item.h"
#include "service/fdstore.h"

#define KEEP_LARGE 64 /* descriptors, for one neighbour */
#define NAME_SIZE  64

struct node_item *node_item_free(struct node_item *item)
{
    if (item && item->fd >= 0)
        (void)close(item->fd);
    free(item);
    return NULL;
}

/* Consumes fd. */
static int make(size_t frame_size, int fd, size_t fd_size, struct node_item **ret)
{
    struct node_item *item = malloc(sizeof(*item) + frame_size);

    if (!item) {
        if (fd >= 0)
            (void)close(fd);
        return -ENOMEM;
    }
    *item = (struct node_item){
        .cost = sizeof(*item) + frame_size, .fd = fd, .fd_size = fd_size, .frame_size = frame_size
    };
    if (fd >= 0)
        item->cost += fd_size;
    *ret = item;
    return 0;
}

int node_item_new(const struct msg_pieces *p, size_t payload_size, struct node_item **ret)
{
    const int fd = p->fd >= 0 ? fcntl(p->fd, F_DUPFD_CLOEXEC, 0) : -EBADF;
    uint8_t *to;
    int rc;

    if (p->fd >= 0 && fd < 0)
        return -errno;
    rc = make(p->head_size + p->payload_size + p->tail_size, fd, payload_size, ret);
    if (rc < 0)
        return rc;
    to = (*ret)->frame;
    memcpy(to, p->head, p->head_size);
    if (p->payload_size)
        memcpy(to + p->head_size, p->payload, p->payload_size);
    memcpy(to + p->head_size + p->payload_size, p->tail, p->tail_size);
    return 0;
}

/* --- for the next process */

static json_t *encode_item(const struct node_item *item, bool is_bulk, const char *name)
{
    CLEANUP(freep) char *text = NULL;
    size_t len;

    text = base64_encode(item->frame, item->frame_size, &len);
    return text ? json_pack("{s:i s:b s:s% s:s*}", "key", (int)item->key, "bulk", is_bulk, "frame",
                            text, len, "payload", name)
                : NULL;
}

static int keep_item(const struct node *n, const struct node_item *item, bool is_bulk,
                     json_t *queue)
{
    char name[NAME_SIZE];
    int rc;

    (void)snprintf(name, sizeof(name), "large-%u-%zu", n->rank, json_array_size(queue));
    rc = item->fd >= 0 ? fdstore_put(name, item->fd) : 0;
    if (rc < 0)
        return rc;
    return json_array_append_new(queue, encode_item(item, is_bulk, item->fd >= 0 ? name : NULL)) < 0
               ? -ENOMEM
               : 0;
}

bool node_queue_fits(const struct node *n, size_t *budget)
{
    size_t bytes = 0, large = 0;
    const struct node_item *item;

    STAILQ_FOREACH(item, &n->queue, entry)
    bytes += item->frame_size;
    STAILQ_FOREACH(item, &n->bulk, entry)
    {
        bytes += item->frame_size;
        large += item->fd >= 0;
    }
    if (bytes > *budget || large > KEEP_LARGE)
        return false;
    *budget -= bytes;
    return true;
}

json_t *node_queue_encode(const struct node *n)
{
    CLEANUP(json_decrefp) json_t *queue = json_array();
    const struct node_item *item;

    if (!queue)
        return NULL;
    STAILQ_FOREACH(item, &n->queue, entry)
    if (keep_item(n, item, false, queue) < 0)
        return NULL;
    STAILQ_FOREACH(item, &n->bulk, entry)
    if (keep_item(n, item, true, queue) < 0)
        return NULL;
    return TAKE(queue);
}

static int restore_item(struct node *n, struct service *svc, const json_t *o)
{
    CLEANUP(freep) uint8_t *frame = NULL;
    const char *text, *name = NULL;
    size_t len, frame_size = 0, size = 0;
    struct node_item *item;
    int key, is_bulk, fd = -EBADF, rc;

    if (json_unpack((json_t *)o, "{s:i s:b s:s% s?s}", "key", &key, "bulk", &is_bulk, "frame",
                    &text, &len, "payload", &name) < 0)
        return -EPROTO;
    frame = base64_decode(text, len, &frame_size);
    if (!frame)
        return -EPROTO;
    if (name && (fd = fdstore_take(svc, name)) < 0)
        return fd;
    if (name && (rc = msg_memfd_check(fd, MSG_PAYLOAD_MAX, &size)) < 0) {
        (void)close(fd);
        return rc;
    }
    rc = make(frame_size, fd, size, &item);
    if (rc < 0)
        return rc;
    memcpy(item->frame, frame, frame_size);
    item->key = (uint8_t)key;
    node_queue_item(n, item, is_bulk);
    return 0;
}

int node_queue_restore(struct node *n, struct service *svc, const json_t *queue)
{
    const json_t *value;
    int rc = 0;
    size_t i;

    json_array_foreach (queue, i, value) {
        rc = restore_item(n, svc, value);
        if (rc < 0)
            break;
    }
    return rc;
}
