/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Dependencies on other jobs and on the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "test-world.h"

#define AFTER(scheme, id)                                                                       \
    "{\"attributes\":{\"system\":{\"dependencies\":[{\"scheme\":\"" scheme "\",\"value\":\"" id \
    "\"}]}}}"

static void dependencies_are_satisfied_or_raise_an_exception(void **state)
{
    struct world w;

    world_setup(&w, 10);
    world_submit(&w, 1, 16);
    world_submit(&w, 2, 16);
    world_submit_full(&w, 11, OWNER, 16, 0, AFTER("after", "1"));
    world_submit_full(&w, 12, OWNER, 16, 0, AFTER("afterany", "1"));
    world_submit_full(&w, 13, OWNER, 16, 0, AFTER("afterok", "1"));
    world_submit_full(&w, 14, OWNER, 16, 0, AFTER("afternotok", "1"));
    world_submit_full(&w, 15, OWNER, 16, 0, AFTER("afterok", "2"));
    world_submit_full(&w, 16, OWNER, 16, 0, AFTER("afterok", "99"));
    world_submit_full(&w, 17, OWNER, 16, 0, AFTER("perhaps", "1"));
    world_submit_full(&w, 18, GUEST, 16, 0, AFTER("afterany", "1"));
    world_submit_full(&w, 19, OWNER, 16, 0, AFTER("begin-time", "1000010000"));
    world_settle(&w);
    world_assert_events(&w, 11, "submit validate dependency-add");
    for (flux_jobid_t id = 16; id <= 18; id++)
        world_assert_events(&w, id, "submit validate exception clean");
    world_alloc(&w, 1);
    world_settle(&w);
    world_assert_events(&w, 11, "submit validate dependency-add dependency-remove depend priority");
    world_assert_events(&w, 12, "submit validate dependency-add");
    world_run(&w, 1, 0);
    world_settle(&w);
    world_assert_events(&w, 12, "submit validate dependency-add dependency-remove depend priority");
    world_assert_events(&w, 13, "submit validate dependency-add dependency-remove depend priority");
    world_assert_events(&w, 14, "submit validate dependency-add exception clean");
    world_run_one(&w, 2, 0x100);
    world_assert_events(&w, 15, "submit validate dependency-add exception clean");
    assert_true(w.m.depend.next == 1000010000);
    dependency_tick(&w.m);
    world_assert_events(&w, 19, "submit validate dependency-add");
    w.clock = 1000010000;
    dependency_tick(&w.m);
    world_settle(&w);
    world_assert_events(&w, 19, "submit validate dependency-add dependency-remove depend priority");
    world_deinit(&w);
}

static void a_long_chain_of_failing_dependencies_ends(void **state)
{
    struct world w;

    world_setup(&w, 1);
    world_submit(&w, 1, 16);
    for (flux_jobid_t id = 2; id <= 20000; id++) {
        char spec[160];

        (void)snprintf(spec, sizeof(spec), AFTER("afterok", "%d"), (int)id - 1);
        world_submit_full(&w, id, OWNER, 16, 0, spec);
    }
    world_run_one(&w, 1, 0x100);
    assert_int_equal(manager_count(&w.m), 0);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dependencies_are_satisfied_or_raise_an_exception),
        cmocka_unit_test(a_long_chain_of_failing_dependencies_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
