/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Order is kept among the messages from or to one client, and among events: what is queued goes out
 * before what is sent later. Large messages wait in a queue of their own, which is looked at when
 * the other one is empty; a message of somebody who has one there goes behind it. Invariants: a
 * message that is not in bulk has no earlier one of its client there; queued_bytes is the sum of
 * what the items cost, at most NODE_QUEUE_BYTES plus one message. */
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/monotime.h"
#include "broker/overlay/item.h"

#define PIECES_A_TURN 16 /* 1 MiB: then others are looked at */
#define ACK_PIECES    (NODE_WINDOW / 4)
#define KEY_EVENTS    0

int node_new(struct zsock *sock, uint32_t rank, const char *host, const uint8_t *id,
             struct node **ret)
{
    struct node *n = calloc(1, sizeof(*n));

    if (!n)
        return -ENOMEM;
    n->sock = sock;
    n->rank = rank;
    n->large_fd = -EBADF;
    n->is_parent = !id;
    if (id)
        memcpy(n->id, id, sizeof(n->id));
    (void)snprintf(n->host, sizeof(n->host), "%s", host);
    STAILQ_INIT(&n->queue);
    STAILQ_INIT(&n->bulk);
    n->window = NODE_WINDOW;
    n->since_usec = n->rx_usec = monotime_usec();
    *ret = n;
    return 0;
}

static void drop_large(struct node *n)
{
    flux_msg_destroy(n->large);
    n->large = NULL;
    if (n->large_fd >= 0)
        (void)close(n->large_fd);
    n->large_fd = -EBADF;
}

static void drop_queue(struct node_queue *queue)
{
    struct node_item *item;

    while ((item = STAILQ_FIRST(queue))) {
        STAILQ_REMOVE_HEAD(queue, entry);
        (void)node_item_free(item);
    }
}

struct node *node_free(struct node *n)
{
    if (!n)
        return NULL;
    drop_queue(&n->queue);
    drop_queue(&n->bulk);
    drop_large(n);
    free(n);
    return NULL;
}

/* --- out */

static const uint8_t *id_of(const struct node *n)
{
    return n->is_parent ? NULL : n->id;
}

static int send_control(struct zsock *sock, const uint8_t *id, enum node_control_type type,
                        const void *data, size_t size)
{
    struct msg_pieces pieces = { .payload = data, .payload_size = size };

    pieces.head[0] = NODE_CONTROL_MAGIC;
    pieces.head[1] = (uint8_t)type;
    pieces.head_size = NODE_CONTROL_HEAD;
    return zsock_send(sock, id, &pieces);
}

int node_send_stranger(struct zsock *sock, const uint8_t *id, enum node_control_type type,
                       const void *data, size_t size)
{
    return send_control(sock, id, type, data, size);
}

int node_send_control(struct node *n, enum node_control_type type, const void *data, size_t size)
{
    if (n->held && type != NODE_GOODBYE)
        return 0;
    n->tx_usec = monotime_usec();
    return n->sock ? send_control(n->sock, id_of(n), type, data, size) : -EHOSTUNREACH;
}

static int send_announcement(struct node *n, const struct node_item *item)
{
    uint8_t buf[sizeof(uint64_t) + MSG_HEAD_MAX + 1 + MSG_PROTO_SIZE];
    const uint64_t size = htobe64(item->fd_size);

    if (item->frame_size > sizeof(buf) - sizeof(size))
        return -EPROTO;
    memcpy(buf, &size, sizeof(size));
    memcpy(buf + sizeof(size), item->frame, item->frame_size);
    return send_control(n->sock, id_of(n), NODE_LARGE, buf, sizeof(size) + item->frame_size);
}

static int send_piece(struct node *n, struct node_item *item)
{
    CLEANUP(freep) uint8_t *buf = malloc(MSG_INLINE_MAX);
    ssize_t size;
    int rc;

    if (!buf)
        return -ENOMEM;
    size = pread(item->fd, buf, MSG_INLINE_MAX, (off_t)item->fd_done);
    if (size <= 0)
        return -EIO; /* a sealed memfd does not shrink */
    rc = send_control(n->sock, id_of(n), NODE_PIECE, buf, (size_t)size);
    if (rc == 0) {
        item->fd_done += (size_t)size;
        n->window--;
    }
    return rc;
}

static int send_frame(struct node *n, const struct node_item *item)
{
    const struct msg_pieces p = { .payload = item->frame, .payload_size = item->frame_size };

    return item->fd >= 0 ? send_announcement(n, item) : zsock_send(n->sock, id_of(n), &p);
}

/* 0: all of it went. */
static int item_send(struct node *n, struct node_item *item)
{
    int rc = 0;

    if (!item->begun) {
        rc = send_frame(n, item);
        if (rc < 0)
            return rc;
        item->begun = true;
    }
    for (int i = 0; item->fd >= 0 && item->fd_done < item->fd_size && rc == 0; i++) {
        if (n->window == 0)
            return -EAGAIN; /* the acknowledgement will have us called */
        if (i == PIECES_A_TURN) {
            zsock_kick(n->sock);
            return -EAGAIN;
        }
        rc = send_piece(n, item);
    }
    return rc;
}

