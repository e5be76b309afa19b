/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "job-list/table.h"

#define JOBSPEC                                                                                   \
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":3,\"label\":\"task\",\"with\":[{" \
    "\"type\":\"core\",\"count\":2}]}],\"tasks\":[{\"command\":[\"/bin/sleep\",\"1\"],\"slot\":"  \
    "\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":60,\"cwd\":"  \
    "\"/tmp\"}}}"
#define R                                                                                          \
    "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0-1\",\"children\":{\"core\":\"0-2\"}}" \
    "],\"nodelist\":[\"n[0-1]\"],\"starttime\":5.0,\"expiration\":65.0}}"
#define SUBMIT(t, uid)                                                               \
    "{\"timestamp\":" #t ",\"name\":\"submit\",\"context\":{\"userid\":" #uid        \
    ",\"urgency\":16,\"flags\":0,\"version\":1}},{\"timestamp\":" #t ".25,\"name\":" \
    "\"validate\"}"
#define PENDING(t, prio)                                                         \
    "{\"timestamp\":" #t ",\"name\":\"depend\"},{\"timestamp\":" #t ",\"name\":" \
    "\"priority\",\"context\":{\"priority\":" #prio "}}"
#define ALLOC(t)     "{\"timestamp\":" #t ",\"name\":\"alloc\"}"
#define FINISH(t, s) "{\"timestamp\":" #t ",\"name\":\"finish\",\"context\":{\"status\":" #s "}}"
#define CLEAN(t)     "{\"timestamp\":" #t ",\"name\":\"clean\"}"
#define EXCEPTION(t, type, severity)                                             \
    "{\"timestamp\":" #t ",\"name\":\"exception\",\"context\":{\"type\":\"" type \
    "\",\"severity\":" #severity ",\"note\":\"so\"}}"

static struct table table;

static int setup(void **state)
{
    table_init(&table);
    return 0;
}

static int teardown(void **state)
{
    table_deinit(&table);
    return 0;
}

static int apply(int id, int seq, const char *events, const char *more)
{
    CLEANUP(freep) char *s = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct job *job;

    assert_true(asprintf(&s, "{\"id\":%d,\"seq\":%d,\"events\":[%s]%s}", id, seq, events, more) >
                0);
    o = json_loads(s, 0, NULL);
    assert_non_null(o);
    return table_apply(&table, o, &job);
}

static void assert_attrs(int id, const char *names, const char *expect)
{
    CLEANUP(json_decrefp) json_t *array = json_loads(names, 0, NULL);
    CLEANUP(json_decrefp) json_t *want = json_loads(expect, 0, NULL);
    CLEANUP(json_decrefp) json_t *o = NULL;
    uint64_t attrs;

    assert_int_equal(attrs_parse(array, &attrs, NULL), 0);
    o = attrs_encode(table_find(&table, (flux_jobid_t)id), attrs);
    if (!json_equal(o, want))
        fail_msg("%s instead of %s", json_dumps(o, 0), expect);
}

static void assert_list(const char *query, const char *expect)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(query, 0, NULL);
    CLEANUP(json_decrefp) json_t *array = json_array();
    char ids[200] = "";
    struct query q;
    json_t *entry;
    size_t i;

    assert_int_equal(query_parse(o, &q, NULL), 0);
    assert_int_equal(table_list(&table, &q, array), 0);
    json_array_foreach (array, i, entry)
        snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s%d", i ? " " : "",
                 (int)json_integer_value(json_object_get(entry, "id")));
    assert_string_equal(ids, expect);
}

static void a_job_shows_what_its_events_tell(void **state)
{
    assert_int_equal(apply(1, 0, SUBMIT(1, 1000), ",\"jobspec\":" JOBSPEC), TABLE_OK);
    assert_attrs(1, "[\"all\"]",
                 "{\"id\":1,\"userid\":1000,\"urgency\":16,\"t_submit\":1.0,\"t_depend\":1.25,"
                 "\"state\":2,\"name\":\"sleep\",\"cwd\":\"/tmp\",\"ntasks\":3,\"ncores\":6,"
                 "\"duration\":60.0}");
    assert_int_equal(apply(1, 2, PENDING(2, 16), ""), TABLE_OK);
    assert_attrs(1, "[\"state\",\"priority\"]", "{\"id\":1,\"state\":8,\"priority\":16}");
    assert_int_equal(apply(1, 4, ALLOC(5), ",\"R\":" R), TABLE_OK);
    assert_attrs(
        1, "[\"state\",\"t_run\",\"ranks\",\"nodelist\",\"nnodes\",\"ncores\",\"expiration\"]",
        "{\"id\":1,\"state\":16,\"t_run\":5.0,\"ranks\":\"[0-1]\",\"nodelist\":\"n[0-1]\","
        "\"nnodes\":2,\"ncores\":6,\"expiration\":65.0}");
    assert_int_equal(apply(1, 5, FINISH(6, 0), ""), TABLE_OK);
    assert_int_equal(apply(1, 6, CLEAN(7), ",\"inactive\":1"), TABLE_INACTIVE);
    assert_attrs(1,
                 "[\"state\",\"result\",\"success\",\"waitstatus\",\"t_cleanup\",\"t_inactive\","
                 "\"exception_occurred\",\"exception_type\"]",
                 "{\"id\":1,\"state\":64,\"result\":1,\"success\":true,\"waitstatus\":0,"
                 "\"t_cleanup\":6.0,\"t_inactive\":7.0,\"exception_occurred\":false}");
    assert_int_equal(table_find(&table, 1)->ninactive, 1);
}

