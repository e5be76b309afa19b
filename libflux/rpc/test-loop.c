/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Handles over loop://: sending, receiving, requeueing, dispatching and RPCs to oneself. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <flux/core.h>

#include "base/cleanup.h"

static int setup(void **state)
{
    *state = flux_open("loop://", 0);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    flux_close(*state);
    return 0;
}

static void send_event(flux_t *h, const char *topic)
{
    flux_msg_t *msg = flux_event_encode(topic, NULL);

    assert_non_null(msg);
    assert_int_equal(flux_send(h, msg, 0), 0);
    flux_msg_destroy(msg);
}

static void recv_topic(flux_t *h, struct flux_match match, const char *topic)
{
    flux_msg_t *msg = flux_recv(h, match, FLUX_O_NONBLOCK);
    const char *s;

    assert_non_null(msg);
    assert_int_equal(flux_msg_get_topic(msg, &s), 0);
    assert_string_equal(s, topic);
    flux_msg_destroy(msg);
}

static void open_refuses_what_is_no_uri(void **state)
{
    flux_error_t error;

    assert_null(flux_open("foo://bar", 0));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_open("loop://", 0x10000));
    assert_int_equal(errno, EINVAL);
    assert_null(flux_open_ex("local:///nonexistent/local", 0, &error));
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(error.text, "/nonexistent/local"));
}

static void recv_takes_the_first_match_and_keeps_the_rest_in_order(void **state)
{
    struct flux_match b = FLUX_MATCH_EVENT;

    b.topic_glob = "b*";
    send_event(*state, "a");
    send_event(*state, "b.1");
    send_event(*state, "c");
    send_event(*state, "b.2");
    recv_topic(*state, b, "b.1");
    recv_topic(*state, FLUX_MATCH_ANY, "a");
    recv_topic(*state, FLUX_MATCH_ANY, "c");
    recv_topic(*state, FLUX_MATCH_ANY, "b.2");
    assert_null(flux_recv(*state, FLUX_MATCH_ANY, FLUX_O_NONBLOCK));
    assert_int_equal(errno, EAGAIN);
    assert_null(flux_recv(*state, FLUX_MATCH_ANY, 0));
    assert_int_equal(errno, EDEADLK);
}

