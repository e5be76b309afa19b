/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is left of jobs whose end this node did not hear of, with a launcher of a few lines and a
 * rank 0 that says which jobs are over. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "job.h"

#define JOBS 8

/* Job i is ids 1 to JOBS. */
static struct fixture {
    flux_t *h;
    flux_reactor_t *r;
    flux_msg_handler_t *mh;
    struct jobs jobs;
    struct orphans *o;
    int records; /* directory */
    char dir[32];
    bool shells[JOBS + 1];       /* the back end knows of it */
    bool over[JOBS + 1];         /* rank 0 says */
    struct job *table[JOBS + 1]; /* known here */
    bool gone;                   /* whoever the streams go to */
    int purged[JOBS + 1], killed[JOBS + 1];
    int nasked;
    bool asked[JOBS + 1]; /* the last time */
    int nrefusals;
    int wanted;
} fx;

/* --- this node */

struct job *jobs_find(struct jobs *jobs, flux_jobid_t id)
{
    return fx.table[id];
}

void job_kill(struct job *job, int signum)
{
    fx.killed[job->id] = signum;
}

bool request_gone(const struct request *req)
{
    return fx.gone;
}

int launcher_records(const struct launcher *l)
{
    return fx.records;
}

int launcher_list(struct launcher *l, launcher_list_f cb, void *arg)
{
    for (flux_jobid_t id = 1; id <= JOBS; id++)
        if (fx.shells[id])
            cb(id, arg);
    cb(0, arg);
    return 0;
}

int launcher_purge(struct launcher *l, flux_jobid_t id)
{
    fx.purged[id]++;
    fx.shells[id] = false;
    return record_remove(fx.records, id);
}

/* --- rank 0 */

static void on_job_over(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    json_t *ids, *over = json_array(), *value;
    uint32_t nodeid;
    int rank;
    size_t i;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:i s:o}", "rank", &rank, "ids", &ids), 0);
    assert_int_equal(rank, 3);
    assert_int_equal(flux_msg_get_nodeid(msg, &nodeid), 0);
    assert_int_equal(nodeid, 0);
    memset(fx.asked, 0, sizeof(fx.asked));
    json_array_foreach (ids, i, value) {
        const json_int_t id = json_integer_value(value);

        assert_false(fx.asked[id]);
        fx.asked[id] = true;
        if (fx.over[id])
            assert_int_equal(json_array_append(over, value), 0);
    }
    assert_int_equal(json_array_append_new(over, json_integer(8)), 0); /* which nobody asked */
    if (fx.nrefusals-- > 0)
        assert_int_equal(flux_respond_error(h, msg, EAGAIN, NULL), 0);
    else
        assert_int_equal(flux_respond_pack(h, msg, "{s:O}", "over", over), 0);
    json_decref(over);
    if (++fx.nasked == fx.wanted)
        flux_reactor_stop(fx.r);
}

static void has_record(flux_jobid_t id)
{
    const struct record rec = { .pid = 4711, .starttime = 1, .boot_id = "x" };

    assert_int_equal(record_write(fx.records, id, &rec), 0);
}

static void on_tick(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_reactor_stop(r);
}

/* Until rank 0 was asked n times in all and its answer has been read; n 0: for 20 ms. */
static void run(int n)
{
    flux_watcher_t *w = flux_timer_watcher_create(fx.r, 0.02, 0., on_tick, NULL);

    fx.wanted = n;
    if (n > 0)
        assert_true(flux_reactor_run(fx.r, 0) >= 0);
    flux_watcher_start(w);
    assert_true(flux_reactor_run(fx.r, 0) >= 0);
    flux_watcher_destroy(w);
}

