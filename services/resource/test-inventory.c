/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/toml.h"
#include "resource/inventory.h"

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

static int read_config(const char *toml, struct rset **ret, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *config = toml_parse_string(toml, strlen(toml), error);

    if (!config)
        fail_msg("%s", error->text);
    return inventory_from_config(config, ret, error);
}

static void assert_describes(const char *toml, const char *expect)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    CLEANUP(freep) char *s = NULL;
    flux_error_t error;

    assert_int_equal(read_config(toml, &r, &error), INVENTORY_CONFIGURED);
    s = rset_describe(r);
    assert_string_equal(s, expect);
}

static void assert_refused(const char *toml, const char *expect)
{
    struct rset *r = NULL;
    flux_error_t error;

    assert_int_equal(read_config(toml, &r, &error), -EINVAL);
    assert_string_equal(error.text, expect);
    assert_null(r);
}

static void no_configuration_is_told_from_a_bad_one(void **state)
{
    struct rset *r = NULL;
    flux_error_t error;

    assert_int_equal(read_config("", &r, &error), INVENTORY_NONE);
    assert_int_equal(read_config("[resource]\nnoverify = true\n", &r, &error), INVENTORY_NONE);
}

static void entries_give_hosts_cores_and_gpus(void **state)
{
    assert_describes("[[resource.config]]\nhosts = \"a[1-3]\"\ncores = \"0-7\"\n"
                     "[[resource.config]]\nhosts = \"a3\"\ngpus = \"0-1\"\n",
                     "rank[0-1]/core[0-7] rank2/core[0-7],gpu[0-1]");
}

static void ranks_are_places_in_bootstrap_hosts(void **state)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error;

    assert_int_equal(read_config("[bootstrap]\nhosts = [{host=\"b0\"},{host=\"b[1-2]\"}]\n"
                                 "[[resource.config]]\nhosts = \"b2\"\ncores = \"0\"\n",
                                 &r, &error),
                     0);
    assert_int_equal(rset_nnodes(r), 1);
    assert_int_equal(rset_nth(r, 0)->rank, 2);
    assert_string_equal(rset_nth(r, 0)->hostname, "b2");
}

static void mistakes_are_named(void **state)
{
    assert_refused("[resource]\nconfig = 1\n", "resource.config: not an array of tables");
    assert_refused("[resource]\npath = 1\n", "resource.path: must be a string");
    assert_refused("[[resource.config]]\ncores = \"0\"\n",
                   "resource.config[0].hosts: not a list of hosts, as in \"node[1-9]\"");
    assert_refused("[[resource.config]]\nhosts = \"a\"\ncores = \"x\"\n",
                   "resource.config[0].cores: not a set of ids, as in \"0-7\"");
    assert_refused("[[resource.config]]\nhosts = \"a\"\n", "resource.config: host a has no cores");
    assert_refused("[bootstrap]\nhosts = [{host=\"b\"}]\n[[resource.config]]\nhosts = \"c\"\n"
                   "cores = \"0\"\n",
                   "resource.config: host c is not in bootstrap.hosts");
}

static void a_file_with_R_is_read(void **state)
{
    char path[] = "/tmp/test-inventory-XXXXXX";
    char toml[100];
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    fputs("{\"version\":1,\"execution\":{\"R_lite\":[{\"rank\":\"0-1\",\"children\":{\"core\":"
          "\"0-3\"}}],\"nodelist\":[\"n[0-1]\"],\"starttime\":0,\"expiration\":0}}",
          f);
    fclose(f);
    snprintf(toml, sizeof(toml), "[resource]\npath = \"%s\"\n", path);
    assert_describes(toml, "rank[0-1]/core[0-3]");
    unlink(path);
}

static void targets_are_ranks_or_hosts(void **state)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error;
    static const struct {
        const char *targets, *expect;
    } cases[] = {
        { "1-2", "1-2" },
        { "[0,2]", "0,2" },
        { "a[1,3]", "0,2" },
        { "a2", "1" },
    };

    assert_int_equal(
        read_config("[[resource.config]]\nhosts = \"a[1-3]\"\ncores = \"0\"\n", &r, &error), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(idset_destroyp) struct idset *ids = NULL;
        CLEANUP(freep) char *s = NULL;

        assert_int_equal(inventory_targets(r, cases[i].targets, &ids, &error), 0);
        s = idset_encode(ids, IDSET_FLAG_RANGE);
        assert_string_equal(s, cases[i].expect);
    }
    assert_int_equal(inventory_targets(r, "7", &(struct idset *){ NULL }, &error), -EINVAL);
    assert_string_equal(error.text, "rank 7: there is no such rank");
    assert_int_equal(inventory_targets(r, "a9", &(struct idset *){ NULL }, &error), -EINVAL);
    assert_string_equal(error.text, "a9: there is no such host");
    assert_int_equal(inventory_targets(r, "", &(struct idset *){ NULL }, &error), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_configuration_is_told_from_a_bad_one),
        cmocka_unit_test(entries_give_hosts_cores_and_gpus),
        cmocka_unit_test(ranks_are_places_in_bootstrap_hosts),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_file_with_R_is_read),
        cmocka_unit_test(targets_are_ranks_or_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
