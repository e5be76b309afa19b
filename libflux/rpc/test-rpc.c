/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RPCs over a socket whose other end the test plays. */
#include <math.h>

#include "rpc/test-router.h"

static flux_future_t *rpc(struct router *rt, int flags)
{
    flux_future_t *f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, flags);

    assert_non_null(f);
    return f;
}

static void assert_payload(flux_future_t *f, const char *want)
{
    const char *s;

    assert_int_equal(flux_rpc_get(f, &s), 0);
    if (want)
        assert_string_equal(s, want);
    else
        assert_null(s);
}

static void sync_rpc_returns_the_payload(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);

    router_answer_next(rt, "a.b", 0, "{\"k\":42}");
    assert_payload(f, "{\"k\":42}");
    flux_future_destroy(f);
}

static void request_carries_payload_nodeid_and_a_matchtag(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_rpc_pack(rt->h, "a.b", 7, FLUX_RPC_STREAMING, "{s:i}", "x", 5);
    flux_msg_t *msg = router_expect(rt, "a.b");
    uint32_t nodeid, tag;
    int x;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:i}", "x", &x), 0);
    assert_int_equal(x, 5);
    assert_int_equal(flux_msg_get_nodeid(msg, &nodeid), 0);
    assert_int_equal(nodeid, 7);
    assert_int_equal(flux_rpc_get_nodeid(f), 7);
    assert_int_equal(flux_msg_get_matchtag(msg, &tag), 0);
    assert_int_not_equal(tag, FLUX_MATCHTAG_NONE);
    assert_int_equal(flux_rpc_get_matchtag(f), tag);
    assert_true(flux_msg_is_streaming(msg));
    flux_msg_destroy(msg);
    flux_future_destroy(f);
}

static void upstream_rpc_carries_the_rank_and_the_flag(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_rpc_pack(rt->h, "attr.get", FLUX_NODEID_ANY, 0, "{s:s}", "name", "x");
    flux_msg_t *msg = router_expect(rt, "attr.get");
    flux_msg_t *copy;
    uint32_t tag, nodeid;
    uint8_t flags;

    /* The rank is asked for within flux_rpc(): the answer must be there before. Its tag is the
     * next one of the pool. */
    flux_future_destroy(f);
    assert_int_equal(flux_msg_get_matchtag(msg, &tag), 0);
    copy = flux_response_derive(msg, 0);
    assert_int_equal(flux_msg_set_matchtag(copy, tag + 1), 0);
    assert_int_equal(flux_msg_set_string(copy, "{\"value\":\"3\",\"flags\":1}"), 0);
    router_send(rt, copy);
    flux_msg_destroy(msg);

    f = flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_UPSTREAM, 0);
    assert_non_null(f);
    flux_msg_destroy(router_expect(rt, "attr.get"));
    msg = router_expect(rt, "a.b");
    assert_int_equal(flux_msg_get_nodeid(msg, &nodeid), 0);
    assert_int_equal(nodeid, 3);
    assert_int_equal(flux_msg_get_flags(msg, &flags), 0);
    assert_true(flags & FLUX_MSGFLAG_UPSTREAM);
    flux_msg_destroy(msg);
    flux_future_destroy(f);
}

static void error_response_fails_with_number_and_sentence(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    flux_future_t *g = rpc(rt, 0);

    router_answer_next(rt, "a.b", ENOENT, "there is no such thing");
    router_answer_next(rt, "a.b", EPERM, NULL);
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, ENOENT);
    assert_string_equal(flux_future_error_string(f), "there is no such thing");
    assert_int_equal(flux_rpc_get(g, NULL), -1);
    assert_int_equal(errno, EPERM);
    assert_string_equal(flux_future_error_string(g), strerror(EPERM));
    flux_future_destroy(f);
    flux_future_destroy(g);
}

