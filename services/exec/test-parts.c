/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shells of a job on other nodes. Those nodes are a handler of rexec.job-start that keeps each
 * stream and answers as the test wants; what the job is told is counted. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/jsonx.h"
#include "job.h"

#define RANKS 4 /* of the instance; 0 is the leader's */
#define R_OF_IT                                                                                    \
    "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"1-3\",\"children\":{\"core\":\"0\"}}]," \
    "\"nodelist\":[\"n[1-3]\"],\"starttime\":0,\"expiration\":0}}"

struct node {
    const flux_msg_t *stream; /* the latest */
    int nstarts;
    bool reattach, started;
    int signum, nforgets;
};

static struct fixture {
    flux_t *h;
    flux_reactor_t *r;
    flux_msg_handler_t *mh[3];
    struct node nodes[RANKS];
    int errnum; /* of all starts, if not 0 */
    struct exec_config config;
    struct jobs jobs;
    struct job job;
    struct parts *p;
    int nstarted, nended, nfailed;
    char type[32], note[256];
    int killed_rank; /* of job_shell_ended */
    bool (*until)(void);
} fx;

/* --- the job */

void job_fail(struct job *job, const char *type, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(fx.note, sizeof(fx.note), fmt, ap);
    va_end(ap);
    (void)snprintf(fx.type, sizeof(fx.type), "%s", type);
    fx.nfailed++;
}

void job_part_started(struct job *job)
{
    fx.nstarted++;
}

void job_part_ended(struct job *job)
{
    fx.nended++;
}

void job_shell_ended(struct job *job, uint32_t rank, int status)
{
    fx.killed_rank = status == SIGKILL ? (int)rank : fx.killed_rank;
}

/* --- the nodes */

static struct node *node_of(const flux_msg_t *msg)
{
    uint32_t rank = 0;

    assert_int_equal(flux_msg_get_nodeid(msg, &rank), 0);
    assert_true(rank > 0 && rank < RANKS);
    return &fx.nodes[rank];
}

static void on_start(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct node *n = node_of(msg);
    const char *R, *jobspec;
    int reattach, started;
    json_int_t id;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:I s:s s:s s:b s:b}", "id", &id, "R", &R,
                                         "jobspec", &jobspec, "reattach", &reattach, "started",
                                         &started),
                     0);
    assert_int_equal(id, 7);
    assert_string_equal(R, R_OF_IT);
    assert_string_equal(jobspec, "{}");
    n->reattach = reattach;
    n->started = started;
    n->nstarts++;
    flux_msg_decref(n->stream);
    n->stream = flux_msg_incref(msg);
    if (fx.errnum)
        assert_int_equal(flux_respond_error(h, msg, fx.errnum, "the cable is out"), 0);
}

static void on_kill(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    assert_int_equal(flux_request_unpack(msg, NULL, "{s:i}", "signum", &node_of(msg)->signum), 0);
}

static void on_forget(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    node_of(msg)->nforgets++;
}

static void say(int rank, const char *text)
{
    assert_int_equal(flux_respond(fx.h, fx.nodes[rank].stream, text), 0);
}

static void hang_up(int rank, int errnum)
{
    assert_int_equal(flux_respond_error(fx.h, fx.nodes[rank].stream, errnum, "it hung up"), 0);
}

static void on_tick(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    if (fx.until())
        flux_reactor_stop(r);
}

static void run_until(bool (*until)(void))
{
    flux_watcher_t *w = flux_timer_watcher_create(fx.r, 0., 0.001, on_tick, NULL);

    fx.until = until;
    flux_watcher_start(w);
    if (!until())
        assert_true(flux_reactor_run(fx.r, 0) >= 0);
    flux_watcher_destroy(w);
}

