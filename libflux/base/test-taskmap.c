/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/taskmap.h"

static const struct {
    const char *raw, *json;
} vectors[] = {
    /* of RFC 34 */
    { "0", "[[0,1,1,1]]" },
    { "0;1", "[[0,2,1,1]]" },
    { "0-1", "[[0,1,2,1]]" },
    { "0-1;2-3", "[[0,2,2,1]]" },
    { "0,2;1,3", "[[0,2,1,2]]" },
    { "1;0", "[[1,1,1,1],[0,1,1,1]]" },
    { "0-3;4-7;8-11;12-15", "[[0,4,4,1]]" },
    { "0,4,8,12;1,5,9,13;2,6,10,14;3,7,11,15", "[[0,4,1,4]]" },
    { "0-1,8-9;2-3,10-11;4-5,12-13;6-7,14-15", "[[0,4,2,2]]" },
    { "0-1;2-3;4-5;6-7;8-11;12-15", "[[0,4,2,1],[4,2,4,1]]" },
    { "0,6;1,7;2,8;3,9;4,10,12,14;5,11,13,15", "[[0,6,1,2],[4,2,1,2]]" },
    { "14-15;12-13;10-11;8-9;4-7;0-3",
      "[[5,1,4,1],[4,1,4,1],[3,1,2,1],[2,1,2,1],[1,1,2,1],[0,1,2,1]]" },
    { "0-1;2-3;4-5;6-7;8-9;12-13;10-11;14-15", "[[0,5,2,1],[6,1,2,1],[5,1,2,1],[7,1,2,1]]" },
    { "12-15;8-11;4-7;0-3", "[[3,1,4,1],[2,1,4,1],[1,1,4,1],[0,1,4,1]]" },
};

static char *json_of(const struct taskmap *map)
{
    CLEANUP(json_decrefp) json_t *o = taskmap_encode(map);

    return json_dumps(o, JSON_COMPACT);
}

static void the_vectors_of_the_rfc_hold_both_ways(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        CLEANUP(taskmap_freep) struct taskmap *a = NULL;
        CLEANUP(taskmap_freep) struct taskmap *b = NULL;
        CLEANUP(freep) char *json = NULL, *raw = NULL;

        assert_int_equal(taskmap_parse(vectors[i].raw, &a, NULL), 0);
        json = json_of(a);
        assert_string_equal(json, vectors[i].json);
        assert_int_equal(taskmap_parse(vectors[i].json, &b, NULL), 0);
        raw = taskmap_encode_raw(b);
        assert_string_equal(raw, vectors[i].raw);
    }
}

static void regular_maps_are_one_block(void **state)
{
    CLEANUP(freep) int *counts = calloc(4096, sizeof(int));
    CLEANUP(taskmap_freep) struct taskmap *block = NULL;
    CLEANUP(taskmap_freep) struct taskmap *cyclic = NULL;
    CLEANUP(freep) char *a = NULL, *b = NULL;

    for (int i = 0; i < 4096; i++)
        counts[i] = 256;
    assert_int_equal(taskmap_block(counts, 4096, &block), 0);
    assert_int_equal(taskmap_cyclic(counts, 4096, 2, &cyclic), 0);
    a = json_of(block);
    b = json_of(cyclic);
    assert_string_equal(a, "[[0,4096,256,1]]");
    assert_string_equal(b, "[[0,4096,2,128]]");
    assert_int_equal(taskmap_ntasks(block), 1 << 20);
    assert_int_equal(taskmap_node(block, 257), 1);
    assert_int_equal(taskmap_node(cyclic, 8193), 0);
    assert_int_equal(taskmap_node(cyclic, 1 << 20), -EINVAL);
    assert_int_equal(taskmap_node(cyclic, -1), -EINVAL);
}

static void uneven_nodes_drop_out_of_the_round(void **state)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    CLEANUP(freep) char *raw = NULL;
    struct idset *ids;

    assert_int_equal(taskmap_cyclic((int[]){ 3, 0, 1, 2 }, 4, 1, &map), 0);
    raw = taskmap_encode_raw(map);
    assert_string_equal(raw, "0,3,5;;1;2,4");
    assert_int_equal(taskmap_count(map, 0), 3);
    assert_int_equal(taskmap_count(map, 1), 0);
    assert_int_equal(taskmap_nnodes(map), 4);
    ids = taskmap_tasks(map, 3);
    assert_int_equal(idset_count(ids), 2);
    assert_true(idset_test(ids, 4));
    idset_destroy(ids);
    ids = taskmap_tasks(map, 9);
    assert_int_equal(idset_count(ids), 0);
    idset_destroy(ids);
}

static void pmi_vectors_repeat_their_blocks(void **state)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;
    CLEANUP(taskmap_freep) struct taskmap *again = NULL;
    CLEANUP(freep) char *s = NULL;

    assert_int_equal(taskmap_parse("[[0,6,1,2],[4,2,1,2]]", &map, NULL), 0);
    s = taskmap_encode_pmi(map);
    assert_string_equal(s, "(vector,(0,6,1),(0,6,1),(4,2,1),(4,2,1))");
    assert_int_equal(taskmap_parse("(vector", &again, NULL), -EINVAL);
    assert_int_equal(taskmap_parse("(vector, (0,6,1),(0 ,6,1), (4,2,1),(4,2,1))", &again, NULL), 0);
    for (int i = 0; i < 16; i++)
        assert_int_equal(taskmap_node(map, i), taskmap_node(again, i));
}

static void what_is_no_map_is_refused_in_words(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[",
        "[0]",
        "[[0,1,1]]",
        "[[0,1,1,0]]",
        "[[0,0,1,1]]",
        "[[-1,1,1,1]]",
        "[[0,1,1.5,1]]",
        "[[0,1,1,99999999999]]",
        "[[0,1048576,1048576,1]]",
        "[[0,1,4194304,1],[0,1,1,1]]",
        "[[1048576,1,1,1]]",
        "{\"version\":2,\"map\":[]}",
        "{\"map\":[]}",
        "(vector,(0,4))",
        "(vector,(0,4,4)",
        "(vector(0,4,4))",
        "(vector,(0,4,4))x",
        "(vector,(0,4,99999999999999))",
        "0-1;1-2",
        "0;2",
        ";",
        "0-67108863",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct taskmap *map = NULL;
        flux_error_t error = { .text = "" };

        assert_int_equal(taskmap_parse(bad[i], &map, &error), -EINVAL);
        assert_true(error.text[0]);
        assert_null(map);
    }
}

static void appending_checks_its_arguments(void **state)
{
    CLEANUP(taskmap_freep) struct taskmap *map = NULL;

    assert_int_equal(taskmap_new(&map), 0);
    assert_int_equal(taskmap_append(map, -1, 1), -EINVAL);
    assert_int_equal(taskmap_append(map, 0, 0), -EINVAL);
    assert_int_equal(taskmap_append(map, 0, TASKMAP_TASKS_MAX), 0);
    assert_int_equal(taskmap_append(map, 1, 1), -E2BIG);
    assert_int_equal(taskmap_ntasks(map), TASKMAP_TASKS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc_hold_both_ways),
        cmocka_unit_test(regular_maps_are_one_block),
        cmocka_unit_test(uneven_nodes_drop_out_of_the_round),
        cmocka_unit_test(pmi_vectors_repeat_their_blocks),
        cmocka_unit_test(what_is_no_map_is_refused_in_words),
        cmocka_unit_test(appending_checks_its_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
