/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* FLUX_O_RECONNECT: a router that goes away and comes back at the same path. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/un.h>

#include "rpc/test-router.h"

struct place {
    char dir[32];
    char path[64];
    int listen_fd;
    struct router rt;
};

static void listen_at(struct place *p)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };

    strcpy(sa.sun_path, p->path);
    (void)unlink(p->path);
    p->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(p->listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(p->listen_fd, 5), 0);
}

static void accept_client(struct place *p)
{
    int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(channel_new(fd, NULL, &p->rt.ch), 0);
}

static void go_away(struct place *p)
{
    router_hangup(&p->rt);
    closep(&p->listen_fd);
    p->listen_fd = -EBADF;
    (void)unlink(p->path);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    char uri[128];

    strcpy(p->dir, "/tmp/flux-test-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    (void)snprintf(p->path, sizeof(p->path), "%s/local", p->dir);
    (void)snprintf(uri, sizeof(uri), "local://%s", p->path);
    listen_at(p);
    p->rt.h = flux_open(uri, FLUX_O_RECONNECT);
    if (!p->rt.h)
        return -1;
    p->rt.r = flux_get_reactor(p->rt.h);
    accept_client(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    flux_close(p->rt.h);
    channel_free(p->rt.ch);
    closep(&p->listen_fd);
    (void)unlink(p->path);
    (void)rmdir(p->dir);
    free(p);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int on_reconnect(flux_t *h, void *arg)
{
    (*(int *)arg)++;
    return 0;
}

static flux_future_t *rpc(struct place *p)
{
    return flux_rpc(p->rt.h, "a.b", NULL, FLUX_NODEID_ANY, 0);
}

static void in_flight_fails_and_the_next_call_connects_again(void **state)
{
    struct place *p = *state;
    flux_future_t *f = rpc(p);
    int reconnects = 0;

    flux_reconnect_set(p->rt.h, on_reconnect, &reconnects);
    router_hangup(&p->rt);
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, ECONNRESET);
    flux_future_destroy(f);
    f = rpc(p);
    assert_non_null(f);
    assert_int_equal(reconnects, 1);
    accept_client(p);
    router_answer_next(&p->rt, "a.b", 0, NULL);
    assert_int_equal(flux_rpc_get(f, NULL), 0);
    flux_future_destroy(f);
    assert_int_equal(p->rt.h->conn->tags.used, 0);
}

static void refuse(struct place *p)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_RESPONSE);

    assert_int_equal(flux_msg_set_topic(msg, "broker.refuse"), 0);
    assert_int_equal(flux_msg_set_errnum(msg, EPERM), 0);
    assert_int_equal(flux_msg_set_string(msg, "owner only"), 0);
    router_send(&p->rt, msg);
    router_hangup(&p->rt);
}

static void check_refused(flux_future_t *f)
{
    assert_non_null(f);
    errno = 0;
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_string_equal(flux_future_error_string(f), "owner only");
    flux_future_destroy(f);
}

/* Before and after the request; and there is no second try. */
static void a_refusal_is_told_by_every_rpc(void **state)
{
    struct place *p = *state;
    flux_future_t *f = rpc(p);

    refuse(p);
    check_refused(f);
    check_refused(rpc(p));
    assert_int_equal(accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC), -1);
}

static void a_refusal_before_the_first_request_is_told_too(void **state)
{
    struct place *p = *state;

    refuse(p);
    check_refused(rpc(p));
}

static void subscriptions_and_services_are_repeated(void **state)
{
    struct place *p = *state;
    flux_future_t *f[5];
    flux_msg_t *msg;
    const char *s;

    f[0] = flux_event_subscribe_ex(p->rt.h, "kept", 0);
    f[1] = flux_event_subscribe_ex(p->rt.h, "gone", 0);
    f[2] = flux_event_unsubscribe_ex(p->rt.h, "gone", 0);
    f[3] = flux_service_register(p->rt.h, "1000-mine");
    f[4] = flux_service_register(p->rt.h, "refused");
    router_answer_next(&p->rt, "event.subscribe", 0, NULL);
    router_answer_next(&p->rt, "event.subscribe", 0, NULL);
    router_answer_next(&p->rt, "event.unsubscribe", 0, NULL);
    router_answer_next(&p->rt, "service.add", 0, NULL);
    router_answer_next(&p->rt, "service.add", EEXIST, NULL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(flux_rpc_get(f[i], NULL), i == 4 ? -1 : 0);
        flux_future_destroy(f[i]);
    }
    router_hangup(&p->rt);
    f[0] = rpc(p); /* the loss is noticed while sending */
    assert_non_null(f[0]);
    accept_client(p);
    msg = router_expect(&p->rt, "event.subscribe");
    assert_true(flux_msg_is_noresponse(msg));
    assert_int_equal(flux_request_unpack(msg, NULL, "{s:s}", "topic", &s), 0);
    assert_string_equal(s, "kept");
    flux_msg_destroy(msg);
    msg = router_expect(&p->rt, "service.add");
    assert_int_equal(flux_request_unpack(msg, NULL, "{s:s}", "service", &s), 0);
    assert_string_equal(s, "1000-mine");
    flux_msg_destroy(msg);
    router_answer_next(&p->rt, "a.b", 0, NULL);
    assert_int_equal(flux_rpc_get(f[0], NULL), 0);
    flux_future_destroy(f[0]);
}

static void on_event(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    (*(int *)arg)++;
    flux_msg_handler_stop(mh);
}

