/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/jobspec.h"

static const char good[] =
    "{\"version\":1,\"resources\":[{\"type\":\"node\",\"count\":4,\"with\":[{\"type\":\"slot\","
    "\"count\":2,\"label\":\"task\",\"with\":[{\"type\":\"core\",\"count\":2},{\"type\":\"gpu\","
    "\"count\":1}]}]}],\"tasks\":[{\"command\":[\"app\",\"-x\"],\"slot\":\"task\",\"count\":"
    "{\"total\":5}}],\"attributes\":{\"system\":{\"duration\":3600.5,\"cwd\":\"/tmp\",\"queue\":"
    "\"debug\",\"environment\":{\"A\":\"1\",\"B\":null},\"job\":{\"name\":\"me\"},\"shell\":"
    "{\"options\":{\"pty\":1}}},\"user\":{\"any\":[1]}}}";

static void every_field_is_read(void **state)
{
    json_t *o = json_loads(good, 0, NULL);
    struct jobspec js;

    assert_int_equal(jobspec_parse(o, &js, NULL), 0);
    json_decref(o); /* js holds its own reference */
    assert_int_equal(js.nnodes, 4);
    assert_int_equal(js.nslots, 8);
    assert_int_equal(js.ntasks, 5);
    assert_int_equal(js.cores_per_slot, 2);
    assert_int_equal(js.gpus_per_slot, 1);
    assert_false(js.exclusive);
    assert_true(js.duration == 3600.5);
    assert_int_equal(json_array_size(js.command), 2);
    assert_string_equal(js.cwd, "/tmp");
    assert_string_equal(js.queue, "debug");
    assert_string_equal(js.name, "me");
    assert_int_equal(json_object_size(js.environment), 2);
    assert_non_null(json_object_get(js.shell_options, "pty"));
    jobspec_deinit(&js);
    assert_null(js.json);
}

/* The good jobspec with the value at a path replaced; value "-" removes the key. */
static json_t *with(const char *path, const char *value)
{
    json_t *o = json_loads(good, 0, NULL);
    json_t *at = o;
    char copy[128], *save, *key, *next;

    strcpy(copy, path);
    key = strtok_r(copy, ".", &save);
    while ((next = strtok_r(NULL, ".", &save))) {
        at = json_is_array(at) ? json_array_get(at, (size_t)(key[0] - '0'))
                               : json_object_get(at, key);
        key = next;
    }
    assert_non_null(at);
    if (strcmp(value, "-") == 0)
        json_object_del(at, key);
    else if (json_is_array(at))
        json_array_set_new(at, (size_t)(key[0] - '0'), json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_set_new(at, key, json_loads(value, JSON_DECODE_ANY, NULL));
    return o;
}

static void check_refused(const char *path, const char *value, const char *sentence)
{
    json_t *o = with(path, value);
    struct jobspec js;
    flux_error_t e = { "" };

    assert_int_equal(jobspec_parse(o, &js, &e), -EINVAL);
    if (strcmp(e.text, sentence) != 0)
        fail_msg("said '%s'", e.text);
    json_decref(o);
}

static void tasks_are_counted_by_resource_where_that_is_asked_for(void **state)
{
    static const struct {
        const char *value;
        int ntasks; /* on 3 nodes with 12 cores */
    } cases[] = { { "{\"type\":\"node\"}", 3 },
                  { "{\"type\":\"node\",\"count\":2}", 6 },
                  { "{\"type\":\"core\"}", 12 } };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *o = with("attributes.system.shell.options.per-resource", cases[i].value);
        struct jobspec js;

        assert_int_equal(jobspec_parse(o, &js, NULL), 0);
        json_decref(o);
        assert_int_equal(jobspec_ntasks(&js, 3, 12), cases[i].ntasks);
        jobspec_deinit(&js);
    }
}

