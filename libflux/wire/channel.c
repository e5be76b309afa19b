/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One SEQPACKET connection. Receiving fetches up to 16 datagrams at a time and decodes them at
 * once; sending goes straight to the kernel while it takes messages and queues, within limits, when
 * it does not.
 *
 * A peer is refused for: a datagram longer than any valid message, more than one descriptor, a
 * descriptor that does not belong, a memfd that is not sealed, too large or unreadable, and
 * whatever the codec refuses. recvmsg(2) cannot tell a zero-length record from the end of the
 * stream, so both are the end: a peer that sends one is treated as gone, and the owner's
 * channel_free() makes it so. Messages that arrived before any of this are still delivered, in
 * order.
 *
 * The kernel lets a user have no more descriptors in flight than a process may have open
 * (ETOOMANYREFS), over all sockets. That says nothing about this peer, and poll(2) knows nothing of
 * it: the message waits, the owner asks again after a while, and a peer that gets nothing for
 * STARVED_MAX_USEC is given up. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/monotime.h"
#include "wire/channel.h"
#include "wire/rxscratch.h"
#include "wire/txqueue.h"

#define STARVED_MAX_USEC 10000000u

struct channel {
    int fd;
    struct channel_limits limits;
    struct peer_cred peer;
    struct channel_stats stats;
    struct tx_queue queue;
    bool corked;
    int tx_error;          /* negative errno once sending has failed for good */
    uint64_t starved_usec; /* since when ETOOMANYREFS keeps the queue; 0: it does not */
    flux_msg_t *input[RX_BATCH];
    unsigned int input_next;
    unsigned int input_count;
    bool drained;          /* the last fetch emptied the socket */
    int rx_error;          /* negative errno that follows the last input message */
    const char *rx_reason; /* for it */
};

const struct channel_limits channel_limits_default = {
    .queue_bytes = 64u << 20,
    .queue_messages = 65536,
    .payload_bytes = MSG_PAYLOAD_MAX,
    .read_memfd = true,
};

static int channel_new_fd(int fd, const struct channel_limits *limits, struct channel **ret)
{
    CLEANUP(closep) int taken = fd;
    struct channel *ch;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    ch = calloc(1, sizeof(*ch));
    if (!ch)
        return -ENOMEM;
    ch->fd = TAKE_FD(taken);
    ch->limits = limits ? *limits : channel_limits_default;
    ch->peer = (struct peer_cred){ .uid = (uid_t)-1, .gid = (gid_t)-1, .pid = -1 };
    STAILQ_INIT(&ch->queue);
    *ret = ch;
    return 0;
}

int channel_new(int fd, const struct channel_limits *limits, struct channel **ret)
{
    struct channel *ch = NULL;
    int rc = channel_new_fd(fd, limits, &ch);

    if (rc < 0)
        return rc;
    rc = peer_cred_get(ch->fd, &ch->peer);
    if (rc < 0) {
        ch = channel_free(ch);
        return rc;
    }
    *ret = ch;
    return 0;
}

struct channel *channel_free(struct channel *ch)
{
    struct tx_item *item;

    if (!ch)
        return NULL;
    while (ch->input_next < ch->input_count)
        flux_msg_decref(ch->input[ch->input_next++]);
    while ((item = STAILQ_FIRST(&ch->queue))) {
        STAILQ_REMOVE_HEAD(&ch->queue, entry);
        (void)tx_item_free(item);
    }
    closep(&ch->fd);
    free(ch);
    return NULL;
}

/* The path must fit sockaddr_un; a longer one is reached through its directory's descriptor. */
static int connect_path(int fd, const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    CLEANUP(closep) int dirfd = -EBADF;
    const char *base = strrchr(path, '/');
    CLEANUP(freep) char *dir = NULL;

    if (strlen(path) < sizeof(sa.sun_path)) {
        strcpy(sa.sun_path, path);
    } else {
        if (!base || !(dir = strndup(path, base - path)))
            return base ? -ENOMEM : -ENAMETOOLONG;
        dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
            return -errno;
        if (snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d%s", dirfd, base) >=
            (int)sizeof(sa.sun_path))
            return -ENAMETOOLONG;
    }
    return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

int channel_connect(const char *path, const struct channel_limits *limits, struct channel **ret)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = connect_path(fd, path);
    if (rc < 0)
        return rc;
    rc = channel_new_fd(TAKE_FD(fd), limits, ret);
    if (rc == 0) /* the listener may belong to nobody we can name: it is we who trust the path */
        (void)peer_cred_get((*ret)->fd, &(*ret)->peer);
    return rc;
}

