/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "service/cputopo.h"

static char root[] = "/tmp/test-cputopo-XXXXXX";

static void put(int cpu, const char *name, int value)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/cpu%d", root, cpu);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/cpu%d/topology", root, cpu);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/cpu%d/topology/%s", root, cpu, name);
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fprintf(f, "%d\n", value);
    (void)fclose(f);
}

/* Two packages, CPUs dealt out alternately, two threads a core: cpu N is in package N%2, core
 * (N/2)%2, thread N/4. */
static int setup(void **state)
{
    if (!mkdtemp(root))
        return -1;
    for (int cpu = 0; cpu < 8; cpu++) {
        put(cpu, "physical_package_id", cpu % 2);
        put(cpu, "core_id", cpu / 2 % 2);
    }
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static void list_free(char ***list)
{
    for (char **s = *list; s && *s; s++)
        free(*s);
    free(*list);
}

static void cores_are_counted_package_by_package(void **state)
{
    struct idset *online = idset_decode("0-7"), *cores = idset_decode("0-3");
    CLEANUP(cputopo_freep) struct cputopo *t = NULL;
    CLEANUP(list_free) char **cpus = NULL;

    assert_int_equal(cputopo_new(root, online, &t), 0);
    assert_int_equal(cputopo_ncores(t), 4);
    cpus = cputopo_of_cores(t, cores);
    assert_non_null(cpus);
    assert_string_equal(cpus[0], "0,4");
    assert_string_equal(cpus[1], "2,6");
    assert_string_equal(cpus[2], "1,5");
    assert_string_equal(cpus[3], "3,7");
    assert_null(cpus[4]);
    idset_destroy(cores);
    idset_destroy(online);
}

static void cpus_we_may_not_use_do_not_count(void **state)
{
    struct idset *online = idset_decode("1,3,6-7"), *cores = idset_decode("1-2");
    CLEANUP(cputopo_freep) struct cputopo *t = NULL;
    CLEANUP(list_free) char **cpus = NULL;

    assert_int_equal(cputopo_new(root, online, &t), 0);
    assert_int_equal(cputopo_ncores(t), 3);
    cpus = cputopo_of_cores(t, cores);
    assert_non_null(cpus);
    assert_string_equal(cpus[0], "3,7");
    assert_string_equal(cpus[1], "6");
    idset_destroy(cores);
    idset_destroy(online);
}

static void unknown_cores_bind_nothing(void **state)
{
    struct idset *online = idset_decode("0-7"), *cores = idset_decode("3-4");
    CLEANUP(cputopo_freep) struct cputopo *t = NULL;

    assert_int_equal(cputopo_new(root, online, &t), 0);
    assert_null(cputopo_of_cores(t, cores));
    assert_null(cputopo_of_cores(NULL, cores));
    idset_destroy(cores);
    idset_destroy(online);
}

static void a_machine_without_topology_is_an_error(void **state)
{
    struct idset *online = idset_decode("0-8");
    struct cputopo *t = NULL;

    assert_true(cputopo_new(root, online, &t) < 0);
    idset_destroy(online);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_are_counted_package_by_package),
        cmocka_unit_test(cpus_we_may_not_use_do_not_count),
        cmocka_unit_test(unknown_cores_bind_nothing),
        cmocka_unit_test(a_machine_without_topology_is_an_error),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