static int setup(void **state)
{
    static const struct flux_msg_handler_spec specs[] = {
        { FLUX_MSGTYPE_REQUEST, "rexec.job-start", on_start, 0 },
        { FLUX_MSGTYPE_REQUEST, "rexec.job-kill", on_kill, 0 },
        { FLUX_MSGTYPE_REQUEST, "rexec.job-forget", on_forget, 0 },
    };
    struct idset *ranks = idset_decode("1-3");

    fx = (struct fixture){ .h = flux_open("loop://", 0), .killed_rank = -1 };
    if (!fx.h || !ranks)
        return -1;
    fx.r = flux_get_reactor(fx.h);
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        struct flux_match match = FLUX_MATCH_REQUEST;

        match.topic_glob = specs[i].topic_glob;
        fx.mh[i] = flux_msg_handler_create(fx.h, match, specs[i].cb, NULL);
        flux_msg_handler_start(fx.mh[i]);
    }
    fx.config.node_timeout = 20.;
    fx.jobs = (struct jobs){ .h = fx.h, .reactor = fx.r, .config = &fx.config };
    fx.job =
        (struct job){ .jobs = &fx.jobs, .id = 7, .R = (char *)R_OF_IT, .jobspec = (char *)"{}" };
    assert_int_equal(parts_new(&fx.job, ranks, &fx.p), 0);
    idset_destroy(ranks);
    return 0;
}

static int teardown(void **state)
{
    parts_free(fx.p);
    for (int i = 0; i < RANKS; i++)
        flux_msg_decref(fx.nodes[i].stream);
    for (size_t i = 0; i < ARRAY_SIZE(fx.mh); i++)
        flux_msg_handler_destroy(fx.mh[i]);
    flux_close(fx.h);
    return 0;
}

/* --- */

static bool all_were_asked(void)
{
    return fx.nodes[1].nstarts > 0 && fx.nodes[2].nstarts > 0 && fx.nodes[3].nstarts > 0;
}

static bool all_have_started(void)
{
    return parts_running(fx.p);
}

static bool all_have_ended(void)
{
    return parts_ended(fx.p);
}

static bool two_was_asked_again(void)
{
    return fx.nodes[2].nstarts == 2;
}

static void start(void)
{
    parts_start(fx.p, false);
    run_until(all_were_asked);
}

static void each_node_is_asked_once_and_the_job_runs_when_all_do(void **state)
{
    assert_false(parts_started(fx.p));
    start();
    parts_start(fx.p, false);
    assert_true(parts_started(fx.p));
    say(1, "{\"type\":\"start\"}");
    say(2, "{\"type\":\"start\"}");
    assert_false(parts_running(fx.p));
    say(3, "{\"type\":\"start\"}");
    run_until(all_have_started);
    assert_int_equal(fx.nstarted, 3);
    for (int i = 1; i < RANKS; i++) {
        assert_int_equal(fx.nodes[i].nstarts, 1);
        assert_false(fx.nodes[i].reattach || fx.nodes[i].started);
    }
    assert_false(parts_ended(fx.p));
}

static void the_highest_status_counts_and_a_killed_shell_is_named(void **state)
{
    int status = 0;

    start();
    say(1, "{\"type\":\"end\",\"status\":256}");
    say(2, "{\"type\":\"end\",\"status\":9}");
    say(3, "{\"type\":\"end\",\"status\":0}");
    run_until(all_have_ended);
    assert_int_equal(fx.nended, 3);
    assert_true(parts_status(fx.p, &status));
    assert_int_equal(status, 256);
    assert_int_equal(fx.killed_rank, 2);
    assert_int_equal(fx.nfailed, 0);
}

static void a_status_that_nobody_knows_is_not_made_up(void **state)
{
    int status = 0;

    start();
    say(1, "{\"type\":\"end\",\"status\":0}");
    say(2, "{\"type\":\"end\"}");
    hang_up(3, ENODATA);
    run_until(all_have_ended);
    assert_false(parts_status(fx.p, &status));
    assert_int_equal(fx.nfailed, 0);
}

static void a_stream_that_breaks_is_begun_anew_and_says_what_was_there(void **state)
{
    start();
    say(2, "{\"type\":\"start\"}");
    hang_up(2, ECONNRESET);
    run_until(two_was_asked_again);
    assert_true(fx.nodes[2].reattach && fx.nodes[2].started);
    say(2, "{\"type\":\"start\"}"); /* of a shell that was known to run */
    say(1, "{\"type\":\"start\"}");
    say(3, "{\"type\":\"start\"}");
    run_until(all_have_started);
    assert_int_equal(fx.nstarted, 3);
    assert_int_equal(fx.nfailed, 0);
    assert_false(parts_lost(fx.p, 2));
}