int channel_fd(const struct channel *ch)
{
    return ch->fd;
}

const struct peer_cred *channel_peer(const struct channel *ch)
{
    return &ch->peer;
}

const struct channel_stats *channel_stats(const struct channel *ch)
{
    return &ch->stats;
}

/* --- output --- */

static bool is_full(int rc)
{
    return rc == -EAGAIN || rc == -ENOBUFS || rc == -ENOMEM;
}

static int tx_fail(struct channel *ch, int rc)
{
    ch->tx_error = rc == -ECONNRESET ? rc : -EPIPE;
    return ch->tx_error;
}

/* 0, or for too long. */
static int tx_starve(struct channel *ch)
{
    const uint64_t now_usec = monotime_usec();

    if (ch->starved_usec == 0)
        ch->starved_usec = now_usec;
    return now_usec - ch->starved_usec > STARVED_MAX_USEC ? tx_fail(ch, -EPIPE) : 0;
}

static int enqueue(struct channel *ch, const flux_msg_t *msg, const struct msg_pieces *pieces)
{
    size_t cost = tx_queue_cost(pieces, msg);
    struct tx_item *item;

    if (ch->stats.queued_messages >= ch->limits.queue_messages ||
        ch->stats.queued_bytes >= ch->limits.queue_bytes)
        return -ENOBUFS;
    item = tx_item_new(msg, pieces);
    if (!item)
        return -ENOMEM;
    STAILQ_INSERT_TAIL(&ch->queue, item, entry);
    ch->stats.queued_messages++;
    ch->stats.queued_bytes += cost;
    return 0;
}

static void count_sent(struct channel *ch, size_t bytes)
{
    ch->stats.tx_messages++;
    ch->stats.tx_bytes += bytes;
}

int channel_send(struct channel *ch, const flux_msg_t *msg)
{
    struct msg_pieces pieces;
    int rc;

    if (ch->tx_error < 0)
        return ch->tx_error;
    rc = msg_encode_pieces(msg, &pieces);
    if (rc < 0)
        return rc;
    if (ch->corked || !STAILQ_EMPTY(&ch->queue))
        return enqueue(ch, msg, &pieces);
    rc = tx_send_pieces(ch->fd, &pieces);
    if (rc == 0) {
        count_sent(ch, tx_cost(&pieces, msg));
    } else if (is_full(rc) || rc == -ETOOMANYREFS) {
        const bool starved = rc == -ETOOMANYREFS;

        rc = enqueue(ch, msg, &pieces);
        if (rc == 0 && starved)
            rc = tx_starve(ch);
    } else {
        rc = tx_fail(ch, rc);
    }
    return rc;
}

static void drop_sent(struct channel *ch, int count)
{
    while (count-- > 0) {
        struct tx_item *item = STAILQ_FIRST(&ch->queue);

        STAILQ_REMOVE_HEAD(&ch->queue, entry);
        ch->stats.queued_messages--;
        ch->stats.queued_bytes -= item->cost;
        count_sent(ch, item->bytes);
        (void)tx_item_free(item);
    }
}

int channel_flush(struct channel *ch)
{
    if (ch->tx_error < 0)
        return ch->tx_error;
    while (!STAILQ_EMPTY(&ch->queue)) {
        int n = tx_send_queue(ch->fd, &ch->queue);

        if (n == -ETOOMANYREFS)
            return tx_starve(ch);
        ch->starved_usec = 0;
        if (n < 0)
            return is_full(n) ? 0 : tx_fail(ch, n);
        drop_sent(ch, n);
    }
    return 0;
}

void channel_cork(struct channel *ch)
{
    ch->corked = true;
}

int channel_uncork(struct channel *ch)
{
    ch->corked = false;
    return channel_flush(ch);
}

bool channel_pending(const struct channel *ch)
{
    return !STAILQ_EMPTY(&ch->queue);
}

bool channel_starved(const struct channel *ch)
{
    return ch->starved_usec > 0 && !STAILQ_EMPTY(&ch->queue);
}

/* --- input --- */

/* What follows the messages fetched so far, once and for all. */
static void rx_end(struct channel *ch, int rc, const char *reason)
{
    if (ch->rx_error < 0)
        return;
    ch->rx_error = rc;
    ch->rx_reason = reason;
}