static void answers_in_any_order_find_their_rpcs(void **state)
{
    enum { N = 200 };
    struct router *rt = *state;
    flux_future_t *f[N];
    flux_msg_t *msg[N];
    char text[32];

    for (int i = 0; i < N; i++) {
        f[i] = rpc(rt, 0);
        msg[i] = router_expect(rt, "a.b");
    }
    for (int i = N - 1; i >= 0; i--) {
        (void)snprintf(text, sizeof(text), "%d", i);
        router_answer(rt, msg[i], 0, text);
        flux_msg_destroy(msg[i]);
    }
    for (int i = 0; i < N; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        assert_payload(f[i], text);
        flux_future_destroy(f[i]);
    }
    assert_int_equal(rt->h->conn->tags.used, 0);
    assert_int_equal(rt->h->conn->queue.count, 0);
}

static void sync_rpc_leaves_other_messages_in_order(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    const char *topics[] = { "e1", "r.1", "e2" };

    router_event(rt, "e1");
    router_request(rt, "r.1", 1, FLUX_ROLE_OWNER);
    router_answer_next(rt, "a.b", 0, "x");
    router_event(rt, "e2");
    assert_payload(f, "x");
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        flux_msg_t *msg = flux_recv(rt->h, FLUX_MATCH_ANY, FLUX_O_NONBLOCK);
        const char *s;

        assert_non_null(msg);
        assert_int_equal(flux_msg_get_topic(msg, &s), 0);
        assert_string_equal(s, topics[i]);
        flux_msg_destroy(msg);
    }
    flux_future_destroy(f);
}

static void timeout_leaves_the_rpc_unfulfilled(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);

    assert_int_equal(flux_future_wait_for(f, 0.), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(flux_future_wait_for(f, 0.002), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_false(flux_future_is_ready(f));
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_wait_for(f, 5.), 0);
    assert_payload(f, NULL);
    flux_future_destroy(f);
}

static void noresponse_is_fulfilled_at_once_and_uses_no_matchtag(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, FLUX_RPC_NORESPONSE);
    flux_msg_t *msg = router_expect(rt, "a.b");
    uint32_t tag;

    assert_true(flux_future_is_ready(f));
    assert_int_equal(flux_future_get(f, NULL), 0);
    assert_true(flux_msg_is_noresponse(msg));
    assert_int_equal(flux_msg_get_matchtag(msg, &tag), 0);
    assert_int_equal(tag, FLUX_MATCHTAG_NONE);
    assert_int_equal(rt->h->conn->tags.used, 0);
    flux_msg_destroy(msg);
    flux_future_destroy(f);
}

static void streaming_rpc_delivers_each_response_until_the_error(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, FLUX_RPC_STREAMING);
    flux_msg_t *msg = router_expect(rt, "a.b");
    const char *texts[] = { "1", "2", "3" };

    for (size_t i = 0; i < 3; i++)
        router_answer(rt, msg, 0, texts[i]);
    router_answer(rt, msg, ENODATA, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_payload(f, texts[i]);
        flux_future_reset(f);
    }
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(rt->h->conn->tags.used, 0);
    flux_future_reset(f); /* nothing more can come */
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, EDEADLK);
    flux_msg_destroy(msg);
    flux_future_destroy(f);
}

static void on_count(flux_future_t *f, void *arg)
{
    int *counts = arg;

    if (flux_rpc_get(f, NULL) == 0) {
        counts[0]++;
        flux_future_reset(f);
        return;
    }
    assert_int_equal(errno, ENODATA);
    counts[1]++;
    flux_future_destroy(f);
}

static void streaming_rpc_with_then_ends_the_reactor_at_its_end(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, FLUX_RPC_STREAMING);
    flux_msg_t *msg = router_expect(rt, "a.b");
    int counts[2] = { 0, 0 };

    assert_int_equal(flux_future_then(f, -1., on_count, counts), 0);
    for (int i = 0; i < 100; i++)
        router_answer(rt, msg, 0, NULL);
    router_answer(rt, msg, ENODATA, NULL);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(counts[0], 100);
    assert_int_equal(counts[1], 1);
    flux_msg_destroy(msg);
}