static void results_follow_exceptions_and_status(void **state)
{
    static const struct {
        const char *events;
        int result;
    } cases[] = {
        { FINISH(2, 0), FLUX_JOB_RESULT_COMPLETED },
        { FINISH(2, 256), FLUX_JOB_RESULT_FAILED },
        { EXCEPTION(2, "cancel", 0), FLUX_JOB_RESULT_CANCELED },
        { EXCEPTION(2, "cancel", 0) "," FINISH(3, 15), FLUX_JOB_RESULT_CANCELED },
        { EXCEPTION(2, "timeout", 0) "," FINISH(3, 15), FLUX_JOB_RESULT_TIMEOUT },
        { EXCEPTION(2, "exec", 0), FLUX_JOB_RESULT_FAILED },
        { EXCEPTION(2, "exec", 0) "," EXCEPTION(2, "cancel", 0), FLUX_JOB_RESULT_FAILED },
        { EXCEPTION(2, "mind", 3) "," FINISH(3, 0), FLUX_JOB_RESULT_COMPLETED },
        { EXCEPTION(2, "mind", 3) "," EXCEPTION(3, "cancel", 0), FLUX_JOB_RESULT_CANCELED },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(freep) char *events = NULL;

        assert_true(asprintf(&events, SUBMIT(1, 0) ",%s," CLEAN(9), cases[i].events) > 0);
        assert_int_equal(apply((int)i + 1, 0, events, ""), TABLE_INACTIVE);
        assert_int_equal(table_find(&table, i + 1)->result, cases[i].result);
    }
}

static void repeated_events_change_nothing(void **state)
{
    assert_int_equal(apply(1, 0, SUBMIT(1, 0), ""), TABLE_OK);
    assert_int_equal(apply(1, 2, PENDING(2, 5), ""), TABLE_OK);
    assert_int_equal(apply(1, 0, SUBMIT(1, 0) "," PENDING(2, 5) "," ALLOC(3), ""), TABLE_OK);
    assert_int_equal(table_find(&table, 1)->state, FLUX_JOB_STATE_RUN);
    assert_int_equal(apply(1, 0, SUBMIT(1, 0), ""), TABLE_OK);
    assert_int_equal(table_find(&table, 1)->state, FLUX_JOB_STATE_RUN);
    assert_int_equal(table.counts.run, 1);
    assert_int_equal(table.counts.sched + table.counts.depend + table.counts.priority, 0);
}

static void missing_events_are_noticed(void **state)
{
    assert_int_equal(apply(1, 2, PENDING(2, 5), ""), TABLE_GAP);
    assert_null(table_find(&table, 1));
    assert_int_equal(apply(2, 0, SUBMIT(1, 0), ""), TABLE_OK);
    assert_int_equal(apply(2, 3, ALLOC(2), ""), TABLE_GAP);
    assert_int_equal(apply(3, 0, "", ",\"annotations\":{\"a\":1}"), TABLE_GAP);
}

static void records_that_are_none_are_refused(void **state)
{
    assert_int_equal(apply(1, -1, SUBMIT(1, 0), ""), -EPROTO);
    assert_int_equal(apply(1, 0, "{\"name\":\"submit\"}", ""), -EPROTO);
    assert_int_equal(apply(2, 0, "7", ""), -EPROTO);
}

static void jobs_are_listed_in_the_order_people_want(void **state)
{
    assert_int_equal(apply(1, 0, SUBMIT(1, 0) "," PENDING(1, 16), ""), 0);
    assert_int_equal(apply(2, 0, SUBMIT(2, 0) "," PENDING(2, 16), ""), 0);
    assert_int_equal(apply(3, 0, SUBMIT(3, 0) "," PENDING(3, 31), ""), 0);
    assert_int_equal(apply(4, 0, SUBMIT(4, 0) "," PENDING(4, 16) "," ALLOC(5), ""), 0);
    assert_int_equal(apply(5, 0, SUBMIT(4, 0) "," PENDING(4, 16) "," ALLOC(6), ""), 0);
    assert_list("{}", "3 1 2 5 4");
    assert_list("{\"max_entries\":2}", "3 1");
    assert_list("{\"states\":48}", "5 4");
    assert_list("{\"states\":14}", "3 1 2");
    assert_int_equal(
        apply(2, 4, "{\"timestamp\":7,\"name\":\"priority\",\"context\":{\"priority\":99}}", ""),
        0);
    assert_list("{\"states\":8}", "2 3 1");
    assert_int_equal(table.counts.sched, 3);
    assert_int_equal(table.counts.run, 2);
}

