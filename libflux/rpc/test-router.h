/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The other end of a handle's socket, driven by hand: a test reads what the handle sent and answers
 * as it likes. */
#ifndef RPC_TEST_ROUTER_H
#define RPC_TEST_ROUTER_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <flux/core.h>

#include "base/cleanup.h"
#include "rpc/handle_impl.h"
#include "wire/channel.h"
#include "wire/message.h"

struct router {
    flux_t *h;
    flux_reactor_t *r;
    struct channel *ch; /* our end */
};

static inline int router_setup(void **state)
{
    struct router *rt = calloc(1, sizeof(*rt));
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0 ||
        channel_new(sv[1], NULL, &rt->ch) < 0 || !(rt->h = handle_open_fd(sv[0], 0)))
        return -1;
    rt->r = flux_get_reactor(rt->h);
    *state = rt;
    return 0;
}

static inline int router_teardown(void **state)
{
    struct router *rt = *state;

    flux_close(rt->h);
    channel_free(rt->ch);
    free(rt);
    return 0;
}

/* What the handle sent next; NULL if it has sent nothing. */
static inline flux_msg_t *router_recv(struct router *rt)
{
    flux_msg_t *msg = NULL;
    int rc = channel_recv(rt->ch, &msg, NULL);

    if (rc == -EAGAIN)
        rc = channel_recv(rt->ch, &msg, NULL);
    return rc == 0 ? msg : NULL;
}

static inline flux_msg_t *router_expect(struct router *rt, const char *topic)
{
    flux_msg_t *msg = router_recv(rt);
    const char *s;

    assert_non_null(msg);
    assert_int_equal(flux_msg_get_topic(msg, &s), 0);
    assert_string_equal(s, topic);
    return msg;
}

static inline void router_send(struct router *rt, flux_msg_t *msg)
{
    assert_non_null(msg);
    assert_int_equal(channel_send(rt->ch, msg), 0);
    flux_msg_destroy(msg);
}

/* Answer a request with a string, or (errnum != 0) with an error. */
static inline void router_answer(struct router *rt, const flux_msg_t *request, int errnum,
                                 const char *s)
{
    flux_msg_t *msg = flux_response_derive(request, errnum);

    if (s)
        assert_int_equal(flux_msg_set_string(msg, s), 0);
    router_send(rt, msg);
}

static inline void router_answer_next(struct router *rt, const char *topic, int errnum,
                                      const char *s)
{
    flux_msg_t *msg = router_expect(rt, topic);

    router_answer(rt, msg, errnum, s);
    flux_msg_destroy(msg);
}

static inline void router_request(struct router *rt, const char *topic, uint32_t tag,
                                  uint32_t rolemask)
{
    flux_msg_t *msg = flux_request_encode(topic, NULL);

    assert_non_null(msg);
    assert_int_equal(flux_msg_set_matchtag(msg, tag), 0);
    assert_int_equal(flux_msg_set_cred(msg, (struct flux_msg_cred){ 1000, rolemask }), 0);
    router_send(rt, msg);
}

static inline void router_event(struct router *rt, const char *topic)
{
    router_send(rt, flux_event_encode(topic, NULL));
}

/* A new connection and handle, after the loss of the old ones. */
static inline void router_reconnect(struct router *rt)
{
    int sv[2];

    flux_close(rt->h);
    channel_free(rt->ch);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(channel_new(sv[1], NULL, &rt->ch), 0);
    rt->h = handle_open_fd(sv[0], 0);
    assert_non_null(rt->h);
    rt->r = flux_get_reactor(rt->h);
}

static inline void router_hangup(struct router *rt)
{
    rt->ch = channel_free(rt->ch);
}

/* Run the handle's reactor until nothing is left to do at once. */
static inline int router_run(struct router *rt)
{
    int rc = 0;

    for (int i = 0; i < 20 && rc >= 0; i++)
        rc = flux_reactor_run(rt->r, FLUX_REACTOR_NOWAIT);
    return rc;
}

#define ROUTER_TEST(f) cmocka_unit_test_setup_teardown(f, router_setup, router_teardown)

#endif
