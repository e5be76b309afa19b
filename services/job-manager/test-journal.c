/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What listeners of the journal are told, and the counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "test-world.h"

static size_t count(const char *s, const char *what)
{
    size_t n = 0;

    for (; s && (s = strstr(s, what)); s++)
        n++;
    return n;
}

static void the_journal_tells_each_event_once_and_only_when_durable(void **state)
{
    struct request *early = request_make(), *late = request_make(), *since = request_make();
    struct world w;

    world_setup(&w, 2);
    assert_int_equal(journal_listen(&w.m, early, 0), 0);
    world_turn(&w);
    assert_string_equal(early->all, "{\"jobs\":[],\"ninactive\":0,\"npurged\":0,\"serial\":0}\n");
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_turn(&w);
    assert_int_equal(count(early->all, "\"jobspec\""), 2);
    assert_int_equal(count(early->all, "environment"), 0);
    assert_int_equal(count(early->all, "\"priority\""), 0);
    world_settle(&w);
    assert_int_equal(count(early->all, "\"name\":\"priority\""), 2);
    world_run_one(&w, 1, 0);
    assert_int_equal(count(early->all, "\"seq\":0,"), 2);
    assert_int_equal(count(early->all, "\"R\":"), 1);
    assert_int_equal(count(early->all, "\"name\":\"clean\""), 1);
    assert_int_equal(count(early->all, "\"inactive\":1}"), 1);
    assert_int_equal(journal_listen(&w.m, late, 0), 0);
    assert_int_equal(journal_listen(&w.m, since, 2), 0);
    world_settle(&w);
    assert_int_equal(count(late->all, "\"name\":\"submit\""), 2);
    assert_int_equal(count(since->all, "\"name\":\"submit\""), 1);
    assert_int_equal(count(late->all, "{\"jobs\":[],\"ninactive\":1,\"npurged\":0,"), 1);
    world_alloc(&w, 2);
    world_turn(&w);
    assert_int_equal(count(late->all, "\"name\":\"alloc\""), 1);
    world_settle(&w);
    assert_int_equal(count(late->all, "\"name\":\"alloc\""), 2);
    journal_gone(&w.m, early);
    request_drop(early);
    request_drop(late);
    request_drop(since);
    world_deinit(&w);
}

static uint64_t last_serial(const char *answers)
{
    const char *p = NULL;

    for (const char *s = answers; s && (s = strstr(s, "\"serial\":")); s++)
        p = s;
    assert_non_null(p);
    return strtoull(p + strlen("\"serial\":"), NULL, 10);
}

/* A client may have read in the KVS what we do not know to be there yet. */
static void who_asks_how_far_the_journal_is_is_told_after_the_commit_in_flight(void **state)
{
    struct request *journal = request_make(), *sync = request_make(), *idle = request_make();
    struct world w;

    world_setup(&w, 1);
    assert_int_equal(journal_listen(&w.m, journal, 0), 0);
    world_submit(&w, 1, 16);
    world_turn(&w);
    world_tick(&w);
    assert_true(w.commit_flying);
    assert_int_equal(journal_sync(&w.m, sync), 0);
    world_turn(&w);
    assert_int_equal(sync->nanswers, 0);
    world_commit(&w);
    assert_int_equal(sync->nanswers, 1);
    assert_true(last_serial(sync->last) > last_serial(journal->all)); /* it overtook the journal */
    world_turn(&w);
    assert_int_equal(count(journal->all, "\"name\":\"priority\""), 1);
    assert_int_equal(last_serial(journal->all), last_serial(sync->last));
    world_settle(&w);
    assert_int_equal(journal_sync(&w.m, idle), 0);
    assert_int_equal(last_serial(idle->last), last_serial(journal->all));
    world_deinit(&w);
    request_drop(journal);
    request_drop(sync);
    request_drop(idle);
}

static void counters_tell_how_jobs_ended_and_what_commits_took(void **state)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct request *req = request_make();
    int submitted, completed, failed, canceled, commits, listeners, waitable;
    flux_error_t error;
    struct world w;

    world_setup(&w, 1);
    assert_int_equal(journal_listen(&w.m, req, 0), 0);
    world_run_whole(&w, 1, FLUX_JOB_WAITABLE);
    world_submit_full(&w, 2, OWNER, 16, 0, "{}");
    world_settle(&w);
    world_alloc(&w, 2);
    world_settle(&w);
    world_run(&w, 2, 256);
    world_settle(&w);
    world_submit_full(&w, 3, OWNER, 0, 0, "{}");
    world_settle(&w);
    assert_int_equal(raise_job(&w.m, world_owner, 3, 0, "cancel", "", NULL, &error), 0);
    world_settle(&w);
    counters_commit(&w.m, 1500);
    o = stats_json(&w.m);
    assert_int_equal(json_unpack(o, "{s:i s:{s:i s:i s:i s:i s:i} s:{s:i}}", "waitable_ended",
                                 &waitable, "since_clear", "submitted", &submitted, "completed",
                                 &completed, "failed", &failed, "canceled", &canceled, "commits",
                                 &commits, "journal", "listeners", &listeners),
                     0);
    assert_int_equal(submitted, 3);
    assert_int_equal(completed, 1);
    assert_int_equal(failed, 1);
    assert_int_equal(canceled, 1);
    assert_int_equal(commits, 1);
    assert_int_equal(listeners, 1);
    assert_int_equal(waitable, 1);
    counters_clear(&w.m);
    assert_int_equal(w.m.stats.submitted, 0);
    request_drop(req);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_tells_each_event_once_and_only_when_durable),
        cmocka_unit_test(who_asks_how_far_the_journal_is_is_told_after_the_commit_in_flight),
        cmocka_unit_test(counters_tell_how_jobs_ended_and_what_commits_took),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
