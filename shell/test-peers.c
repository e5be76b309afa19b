/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A leader and the other shells of a job on one handle, with a way between them that loses
 * messages: each record is taken once and in order, and who does not read is not written to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "barrier.h"
#include "follower.h"
#include "leader.h"
#include "outbox.h"

#define NSHELLS 3
#define CREDIT  1000

struct side {
    struct follower *follower;
    int next; /* number that the leader awaits from it, or it from the leader */
    int nrooms;
    bool full, lost, finished;
};

static struct fixture {
    flux_t *h;
    flux_reactor_t *r;
    struct leader *leader;
    struct side up[NSHELLS], down[NSHELLS];
    bool no_room, settled;
    int nrefused;
    struct thief {
        flux_msg_handler_t *mh;
        int left;
    } thieves[2];
} fx;

static json_t *record(int n)
{
    json_t *o = json_pack("{s:i}", "n", n);

    assert_non_null(o);
    return o;
}

static int number(const json_t *o)
{
    const json_t *n = json_object_get(o, "n");

    return json_is_integer(n) ? (int)json_integer_value(n) : -1;
}

/* --- what the leader sees */

static int on_up(void *arg, int rank, const json_t *o)
{
    if (number(o) < 0)
        return -EPROTO;
    if (number(o) == 999) {
        leader_finished(fx.leader, rank);
        return 0;
    }
    assert_int_equal(number(o), fx.up[rank].next++);
    return 0;
}

static bool has_room(void *arg)
{
    return !fx.no_room;
}

static void on_leader_room(void *arg)
{
    fx.up[0].nrooms++;
}

static void on_lost(void *arg, int rank)
{
    fx.up[rank].lost = true;
}

static uint32_t nodeid(void *arg, int rank)
{
    return FLUX_NODEID_ANY;
}

static void on_settled(void *arg)
{
    fx.settled = true;
}

/* --- what the others see */

static bool on_down(void *arg, const json_t *o)
{
    struct side *s = arg;

    assert_int_equal(number(o), s->next++);
    return !s->full;
}

static void on_room(void *arg)
{
    ((struct side *)arg)->nrooms++;
}

static void on_leader_lost(void *arg, const char *why)
{
    ((struct side *)arg)->lost = true;
}

static void on_finished(void *arg)
{
    ((struct side *)arg)->finished = true;
}

static void start_leader(void)
{
    const struct leader_options o = {
        .service = "job",
        .nshells = NSHELLS,
        .userid = (uint32_t)geteuid(),
        .credit = CREDIT,
        .events = { on_up, has_room, on_leader_room, on_lost, nodeid, on_settled, NULL },
    };

    assert_int_equal(leader_new(fx.h, &o, &fx.leader), 0);
}

static void start_follower(int rank)
{
    const struct follower_options o = {
        .service = "job",
        .nodeid = FLUX_NODEID_ANY,
        .shell_rank = rank,
        .credit = CREDIT,
        .events = { on_down, on_room, on_leader_lost, &fx.down[rank] },
    };

    assert_int_equal(follower_new(fx.h, &o, &fx.down[rank].follower), 0);
}

static void on_patience(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    *(bool *)arg = true;
}

/* Until the expression holds; 30 s at most. */
#define WAIT_FOR(expr)                                                                      \
    do {                                                                                    \
        bool over_ = false;                                                                 \
        flux_watcher_t *w_ = flux_timer_watcher_create(fx.r, 30., 0., on_patience, &over_); \
        flux_watcher_start(w_);                                                             \
        while (!(expr) && !over_)                                                           \
            assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_ONCE) >= 0);                    \
        flux_watcher_destroy(w_);                                                           \
        assert_false(over_);                                                                \
    } while (0)

static void say(int rank, int n)
{
    json_t *o = record(n);

    assert_int_equal(follower_send(fx.down[rank].follower, o, 100), 0);
    json_decref(o);
}

static void command(const char *ranks, int n)
{
    struct idset *ids = ranks ? idset_decode(ranks) : NULL;
    json_t *o = record(n);

    assert_int_equal(leader_send(fx.leader, ids, o, 100), 0);
    json_decref(o);
    idset_destroy(ids);
}

static int setup(void **state)
{
    fx = (struct fixture){ .h = flux_open("loop://", 0) };
    if (!fx.h)
        return -1;
    fx.r = flux_get_reactor(fx.h);
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < NSHELLS; i++)
        follower_free(fx.down[i].follower);
    for (size_t i = 0; i < ARRAY_SIZE(fx.thieves); i++)
        flux_msg_handler_destroy(fx.thieves[i].mh);
    leader_free(fx.leader);
    flux_close(fx.h);
    return 0;
}

/* Requests of this topic fail n times as they do when a router ends. */
static void on_stolen(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct thief *thief = arg;

    assert_int_equal(flux_respond_error(h, msg, ECONNRESET, NULL), 0);
    if (--thief->left == 0)
        flux_msg_handler_stop(mh);
}