static void on_destroy(flux_future_t *f, void *arg)
{
    flux_future_destroy(f);
}

static void destroyed_rpc_returns_its_matchtag_when_the_answer_comes(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    flux_future_t *g;

    flux_future_destroy(f);
    assert_int_equal(rt->h->conn->tags.used, 1);
    g = rpc(rt, 0);
    router_answer_next(rt, "a.b", 0, "late");
    router_answer_next(rt, "a.b", 0, "mine");
    assert_payload(g, "mine");
    flux_future_destroy(g);
    assert_int_equal(rt->h->conn->tags.used, 0);
    assert_int_equal(rt->h->conn->queue.count, 0);
}

/* Who never runs a reactor has nobody to take it away later. */
static void an_answer_that_waits_in_the_queue_goes_with_its_rpc(void **state)
{
    struct router *rt = *state;
    flux_future_t *one = rpc(rt, 0);
    flux_future_t *stream = rpc(rt, FLUX_RPC_STREAMING);
    flux_future_t *endless = rpc(rt, FLUX_RPC_STREAMING);
    flux_future_t *g = rpc(rt, 0);
    flux_msg_t *msg;

    router_answer_next(rt, "a.b", 0, "unwanted");
    for (int ended = 1; ended >= 0; ended--) {
        msg = router_expect(rt, "a.b");
        router_answer(rt, msg, 0, NULL);
        router_answer(rt, msg, 0, NULL);
        if (ended)
            router_answer(rt, msg, ENODATA, NULL);
        flux_msg_destroy(msg);
    }
    router_answer_next(rt, "a.b", 0, "mine");
    assert_payload(g, "mine");
    flux_future_destroy(g);
    assert_int_equal(rt->h->conn->queue.count, 6);
    flux_future_destroy(one);
    flux_future_destroy(stream);
    flux_future_destroy(endless);
    assert_int_equal(rt->h->conn->queue.count, 0);
    assert_int_equal(rt->h->conn->tags.used, 1); /* of the one that has not ended */
}

static void a_time_that_never_comes_is_waited_for(void **state)
{
    const double times[] = { INFINITY, 1e300, 1e18, 1e13 };
    struct router *rt = *state;

    for (int i = 0; i < 4; i++) {
        flux_future_t *f = rpc(rt, 0);

        router_answer_next(rt, "a.b", 0, NULL);
        assert_int_equal(flux_future_wait_for(f, times[i]), 0);
        flux_future_destroy(f);
    }
}

static void destroyed_stream_returns_its_matchtag_with_the_error_only(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, FLUX_RPC_STREAMING);
    flux_msg_t *msg = router_expect(rt, "a.b");
    flux_future_t *g;

    flux_future_destroy(f);
    for (int i = 0; i < 3; i++)
        router_answer(rt, msg, 0, NULL);
    g = rpc(rt, 0);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_then(g, -1., on_destroy, NULL), 0);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(rt->h->conn->tags.used, 1);
    router_answer(rt, msg, ENODATA, NULL);
    g = rpc(rt, 0);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_future_then(g, -1., on_destroy, NULL), 0);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(rt->h->conn->tags.used, 0);
    flux_msg_destroy(msg);
}

static void answers_to_nobody_are_dropped(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    flux_msg_t *msg = router_expect(rt, "a.b");

    router_answer(rt, msg, 0, "one");
    router_answer(rt, msg, 0, "twice");
    flux_msg_set_matchtag(msg, 0x7fffffff);
    router_answer(rt, msg, 0, "never asked");
    flux_msg_set_matchtag(msg, 0);
    router_answer(rt, msg, 0, "no tag");
    flux_msg_destroy(msg);
    assert_int_equal(flux_future_then(f, -1., on_destroy, NULL), 0);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    f = rpc(rt, 0);
    router_answer_next(rt, "a.b", 0, "right");
    assert_payload(f, "right");
    flux_future_destroy(f);
}

static void on_order(flux_future_t *f, void *arg)
{
    char *log = arg;
    const char *s;

    assert_int_equal(flux_rpc_get(f, &s), 0);
    strcat(log, s);
    flux_future_destroy(f);
}

