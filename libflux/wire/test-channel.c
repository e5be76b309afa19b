/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "wire/channel.h"
#include "wire/message.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

/* A channel and the raw other end of its connection. */
struct pair {
    struct channel *ch;
    int peer;
    int fds_before;
};

static int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void pair_open(struct pair *p, const struct channel_limits *limits)
{
    int sv[2];

    p->fds_before = count_fds();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(channel_new(sv[0], limits, &p->ch), 0);
    p->peer = sv[1];
}

/* Every descriptor that went through the channel is closed when it is. */
static void pair_close(struct pair *p)
{
    p->ch = channel_free(p->ch);
    if (p->peer >= 0)
        close(p->peer);
    assert_int_equal(count_fds(), p->fds_before);
}

static flux_msg_t *make_event(uint32_t seq, size_t payload_size)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    char *data = calloc(1, payload_size + 1);

    assert_int_equal(flux_msg_set_topic(msg, "test.event"), 0);
    assert_int_equal(flux_msg_set_seq(msg, seq), 0);
    memset(data, 'a' + seq % 26, payload_size);
    if (payload_size > 0)
        assert_int_equal(flux_msg_set_payload(msg, data, payload_size), 0);
    free(data);
    return msg;
}

static void send_raw(int fd, const void *data, size_t size, const int *fds, size_t nfds)
{
    char control[CMSG_SPACE(253 * sizeof(int))] = { 0 };
    struct iovec iov = { (void *)data, size };
    struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (nfds > 0) {
        struct cmsghdr *c;

        h.msg_control = control;
        h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &h, MSG_NOSIGNAL), (ssize_t)size);
}

/* A valid event, as bytes; empty payload part if with_payload. */
static size_t event_bytes(void **buf, bool with_payload)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(1, 0);
    size_t size;

    if (with_payload)
        assert_int_equal(flux_msg_set_payload(msg, "", 0), 0);
    assert_int_equal(flux_msg_encode(msg, buf, &size), 0);
    return size;
}

static void expect_refused(struct pair *p, const char *why)
{
    const char *reason = NULL;
    flux_msg_t *msg;

    assert_int_equal(channel_recv(p->ch, &msg, &reason), -EPROTO);
    assert_non_null(strstr(reason, why));
    assert_int_equal(channel_recv(p->ch, &msg, &reason), -EPROTO); /* for good */
}

/* An event with these descriptors attached must be refused with this reason. */
static void try_fds(const int *fds, size_t nfds, const struct channel_limits *limits,
                    const char *why)
{
    CLEANUP(freep) void *buf = NULL;
    size_t size = event_bytes(&buf, true);
    struct pair p;

    pair_open(&p, limits);
    send_raw(p.peer, buf, size, fds, nfds);
    expect_refused(&p, why);
    pair_close(&p);
}

static void test_messages_arrive_whole_and_in_order(void **state)
{
    struct pair p;
    struct channel *other;

    pair_open(&p, NULL);
    assert_int_equal(channel_new(TAKE_FD(p.peer), NULL, &other), 0);
    for (uint32_t i = 0; i < 100; i++) {
        CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(i, i * 10);

        assert_int_equal(channel_send(other, msg), 0);
    }
    for (uint32_t i = 0; i < 100;) {
        CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
        uint32_t seq;
        int rc = channel_recv(p.ch, &msg, NULL);

        assert_true(rc == 0 || rc == -EAGAIN);
        if (rc < 0)
            continue;
        assert_int_equal(flux_msg_get_seq(msg, &seq), 0);
        assert_int_equal(seq, i);
        assert_int_equal(msg_payload_size(msg), i * 10);
        i++;
    }
    assert_int_equal(channel_stats(p.ch)->rx_messages, 100);
    assert_int_equal(channel_stats(other)->tx_messages, 100);
    other = channel_free(other);
    pair_close(&p);
}

