/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Services that are called at their own sockets: which requests go there, what happens when a
 * service goes away, and that a handle with several lines behaves like one with one. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "rpc/test-router.h"

static const char list[] = "rank 3\nkvs node/kvs\nkvs-watch node/kvs\nsched node/sched\n";

struct place {
    char dir[32];
    struct router rt;  /* the router's end */
    struct router kvs; /* that of flux-kvs */
    int rt_listen, kvs_listen;
};

static int listen_at(struct place *p, const char *name)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", p->dir, name);
    (void)unlink(sa.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static bool is_called(int listen_fd)
{
    struct pollfd pfd = { .fd = listen_fd, .events = POLLIN };

    return poll(&pfd, 1, 0) == 1;
}

static void accept_at(int listen_fd, struct router *end)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(channel_new(fd, NULL, &end->ch), 0);
}

static void write_list(struct place *p, const char *text, mode_t mode)
{
    char path[64];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/direct", p->dir);
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    assert_int_equal(fchmod(fileno(f), mode), 0);
    assert_int_equal(fclose(f), 0);
}

static void open_handle(struct place *p, int flags)
{
    char uri[96];

    (void)snprintf(uri, sizeof(uri), "local://%s/local", p->dir);
    p->rt.h = flux_open(uri, flags);
    assert_non_null(p->rt.h);
    p->rt.r = flux_get_reactor(p->rt.h);
    p->kvs.h = p->rt.h;
    accept_at(p->rt_listen, &p->rt);
}

static int setup_flags(void **state, int flags)
{
    struct place *p = calloc(1, sizeof(*p));
    char path[64];

    strcpy(p->dir, "/tmp/flux-test-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/node", p->dir);
    if (mkdir(path, 0700) < 0)
        return -1;
    p->rt_listen = listen_at(p, "local");
    p->kvs_listen = listen_at(p, "node/kvs");
    write_list(p, list, 0600);
    open_handle(p, flags);
    *state = p;
    return 0;
}

static int setup(void **state)
{
    return setup_flags(state, 0);
}

static int setup_reconnect(void **state)
{
    return setup_flags(state, FLUX_O_RECONNECT);
}

static int teardown(void **state)
{
    struct place *p = *state;
    char cmd[64];

    flux_close(p->rt.h);
    channel_free(p->rt.ch);
    channel_free(p->kvs.ch);
    closep(&p->rt_listen);
    closep(&p->kvs_listen);
    (void)snprintf(cmd, sizeof(cmd), "rm -rf %s", p->dir);
    assert_int_equal(system(cmd), 0);
    free(p);
    return 0;
}

#define TEST(f)           cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_RECONNECT(f) cmocka_unit_test_setup_teardown(f, setup_reconnect, teardown)

static flux_future_t *call_node(struct place *p, const char *topic, uint32_t nodeid)
{
    flux_future_t *f = flux_rpc(p->rt.h, topic, NULL, nodeid, 0);

    assert_non_null(f);
    return f;
}

static flux_future_t *call(struct place *p, const char *topic)
{
    return call_node(p, topic, FLUX_NODEID_ANY);
}

/* A first call, answered: after it kvs.ch is the service's end of the line. */
static void connect_kvs(struct place *p)
{
    flux_future_t *f = call(p, "kvs.ping");

    accept_at(p->kvs_listen, &p->kvs);
    router_answer_next(&p->kvs, "kvs.ping", 0, NULL);
    assert_int_equal(flux_rpc_get(f, NULL), 0);
    flux_future_destroy(f);
}

static void check_answer(flux_future_t *f, const char *expected)
{
    const char *s;

    assert_int_equal(flux_rpc_get(f, &s), 0);
    assert_string_equal(s, expected);
    flux_future_destroy(f);
}

static void check_reset(flux_future_t *f)
{
    errno = 0;
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_string_equal(flux_future_error_string(f), "flux-kvs went away");
    flux_future_destroy(f);
}

static void requests_to_a_listed_service_go_to_its_socket(void **state)
{
    struct place *p = *state;

    connect_kvs(p);
    assert_null(router_recv(&p->rt));
}

static void services_of_one_daemon_share_a_line(void **state)
{
    struct place *p = *state;
    flux_future_t *f;

    connect_kvs(p);
    f = call(p, "kvs-watch.lookup");
    assert_false(is_called(p->kvs_listen));
    router_answer_next(&p->kvs, "kvs-watch.lookup", 0, "x");
    check_answer(f, "x");
}