static void refusals_name_the_wrong_key(void **state)
{
    static const char per[] = "attributes.system.shell.options.per-resource";

    check_refused(
        per, "{\"type\":\"gpu\"}",
        "jobspec.attributes.system.shell.options.per-resource.type: must be node or core");
    check_refused(per, "{\"type\":\"node\",\"count\":0}",
                  "jobspec.attributes.system.shell.options.per-resource.count: must be a positive "
                  "integer, not 0");
    check_refused("attributes.system.files", "[]",
                  "jobspec.attributes.system.files: must be an object");
    check_refused("version", "-", "jobspec.version: missing");
    check_refused("version", "2", "jobspec.version: must be 1");
    check_refused("extra", "1", "jobspec.extra: unknown key");
    check_refused("s", "1", "jobspec.s: unknown key");
    check_refused("resources", "[]", "jobspec.resources: must be a list of one node or slot");
    check_refused("resources.0.type", "\"rack\"",
                  "jobspec.resources[0].type: must be node or slot");
    check_refused("resources.0.count", "-1",
                  "jobspec.resources[0].count: must be a positive integer, not -1");
    check_refused("resources.0.count", "\"1-4\"",
                  "jobspec.resources[0].count: must be a positive integer");
    check_refused("resources.0.count", "2147483647",
                  "jobspec.resources[0].count: asks for more slots than there can be");
    check_refused("resources.0.id", "\"x\"", "jobspec.resources[0].id: unknown key");
    check_refused("resources.0.with.0.with.0.count", "0",
                  "jobspec.resources[0].with[0].with[0].count: must be a positive integer, not 0");
    check_refused("resources.0.with.0.with.1.type", "\"core\"",
                  "jobspec.resources[0].with[0].with[1].type: core is given twice");
    check_refused("resources.0.with.0.with.0.type", "\"memory\"",
                  "jobspec.resources[0].with[0].with[0].type: must be core or gpu");
    check_refused("resources.0.with.0.label", "-",
                  "jobspec.resources[0].with[0].label: must be a string");
    check_refused("tasks.0.slot", "\"other\"",
                  "jobspec.tasks[0].slot: no slot is labelled 'other'");
    check_refused("tasks.0.command", "[]",
                  "jobspec.tasks[0].command: must be a list of at least one string");
    check_refused("tasks.0.command", "[\"a\",1]", "jobspec.tasks[0].command[1]: must be a string");
    check_refused("tasks.0.command", "[\"\"]", "jobspec.tasks[0].command[0]: must not be empty");
    check_refused("tasks.0.count", "{\"per_slot\":2}",
                  "jobspec.tasks[0].count.per_slot: must be 1, not 2");
    check_refused("tasks.0.count", "{\"total\":9}",
                  "jobspec.tasks[0].count.total: 9 tasks do not fit 8 slots");
    check_refused("tasks.0.count", "{\"total\":3}",
                  "jobspec.tasks[0].count.total: 3 tasks are too few for 4 nodes");
    check_refused("attributes.system", "-", "jobspec.attributes.system: must be an object");
    check_refused(
        "attributes.system.duration", "-1",
        "jobspec.attributes.system.duration: must be a number of seconds, 0 for no limit");
    check_refused("attributes.system.environment.A", "1",
                  "jobspec.attributes.system.environment.A: must be a string or null");
    check_refused("attributes.system.environment.A=B", "\"\"",
                  "jobspec.attributes.system.environment: 'A=B' cannot name a variable");
    check_refused("attributes.system.job.name", "1",
                  "jobspec.attributes.system.job.name: must be a string");
}

static void built_jobspecs_are_valid_and_say_what_was_asked(void **state)
{
    static char *argv[] = { "app", "arg" };
    static const struct {
        int nnodes, ntasks, nslots;
    } cases[] = { { 0, 0, 1 }, { 0, 4, 4 }, { 4, 5, 8 }, { 4, 8, 8 }, { 3, 0, 3 } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jobspec_request req = { .argc = 2,
                                       .argv = argv,
                                       .nnodes = cases[i].nnodes,
                                       .ntasks = cases[i].ntasks,
                                       .gpus_per_task = (int)i,
                                       .duration = 10 };
        json_t *o = jobspec_build(&req, NULL);
        struct jobspec js;
        flux_error_t e;

        if (jobspec_parse(o, &js, &e) < 0)
            fail_msg("%s", e.text);
        assert_int_equal(js.nnodes, cases[i].nnodes);
        assert_int_equal(js.nslots, cases[i].nslots);
        assert_int_equal(js.ntasks, cases[i].ntasks ? cases[i].ntasks : cases[i].nslots);
        assert_int_equal(js.gpus_per_slot, i);
        jobspec_deinit(&js);
        json_decref(o);
    }
}

static void impossible_requests_are_refused_in_words(void **state)
{
    static char *argv[] = { "app" };
    flux_error_t e;

    assert_null(jobspec_build(&(struct jobspec_request){ .argc = 0 }, &e));
    assert_string_equal(e.text, "no command to run was given");
    assert_null(jobspec_build(
        &(struct jobspec_request){ .argc = 1, .argv = argv, .nnodes = 3, .ntasks = 2 }, &e));
    assert_string_equal(e.text, "3 nodes are more than 2 tasks can use");
    argv[0] = "\xff";
    assert_null(jobspec_build(&(struct jobspec_request){ .argc = 1, .argv = argv }, &e));
    assert_non_null(strstr(e.text, "UTF-8"));
}

static void values_are_set_by_path(void **state)
{
    json_t *o = json_object();

    assert_int_equal(jobspec_set(o, "a.b.c", json_integer(1)), 0);
    assert_int_equal(jobspec_set(o, "a.b.d", json_integer(2)), 0);
    assert_int_equal(jobspec_set(o, "a.b.c.e", json_integer(3)), -EINVAL);
    assert_int_equal(jobspec_set(o, "a..e", json_integer(3)), -EINVAL);
    assert_int_equal(jobspec_set(o, "", json_integer(3)), -EINVAL);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(json_object_get(o, "a"), "b"), "d")), 2);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(tasks_are_counted_by_resource_where_that_is_asked_for),
        cmocka_unit_test(refusals_name_the_wrong_key),
        cmocka_unit_test(built_jobspecs_are_valid_and_say_what_was_asked),
        cmocka_unit_test(impossible_requests_are_refused_in_words),
        cmocka_unit_test(values_are_set_by_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