static void test_large_payloads_cross_as_memfd(void **state)
{
    struct channel_limits keep_fd = channel_limits_default;
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(3, 1 << 20);
    CLEANUP(flux_msg_destroyp) flux_msg_t *read_at_once = NULL;
    CLEANUP(flux_msg_destroyp) flux_msg_t *forwarded = NULL;
    struct pair a, b;
    struct channel *tx_a, *tx_b;
    const void *buf, *want;
    int size;

    keep_fd.read_memfd = false;
    pair_open(&a, &keep_fd);
    pair_open(&b, NULL);
    assert_int_equal(channel_new(TAKE_FD(a.peer), NULL, &tx_a), 0);
    assert_int_equal(channel_new(TAKE_FD(b.peer), NULL, &tx_b), 0);
    assert_int_equal(channel_send(tx_a, msg), 0);
    assert_int_equal(channel_recv(a.ch, &forwarded, NULL), 0);
    assert_true(msg_payload_fd(forwarded) >= 0);
    assert_int_equal(channel_send(tx_b, forwarded), 0); /* as a router does */
    assert_int_equal(channel_recv(b.ch, &read_at_once, NULL), 0);
    assert_int_equal(flux_msg_get_payload(msg, &want, NULL), 0);
    assert_int_equal(flux_msg_get_payload(read_at_once, &buf, &size), 0);
    assert_int_equal(size, 1 << 20);
    assert_memory_equal(buf, want, size);
    flux_msg_destroy(TAKE(forwarded));
    flux_msg_destroy(TAKE(read_at_once));
    flux_msg_destroy(TAKE(msg));
    tx_b = channel_free(tx_b);
    pair_close(&b);
    tx_a = channel_free(tx_a);
    pair_close(&a);
}

static void test_garbage_is_refused(void **state)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
    CLEANUP(freep) void *buf = NULL;
    size_t size = event_bytes(&buf, false);

    for (size_t len = 1; len < size; len++) {
        struct pair p;

        pair_open(&p, NULL);
        send_raw(p.peer, buf, len, NULL, 0);
        expect_refused(&p, "");
        pair_close(&p);
    }
    {
        struct pair p;

        pair_open(&p, NULL);
        send_raw(p.peer, garbage, sizeof(garbage), NULL, 0);
        expect_refused(&p, "magic");
        pair_close(&p);
    }
}

static void test_oversize_records_are_refused_at_the_limit(void **state)
{
    static char big[200000];
    struct pair p;

    pair_open(&p, NULL);
    send_raw(p.peer, big, sizeof(big), NULL, 0);
    expect_refused(&p, "too large");
    pair_close(&p);
}

static void test_payload_limit_holds_inline_too(void **state)
{
    struct channel_limits limits = channel_limits_default;
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 1001);
    CLEANUP(freep) void *buf = NULL;
    struct pair p;
    size_t size;

    limits.payload_bytes = 1000;
    assert_int_equal(flux_msg_encode(msg, &buf, &size), 0);
    pair_open(&p, &limits);
    send_raw(p.peer, buf, size, NULL, 0);
    expect_refused(&p, "too large");
    pair_close(&p);
}

static void test_zero_length_record_and_end_of_file_both_end_the_connection(void **state)
{
    for (int really_close = 0; really_close < 2; really_close++) {
        CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
        CLEANUP(freep) void *buf = NULL;
        size_t size = event_bytes(&buf, false);
        struct pair p;
        struct pollfd pfd;

        pair_open(&p, NULL);
        pfd = (struct pollfd){ .fd = channel_fd(p.ch), .events = POLLIN };
        send_raw(p.peer, buf, size, NULL, 0); /* what came before is delivered */
        if (really_close) {
            close(p.peer);
            p.peer = -1;
        } else {
            send_raw(p.peer, "", 0, NULL, 0);
            send_raw(p.peer, buf, size, NULL, 0); /* what comes after is not */
        }
        assert_int_equal(poll(&pfd, 1, 0), 1);
        assert_int_equal(channel_recv(p.ch, &msg, NULL), 0);
        flux_msg_destroy(TAKE(msg));
        assert_true(channel_has_input(p.ch));
        assert_int_equal(channel_recv(p.ch, &msg, NULL), -ECONNRESET);
        assert_int_equal(channel_recv(p.ch, &msg, NULL), -ECONNRESET);
        pair_close(&p);
    }
}

static void test_zero_length_record_alone_wakes_the_receiver(void **state)
{
    struct pair p;
    struct pollfd pfd;
    flux_msg_t *msg;

    pair_open(&p, NULL);
    pfd = (struct pollfd){ .fd = channel_fd(p.ch), .events = POLLIN };
    send_raw(p.peer, "", 0, NULL, 0);
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_int_equal(channel_recv(p.ch, &msg, NULL), -ECONNRESET);
    pair_close(&p);
}

