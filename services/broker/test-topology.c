/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "broker/topology.h"

static struct topology *make(const char *spec, uint32_t size)
{
    flux_error_t error = { .text = "" };
    struct topology *t = NULL;

    if (topology_new(spec, size, NULL, &t, &error) < 0)
        fail_msg("%s of %u: %s", spec, size, error.text);
    return t;
}

static void kary_has_k_children_each(void **state)
{
    CLEANUP(topology_freep) struct topology *t = make("kary:2", 7);
    const uint32_t *children;

    assert_int_equal(topology_children(t, 1, &children), 2);
    assert_int_equal(children[0], 3);
    assert_int_equal(children[1], 4);
    assert_int_equal(topology_parent(t, 6), 2);
    assert_int_equal(topology_parent(t, 0), FLUX_NODEID_ANY);
    assert_int_equal(topology_level(t, 6), 2);
    assert_int_equal(topology_maxlevel(t), 2);
    assert_int_equal(topology_descendants(t, 1), 2);
    assert_int_equal(topology_descendants(t, 0), 6);
}

static void the_next_hop_leads_there(void **state)
{
    CLEANUP(topology_freep) struct topology *t = make("kary:2", 31);

    assert_int_equal(topology_next_hop(t, 0, 30), 2);
    assert_int_equal(topology_next_hop(t, 2, 30), 6);
    assert_int_equal(topology_next_hop(t, 1, 30), FLUX_NODEID_UPSTREAM);
    assert_int_equal(topology_next_hop(t, 6, 0), FLUX_NODEID_UPSTREAM);
    for (uint32_t to = 1; to < 31; to++) {
        uint32_t at = 0;

        while (at != to)
            at = topology_next_hop(t, at, to);
    }
}

static void mincrit_shares_leaves_evenly(void **state)
{
    CLEANUP(topology_freep) struct topology *t = make("mincrit:3", 13);
    const uint32_t *children;

    assert_int_equal(topology_children(t, 0, &children), 3);
    for (uint32_t r = 1; r <= 3; r++)
        assert_int_equal(topology_children(t, r, &children), 3);
    assert_int_equal(topology_maxlevel(t), 2);
}

static void mincrit_works_at_every_size(void **state)
{
    for (uint32_t size = 1; size < 200; size++) {
        CLEANUP(topology_freep) struct topology *t = make("mincrit", size);

        assert_int_equal(topology_descendants(t, 0), size - 1);
        assert_true(topology_maxlevel(t) <= 2);
    }
}

static void a_flat_tree_and_a_single_node(void **state)
{
    CLEANUP(topology_freep) struct topology *flat = make("kary:0", 100000);
    CLEANUP(topology_freep) struct topology *one = make("kary:32", 1);
    CLEANUP(topology_freep) struct topology *none = NULL;
    const uint32_t *children;

    assert_int_equal(topology_children(flat, 0, &children), 99999);
    assert_int_equal(topology_maxlevel(one), 0);
    assert_int_equal(topology_children(one, 0, &children), 0);
    assert_int_equal(topology_next_hop(one, 0, 1), FLUX_NODEID_UPSTREAM);
    (void)none;
}

static void custom_follows_what_it_is_told(void **state)
{
    const uint32_t parents[] = { FLUX_NODEID_ANY, FLUX_NODEID_ANY, 3, 0, 3 };
    CLEANUP(topology_freep) struct topology *t = NULL;
    struct idset *set = idset_create(0, IDSET_FLAG_AUTOGROW);
    CLEANUP(freep) char *text = NULL;

    assert_int_equal(topology_new("custom", 5, parents, &t, NULL), 0);
    assert_int_equal(topology_parent(t, 4), 3);
    assert_int_equal(topology_parent(t, 1), 0);
    assert_int_equal(topology_subtree(t, 3, set), 0);
    text = idset_encode(set, IDSET_FLAG_RANGE);
    assert_string_equal(text, "2-4");
    idset_destroy(set);
}

static void refuse(const char *spec, uint32_t size, const uint32_t *parents, const char *says)
{
    flux_error_t error = { .text = "" };
    struct topology *t = NULL;

    assert_true(topology_new(spec, size, parents, &t, &error) < 0);
    if (!strstr(error.text, says))
        fail_msg("%s: '%s' does not say '%s'", spec, error.text, says);
}

static void mistakes_are_explained(void **state)
{
    const uint32_t loop[] = { 0, 2, 1 }, unknown[] = { 0, 9, 0 };

    refuse("kary", 4, NULL, "expected kary:N");
    refuse("kary:-1", 4, NULL, "at least 0");
    refuse("kary:x", 4, NULL, "expected kary:N");
    refuse("mincrit:0", 4, NULL, "at least 1");
    refuse("ring", 4, NULL, "expected kary:K");
    refuse("custom", 4, NULL, "parent=");
    refuse("custom", 3, loop, "below itself");
    refuse("custom", 3, unknown, "there is none");
    refuse("kary:1", 100, NULL, "larger fan-out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kary_has_k_children_each),
        cmocka_unit_test(the_next_hop_leads_there),
        cmocka_unit_test(mincrit_shares_leaves_evenly),
        cmocka_unit_test(mincrit_works_at_every_size),
        cmocka_unit_test(a_flat_tree_and_a_single_node),
        cmocka_unit_test(custom_follows_what_it_is_told),
        cmocka_unit_test(mistakes_are_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