static void on_reset(flux_future_t *f, void *arg)
{
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    *(int *)arg = errno;
    flux_future_destroy(f);
}

static void the_reactor_reconnects_by_itself(void **state)
{
    struct place *p = *state;
    flux_msg_handler_t *mh;
    int events = 0, errnum = 0, reconnects = 0;

    flux_reconnect_set(p->rt.h, on_reconnect, &reconnects);
    mh = flux_msg_handler_create(p->rt.h, FLUX_MATCH_EVENT, on_event, &events);
    flux_msg_handler_start(mh);
    assert_int_equal(flux_future_then(rpc(p), -1., on_reset, &errnum), 0);
    go_away(p);
    while (!errnum)
        assert_true(flux_reactor_run(p->rt.r, FLUX_REACTOR_ONCE) >= 0);
    assert_int_equal(errnum, ECONNRESET);
    assert_int_equal(reconnects, 0);
    listen_at(p);
    while (!reconnects)
        assert_true(flux_reactor_run(p->rt.r, FLUX_REACTOR_ONCE) >= 0);
    accept_client(p);
    router_event(&p->rt, "e");
    assert_int_equal(flux_reactor_run(p->rt.r, 0), 0);
    assert_int_equal(events, 1);
    flux_msg_handler_destroy(mh);
}

static void nonblocking_sends_fail_with_EAGAIN_while_away(void **state)
{
    struct place *p = *state;
    flux_future_t *f;

    flux_flags_set(p->rt.h, FLUX_O_NONBLOCK);
    go_away(p);
    assert_null(rpc(p));
    assert_int_equal(errno, EAGAIN);
    assert_null(rpc(p));
    assert_int_equal(errno, EAGAIN);
    listen_at(p);
    p->rt.h->conn->retry_next_usec = 0; /* not to wait for the time of the next attempt */
    f = rpc(p);
    assert_non_null(f);
    accept_client(p);
    router_answer_next(&p->rt, "a.b", 0, NULL);
    assert_int_equal(flux_rpc_get(f, NULL), 0);
    flux_future_destroy(f);
}

static void the_pollfd_stays_the_same(void **state)
{
    struct place *p = *state;
    int fd = flux_pollfd(p->rt.h);
    struct pollfd pfd = { .fd = fd, .events = POLLIN };

    router_hangup(&p->rt);
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_true(flux_pollevents(p->rt.h) >= 0);
    assert_null(flux_recv(p->rt.h, FLUX_MATCH_ANY, FLUX_O_NONBLOCK)); /* notices the loss */
    assert_true(flux_pollevents(p->rt.h) >= 0);                       /* connects */
    assert_int_equal(p->rt.h->conn->state, CONN_OPEN);
    accept_client(p);
    assert_int_equal(flux_pollfd(p->rt.h), fd);
    while (poll(&pfd, 1, 0) > 0)
        assert_int_equal(flux_pollevents(p->rt.h), FLUX_POLLOUT);
    router_event(&p->rt, "e");
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_true(flux_pollevents(p->rt.h) & FLUX_POLLIN);
}

static int on_lost(flux_t *h, void *arg)
{
    (*(int *)arg)++;
    return -1;
}

static void a_router_that_does_not_come_back_is_given_up(void **state)
{
    struct place *p = *state;
    flux_msg_handler_t *mh;
    int events = 0, lost = 0;

    flux_comms_error_set(p->rt.h, on_lost, &lost);
    mh = flux_msg_handler_create(p->rt.h, FLUX_MATCH_EVENT, on_event, &events);
    flux_msg_handler_start(mh);
    go_away(p);
    while (p->rt.h->conn->state == CONN_OPEN)
        assert_true(flux_reactor_run(p->rt.r, FLUX_REACTOR_ONCE) >= 0);
    assert_int_equal(lost, 0);
    p->rt.h->conn->retry_deadline_usec = 1; /* the 30 s are over */
    assert_int_equal(flux_reactor_run(p->rt.r, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(lost, 1);
    assert_null(rpc(p));
    assert_int_equal(errno, ECONNRESET);
    flux_msg_handler_destroy(mh);
}

static void duplicate_subscriptions_reach_the_router_once(void **state)
{
    struct place *p = *state;
    flux_future_t *f = flux_event_subscribe_ex(p->rt.h, "x", 0);

    router_answer_next(&p->rt, "event.subscribe", 0, NULL);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
    assert_int_equal(flux_event_subscribe(p->rt.h, "x"), 0);
    assert_int_equal(flux_event_unsubscribe(p->rt.h, "x"), 0);
    assert_null(router_recv(&p->rt));
    f = flux_event_unsubscribe_ex(p->rt.h, "x", 0);
    router_answer_next(&p->rt, "event.unsubscribe", 0, NULL);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_destroy(f);
    assert_int_equal(flux_event_unsubscribe(p->rt.h, "x"), -1);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_flight_fails_and_the_next_call_connects_again),
        TEST(a_refusal_is_told_by_every_rpc),
        TEST(a_refusal_before_the_first_request_is_told_too),
        TEST(subscriptions_and_services_are_repeated),
        TEST(the_reactor_reconnects_by_itself),
        TEST(nonblocking_sends_fail_with_EAGAIN_while_away),
        TEST(the_pollfd_stays_the_same),
        TEST(a_router_that_does_not_come_back_is_given_up),
        TEST(duplicate_subscriptions_reach_the_router_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