static void test_messages_of_a_peer_that_closed_without_reading_are_delivered(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 10);
    CLEANUP(flux_msg_destroyp) flux_msg_t *got = NULL;
    CLEANUP(freep) void *buf = NULL;
    size_t size = event_bytes(&buf, false);
    struct pair p;

    pair_open(&p, NULL);
    assert_int_equal(channel_send(p.ch, msg), 0); /* never read: close gives ECONNRESET */
    send_raw(p.peer, buf, size, NULL, 0);
    close(p.peer);
    p.peer = -1;
    assert_int_equal(channel_recv(p.ch, &got, NULL), 0);
    flux_msg_destroy(TAKE(got));
    while (true) {
        int rc = channel_recv(p.ch, &got, NULL);

        if (rc == -EAGAIN)
            continue;
        assert_int_equal(rc, -ECONNRESET);
        break;
    }
    pair_close(&p);
}

static void test_unsealed_and_half_sealed_memfds_are_refused(void **state)
{
    static const int partial[] = { 0, F_SEAL_SEAL, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW,
                                   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

    for (size_t i = 0; i < ARRAY_SIZE(partial); i++) {
        CLEANUP(closep) int fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);

        assert_int_equal(write(fd, "hello", 6), 6);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, partial[i]), 0);
        try_fds(&fd, 1, NULL, "sealed");
    }
}

static void test_descriptors_that_are_no_memfd_are_refused(void **state)
{
    int pipefd[2];
    CLEANUP(closep) int dir = open("/tmp", O_RDONLY | O_DIRECTORY);
    CLEANUP(closep) int file = open("/proc/self/exe", O_RDONLY);
    CLEANUP(closep) int path = open("/tmp", O_PATH);

    assert_int_equal(pipe(pipefd), 0);
    try_fds(&pipefd[0], 1, NULL, "regular file");
    try_fds(&dir, 1, NULL, "regular file");
    try_fds(&path, 1, NULL, "regular file");
    try_fds(&file, 1, NULL, "sealed");
    close(pipefd[0]);
    close(pipefd[1]);
}

static void test_a_memfd_that_cannot_be_read_is_refused(void **state)
{
    CLEANUP(closep) int fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CLEANUP(closep) int writable = -1;
    char path[64];

    assert_int_equal(write(fd, "hello", 6), 6);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    writable = open(path, O_WRONLY);
    assert_true(writable >= 0);
    /* F_SEAL_WRITE needs no writable mappings; open descriptors are fine. */
    assert_int_equal(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    try_fds(&writable, 1, NULL, "sealed");
}

static void test_a_sparse_memfd_over_the_limit_is_refused_unread(void **state)
{
    struct channel_limits limits = channel_limits_default;
    CLEANUP(closep) int fd = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    limits.payload_bytes = 1 << 20;
    assert_int_equal(ftruncate(fd, 1ll << 40), 0);
    assert_int_equal(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    try_fds(&fd, 1, &limits, "too large");
}

static void test_more_than_one_descriptor_is_refused(void **state)
{
    CLEANUP(closep) int fd = msg_memfd_create("hello", 6);
    int fds[253];

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = fd;
    try_fds(fds, 2, NULL, "file descriptor");
    try_fds(fds, 253, NULL, "file descriptor");
}

static void test_a_descriptor_that_the_message_does_not_announce_is_refused(void **state)
{
    CLEANUP(closep) int fd = msg_memfd_create("hello", 6);
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(1, 10);
    CLEANUP(freep) void *plain = NULL;
    CLEANUP(freep) void *full = NULL;
    size_t size;
    struct pair p;

    size = event_bytes(&plain, false);
    pair_open(&p, NULL);
    send_raw(p.peer, plain, size, &fd, 1);
    expect_refused(&p, "none belongs");
    pair_close(&p);
    assert_int_equal(flux_msg_encode(msg, &full, &size), 0);
    pair_open(&p, NULL);
    send_raw(p.peer, full, size, &fd, 1);
    expect_refused(&p, "none belongs");
    pair_close(&p);
}

static void test_descriptors_are_close_on_exec(void **state)
{
    struct channel_limits limits = channel_limits_default;
    CLEANUP(closep) int fd = msg_memfd_create("hello", 6);
    CLEANUP(freep) void *buf = NULL;
    size_t size = event_bytes(&buf, true);
    flux_msg_t *msg;
    struct pair p;

    limits.read_memfd = false;
    pair_open(&p, &limits);
    send_raw(p.peer, buf, size, &fd, 1);
    assert_int_equal(channel_recv(p.ch, &msg, NULL), 0);
    assert_true(fcntl(msg_payload_fd(msg), F_GETFD) & FD_CLOEXEC);
    flux_msg_destroy(msg);
    pair_close(&p);
}

static void test_a_peer_that_does_not_read_fills_its_queue_and_no_more(void **state)
{
    struct channel_limits limits = channel_limits_default;
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 1000);
    struct pair p;
    int rc;

    limits.queue_bytes = 100000;
    pair_open(&p, &limits);
    do {
        rc = channel_send(p.ch, msg);
    } while (rc == 0);
    assert_int_equal(rc, -ENOBUFS);
    assert_true(channel_pending(p.ch));
    assert_true(channel_stats(p.ch)->queued_bytes >= limits.queue_bytes);
    assert_true(channel_stats(p.ch)->queued_bytes < limits.queue_bytes + 2000);
    pair_close(&p);
}

static void test_no_more_messages_are_queued_than_the_limit(void **state)
{
    struct channel_limits limits = channel_limits_default;
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 0);
    struct pair p;

    limits.queue_messages = 3;
    pair_open(&p, &limits);
    channel_cork(p.ch);
    for (int i = 0; i < 3; i++)
        assert_int_equal(channel_send(p.ch, msg), 0);
    assert_int_equal(channel_send(p.ch, msg), -ENOBUFS);
    pair_close(&p);
}