static void on_order_event(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const char *s;

    assert_int_equal(flux_event_decode(msg, &s, NULL), 0);
    strcat(arg, s);
    flux_msg_handler_stop(mh);
}

static void continuations_and_events_run_in_the_order_of_arrival(void **state)
{
    struct router *rt = *state;
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_msg_handler_t *mh;
    flux_future_t *f[3];
    char log[32] = "";

    mh = flux_msg_handler_create(rt->h, match, on_order_event, log);
    flux_msg_handler_start(mh);
    for (int i = 0; i < 3; i++) {
        f[i] = rpc(rt, 0);
        assert_int_equal(flux_future_then(f[i], -1., on_order, log), 0);
    }
    router_answer_next(rt, "a.b", 0, "1");
    router_event(rt, "e");
    router_answer_next(rt, "a.b", 0, "2");
    router_answer_next(rt, "a.b", 0, "3");
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_string_equal(log, "1e23");
    flux_msg_handler_destroy(mh);
}

static void on_sync_inside(flux_future_t *f, void *arg)
{
    struct router *rt = arg;
    flux_future_t *g = rpc(rt, 0);

    /* What is sent while the dispatcher works is sent together at the end, or before blocking. */
    assert_null(router_recv(rt));
    connection_flush(rt->h->conn);
    router_answer_next(rt, "a.b", 0, "inner");
    assert_payload(g, "inner");
    flux_future_destroy(g);
    flux_future_destroy(f);
}

static void sync_rpc_within_a_continuation_works(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    flux_future_t *g = rpc(rt, 0);
    char log[32] = "";

    assert_int_equal(flux_future_then(f, -1., on_sync_inside, rt), 0);
    assert_int_equal(flux_future_then(g, -1., on_order, log), 0);
    router_answer_next(rt, "a.b", 0, "outer");
    router_answer_next(rt, "a.b", 0, "other");
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_string_equal(log, "other");
}

static void on_stop(flux_future_t *f, void *arg)
{
    (*(int *)arg)++;
    flux_reactor_stop(flux_future_get_reactor(f));
    flux_future_destroy(f);
}

static void nothing_is_called_after_the_reactor_was_stopped(void **state)
{
    struct router *rt = *state;
    int calls = 0;

    for (int i = 0; i < 3; i++) {
        flux_future_t *f = rpc(rt, 0);

        assert_int_equal(flux_future_then(f, -1., on_stop, &calls), 0);
    }
    for (int i = 0; i < 3; i++)
        router_answer_next(rt, "a.b", 0, NULL);
    for (int i = 1; i <= 3; i++) {
        assert_true(flux_reactor_run(rt->r, 0) >= 0);
        assert_int_equal(calls, i);
    }
}

static void on_error(flux_future_t *f, void *arg)
{
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    *(int *)arg = errno;
    flux_future_destroy(f);
}

static void then_timeout_fails_with_ETIMEDOUT(void **state)
{
    struct router *rt = *state;
    int errnum = 0;

    assert_int_equal(flux_future_then(rpc(rt, 0), 0.001, on_error, &errnum), 0);
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(errnum, ETIMEDOUT);
}

static int on_comms_error(flux_t *h, void *arg)
{
    (*(int *)arg)++;
    return 0;
}