static void steal(struct thief *thief, const char *topic, int n)
{
    struct flux_match match = FLUX_MATCH_REQUEST;

    match.topic_glob = topic;
    thief->left = n;
    thief->mh = flux_msg_handler_create(fx.h, match, on_stolen, thief);
    assert_non_null(thief->mh);
    flux_msg_handler_start(thief->mh);
}

static void records_go_both_ways_in_order(void **state)
{
    start_leader();
    start_follower(1);
    start_follower(2);
    for (int i = 0; i < 50; i++) {
        say(1, i);
        say(2, i);
        command(NULL, i);
    }
    WAIT_FOR(fx.up[1].next == 50 && fx.up[2].next == 50);
    WAIT_FOR(fx.down[1].next == 50 && fx.down[2].next == 50);
    command("2", 50);
    WAIT_FOR(fx.down[2].next == 51);
    assert_int_equal(fx.down[1].next, 50);
}

static void a_leader_that_comes_late_gets_everything(void **state)
{
    start_follower(1);
    for (int i = 0; i < 10; i++)
        say(1, i);
    assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_NOWAIT) >= 0); /* ENOSYS */
    start_leader();
    command("1", 0);
    WAIT_FOR(fx.up[1].next == 10 && fx.down[1].next == 1);
}

static void nothing_is_lost_or_taken_twice_when_requests_fail(void **state)
{
    start_leader();
    steal(&fx.thieves[0], "job.hello", 3);
    steal(&fx.thieves[1], "job.report", 3);
    start_follower(1);
    for (int i = 0; i < 10; i++)
        say(1, i);
    command("1", 0);
    WAIT_FOR(fx.up[1].next == 10 && fx.down[1].next == 1);
    assert_int_equal(fx.thieves[0].left, 0);
    assert_int_equal(fx.thieves[1].left, 0);
}

/* The record was taken, and the shell does not know. */
static void a_report_that_comes_again_is_not_taken_again(void **state)
{
    flux_future_t *f;

    start_leader();
    for (int i = 0; i < 2; i++) {
        f = flux_rpc_pack(fx.h, "job.report", FLUX_NODEID_ANY, 0, "{s:i s:i s:[{s:i},{s:i}] s:i}",
                          "shell", 1, "first", 1, "records", "n", 0, "n", 1, "seen", 0);
        WAIT_FOR(flux_future_is_ready(f));
        assert_int_equal(flux_rpc_get(f, NULL), 0);
        flux_future_destroy(f);
    }
    assert_int_equal(fx.up[1].next, 2);
}

static void check_refused(const char *topic, const char *payload, int errnum)
{
    flux_future_t *f = flux_rpc(fx.h, topic, payload, FLUX_NODEID_ANY, 0);

    WAIT_FOR(flux_future_is_ready(f));
    assert_int_equal(flux_rpc_get(f, NULL), -1);
    assert_int_equal(errno, errnum);
    flux_future_destroy(f);
}

static void what_makes_no_sense_is_refused(void **state)
{
    start_leader();
    check_refused("job.report", "{}", EPROTO);
    check_refused("job.hello", "{\"shell\":1,\"seen\":0}", EPROTO); /* no stream */
    check_refused("job.report", "{\"shell\":0,\"first\":1,\"records\":[],\"seen\":0}", EINVAL);
    check_refused("job.report", "{\"shell\":3,\"first\":1,\"records\":[],\"seen\":0}", EINVAL);
    check_refused("job.report", "{\"shell\":-1,\"first\":1,\"records\":[],\"seen\":0}", EINVAL);
    check_refused("job.report", "{\"shell\":1,\"first\":2,\"records\":[],\"seen\":0}", EPROTO);
    check_refused("job.report", "{\"shell\":1,\"first\":0,\"records\":[],\"seen\":0}", EPROTO);
    check_refused("job.report", "{\"shell\":1,\"first\":1,\"records\":[{}],\"seen\":0}", EPROTO);
}

static void a_shell_may_have_its_credit_unacknowledged_and_no_more(void **state)
{
    struct side *s = &fx.down[1];

    start_leader();
    fx.no_room = true;
    start_follower(1);
    for (int i = 0; i < 10; i++) {
        assert_false(follower_is_full(s->follower));
        say(1, i);
    }
    assert_true(follower_is_full(s->follower));
    WAIT_FOR(fx.up[1].next > 0); /* taken, but not acknowledged */
    assert_true(follower_is_full(s->follower));
    assert_int_equal(s->nrooms, 0);
    fx.no_room = false;
    leader_resume(fx.leader);
    WAIT_FOR(s->nrooms == 1 && fx.up[1].next == 10);
    assert_false(follower_is_full(s->follower));
}

static void one_that_does_not_read_stops_the_leader_until_it_does(void **state)
{
    struct side *s = &fx.down[1];

    start_leader();
    start_follower(1);
    s->full = true;
    for (int i = 0; i < 10; i++)
        command("1", i);
    WAIT_FOR(s->next == 10);
    assert_true(leader_is_full(fx.leader));
    say(1, 0); /* acknowledges nothing by the way */
    WAIT_FOR(fx.up[1].next == 1);
    s->full = false;
    follower_resume(s->follower);
    WAIT_FOR(fx.up[0].nrooms == 1);
    assert_false(leader_is_full(fx.leader));
}