/* Without it the message would be taken for one with an empty payload. */
static void test_a_descriptor_that_could_not_be_received_ends_the_connection(void **state)
{
    CLEANUP(freep) void *buf = NULL;
    size_t size = event_bytes(&buf, true);
    struct rlimit before, none;
    struct pair p;
    int fd;

    pair_open(&p, NULL);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    send_raw(p.peer, buf, size, &fd, 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_refused(&p, "could not be received");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    pair_close(&p);
}

static void test_who_cannot_be_named_is_nobody_we_serve(void **state)
{
    struct peer_cred cred;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int sv[2];

    assert_int_equal(peer_cred_get(fd, &cred), -EPERM); /* uid -1 */
    close(fd);
    if (geteuid() != 0)
        return; /* cannot be another */
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(peer_cred_get(sv[0], &cred), -EPERM); /* where uids were not mapped */
    close(sv[0]);
    close(sv[1]);
}

static void test_a_message_larger_than_the_queue_waits_behind_others(void **state)
{
    struct channel_limits limits = channel_limits_default;
    CLEANUP(flux_msg_destroyp) flux_msg_t *little = make_event(0, 10);
    CLEANUP(flux_msg_destroyp) flux_msg_t *large = make_event(1, 30000);
    struct pair p;

    limits.queue_bytes = 10000;
    pair_open(&p, &limits);
    channel_cork(p.ch);
    assert_int_equal(channel_send(p.ch, little), 0);
    assert_int_equal(channel_send(p.ch, large), 0);
    assert_int_equal(channel_send(p.ch, little), -ENOBUFS);
    pair_close(&p);
}

static void test_a_queued_message_keeps_the_content_it_had(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 5000);
    struct pair p;
    struct channel *other;
    uint32_t sent = 0;
    uint32_t received = 0;

    pair_open(&p, NULL);
    assert_int_equal(channel_new(TAKE_FD(p.peer), NULL, &other), 0);
    while (channel_stats(p.ch)->queued_messages < 50) {
        char data[100];

        memset(data, 'a' + sent % 26, sizeof(data));
        assert_int_equal(flux_msg_set_seq(msg, sent++), 0);
        assert_int_equal(flux_msg_set_payload(msg, data, sizeof(data)), 0);
        assert_int_equal(channel_send(p.ch, msg), 0);
    }
    flux_msg_destroy(TAKE(msg)); /* the queue holds what it needs */
    while (received < sent) {
        CLEANUP(flux_msg_destroyp) flux_msg_t *got = NULL;
        const void *buf;
        uint32_t seq;
        int size;

        assert_int_equal(channel_flush(p.ch), 0);
        if (channel_recv(other, &got, NULL) < 0)
            continue;
        assert_int_equal(flux_msg_get_seq(got, &seq), 0);
        assert_int_equal(seq, received);
        assert_int_equal(flux_msg_get_payload(got, &buf, &size), 0);
        assert_int_equal(*(const char *)buf, 'a' + received % 26);
        received++;
    }
    assert_false(channel_pending(p.ch));
    assert_int_equal(channel_stats(p.ch)->queued_bytes, 0);
    other = channel_free(other);
    pair_close(&p);
}