static void when_the_router_closes_all_rpcs_fail_with_ECONNRESET_at_once(void **state)
{
    struct router *rt = *state;
    flux_future_t *f[3];
    int errnum = 0, calls = 0;

    flux_comms_error_set(rt->h, on_comms_error, &calls);
    for (int i = 0; i < 3; i++)
        f[i] = rpc(rt, 0);
    assert_int_equal(flux_future_then(f[2], -1., on_error, &errnum), 0);
    router_answer_next(rt, "a.b", 0, "answered before");
    router_hangup(rt);
    assert_int_equal(flux_rpc_get(f[1], NULL), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_payload(f[0], "answered before");
    assert_true(flux_future_is_ready(f[2]));
    assert_int_equal(errnum, 0); /* continuations only run in the reactor */
    assert_int_equal(flux_reactor_run(rt->r, 0), 0);
    assert_int_equal(errnum, ECONNRESET);
    assert_int_equal(calls, 1);
    assert_null(flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0));
    assert_int_equal(errno, ECONNRESET);
    assert_null(flux_recv(rt->h, FLUX_MATCH_ANY, 0));
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(flux_pollevents(rt->h), FLUX_POLLERR);
    assert_int_equal(rt->h->conn->tags.used, 0);
    flux_future_destroy(f[0]);
    flux_future_destroy(f[1]);
}

static void unhandled_loss_ends_the_reactor_with_ECONNRESET(void **state)
{
    struct router *rt = *state;
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_msg_handler_t *mh;
    char log[32] = "";
    int errnum = 0;

    mh = flux_msg_handler_create(rt->h, match, on_order_event, log);
    flux_msg_handler_start(mh);
    assert_int_equal(flux_future_then(rpc(rt, 0), -1., on_error, &errnum), 0);
    router_hangup(rt);
    assert_int_equal(flux_reactor_run(rt->r, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(errnum, ECONNRESET);
    flux_msg_handler_destroy(mh);
}

static void garbage_from_the_router_is_a_lost_connection(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);

    assert_int_equal(send(channel_fd(rt->ch), "garbage", 7, 0), 7);
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, ECONNRESET);
    flux_future_destroy(f);
}

static void rpc_outlives_its_handle(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    flux_future_t *g = rpc(rt, 0);

    assert_int_equal(flux_future_then(g, 10., on_error, NULL), 0);
    flux_incref(rt->h);
    flux_close(rt->h);
    flux_close(rt->h);
    flux_future_destroy(f);
    flux_future_destroy(g);
    rt->h = NULL;
}

static void who_asks_for_an_answer_after_the_handle_was_closed_is_told(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = rpc(rt, 0);
    flux_future_t *stream = rpc(rt, FLUX_RPC_STREAMING);
    const char *s;

    flux_close(rt->h);
    rt->h = NULL;
    assert_int_equal(flux_rpc_get(f, &s), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(flux_future_wait_for(stream, 1.), -1);
    assert_int_equal(errno, ECONNRESET);
    flux_future_destroy(f);
    flux_future_destroy(stream);
}

static void rpc_message_sends_a_copy(void **state)
{
    struct router *rt = *state;
    flux_msg_t *msg = flux_request_encode("a.b", "payload");
    flux_future_t *f = flux_rpc_message(rt->h, msg, FLUX_NODEID_ANY, 0);
    uint32_t tag;

    assert_non_null(f);
    assert_int_equal(flux_msg_get_matchtag(msg, &tag), 0);
    assert_int_equal(tag, FLUX_MATCHTAG_NONE);
    router_answer_next(rt, "a.b", 0, "ok");
    assert_payload(f, "ok");
    flux_future_destroy(f);
    flux_msg_destroy(msg);
}

static void bad_arguments_are_EINVAL(void **state)
{
    struct router *rt = *state;
    flux_msg_t *event = flux_event_encode("e", NULL);

    assert_null(flux_rpc(NULL, "a.b", NULL, FLUX_NODEID_ANY, 0));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_rpc(rt->h, NULL, NULL, FLUX_NODEID_ANY, 0));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_rpc(rt->h, "a.b", NULL, FLUX_NODEID_ANY, 0x100));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_rpc_message(rt->h, event, FLUX_NODEID_ANY, 0));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_rpc_get(NULL, NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_null(router_recv(rt));
    flux_msg_destroy(event);
}