static int setup(void **state)
{
    struct flux_match match = FLUX_MATCH_REQUEST;

    fx = (struct fixture){ .h = flux_open("loop://", 0), .dir = "/tmp/test-orphans-XXXXXX" };
    if (!fx.h || !mkdtemp(fx.dir))
        return -1;
    fx.r = flux_get_reactor(fx.h);
    fx.records = open(fx.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    match.topic_glob = "rexec.job-over";
    fx.mh = flux_msg_handler_create(fx.h, match, on_job_over, NULL);
    flux_msg_handler_start(fx.mh);
    fx.jobs = (struct jobs){ .h = fx.h, .reactor = fx.r, .rank = 3 };
    return orphans_new(&fx.jobs, 0.001, &fx.o);
}

static int teardown(void **state)
{
    orphans_free(fx.o);
    for (flux_jobid_t id = 1; id <= JOBS; id++)
        (void)record_remove(fx.records, id);
    record_drop_free(fx.records);
    (void)close(fx.records);
    flux_msg_handler_destroy(fx.mh);
    flux_close(fx.h);
    return rmdir(fx.dir);
}

/* --- */

static void a_node_without_shells_and_records_asks_nobody(void **state)
{
    orphans_look(fx.o);
    run(0);
    assert_int_equal(fx.nasked, 0);
}

static void shells_and_records_of_jobs_that_are_over_are_removed_and_not_asked_about_again(
    void **state)
{
    fx.shells[1] = fx.shells[2] = true; /* 2 has both, 3 a record alone */
    has_record(2);
    has_record(3);
    fx.over[1] = fx.over[2] = fx.over[3] = true;
    orphans_look(fx.o);
    run(1);
    for (int id = 1; id <= 3; id++)
        assert_int_equal(fx.purged[id], 1);
    assert_int_equal(fx.purged[8], 0);
    run(0);
    assert_int_equal(fx.nasked, 1);
}

static void what_rank_0_does_not_know_for_certain_is_left_alone_and_asked_again(void **state)
{
    fx.shells[1] = true;
    fx.nrefusals = 3;
    fx.over[1] = true;
    orphans_look(fx.o);
    run(3);
    assert_int_equal(fx.nasked >= 3, 1);
    run(fx.nasked >= 4 ? 0 : 4);
    assert_int_equal(fx.purged[1], 1);
    assert_int_equal(fx.nasked, 4);
}

static void a_job_that_was_lost_while_rank_0_did_not_answer_is_asked_about_too(void **state)
{
    fx.shells[1] = fx.over[1] = fx.over[2] = true;
    fx.nrefusals = 1;
    orphans_look(fx.o);
    fx.wanted = 1;
    assert_true(flux_reactor_run(fx.r, 0) >= 0);
    fx.shells[2] = true;
    orphans_look(fx.o);
    run(2);
    assert_int_equal(fx.purged[1], 1);
    assert_int_equal(fx.purged[2], 1);
}

static void a_job_that_runs_is_asked_about_until_rank_0_has_taken_it_up(void **state)
{
    struct job job = { .id = 1, .carrier = (struct request *)&fx };

    fx.shells[1] = true;
    orphans_look(fx.o);
    run(2);
    assert_int_equal(fx.purged[1], 0);
    fx.table[1] = &job;
    run(0);
    fx.nasked = 0;
    run(0);
    assert_int_equal(fx.nasked, 0);
    assert_int_equal(fx.killed[1], 0);
}

static void a_part_whose_stream_is_gone_and_whose_job_is_over_is_killed_and_forgotten(void **state)
{
    struct job job = { .id = 1, .carrier = (struct request *)&fx };

    fx.shells[1] = fx.over[1] = fx.gone = true;
    fx.table[1] = &job;
    orphans_look(fx.o);
    run(1);
    assert_int_equal(fx.killed[1], SIGKILL);
    assert_int_equal(fx.purged[1], 0); /* when its end was seen */
    assert_true(job.forgotten && job.canceled);
}

static void a_look_for_later_is_overtaken_by_one_for_now(void **state)
{
    fx.shells[1] = fx.over[1] = true;
    orphans_look_later(fx.o);
    run(0);
    assert_int_equal(fx.nasked, 0);
    orphans_look(fx.o);
    orphans_look_later(fx.o);
    run(1);
    assert_int_equal(fx.purged[1], 1);
}

static void the_leader_has_none(void **state)
{
    orphans_look(NULL);
    orphans_look_later(NULL);
    assert_null(orphans_free(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_node_without_shells_and_records_asks_nobody),
        TEST(shells_and_records_of_jobs_that_are_over_are_removed_and_not_asked_about_again),
        TEST(what_rank_0_does_not_know_for_certain_is_left_alone_and_asked_again),
        TEST(a_job_that_was_lost_while_rank_0_did_not_answer_is_asked_about_too),
        TEST(a_job_that_runs_is_asked_about_until_rank_0_has_taken_it_up),
        TEST(a_part_whose_stream_is_gone_and_whose_job_is_over_is_killed_and_forgotten),
        TEST(a_look_for_later_is_overtaken_by_one_for_now),
        TEST(the_leader_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
