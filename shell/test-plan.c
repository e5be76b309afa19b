/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Task maps, shares of cores, and the plan made from jobspec and R. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "affinity.h"
#include "base/cleanup.h"
#include "info.h"
#include "layout.h"

static void tasks_are_dealt_evenly_within_the_slots(void **state)
{
    int counts[4];

    assert_int_equal(layout_deal((int[]){ 4, 4, 4, 4 }, 4, 5, counts), 0);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[3], 1);
    assert_int_equal(layout_deal((int[]){ 1, 4, 2 }, 3, 7, counts), 0);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 4);
    assert_int_equal(counts[2], 2);
}

static void more_tasks_than_slots_go_round_robin(void **state)
{
    int counts[2];

    assert_int_equal(layout_deal((int[]){ 1, 1 }, 2, 7, counts), 0);
    assert_int_equal(counts[0] + counts[1], 7);
    assert_int_equal(counts[0], 4);
    assert_int_equal(layout_deal((int[]){ 0, 0 }, 2, 2, counts), 0);
    assert_int_equal(counts[0], 1);
    assert_int_equal(layout_deal((int[]){ 2 }, 1, 0, counts), -EINVAL);
    assert_int_equal(layout_deal(NULL, 0, 1, counts), -EINVAL);
}

#define R                                                                                          \
    "{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0-1\",\"children\":{\"core\":\"0-1\"}}" \
    "]"                                                                                            \
    ",\"starttime\":0,\"expiration\":0,\"nodelist\":[\"n[0-1]\"]}}"

/* The raw map of a scheme on nodes n0 and n1 with `a` and `b` tasks; "": refused in words. */
static const char *map_of(const char *scheme, int a, int b)
{
    static char buf[128];
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    CLEANUP(freep) char *raw = NULL;
    flux_error_t error = { .text = "" };
    struct rset *r;

    assert_int_equal(rset_decode_string(R, &r, NULL), 0);
    if (layout_map(scheme, (int[]){ a, b }, r, &map, &error) < 0)
        assert_true(error.text[0]);
    else
        raw = taskmap_encode_raw(map);
    rset_free(r);
    (void)snprintf(buf, sizeof(buf), "%s", raw ? raw : "");
    return buf;
}

static void schemes_say_where_tasks_go(void **state)
{
    assert_string_equal(map_of(NULL, 2, 2), "0-1;2-3");
    assert_string_equal(map_of("block", 3, 1), "0-2;3");
    assert_string_equal(map_of("cyclic", 2, 2), "0,2;1,3");
    assert_string_equal(map_of("cyclic:2", 3, 4), "0-1,4;2-3,5-6");
    assert_string_equal(map_of("manual:[[1,1,3,1],[0,1,1,1]]", 2, 2), "3;0-2");
    assert_string_equal(map_of("manual:0;1-3", 2, 2), "0;1-3");
}

static void schemes_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[] = {
        "",          "blocks",         "block:1",  "cyclic:0",           "cyclic:x",
        "manual",    "manual:",        "manual:0", "manual:0;1;2;3",     "manual:[[0,1,4,1]",
        "hostfile:", "hostfile:/none", "hostfile", "hostfile:/dev/null",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_string_equal(map_of(bad[i], 2, 2), "");
}

static void a_host_file_names_the_host_of_each_task(void **state)
{
    char path[] = "/tmp/flux-test-XXXXXX", scheme[64];
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "n1\n\n# all\nn[0-1]\n", 17), 17);
    (void)snprintf(scheme, sizeof(scheme), "hostfile:%s", path);
    assert_string_equal(map_of(scheme, 2, 2), "1;0,2-3");
    assert_int_equal(write(fd, "n7\n", 3), 3);
    assert_string_equal(map_of(scheme, 2, 2), "");
    (void)close(fd);
    (void)unlink(path);
}

static void every_core_is_given_to_somebody_and_nobody_goes_without(void **state)
{
    for (int ncores = 1; ncores < 20; ncores++)
        for (int ntasks = 1; ntasks < 20; ntasks++) {
            int next = 0;

            for (int i = 0; i < ntasks; i++) {
                int count;
                const int first = affinity_share(ncores, ntasks, i, &count);

                assert_true(count >= 1);
                assert_true(first + count <= ncores);
                if (ntasks <= ncores) {
                    assert_int_equal(first, next);
                    next += count;
                } else {
                    assert_true(first >= next && first <= next + 1);
                    next = first;
                }
            }
            if (ntasks <= ncores)
                assert_int_equal(next, ncores);
        }
}