static void queries_filter_by_user_name_result_and_time(void **state)
{
    assert_int_equal(apply(1, 0, SUBMIT(1, 7), ",\"jobspec\":" JOBSPEC), 0);
    assert_int_equal(apply(2, 0, SUBMIT(2, 8), ""), 0);
    assert_int_equal(apply(3, 0, SUBMIT(3, 8) "," FINISH(4, 0) "," CLEAN(5), ""), TABLE_INACTIVE);
    assert_int_equal(apply(4, 0, SUBMIT(3, 8) "," FINISH(4, 1) "," CLEAN(6), ""), TABLE_INACTIVE);
    assert_list("{\"userid\":7}", "1");
    assert_list("{\"userid\":4294967295}", "1 2 4 3");
    assert_list("{\"name\":\"sleep\"}", "1");
    assert_list("{\"results\":1}", "3");
    assert_list("{\"results\":2}", "4");
    assert_list("{\"states\":64,\"since\":5.5}", "4");
    assert_list("{\"userid\":9}", "");
}

static void queries_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"max_entries\":-1}", "{\"userid\":-2}",      "{\"attrs\":[\"nose\"]}",
        "{\"attrs\":[1]}",      "{\"states\":\"all\"}", "{\"name\":1}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(json_decrefp) json_t *o = json_loads(bad[i], 0, NULL);
        flux_error_t error = { "" };
        struct query q;

        assert_int_equal(query_parse(o, &q, &error), -EINVAL);
        assert_true(strlen(error.text) > 0);
    }
}

static void dependencies_annotations_memos_and_updates_are_kept(void **state)
{
    assert_int_equal(
        apply(1, 0,
              SUBMIT(1, 0) ",{\"timestamp\":1,\"name\":\"dependency-add\",\"context\":{"
                           "\"description\":\"after=1\"}},{\"timestamp\":1,\"name\":"
                           "\"dependency-add\",\"context\":{\"description\":\"after=2\"}},"
                           "{\"timestamp\":1,\"name\":\"dependency-remove\",\"context\":{"
                           "\"description\":\"after=1\"}},{\"timestamp\":1,\"name\":\"memo\","
                           "\"context\":{\"k\":\"v\"}},{\"timestamp\":1,\"name\":"
                           "\"jobspec-update\",\"context\":{\"attributes.system.duration\":9}}",
              ",\"jobspec\":" JOBSPEC),
        0);
    assert_attrs(1, "[\"dependencies\",\"annotations\",\"duration\"]",
                 "{\"id\":1,\"dependencies\":[\"after=2\"],\"annotations\":{\"user\":{\"k\":\"v\"}"
                 "},\"duration\":9.0}");
    assert_int_equal(apply(1, 7, "", ",\"annotations\":{\"sched\":{\"q\":1}}"), 0);
    assert_attrs(1, "[\"annotations\"]", "{\"id\":1,\"annotations\":{\"sched\":{\"q\":1}}}");
}

static void jobs_a_new_journal_does_not_know_are_stale(void **state)
{
    assert_int_equal(apply(1, 0, SUBMIT(1, 0), ""), 0);
    assert_int_equal(apply(2, 0, SUBMIT(1, 0), ""), 0);
    table_begin_epoch(&table);
    assert_int_equal(apply(1, 0, SUBMIT(1, 0), ""), 0);
    assert_int_equal(table_find_stale(&table)->id, 2);
    table_remove(&table, table_find_stale(&table));
    assert_null(table_find_stale(&table));
}

/* --- the ordered set, against a plain search */

struct item {
    int key;
    struct order_node node;
};

static bool item_before(const struct order_node *a, const struct order_node *b)
{
    return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

static void the_order_holds_under_random_use(void **state)
{
    enum { N = 300 };
    static struct item items[N];
    struct order o;
    uint64_t x = 1;

    order_init(&o, item_before);
    for (int i = 0; i < N; i++)
        items[i] = (struct item){ .key = i };
    for (int step = 0; step < 20000; step++) {
        struct item *item;
        size_t count = 0;
        int last = -1;

        x = x * 6364136223846793005u + 1442695040888963407u;
        item = &items[(x >> 33) % N];
        if (item->node.linked)
            order_remove(&o, &item->node);
        else
            order_insert(&o, &item->node);
        if (step % 100)
            continue;
        for (struct order_node *n = order_first(&o); n; n = order_next(n)) {
            assert_true(container_of(n, struct item, node)->key > last);
            last = container_of(n, struct item, node)->key;
            count++;
        }
        assert_int_equal(count, o.count);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_job_shows_what_its_events_tell),
        T(results_follow_exceptions_and_status),
        T(repeated_events_change_nothing),
        T(missing_events_are_noticed),
        T(records_that_are_none_are_refused),
        T(jobs_are_listed_in_the_order_people_want),
        T(queries_filter_by_user_name_result_and_time),
        T(queries_that_make_no_sense_are_refused),
        T(dependencies_annotations_memos_and_updates_are_kept),
        T(jobs_a_new_journal_does_not_know_are_stale),
        T(the_order_holds_under_random_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