static void the_last_word_settles_the_job(void **state)
{
    start_leader();
    for (int i = 1; i < NSHELLS; i++) {
        start_follower(i);
        say(i, 0);
        say(i, 999);
        follower_finish(fx.down[i].follower, on_finished, &fx.down[i]);
    }
    WAIT_FOR(fx.settled && fx.down[1].finished && fx.down[2].finished);
    assert_true(leader_settled(fx.leader));
    assert_int_equal(fx.up[1].next, 1);
}

static void a_job_that_is_ended_does_not_wait_for_who_cannot_be_reached(void **state)
{
    start_leader();
    leader_hurry(fx.leader);
    start_follower(1);
    say(1, 999);
    WAIT_FOR(fx.settled);
    assert_true(fx.up[2].lost);
    assert_false(fx.up[1].lost);
}

static void a_shell_whose_node_says_it_is_gone_is_lost(void **state)
{
    flux_future_t *f;

    start_leader();
    start_follower(1);
    say(1, 0);
    WAIT_FOR(fx.up[1].next == 1);
    fx.down[1].follower = follower_free(fx.down[1].follower);
    f = flux_rpc(fx.h, "job.disconnect", NULL, FLUX_NODEID_ANY, FLUX_RPC_NORESPONSE);
    flux_future_destroy(f);
    WAIT_FOR(fx.up[1].lost);
    assert_false(fx.up[2].lost); /* it has not come yet */
}

static void a_shell_does_not_wait_for_a_leader_that_never_comes(void **state)
{
    start_follower(1);
    follower_hurry(fx.down[1].follower);
    WAIT_FOR(fx.down[1].lost);
}

static void barriers_gather_and_are_bounded(void **state)
{
    struct gathering g = { .expected = 3 };
    CLEANUP(json_decrefp) json_t *a = json_pack("{s:s}", "a", "1");
    CLEANUP(json_decrefp) json_t *b = json_pack("{s:s s:s}", "a", "2", "b", "3");
    CLEANUP(freep) char *big = malloc(BARRIER_BYTES_MAX + 1);
    CLEANUP(json_decrefp) json_t *c = NULL;

    assert_false(gathering_enter(&g, a));
    assert_false(gathering_enter(&g, NULL));
    assert_true(gathering_enter(&g, b));
    assert_int_equal(g.rc, 0);
    assert_string_equal(json_string_value(json_object_get(g.object, "a")), "1");
    assert_string_equal(json_string_value(json_object_get(g.object, "b")), "3");
    gathering_reset(&g);
    assert_int_equal(g.expected, 3);
    assert_int_equal(g.entered, 0);
    memset(big, 'x', BARRIER_BYTES_MAX);
    big[BARRIER_BYTES_MAX] = '\0';
    c = json_pack("{s:s}", "big", big);
    assert_false(gathering_enter(&g, c));
    assert_int_equal(g.rc, -EFBIG);
    gathering_reset(&g);
}

static void boxes_keep_what_is_not_acknowledged(void **state)
{
    struct outbox box;
    uint64_t last = 0;
    json_t *list;

    outbox_init(&box, 250);
    assert_null(outbox_peek(&box, 0, 1000, &last));
    for (int i = 0; i < 3; i++) {
        json_t *o = record(i);

        assert_int_equal(outbox_is_full(&box), false);
        assert_int_equal(outbox_push(&box, o, 100), 0);
        json_decref(o);
    }
    assert_true(outbox_is_full(&box));
    list = outbox_peek(&box, 0, 10, &last); /* one at least */
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(last, 1);
    json_decref(list);
    list = outbox_peek(&box, 1, 200, &last);
    assert_int_equal(json_array_size(list), 2);
    assert_int_equal(last, 3);
    json_decref(list);
    outbox_ack(&box, 2);
    assert_int_equal(box.bytes, 100);
    assert_false(outbox_is_empty(&box));
    outbox_deinit(&box);
    assert_true(outbox_is_empty(&box));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(records_go_both_ways_in_order),
        WITH(a_leader_that_comes_late_gets_everything),
        WITH(nothing_is_lost_or_taken_twice_when_requests_fail),
        WITH(a_report_that_comes_again_is_not_taken_again),
        WITH(what_makes_no_sense_is_refused),
        WITH(a_shell_may_have_its_credit_unacknowledged_and_no_more),
        WITH(one_that_does_not_read_stops_the_leader_until_it_does),
        WITH(the_last_word_settles_the_job),
        WITH(a_job_that_is_ended_does_not_wait_for_who_cannot_be_reached),
        WITH(a_shell_whose_node_says_it_is_gone_is_lost),
        WITH(a_shell_does_not_wait_for_a_leader_that_never_comes),
        cmocka_unit_test(barriers_gather_and_are_bounded),
        cmocka_unit_test(boxes_keep_what_is_not_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