static void maps_name_cpus_for_each_task_and_repeat_the_last(void **state)
{
    flux_error_t error = { .text = "" };
    struct idset *ids = NULL;

    assert_int_equal(affinity_map("0-1;2,4", 0, &ids, &error), 0);
    assert_int_equal(idset_count(ids), 2);
    assert_true(idset_test(ids, 1));
    idset_destroy(ids);
    assert_int_equal(affinity_map("0-1;2,4", 1, &ids, &error), 0);
    assert_true(idset_test(ids, 4));
    idset_destroy(ids);
    assert_int_equal(affinity_map("0-1;2,4", 7, &ids, &error), 0);
    assert_true(idset_test(ids, 4));
    idset_destroy(ids);
    assert_int_equal(affinity_map("0-1;;", 1, &ids, &error), -EINVAL);
    assert_int_equal(affinity_map("", 0, &ids, &error), -EINVAL);
    assert_int_equal(affinity_map("x", 0, &ids, &error), -EINVAL);
    assert_non_null(strstr(error.text, "\"x\""));
}

#define JOBSPEC(ntasks)                                                                          \
    "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":" #ntasks                        \
    ",\"label\":\"task\",\"with\":[{\"type\":\"core\",\"count\":1}]}],"                          \
    "\"tasks\":[{\"command\":[\"a\",\"b\"],\"slot\":\"task\",\"count\":{\"per_slot\":1}}],"      \
    "\"attributes\":{\"system\":{\"duration\":0,\"cwd\":\"/tmp\",\"environment\":{\"A\":\"b\"}," \
    "\"shell\":{\"options\":{\"output\":{\"stdout\":{\"type\":\"file\"}},\"verbose\":1}}}}}"

#define INFO(rank, ntasks)                                                                    \
    "{\"id\":7,\"userid\":5,\"rank\":" #rank ",\"namespace\":\"job-7\",\"jobspec\":" JOBSPEC( \
        ntasks) ",\"R\":" R ",\"options\":{\"log_head\":\"x\\n\",\"cpus\":[\"0\",\"1\"]}}"

static void the_plan_says_which_tasks_are_ours(void **state)
{
    flux_error_t error = { .text = "" };
    struct shell_info info;

    assert_int_equal(shell_info_parse(INFO(1, 3), &info, &error), 0);
    assert_int_equal(info.id, 7);
    assert_int_equal(info.userid, 5);
    assert_int_equal(info.ntasks, 3);
    assert_int_equal(info.nshells, 2);
    assert_int_equal(info.shell_rank, 1);
    assert_true(idset_test(info.tasks, 2));
    assert_int_equal(info.nlocal, 1);
    assert_string_equal(info.log_head, "x\n");
    assert_string_equal(shell_info_option_string(&info, "output.stdout.type"), "file");
    assert_null(shell_info_option_string(&info, "output.stderr.type"));
    assert_null(shell_info_option_string(&info, "verbose"));
    assert_true(json_is_integer(shell_info_option(&info, "verbose")));
    shell_info_deinit(&info);
}

static void a_task_for_each_node_is_one_however_many_are_counted(void **state)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(INFO(1, 4), 0, NULL);
    CLEANUP(freep) char *text = NULL;
    flux_error_t error = { .text = "" };
    struct shell_info info;

    assert_int_equal(jobspec_set(o, "jobspec.attributes.system.shell.options.per-resource.type",
                                 json_string("node")),
                     0);
    text = json_dumps(o, 0);
    assert_int_equal(shell_info_parse(text, &info, &error), 0);
    assert_int_equal(info.ntasks, 2);
    assert_int_equal(info.nlocal, 1);
    assert_true(idset_test(info.tasks, 1));
    shell_info_deinit(&info);
}

static void answers_that_make_no_sense_are_refused_in_words(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"id\":7}",
        INFO(2, 3), /* R does not have rank 2 */
        "{\"id\":7,\"userid\":5,\"rank\":0,\"namespace\":\"x\",\"jobspec\":{},\"R\":{}}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        flux_error_t error = { .text = "" };
        struct shell_info info;

        assert_true(shell_info_parse(bad[i], &info, &error) < 0);
        assert_true(error.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_dealt_evenly_within_the_slots),
        cmocka_unit_test(more_tasks_than_slots_go_round_robin),
        cmocka_unit_test(schemes_say_where_tasks_go),
        cmocka_unit_test(schemes_that_make_no_sense_are_refused),
        cmocka_unit_test(a_host_file_names_the_host_of_each_task),
        cmocka_unit_test(every_core_is_given_to_somebody_and_nobody_goes_without),
        cmocka_unit_test(maps_name_cpus_for_each_task_and_repeat_the_last),
        cmocka_unit_test(the_plan_says_which_tasks_are_ours),
        cmocka_unit_test(a_task_for_each_node_is_one_however_many_are_counted),
        cmocka_unit_test(answers_that_make_no_sense_are_refused_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