static int flush_queue(struct node *n, struct node_queue *queue)
{
    struct node_item *item;

    while ((item = STAILQ_FIRST(queue))) {
        const int rc = item_send(n, item);

        if (rc < 0)
            return rc;
        STAILQ_REMOVE_HEAD(queue, entry);
        if (queue == &n->bulk)
            n->bulk_keys[item->key]--;
        n->queued_bytes -= item->cost;
        n->queued_messages--;
        n->tx_messages++;
        (void)node_item_free(item);
    }
    return 0;
}

static int send_ack(struct node *n)
{
    const uint32_t count = htobe32(n->unacked);
    const int rc = send_control(n->sock, id_of(n), NODE_ACK, &count, sizeof(count));

    if (rc == 0)
        n->unacked = 0;
    return rc;
}

/* PAUSE first: it says that nothing but PAUSED follows. */
static int send_due(struct node *n)
{
    static const struct {
        uint8_t due;
        enum node_control_type type;
    } frames[] = { { NODE_DUE_PAUSE, NODE_PAUSE }, { NODE_DUE_PAUSED, NODE_PAUSED } };

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        int rc;

        if (!(n->due & frames[i].due))
            continue;
        rc = n->sock ? send_control(n->sock, id_of(n), frames[i].type, NULL, 0) : 0;
        if (rc < 0)
            return rc;
        n->due &= (uint8_t)~frames[i].due;
    }
    return 0;
}

int node_flush(struct node *n)
{
    int rc = send_due(n);

    if (n->held && rc == 0)
        return n->queued_messages == 0 ? 0 : -EAGAIN;
    if (rc == 0 && n->unacked >= ACK_PIECES)
        rc = send_ack(n);
    if (rc == 0)
        rc = flush_queue(n, &n->queue);
    return rc == 0 ? flush_queue(n, &n->bulk) : rc;
}

void node_queue_item(struct node *n, struct node_item *item, bool is_bulk)
{
    n->bulk_keys[item->key] += is_bulk;
    STAILQ_INSERT_TAIL(is_bulk ? &n->bulk : &n->queue, item, entry);
    n->queued_bytes += item->cost;
    n->queued_messages++;
}

static int enqueue(struct node *n, const struct msg_pieces *p, size_t payload_size, uint8_t key)
{
    const bool is_bulk = p->fd >= 0 || n->bulk_keys[key] > 0;
    struct node_item *item = NULL;
    int rc;

    if (n->queued_bytes >= NODE_QUEUE_BYTES || n->queued_messages >= NODE_QUEUE_MESSAGES)
        return -ENOBUFS;
    rc = node_item_new(p, payload_size, &item);
    if (rc < 0)
        return rc;
    item->key = key;
    node_queue_item(n, item, is_bulk);
    rc = node_flush(n);
    return rc == -EAGAIN ? 0 : rc;
}

/* Whose message is it: a client's, known by the route that every request and response has, or an
 * event. Others may have the same key. */
static uint8_t key_of(const flux_msg_t *msg)
{
    const char *client = flux_msg_route_first(msg);
    uint32_t hash = 2166136261u;

    if (!client)
        return KEY_EVENTS;
    for (; *client; client++)
        hash = (hash ^ (uint8_t)*client) * 16777619u;
    return (uint8_t)(1 + hash % (NODE_KEYS - 1));
}

int node_send(struct node *n, const flux_msg_t *msg)
{
    const uint8_t key = key_of(msg);
    struct msg_pieces p;
    int rc = msg_encode_pieces(msg, &p);

    if (rc < 0)
        return rc;
    n->tx_usec = monotime_usec();
    if (p.fd < 0 && !n->held && STAILQ_EMPTY(&n->queue) && n->bulk_keys[key] == 0) {
        rc = zsock_send(n->sock, id_of(n), &p);
        n->tx_messages += rc == 0;
        if (rc != -EAGAIN)
            return rc;
    }
    return enqueue(n, &p, msg_payload_size(msg), key);
}

int node_queue_control(struct node *n, enum node_control_type type, const void *data, size_t size)
{
    const struct msg_pieces p = { .head = { NODE_CONTROL_MAGIC, (uint8_t)type },
                                  .head_size = NODE_CONTROL_HEAD,
                                  .payload = data,
                                  .payload_size = size,
                                  .fd = -EBADF };

    return enqueue(n, &p, 0, KEY_EVENTS);
}

/* --- a pause */

/* Of a large message in part on its way the other side drops what it has. */
static void hold(struct node *n)
{
    struct node_item *item;

    n->held = true;
    STAILQ_FOREACH(item, &n->bulk, entry)
    {
        item->begun = false;
        item->fd_done = 0;
    }
}