static const char *check_fd(struct channel *ch, int fd, size_t *ret_size)
{
    switch (msg_memfd_check(fd, ch->limits.payload_bytes, ret_size)) {
    case 0:
        return NULL;
    case -EFBIG:
        return "payload too large";
    case -EPERM:
        return "file descriptor is not a sealed memfd";
    default:
        return "file descriptor is not a regular file";
    }
}

/* Decode one datagram into *ret. NULL, or why the peer is to be dropped. */
static const char *decode(struct channel *ch, struct rx_scratch *rx, int i, flux_msg_t **ret)
{
    const struct msghdr *h = &rx->hdr[i].msg_hdr;
    CLEANUP(closep) int fd = -EBADF;
    int nfds = rx_scratch_fds(rx, i, &fd);
    const char *reason = NULL;
    size_t fd_size = 0;

    if (h->msg_flags & MSG_TRUNC)
        return "record too large";
    if (nfds > 1)
        return "more than one file descriptor";
    if (h->msg_flags & MSG_CTRUNC)
        return "file descriptors that could not be received";
    if (fd >= 0)
        reason = check_fd(ch, fd, &fd_size);
    if (reason || msg_decode(rx->data[i], rx->hdr[i].msg_len, fd, fd_size, ret, &reason) < 0)
        return reason;
    fd = -EBADF; /* the message owns it */
    if (msg_payload_size(*ret) > ch->limits.payload_bytes)
        reason = "payload too large";
    else if (fd_size > 0 && ch->limits.read_memfd && msg_payload_load((*ret)->payload) < 0)
        reason = "payload cannot be read";
    if (reason) {
        flux_msg_decref(*ret);
        *ret = NULL;
    }
    return reason;
}

static void take(struct channel *ch, struct rx_scratch *rx, int i)
{
    flux_msg_t *msg = NULL;
    const char *reason;

    if (ch->rx_error == 0 && rx->hdr[i].msg_len > 0) {
        reason = decode(ch, rx, i, &msg);
        if (reason) {
            rx_end(ch, -EPROTO, reason);
            return;
        }
        ch->stats.rx_messages++;
        ch->stats.rx_bytes += rx->hdr[i].msg_len;
        ch->input[ch->input_count++] = msg;
        return;
    }
    /* End of stream, a zero-length record, or what came after an error: close what came along. */
    {
        CLEANUP(closep) int fd = -EBADF;

        (void)rx_scratch_fds(rx, i, &fd);
    }
    rx_end(ch, -ECONNRESET, "the connection was closed");
}

static int receive(struct channel *ch, struct rx_scratch *rx)
{
    bool retried = false;

    for (;;) {
        int n = recvmmsg(ch->fd, rx->hdr, RX_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);

        if (n >= 0)
            return n;
        /* ECONNRESET is reported once when a peer closes without having read everything; what it
         * sent before can still be received. */
        if (errno == EINTR || (errno == ECONNRESET && !retried)) {
            retried = errno == ECONNRESET ? true : retried;
            continue;
        }
        return -errno;
    }
}

static void fetch(struct channel *ch)
{
    struct rx_scratch *rx = rx_scratch_get();
    int n = rx ? receive(ch, rx) : -ENOMEM;

    ch->input_next = ch->input_count = 0;
    ch->drained = n < RX_BATCH;
    if (n < 0 && n != -EAGAIN && n != -ENOMEM)
        rx_end(ch, -ECONNRESET, "the connection broke");
    for (int i = 0; i < n; i++)
        take(ch, rx, i);
}

int channel_recv(struct channel *ch, flux_msg_t **ret, const char **ret_reason)
{
    if (ch->input_next == ch->input_count && ch->rx_error == 0) {
        if (ch->drained) { /* say so once without asking the kernel again */
            ch->drained = false;
            return -EAGAIN;
        }
        fetch(ch);
    }
    if (ch->input_next < ch->input_count) {
        *ret = ch->input[ch->input_next++];
        return 0;
    }
    if (ch->rx_error < 0) {
        if (ret_reason)
            *ret_reason = ch->rx_reason;
        return ch->rx_error;
    }
    ch->drained = false;
    return -EAGAIN;
}

bool channel_has_input(const struct channel *ch)
{
    return ch->input_next < ch->input_count || ch->rx_error < 0;
}