static void test_corked_messages_go_together(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 10);
    struct pair p;
    char buf[256];

    pair_open(&p, NULL);
    channel_cork(p.ch);
    for (int i = 0; i < 40; i++)
        assert_int_equal(channel_send(p.ch, msg), 0);
    assert_int_equal(recv(p.peer, buf, sizeof(buf), MSG_DONTWAIT), -1);
    assert_int_equal(channel_uncork(p.ch), 0);
    for (int i = 0; i < 40; i++)
        assert_true(recv(p.peer, buf, sizeof(buf), MSG_DONTWAIT) > 0);
    assert_false(channel_pending(p.ch));
    pair_close(&p);
}

/* Whoever has these capabilities may have as many descriptors in flight as he likes. */
static void become_ordinary(int nofile)
{
    const struct rlimit limit = { .rlim_cur = (rlim_t)nofile, .rlim_max = (rlim_t)nofile };

    if (geteuid() == 0)
        assert_int_equal(setresuid(54320, 54320, 54320), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void receive_large(struct channel *ch, uint32_t seq)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *got = NULL;
    uint32_t n;

    while (channel_recv(ch, &got, NULL) == -EAGAIN)
        ;
    assert_non_null(got);
    assert_int_equal(flux_msg_get_seq(got, &n), 0);
    assert_int_equal(n, seq);
    assert_int_equal(msg_payload_size(got), 100000);
}

static void in_flight(void)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 100000);
    struct channel *other;
    uint32_t sent = 0;
    struct pair p;

    become_ordinary(40);
    pair_open(&p, NULL);
    assert_int_equal(channel_new(TAKE_FD(p.peer), NULL, &other), 0);
    while (!channel_starved(p.ch)) {
        assert_true(sent < 200);
        assert_int_equal(flux_msg_set_seq(msg, sent++), 0);
        assert_int_equal(channel_send(p.ch, msg), 0);
    }
    assert_int_equal(channel_flush(p.ch), 0); /* in vain, and the peer is still there */
    assert_true(channel_starved(p.ch));
    channel_cork(p.ch);
    assert_int_equal(flux_msg_set_seq(msg, sent++), 0);
    assert_int_equal(channel_send(p.ch, msg), 0);
    assert_int_equal(channel_uncork(p.ch), 0);
    for (uint32_t i = 0; i < sent; i++) {
        receive_large(other, i);
        assert_int_equal(channel_flush(p.ch), 0);
    }
    assert_false(channel_starved(p.ch));
    assert_false(channel_pending(p.ch));
    flux_msg_destroy(TAKE(msg));
    (void)channel_free(other);
    pair_close(&p);
}

static void test_descriptors_beyond_what_a_user_may_have_in_flight_wait(void **state)
{
    const pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        in_flight();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_sending_to_a_closed_peer_fails_for_good(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 10);
    struct pair p;
    int rc;

    pair_open(&p, NULL);
    close(p.peer);
    p.peer = -1;
    rc = channel_send(p.ch, msg);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_int_equal(channel_send(p.ch, msg), rc);
    assert_int_equal(channel_flush(p.ch), rc);
    pair_close(&p);
}

static void test_connecting_says_who_listens_and_why_not(void **state)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char dir[] = "/tmp/test-channel-XXXXXX";
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct channel *ch;

    assert_non_null(mkdtemp(dir));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", dir);
    assert_int_equal(channel_connect(sa.sun_path, NULL, &ch), -ENOENT);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(channel_connect(sa.sun_path, NULL, &ch), -ECONNREFUSED);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(channel_connect(sa.sun_path, NULL, &ch), 0);
    assert_int_equal(channel_peer(ch)->uid, geteuid());
    assert_int_equal(channel_peer(ch)->pid, getpid());
    assert_null(channel_free(ch));
    (void)unlink(sa.sun_path);
    (void)rmdir(dir);
}