static void other_requests_go_through_the_router(void **state)
{
    struct place *p = *state;
    const uint32_t nodes[] = { 1, FLUX_NODEID_ANY, FLUX_NODEID_ANY };
    const char *topics[] = { "kvs.ping", "kvsx.ping", "kv" };

    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        flux_future_t *f = call_node(p, topics[i], nodes[i]);

        router_answer_next(&p->rt, topics[i], 0, "r");
        check_answer(f, "r");
    }
    assert_false(is_called(p->kvs_listen));
}

static void a_request_to_this_rank_is_direct_and_one_upstream_is_not(void **state)
{
    struct place *p = *state;
    flux_msg_t *msg = flux_request_encode("kvs.ping", NULL);
    flux_future_t *f;

    assert_int_equal(flux_msg_set_flags(msg, FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_UPSTREAM), 0);
    f = flux_rpc_message(p->rt.h, msg, FLUX_NODEID_ANY, 0);
    router_answer_next(&p->rt, "kvs.ping", 0, NULL);
    assert_int_equal(flux_rpc_get(f, NULL), 0);
    flux_future_destroy(f);
    flux_msg_destroy(msg);
    f = call_node(p, "kvs.ping", 3);
    accept_at(p->kvs_listen, &p->kvs);
    router_answer_next(&p->kvs, "kvs.ping", 0, "x");
    check_answer(f, "x");
}

static void requests_to_one_service_stay_in_order_however_sent(void **state)
{
    struct place *p = *state;
    flux_msg_t *msg = flux_request_encode("kvs.raw", NULL);
    flux_future_t *f[3];

    f[0] = call(p, "kvs.first");
    assert_int_equal(flux_send(p->rt.h, msg, 0), 0);
    f[1] = flux_rpc(p->rt.h, "kvs-watch.silent", NULL, FLUX_NODEID_ANY, FLUX_RPC_NORESPONSE);
    f[2] = call(p, "kvs.last");
    accept_at(p->kvs_listen, &p->kvs);
    flux_msg_destroy(router_expect(&p->kvs, "kvs.first"));
    flux_msg_destroy(router_expect(&p->kvs, "kvs.raw"));
    flux_msg_destroy(router_expect(&p->kvs, "kvs-watch.silent"));
    flux_msg_destroy(router_expect(&p->kvs, "kvs.last"));
    for (size_t i = 0; i < ARRAY_SIZE(f); i++)
        flux_future_destroy(f[i]);
    flux_msg_destroy(msg);
}

static void on_answer(flux_future_t *f, void *arg)
{
    (*(int *)arg)++;
}

static void continuations_run_for_the_answers_of_all_lines(void **state)
{
    struct place *p = *state;
    flux_future_t *direct = call(p, "kvs.a"), *routed = call(p, "x.b");
    int ran = 0;

    assert_int_equal(flux_future_then(direct, -1., on_answer, &ran), 0);
    assert_int_equal(flux_future_then(routed, -1., on_answer, &ran), 0);
    accept_at(p->kvs_listen, &p->kvs);
    router_answer_next(&p->kvs, "kvs.a", 0, NULL);
    router_run(&p->rt);
    assert_int_equal(ran, 1);
    router_answer_next(&p->rt, "x.b", 0, NULL);
    assert_int_equal(flux_reactor_run(p->rt.r, 0), 0); /* it ends: nothing is waited for */
    assert_int_equal(ran, 2);
    flux_future_destroy(direct);
    flux_future_destroy(routed);
}

static void a_service_that_is_called_first_from_the_reactor_is_heard(void **state)
{
    struct place *p = *state;
    flux_future_t *routed = call(p, "x.b"), *direct;
    int ran = 0;

    assert_int_equal(flux_future_then(routed, -1., on_answer, &ran), 0);
    router_run(&p->rt); /* the watchers are started, for the router alone */
    direct = call(p, "kvs.a");
    assert_int_equal(flux_future_then(direct, -1., on_answer, &ran), 0);
    accept_at(p->kvs_listen, &p->kvs);
    router_answer_next(&p->kvs, "kvs.a", 0, NULL);
    router_run(&p->rt);
    assert_int_equal(ran, 1);
    flux_future_destroy(direct);
    flux_future_destroy(routed);
}