static void requeue_puts_at_head_and_tail(void **state)
{
    flux_msg_t *msg = flux_event_encode("first", NULL);

    send_event(*state, "a");
    send_event(*state, "b");
    recv_topic(*state, FLUX_MATCH_ANY, "a");
    assert_int_equal(flux_requeue(*state, msg, FLUX_RQ_TAIL), 0);
    assert_int_equal(flux_requeue(*state, msg, FLUX_RQ_HEAD), 0);
    assert_int_equal(flux_requeue(*state, msg, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_requeue(*state, msg, FLUX_RQ_HEAD | FLUX_RQ_TAIL), -1);
    recv_topic(*state, FLUX_MATCH_ANY, "first");
    recv_topic(*state, FLUX_MATCH_ANY, "first");
    recv_topic(*state, FLUX_MATCH_ANY, "b");
    flux_msg_destroy(msg);
}

static bool pollfd_readable(flux_t *h)
{
    struct pollfd pfd = { .fd = flux_pollfd(h), .events = POLLIN };

    assert_true(pfd.fd >= 0);
    return poll(&pfd, 1, 0) == 1;
}

static void pollevents_shows_messages_and_pollfd_rises_for_new_ones(void **state)
{
    assert_true(flux_pollfd(*state) >= 0);
    assert_int_equal(flux_pollevents(*state), FLUX_POLLOUT);
    assert_false(pollfd_readable(*state));
    send_event(*state, "a");
    assert_true(pollfd_readable(*state));
    assert_int_equal(flux_pollevents(*state), FLUX_POLLIN | FLUX_POLLOUT);
    assert_false(pollfd_readable(*state)); /* edge: seen */
    send_event(*state, "b");
    assert_true(pollfd_readable(*state));
    recv_topic(*state, FLUX_MATCH_ANY, "a");
    assert_int_equal(flux_pollevents(*state), FLUX_POLLIN | FLUX_POLLOUT);
    recv_topic(*state, FLUX_MATCH_ANY, "b");
    assert_int_equal(flux_pollevents(*state), FLUX_POLLOUT);
}

static void on_echo(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const char *s;

    assert_int_equal(flux_request_decode(msg, NULL, &s), 0);
    assert_int_equal(flux_respond(h, msg, s), 0);
}

static void on_answer(flux_future_t *f, void *arg)
{
    const char **value = arg;
    const char *s;

    assert_int_equal(flux_rpc_get_unpack(f, "{s:s}", "k", &s), 0);
    assert_string_equal(s, "v");
    *value = "done";
    flux_reactor_stop(flux_future_get_reactor(f));
}

static void rpc_to_a_handler_of_the_same_handle_is_answered(void **state)
{
    static const struct flux_msg_handler_spec tab[] = {
        { FLUX_MSGTYPE_REQUEST, "test.echo", on_echo, 0 },
        FLUX_MSGHANDLER_TABLE_END,
    };
    flux_msg_handler_t **handlers;
    const char *value = NULL;
    flux_future_t *f;

    assert_int_equal(flux_msg_handler_addvec(*state, tab, NULL, &handlers), 0);
    f = flux_rpc_pack(*state, "test.echo", FLUX_NODEID_ANY, 0, "{s:s}", "k", "v");
    assert_non_null(f);
    assert_int_equal(flux_future_then(f, -1., on_answer, &value), 0);
    assert_true(flux_reactor_run(flux_get_reactor(*state), 0) >= 0);
    assert_string_equal(value, "done");
    flux_future_destroy(f);
    flux_msg_handler_delvec(handlers);
}

static void on_unknown(flux_future_t *f, void *arg)
{
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    *(int *)arg = errno;
    flux_future_destroy(f);
}

static void request_without_handler_is_answered_ENOSYS_and_the_reactor_ends(void **state)
{
    flux_future_t *f = flux_rpc(*state, "no.such", NULL, FLUX_NODEID_ANY, 0);
    int errnum = 0;

    assert_non_null(f);
    assert_int_equal(flux_future_then(f, -1., on_unknown, &errnum), 0);
    assert_int_equal(flux_reactor_run(flux_get_reactor(*state), 0), 0);
    assert_int_equal(errnum, ENOSYS);
}

static void blocking_for_an_answer_that_only_we_could_send_is_EDEADLK(void **state)
{
    flux_future_t *f = flux_rpc(*state, "x.y", NULL, FLUX_NODEID_ANY, 0);

    assert_int_equal(flux_future_wait_for(f, 0.001), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, EDEADLK);
    flux_future_destroy(f);
}

static void on_fatal(const char *msg, void *arg)
{
    char *buf = arg;

    assert_string_equal(buf, "");
    strcpy(buf, msg);
}

static void fatal_error_is_reported_once(void **state)
{
    char buf[256] = "";

    flux_fatal_set(*state, on_fatal, buf);
    errno = EIO;
    FLUX_FATAL(*state);
    FLUX_FATAL(*state);
    assert_string_equal(buf, "fatal_error_is_reported_once: Input/output error");
}

static void on_aux_free(void *arg)
{
    (*(int *)arg)++;
}

static void aux_items_are_found_replaced_and_destroyed(void **state)
{
    flux_t *h = flux_open("loop://", 0);
    int a = 0, b = 0;

    assert_int_equal(flux_aux_set(h, "x", &a, on_aux_free), 0);
    assert_ptr_equal(flux_aux_get(h, "x"), &a);
    assert_int_equal(flux_aux_set(h, "x", &b, on_aux_free), 0);
    assert_int_equal(a, 1);
    assert_int_equal(flux_aux_set(h, NULL, &a, on_aux_free), 0);
    assert_null(flux_aux_get(h, "y"));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(flux_aux_set(h, NULL, NULL, NULL), -1);
    assert_int_equal(errno, EINVAL);
    flux_close(h);
    assert_int_equal(a, 2);
    assert_int_equal(b, 1);
}

static void reactor_can_be_set_once(void **state)
{
    flux_reactor_t *r = flux_reactor_create(0);
    flux_t *h = flux_open("loop://", 0);

    assert_int_equal(flux_set_reactor(h, r), 0);
    assert_ptr_equal(flux_get_reactor(h), r);
    assert_int_equal(flux_set_reactor(h, r), -1);
    assert_int_equal(errno, EEXIST);
    flux_close(h);
    flux_reactor_destroy(r);
}

static void matchtags_are_counted(void **state)
{
    uint32_t avail = flux_matchtag_avail(*state);
    uint32_t a = flux_matchtag_alloc(*state);
    uint32_t b = flux_matchtag_alloc(*state);

    assert_int_not_equal(a, FLUX_MATCHTAG_NONE);
    assert_int_not_equal(a, b);
    assert_int_equal(flux_matchtag_avail(*state), avail - 2);
    flux_matchtag_free(*state, a);
    flux_matchtag_free(*state, a);
    flux_matchtag_free(*state, 0);
    flux_matchtag_free(*state, 0x7fffffff);
    flux_matchtag_free(*state, b);
    assert_int_equal(flux_matchtag_avail(*state), avail);
}

static void clones_share_the_queue_and_outlive_the_original(void **state)
{
    flux_t *h = flux_open("loop://", 0);
    flux_t *clone = flux_clone(h);

    send_event(h, "a");
    send_event(clone, "b");
    assert_int_equal(flux_aux_set(h, "x", h, NULL), 0);
    assert_null(flux_aux_get(clone, "x"));
    flux_close(h);
    recv_topic(clone, FLUX_MATCH_ANY, "a");
    recv_topic(clone, FLUX_MATCH_ANY, "b");
    flux_close(clone);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(open_refuses_what_is_no_uri),
        T(recv_takes_the_first_match_and_keeps_the_rest_in_order),
        T(requeue_puts_at_head_and_tail),
        T(pollevents_shows_messages_and_pollfd_rises_for_new_ones),
        T(rpc_to_a_handler_of_the_same_handle_is_answered),
        T(request_without_handler_is_answered_ENOSYS_and_the_reactor_ends),
        T(blocking_for_an_answer_that_only_we_could_send_is_EDEADLK),
        T(fatal_error_is_reported_once),
        T(aux_items_are_found_replaced_and_destroyed),
        T(reactor_can_be_set_once),
        T(matchtags_are_counted),
        T(clones_share_the_queue_and_outlive_the_original),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
