/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "resource/hardware.h"

DEFINE_CLEANUP(struct idset *, idset_destroy)

static size_t count_cores(bool norestrict)
{
    CLEANUP(idset_destroyp) struct idset *cores = NULL;
    CLEANUP(idset_destroyp) struct idset *gpus = NULL;

    assert_int_equal(hardware_load(norestrict, &cores, &gpus), 0);
    assert_non_null(gpus);
    assert_int_equal(idset_first(cores), 0);
    assert_int_equal(idset_last(cores), idset_count(cores) - 1);
    return idset_count(cores);
}

static void cores_are_those_this_process_may_use(void **state)
{
    cpu_set_t all, one;
    size_t ncores = count_cores(false);

    assert_in_range(ncores, 1, sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(count_cores(false), 1);
    assert_int_equal(count_cores(true), ncores);
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void the_topology_is_told_as_xml(void **state)
{
    CLEANUP(freep) char *xml = NULL;

    assert_int_equal(hardware_xml(false, &xml), 0);
    assert_non_null(strstr(xml, "<topology"));
    assert_non_null(strstr(xml, "PU"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_are_those_this_process_may_use),
        cmocka_unit_test(the_topology_is_told_as_xml),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