static void while_one_line_is_waited_for_the_others_are_read(void **state)
{
    struct place *p = *state;
    struct flux_match match = FLUX_MATCH_EVENT;
    flux_msg_t *msg;

    connect_kvs(p);
    for (int i = 0; i < 3; i++) {
        flux_future_t *f = call(p, "kvs.a");

        router_event(&p->rt, "e");
        router_answer_next(&p->kvs, "kvs.a", 0, "x");
        check_answer(f, "x");
    }
    for (int i = 0; i < 3; i++) {
        msg = flux_recv(p->rt.h, match, FLUX_O_NONBLOCK);
        assert_non_null(msg);
        flux_msg_destroy(msg);
    }
}

static void a_clone_has_its_answers_too(void **state)
{
    struct place *p = *state;
    flux_t *clone = flux_clone(p->rt.h);
    flux_reactor_t *r = flux_reactor_create(0);
    flux_future_t *f;
    int ran = 0;

    assert_int_equal(flux_set_reactor(clone, r), 0);
    connect_kvs(p);
    f = flux_rpc(clone, "kvs.a", NULL, FLUX_NODEID_ANY, 0);
    assert_int_equal(flux_future_then(f, -1., on_answer, &ran), 0);
    router_answer_next(&p->kvs, "kvs.a", 0, NULL);
    for (int i = 0; i < 20 && ran == 0; i++)
        assert_true(flux_reactor_run(r, FLUX_REACTOR_NOWAIT) >= 0);
    assert_int_equal(ran, 1);
    flux_future_destroy(f);
    flux_close(clone);
    flux_reactor_destroy(r);
}

static void pollevents_and_pollfd_show_all_lines(void **state)
{
    struct place *p = *state;
    struct pollfd pfd = { .fd = flux_pollfd(p->rt.h), .events = POLLIN };
    flux_msg_t *request = flux_request_encode("kvs.a", NULL), *msg;
    uint32_t tag = flux_matchtag_alloc(p->rt.h);

    connect_kvs(p); /* after flux_pollfd(): the line is added to it */
    assert_int_equal(flux_msg_set_matchtag(request, tag), 0);
    assert_int_equal(flux_send(p->rt.h, request, 0), 0);
    (void)flux_pollevents(p->rt.h);
    assert_int_equal(flux_pollevents(p->rt.h), FLUX_POLLOUT);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    router_answer_next(&p->kvs, "kvs.a", 0, NULL);
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_int_equal(flux_pollevents(p->rt.h), FLUX_POLLIN | FLUX_POLLOUT);
    msg = flux_recv(p->rt.h, FLUX_MATCH_RESPONSE, FLUX_O_NONBLOCK);
    assert_non_null(msg);
    flux_msg_destroy(msg);
    flux_msg_destroy(request);
    flux_matchtag_free(p->rt.h, tag);
}

static void what_is_in_flight_fails_when_the_service_goes_away(void **state)
{
    struct place *p = *state;
    flux_future_t *lost[2], *answered, *routed = call(p, "x.b");

    connect_kvs(p);
    answered = call(p, "kvs.a");
    lost[0] = call(p, "kvs.b");
    lost[1] = call(p, "kvs-watch.c");
    router_answer_next(&p->kvs, "kvs.a", 0, "x");
    router_hangup(&p->kvs);
    check_reset(lost[0]);
    check_reset(lost[1]);
    check_answer(answered, "x"); /* before it left */
    router_answer_next(&p->rt, "x.b", 0, "r");
    check_answer(routed, "r");
    assert_int_equal(p->rt.h->conn->tags.used, 0);
}

static void the_loss_is_noticed_in_a_reactor(void **state)
{
    struct place *p = *state;
    flux_future_t *f;
    int ran = 0;

    connect_kvs(p);
    f = call(p, "kvs.a");
    assert_int_equal(flux_future_then(f, -1., on_answer, &ran), 0);
    router_run(&p->rt);
    router_hangup(&p->kvs);
    assert_int_equal(flux_reactor_run(p->rt.r, 0), 0);
    assert_int_equal(ran, 1);
    check_reset(f);
}

static void the_next_call_connects_again(void **state)
{
    struct place *p = *state;

    connect_kvs(p);
    router_hangup(&p->kvs); /* nobody is told: nothing was in flight */
    connect_kvs(p);
}