static void raw_payloads_pass_unchanged_and_none_is_EPROTO(void **state)
{
    struct router *rt = *state;
    flux_future_t *f = flux_rpc_raw(rt->h, "a.b", "\0\1\2", 3, FLUX_NODEID_ANY, 0);
    flux_future_t *g = rpc(rt, 0);
    flux_msg_t *msg = router_expect(rt, "a.b");
    const char *topic;
    const void *data;
    flux_msg_t *rsp;
    int len;

    assert_int_equal(flux_request_decode_raw(msg, &topic, &data, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "\0\1\2", 3);
    rsp = flux_response_derive(msg, 0);
    assert_int_equal(flux_msg_set_payload(rsp, "\3\1", 2), 0);
    router_send(rt, rsp);
    flux_msg_destroy(msg);
    assert_int_equal(flux_rpc_get_raw(f, &data, &len), 0);
    assert_int_equal(len, 2);
    assert_memory_equal(data, "\3\1", 2);
    assert_int_equal(flux_rpc_get(f, &topic), -1); /* no string */
    assert_int_equal(errno, EPROTO);
    router_answer_next(rt, "a.b", 0, NULL);
    assert_int_equal(flux_rpc_get_raw(g, &data, &len), -1);
    assert_int_equal(errno, EPROTO);
    flux_future_destroy(f);
    flux_future_destroy(g);
}

static void large_payloads_pass_both_ways(void **state)
{
    struct router *rt = *state;
    size_t size = 3000000;
    char *big = malloc(size + 1);
    flux_future_t *f;
    const char *s;

    memset(big, 'x', size);
    big[size] = '\0';
    f = flux_rpc(rt->h, "a.b", big, FLUX_NODEID_ANY, 0);
    assert_non_null(f);
    router_answer_next(rt, "a.b", 0, big);
    assert_int_equal(flux_rpc_get(f, &s), 0);
    assert_int_equal(strlen(s), size);
    flux_future_destroy(f);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(sync_rpc_returns_the_payload),
        ROUTER_TEST(request_carries_payload_nodeid_and_a_matchtag),
        ROUTER_TEST(upstream_rpc_carries_the_rank_and_the_flag),
        ROUTER_TEST(error_response_fails_with_number_and_sentence),
        ROUTER_TEST(answers_in_any_order_find_their_rpcs),
        ROUTER_TEST(sync_rpc_leaves_other_messages_in_order),
        ROUTER_TEST(timeout_leaves_the_rpc_unfulfilled),
        ROUTER_TEST(noresponse_is_fulfilled_at_once_and_uses_no_matchtag),
        ROUTER_TEST(streaming_rpc_delivers_each_response_until_the_error),
        ROUTER_TEST(streaming_rpc_with_then_ends_the_reactor_at_its_end),
        ROUTER_TEST(destroyed_rpc_returns_its_matchtag_when_the_answer_comes),
        ROUTER_TEST(an_answer_that_waits_in_the_queue_goes_with_its_rpc),
        ROUTER_TEST(a_time_that_never_comes_is_waited_for),
        ROUTER_TEST(destroyed_stream_returns_its_matchtag_with_the_error_only),
        ROUTER_TEST(answers_to_nobody_are_dropped),
        ROUTER_TEST(continuations_and_events_run_in_the_order_of_arrival),
        ROUTER_TEST(sync_rpc_within_a_continuation_works),
        ROUTER_TEST(nothing_is_called_after_the_reactor_was_stopped),
        ROUTER_TEST(then_timeout_fails_with_ETIMEDOUT),
        ROUTER_TEST(when_the_router_closes_all_rpcs_fail_with_ECONNRESET_at_once),
        ROUTER_TEST(unhandled_loss_ends_the_reactor_with_ECONNRESET),
        ROUTER_TEST(garbage_from_the_router_is_a_lost_connection),
        ROUTER_TEST(rpc_outlives_its_handle),
        ROUTER_TEST(who_asks_for_an_answer_after_the_handle_was_closed_is_told),
        ROUTER_TEST(rpc_message_sends_a_copy),
        ROUTER_TEST(bad_arguments_are_EINVAL),
        ROUTER_TEST(raw_payloads_pass_unchanged_and_none_is_EPROTO),
        ROUTER_TEST(large_payloads_pass_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
