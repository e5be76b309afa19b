/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sending: a message straight from its pieces, or many queued ones with one sendmmsg(2). Payloads
 * are never copied. A descriptor is lent to the kernel for the call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "wire/txqueue.h"

#define TX_BATCH        16
#define MALLOC_OVERHEAD 32 /* of a small allocation, about */

union tx_control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int))];
};

struct tx_frame {
    struct iovec iov[3];
    union tx_control control;
};

static void attach_fd(struct msghdr *h, union tx_control *control, int fd)
{
    struct cmsghdr *c;

    memset(control, 0, sizeof(*control));
    h->msg_control = control->buf;
    h->msg_controllen = sizeof(control->buf);
    c = CMSG_FIRSTHDR(h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

int tx_send_pieces(int fd, const struct msg_pieces *pieces)
{
    struct tx_frame frame = { .iov = {
                                  { (void *)pieces->head, pieces->head_size },
                                  { (void *)pieces->payload, pieces->payload_size },
                                  { (void *)pieces->tail, pieces->tail_size },
                              } };
    struct msghdr h = { .msg_iov = frame.iov, .msg_iovlen = 3 };
    ssize_t n;

    if (pieces->fd >= 0)
        attach_fd(&h, &frame.control, pieces->fd);
    do {
        n = sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void prepare(const struct tx_item *item, struct tx_frame *frame, struct msghdr *h)
{
    const struct msg_payload *p = item->payload;
    bool inlined = p && !item->by_fd;

    frame->iov[0] = (struct iovec){ (void *)item->head, item->head_size };
    frame->iov[1] = (struct iovec){ inlined ? (void *)p->data : NULL, inlined ? p->size : 0 };
    frame->iov[2] = (struct iovec){ (void *)item->tail, sizeof(item->tail) };
    h->msg_iov = frame->iov;
    h->msg_iovlen = 3;
    if (item->by_fd)
        attach_fd(h, &frame->control, p->fd);
}

int tx_send_queue(int fd, const struct tx_queue *queue)
{
    struct mmsghdr hdr[TX_BATCH] = { 0 };
    struct tx_frame frames[TX_BATCH];
    struct tx_item *item;
    unsigned int n = 0;
    int sent;

    STAILQ_FOREACH(item, queue, entry)
    {
        if (n == TX_BATCH)
            break;
        prepare(item, &frames[n], &hdr[n].msg_hdr);
        n++;
    }
    do {
        sent = sendmmsg(fd, hdr, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

size_t tx_cost(const struct msg_pieces *pieces, const flux_msg_t *msg)
{
    return pieces->head_size + msg_payload_size(msg) + pieces->tail_size;
}

size_t tx_queue_cost(const struct msg_pieces *pieces, const flux_msg_t *msg)
{
    return tx_cost(pieces, msg) + sizeof(struct tx_item) + MALLOC_OVERHEAD;
}

struct tx_item *tx_item_new(const flux_msg_t *msg, const struct msg_pieces *pieces)
{
    struct tx_item *item = malloc(sizeof(*item) + pieces->head_size);

    if (!item)
        return NULL;
    item->payload = msg->payload ? msg_payload_ref(msg->payload) : NULL;
    item->by_fd = pieces->fd >= 0;
    item->bytes = tx_cost(pieces, msg);
    item->cost = tx_queue_cost(pieces, msg);
    item->head_size = pieces->head_size;
    memcpy(item->head, pieces->head, pieces->head_size);
    memcpy(item->tail, pieces->tail, sizeof(item->tail));
    return item;
}

struct tx_item *tx_item_free(struct tx_item *item)
{
    if (item) {
        (void)msg_payload_unref(item->payload);
        free(item);
    }
    return NULL;
}