static void a_request_that_is_no_rpc_is_answered_when_the_service_goes_away(void **state)
{
    struct place *p = *state;
    flux_msg_t *request = flux_request_encode("kvs.a", NULL), *msg;
    uint32_t tags[2];
    const char *s;
    int errnum;

    connect_kvs(p);
    for (int i = 0; i < 2; i++) {
        tags[i] = flux_matchtag_alloc(p->rt.h);
        assert_int_equal(flux_msg_set_matchtag(request, tags[i]), 0);
        assert_int_equal(flux_send(p->rt.h, request, 0), 0);
    }
    router_answer_next(&p->kvs, "kvs.a", 0, NULL);
    router_hangup(&p->kvs);
    for (int i = 0; i < 2; i++) {
        struct flux_match match = FLUX_MATCH_RESPONSE;

        match.matchtag = tags[i];
        msg = flux_recv(p->rt.h, match, 0);
        assert_non_null(msg);
        assert_int_equal(flux_msg_get_errnum(msg, &errnum), 0);
        assert_int_equal(errnum, i == 0 ? 0 : ECONNRESET);
        flux_matchtag_free(p->rt.h, tags[i]);
        if (i == 1) {
            assert_int_equal(flux_response_decode_error(msg, &s), 0);
            assert_string_equal(s, "flux-kvs went away");
        }
        flux_msg_destroy(msg);
    }
    flux_msg_destroy(request);
}

static void without_its_socket_a_service_is_called_through_the_router_for_good(void **state)
{
    struct place *p = *state;
    flux_future_t *f = call(p, "sched.a");

    router_answer_next(&p->rt, "sched.a", ENOSYS, "no service");
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, ENOSYS);
    flux_future_destroy(f);
    p->kvs.ch = NULL;
    {
        CLEANUP(closep) int fd = listen_at(p, "node/sched");

        f = call(p, "sched.b");
        assert_false(is_called(fd));
    }
    router_answer_next(&p->rt, "sched.b", 0, "r");
    check_answer(f, "r");
}

static void who_is_turned_away_by_a_service_again_and_again_goes_through_the_router(void **state)
{
    struct place *p = *state;
    flux_future_t *f;

    for (int i = 0; i < DIRECT_FAILURES_MAX; i++) {
        f = call(p, "kvs.a");
        accept_at(p->kvs_listen, &p->kvs);
        router_hangup(&p->kvs);
        check_reset(f);
    }
    f = call(p, "kvs.b");
    assert_false(is_called(p->kvs_listen));
    router_answer_next(&p->rt, "kvs.b", 0, "r");
    check_answer(f, "r");
}

static void refuse(struct router *end)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_RESPONSE);

    assert_int_equal(flux_msg_set_topic(msg, "broker.refuse"), 0);
    assert_int_equal(flux_msg_set_errnum(msg, EMFILE), 0);
    assert_int_equal(flux_msg_set_string(msg, "no room"), 0);
    assert_int_equal(channel_send(end->ch, msg), 0);
    flux_msg_destroy(msg);
    router_hangup(end); /* the request was not read */
}

static void who_is_refused_by_a_service_learns_why_and_may_try_again(void **state)
{
    struct place *p = *state;

    for (int i = 0; i < 5; i++) {
        flux_future_t *f = call(p, "kvs.a");

        accept_at(p->kvs_listen, &p->kvs);
        refuse(&p->kvs);
        assert_int_equal(flux_rpc_get(f, NULL), -1);
        assert_int_equal(errno, EMFILE);
        assert_string_equal(flux_future_error_string(f), "no room");
        flux_future_destroy(f);
    }
    connect_kvs(p);
}

static void a_service_that_says_more_than_answers_is_dropped(void **state)
{
    struct place *p = *state;
    flux_future_t *f;

    connect_kvs(p);
    f = call(p, "kvs.a");
    router_event(&p->kvs, "e");
    check_reset(f);
}

static void check_routed(struct place *p, const char *text, mode_t mode)
{
    flux_future_t *f;

    flux_close(p->rt.h);
    p->rt.ch = channel_free(p->rt.ch);
    write_list(p, text, mode);
    open_handle(p, 0);
    f = call(p, "kvs.a");
    router_answer_next(&p->rt, "kvs.a", 0, "r");
    check_answer(f, "r");
    assert_false(is_called(p->kvs_listen));
}

static void a_list_that_others_may_write_is_not_believed(void **state)
{
    check_routed(*state, list, 0620);
    check_routed(*state, list, 0602);
}