static void a_node_that_stays_away_is_lost_and_named_once(void **state)
{
    int status = 0;

    fx.config.node_timeout = 0.;
    start();
    say(1, "{\"type\":\"end\",\"status\":0}");
    say(3, "{\"type\":\"end\",\"status\":0}");
    fx.errnum = EHOSTUNREACH;
    hang_up(2, EHOSTUNREACH);
    run_until(all_have_ended);
    assert_int_equal(fx.nfailed, 1);
    assert_string_equal(fx.type, "node-failure");
    assert_string_equal(fx.note, "n2 (rank 2) is lost and ended this job, which may be submitted "
                                 "again: the cable is out");
    assert_true(parts_lost(fx.p, 2));
    assert_false(parts_lost(fx.p, 1) || parts_lost(fx.p, 0));
    assert_true(parts_status(fx.p, &status));
    assert_int_equal(status, STATUS_VANISHED);
}

static void a_refusal_ends_the_part_and_names_the_node(void **state)
{
    start();
    hang_up(3, EINVAL);
    hang_up(1, ENODATA);
    hang_up(2, ENODATA);
    run_until(all_have_ended);
    assert_int_equal(fx.nfailed, 1);
    assert_string_equal(fx.type, "exec");
    assert_string_equal(fx.note, "n3 (rank 3): it hung up");
}

static void an_exception_of_a_node_is_the_jobs_and_its_part_goes_on(void **state)
{
    start();
    say(1, "{\"type\":\"exception\",\"note\":\"no shell there\"}");
    say(1, "{\"type\":\"end\"}");
    say(2, "{\"type\":\"end\"}");
    say(3, "{\"type\":\"end\"}");
    run_until(all_have_ended);
    assert_string_equal(fx.note, "n1 (rank 1): no shell there");
    assert_int_equal(fx.nended, 3);
}

static void nonsense_ends_the_part(void **state)
{
    start();
    say(1, "{\"type\":7}");
    hang_up(2, ENODATA);
    hang_up(3, ENODATA);
    run_until(all_have_ended);
    assert_int_equal(fx.nfailed, 1);
    assert_string_equal(fx.type, "exec");
}

static bool one_was_signaled(void)
{
    return fx.nodes[1].signum != 0;
}

static bool all_were_told_to_forget(void)
{
    return fx.nodes[1].nforgets && fx.nodes[2].nforgets && fx.nodes[3].nforgets;
}

static bool two_has_ended(void)
{
    return fx.nended == 1;
}

static void a_signal_goes_to_those_that_run_and_forgetting_to_all(void **state)
{
    parts_signal(fx.p, SIGUSR1); /* nobody is there yet */
    start();
    say(2, "{\"type\":\"end\",\"status\":0}");
    run_until(two_has_ended);
    parts_signal(fx.p, SIGTERM);
    run_until(one_was_signaled);
    parts_forget(fx.p);
    run_until(all_were_told_to_forget);
    assert_int_equal(fx.nodes[1].signum, SIGTERM);
    assert_int_equal(fx.nodes[2].signum, 0);
    assert_int_equal(fx.nodes[3].signum, SIGTERM);
}

static void a_part_may_be_dropped_at_any_time(void **state)
{
    start();
    hang_up(1, ECONNRESET);
    say(2, "{\"type\":\"start\"}");
    fx.p = parts_free(fx.p);
    assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_NOWAIT) >= 0);
    assert_int_equal(fx.nstarted + fx.nended + fx.nfailed, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_node_is_asked_once_and_the_job_runs_when_all_do),
        TEST(the_highest_status_counts_and_a_killed_shell_is_named),
        TEST(a_status_that_nobody_knows_is_not_made_up),
        TEST(a_stream_that_breaks_is_begun_anew_and_says_what_was_there),
        TEST(a_node_that_stays_away_is_lost_and_named_once),
        TEST(a_refusal_ends_the_part_and_names_the_node),
        TEST(an_exception_of_a_node_is_the_jobs_and_its_part_goes_on),
        TEST(nonsense_ends_the_part),
        TEST(a_signal_goes_to_those_that_run_and_forgetting_to_all),
        TEST(a_part_may_be_dropped_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