static void test_long_socket_paths_can_be_connected(void **state)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char dir[160] = "/tmp/test-channel-XXXXXX";
    char path[256];
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct channel *ch;
    char *sub;

    assert_non_null(mkdtemp(dir));
    sub = dir + strlen(dir);
    memset(sub, 'd', 120);
    sub[0] = '/';
    assert_int_equal(mkdir(dir, 0700), 0);
    {
        CLEANUP(closep) int dirfd = open(dir, O_PATH);

        snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/s", dirfd);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    }
    assert_int_equal(listen(fd, 1), 0);
    snprintf(path, sizeof(path), "%s/s", dir);
    assert_int_equal(channel_connect(path, NULL, &ch), 0);
    assert_null(channel_free(ch));
    (void)unlink(path);
    (void)rmdir(dir);
    *sub = '\0';
    (void)rmdir(dir);
}

static void test_only_the_owner_is_believed(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_event(0, 0);
    const struct peer_cred guest = { .uid = 1234 };
    const struct peer_cred owner = { .uid = 77 };
    struct flux_msg_cred cred;

    (void)flux_msg_set_cred(msg, (struct flux_msg_cred){ 77, FLUX_ROLE_OWNER });
    peer_cred_apply(&guest, 77, msg);
    (void)flux_msg_get_cred(msg, &cred);
    assert_true(cred.userid == 1234 && cred.rolemask == FLUX_ROLE_USER);
    (void)flux_msg_set_cred(msg, (struct flux_msg_cred){ 5000, FLUX_ROLE_USER });
    peer_cred_apply(&owner, 77, msg); /* a router forwards */
    (void)flux_msg_get_cred(msg, &cred);
    assert_true(cred.userid == 5000 && cred.rolemask == FLUX_ROLE_USER);
    (void)flux_msg_set_cred(msg, (struct flux_msg_cred){ FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE });
    peer_cred_apply(&owner, 77, msg);
    (void)flux_msg_get_cred(msg, &cred);
    assert_true(cred.userid == 77 && cred.rolemask == FLUX_ROLE_OWNER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_arrive_whole_and_in_order),
        cmocka_unit_test(test_large_payloads_cross_as_memfd),
        cmocka_unit_test(test_garbage_is_refused),
        cmocka_unit_test(test_oversize_records_are_refused_at_the_limit),
        cmocka_unit_test(test_payload_limit_holds_inline_too),
        cmocka_unit_test(test_zero_length_record_and_end_of_file_both_end_the_connection),
        cmocka_unit_test(test_zero_length_record_alone_wakes_the_receiver),
        cmocka_unit_test(test_messages_of_a_peer_that_closed_without_reading_are_delivered),
        cmocka_unit_test(test_unsealed_and_half_sealed_memfds_are_refused),
        cmocka_unit_test(test_descriptors_that_are_no_memfd_are_refused),
        cmocka_unit_test(test_a_memfd_that_cannot_be_read_is_refused),
        cmocka_unit_test(test_a_sparse_memfd_over_the_limit_is_refused_unread),
        cmocka_unit_test(test_more_than_one_descriptor_is_refused),
        cmocka_unit_test(test_a_descriptor_that_the_message_does_not_announce_is_refused),
        cmocka_unit_test(test_descriptors_are_close_on_exec),
        cmocka_unit_test(test_a_peer_that_does_not_read_fills_its_queue_and_no_more),
        cmocka_unit_test(test_no_more_messages_are_queued_than_the_limit),
        cmocka_unit_test(test_a_descriptor_that_could_not_be_received_ends_the_connection),
        cmocka_unit_test(test_who_cannot_be_named_is_nobody_we_serve),
        cmocka_unit_test(test_a_message_larger_than_the_queue_waits_behind_others),
        cmocka_unit_test(test_a_queued_message_keeps_the_content_it_had),
        cmocka_unit_test(test_corked_messages_go_together),
        cmocka_unit_test(test_descriptors_beyond_what_a_user_may_have_in_flight_wait),
        cmocka_unit_test(test_sending_to_a_closed_peer_fails_for_good),
        cmocka_unit_test(test_connecting_says_who_listens_and_why_not),
        cmocka_unit_test(test_long_socket_paths_can_be_connected),
        cmocka_unit_test(test_only_the_owner_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