static void somebody_elses_list_is_not_for_us(void **state)
{
    struct place *p = *state;
    char path[64];
    flux_future_t *f;

    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    (void)snprintf(path, sizeof(path), "%s/direct", p->dir);
    assert_int_equal(chown(path, 1, 1), 0);
    f = call(p, "kvs.a");
    router_answer_next(&p->rt, "kvs.a", 0, "r");
    check_answer(f, "r");
}

static void a_list_that_makes_no_sense_is_harmless(void **state)
{
    check_routed(*state, "", 0600);
    check_routed(*state, "rank", 0600);
    check_routed(*state, "rank x\nkvs node/kvs\n", 0600);
    check_routed(*state, "rank 0\nkvs\n", 0600);
    check_routed(*state, "rank 0\nkvs /tmp/kvs\n", 0600);
}

static void the_environment_can_turn_it_off(void **state)
{
    assert_int_equal(setenv("FLUX_HANDLE_ROUTED", "1", 1), 0);
    check_routed(*state, list, 0600);
    assert_int_equal(unsetenv("FLUX_HANDLE_ROUTED"), 0);
}

static void without_the_router_nothing_goes_on(void **state)
{
    struct place *p = *state;
    flux_future_t *f;

    connect_kvs(p);
    f = call(p, "kvs.a");
    router_hangup(&p->rt);
    assert_null(flux_recv(p->rt.h, FLUX_MATCH_EVENT, 0));
    assert_int_equal(errno, ECONNRESET);
    check_reset(f);
    assert_null(flux_rpc(p->rt.h, "kvs.a", NULL, FLUX_NODEID_ANY, 0));
}

static void a_service_is_reached_while_the_router_is_away(void **state)
{
    struct place *p = *state;
    flux_future_t *f, *routed = call(p, "x.b");

    connect_kvs(p);
    f = call(p, "kvs.a");
    router_hangup(&p->rt);
    closep(&p->rt_listen);
    p->rt_listen = -EBADF;
    assert_int_equal(flux_rpc_get(routed, NULL), -1);
    assert_int_equal(errno, ECONNRESET);
    flux_future_destroy(routed);
    router_answer_next(&p->kvs, "kvs.a", 0, "x");
    check_answer(f, "x");
    f = call(p, "kvs.b");
    router_answer_next(&p->kvs, "kvs.b", 0, "y");
    check_answer(f, "y");
    p->rt_listen = listen_at(p, "local");
    routed = call(p, "x.c");
    accept_at(p->rt_listen, &p->rt);
    router_answer_next(&p->rt, "x.c", 0, "r");
    check_answer(routed, "r");
}

static void rpcs_outlive_the_handle(void **state)
{
    struct place *p = *state;
    flux_future_t *f;

    connect_kvs(p);
    f = call(p, "kvs.a");
    flux_close(p->rt.h);
    p->rt.h = NULL;
    flux_future_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_to_a_listed_service_go_to_its_socket),
        TEST(services_of_one_daemon_share_a_line),
        TEST(other_requests_go_through_the_router),
        TEST(a_request_to_this_rank_is_direct_and_one_upstream_is_not),
        TEST(requests_to_one_service_stay_in_order_however_sent),
        TEST(continuations_run_for_the_answers_of_all_lines),
        TEST(a_service_that_is_called_first_from_the_reactor_is_heard),
        TEST(while_one_line_is_waited_for_the_others_are_read),
        TEST(a_clone_has_its_answers_too),
        TEST(pollevents_and_pollfd_show_all_lines),
        TEST(what_is_in_flight_fails_when_the_service_goes_away),
        TEST(the_loss_is_noticed_in_a_reactor),
        TEST(the_next_call_connects_again),
        TEST(a_request_that_is_no_rpc_is_answered_when_the_service_goes_away),
        TEST(without_its_socket_a_service_is_called_through_the_router_for_good),
        TEST(who_is_turned_away_by_a_service_again_and_again_goes_through_the_router),
        TEST(who_is_refused_by_a_service_learns_why_and_may_try_again),
        TEST(a_service_that_says_more_than_answers_is_dropped),
        TEST(a_list_that_others_may_write_is_not_believed),
        TEST(somebody_elses_list_is_not_for_us),
        TEST(a_list_that_makes_no_sense_is_harmless),
        TEST(the_environment_can_turn_it_off),
        TEST(without_the_router_nothing_goes_on),
        TEST_RECONNECT(a_service_is_reached_while_the_router_is_away),
        TEST(rpcs_outlive_the_handle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