void node_pause(struct node *n)
{
    if (n->paused || n->pausing)
        return;
    hold(n);
    n->pausing = true;
    n->due |= NODE_DUE_PAUSE;
    (void)node_flush(n);
}

void node_on_pause(struct node *n)
{
    if (!n->pausing)
        hold(n);
    drop_large(n);
    n->paused = n->paused || !n->pausing;
    n->due |= NODE_DUE_PAUSED;
    (void)node_flush(n);
}

void node_on_paused(struct node *n)
{
    if (!n->pausing)
        return;
    drop_large(n);
    n->paused = true;
}

bool node_is_paused(const struct node *n)
{
    return n->paused && n->due == 0;
}

void node_resume(struct node *n)
{
    drop_large(n);
    n->held = n->pausing = n->paused = false;
    n->due = 0;
    n->window = NODE_WINDOW;
    n->unacked = 0;
    n->rx_usec = n->tx_usec = monotime_usec();
    n->torpid = false;
}

/* --- in */

static int begin_large(struct node *n, const uint8_t *data, size_t size, const char **ret_reason)
{
    uint64_t total;

    if (n->large || size <= sizeof(total)) {
        *ret_reason = "a large message within another";
        return -EPROTO;
    }
    memcpy(&total, data, sizeof(total));
    total = be64toh(total);
    if (total <= MSG_INLINE_MAX || total > MSG_PAYLOAD_MAX) {
        *ret_reason = "a large message of an impossible size";
        return -EPROTO;
    }
    if (msg_decode(data + sizeof(total), size - sizeof(total), -EBADF, 0, &n->large, ret_reason) <
        0)
        return -EPROTO;
    n->large_fd = memfd_create("flux-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (n->large_fd < 0)
        return -errno;
    n->large_size = total;
    n->large_done = 0;
    return 0;
}

static int end_large(struct node *n, flux_msg_t **ret_msg)
{
    size_t size;
    int rc;

    if (fcntl(n->large_fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
        0)
        return -errno;
    rc = msg_memfd_check(n->large_fd, MSG_PAYLOAD_MAX, &size);
    if (rc == 0)
        rc = msg_set_payload_fd(n->large, n->large_fd, size);
    n->large_fd = -EBADF;
    if (rc == 0)
        *ret_msg = TAKE(n->large);
    drop_large(n);
    return rc;
}

static int add_piece(struct node *n, const void *data, size_t size, flux_msg_t **ret_msg,
                     const char **ret_reason)
{
    if (!n->large || size == 0 || size > n->large_size - n->large_done) {
        *ret_reason = "a piece of no large message";
        return -EPROTO;
    }
    if (pwrite(n->large_fd, data, size, (off_t)n->large_done) != (ssize_t)size) {
        *ret_reason = "no memory for a large message";
        return -ENOMEM;
    }
    n->large_done += size;
    n->unacked++;
    if (n->unacked >= ACK_PIECES && n->sock && !n->held)
        (void)send_ack(n); /* or node_flush() does */
    return n->large_done < n->large_size ? 0 : end_large(n, ret_msg);
}

static int add_window(struct node *n, const void *data, size_t size, const char **ret_reason)
{
    uint32_t count;

    if (size == sizeof(count)) {
        memcpy(&count, data, sizeof(count));
        count = be32toh(count);
    }
    if (size != sizeof(count) || count > NODE_WINDOW - n->window) {
        *ret_reason = "an acknowledgement of what was not sent";
        return -EPROTO;
    }
    n->window += count;
    return 0;
}

bool node_control_parse(const void *frame, size_t frame_size, struct node_control *ret)
{
    const uint8_t *p = frame;

    *ret = (struct node_control){ 0 };
    if (frame_size < NODE_CONTROL_HEAD || p[0] != NODE_CONTROL_MAGIC)
        return false;
    *ret = (struct node_control){ .type = p[1],
                                  .data = p + NODE_CONTROL_HEAD,
                                  .size = frame_size - NODE_CONTROL_HEAD };
    return true;
}

int node_receive(struct node *n, const void *data, size_t size, flux_msg_t **ret_msg,
                 struct node_control *ret_control, const char **ret_reason)
{
    *ret_msg = NULL;
    *ret_reason = "out of memory";
    n->rx_usec = monotime_usec();
    if (!node_control_parse(data, size, ret_control)) {
        n->rx_messages++;
        return msg_decode(data, size, -EBADF, 0, ret_msg, ret_reason) < 0 ? -EPROTO : 0;
    }
    if (ret_control->type == NODE_LARGE)
        return begin_large(n, ret_control->data, ret_control->size, ret_reason);
    if (ret_control->type == NODE_PIECE)
        return add_piece(n, ret_control->data, ret_control->size, ret_msg, ret_reason);
    if (ret_control->type == NODE_ACK)
        return add_window(n, ret_control->data, ret_control->size, ret_reason);
    return 0;
}
