/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "broker/bootconf.h"

static json_t *config(const char *text)
{
    json_error_t e;
    json_t *o = json_loads(text, 0, &e);

    if (!o)
        fail_msg("%s: %s", text, e.text);
    return o;
}

static void compact_hosts_get_ranks_in_their_order(void **state)
{
    CLEANUP(json_decrefp)
    json_t *o =
        config("{\"bootstrap\":{\"default_port\":8050,\"default_bind\":\"tcp://en0:%p\","
               "\"default_connect\":\"tcp://e%h:%p\",\"hosts\":["
               "{\"host\":\"m\",\"bind\":\"tcp://en4:9001\",\"connect\":\"tcp://mgmt:9001\"},"
               "{\"host\":\"n[1-3,18]\"}]}}");
    CLEANUP(bootconf_freep) struct bootconf *b = NULL;
    flux_error_t error = { .text = "" };
    char uri[BOOTCONF_URI_SIZE];

    assert_int_equal(bootconf_new(o, "n18", &b, &error), 0);
    assert_int_equal(b->size, 5);
    assert_int_equal(b->rank, 4);
    assert_int_equal(bootconf_connect(b, 0, uri, &error), 0);
    assert_string_equal(uri, "tcp://mgmt:9001");
    assert_int_equal(bootconf_bind(b, 0, uri, &error), 0);
    assert_string_equal(uri, "tcp://en4:9001");
    assert_int_equal(bootconf_connect(b, 2, uri, &error), 0);
    assert_string_equal(uri, "tcp://en2:8050");
    assert_int_equal(bootconf_bind(b, 2, uri, &error), 0);
    assert_string_equal(uri, "tcp://en0:8050");
    assert_null(b->parents);
}

static void parents_are_ranks(void **state)
{
    CLEANUP(json_decrefp)
    json_t *o = config("{\"bootstrap\":{\"hosts\":[{\"host\":\"a\"},{\"host\":\"b\"},"
                       "{\"host\":\"c[1-2]\",\"parent\":\"b\"}]}}");
    CLEANUP(bootconf_freep) struct bootconf *b = NULL;

    assert_int_equal(bootconf_new(o, "a", &b, NULL), 0);
    assert_int_equal(b->parents[1], FLUX_NODEID_ANY);
    assert_int_equal(b->parents[3], 1);
}

static void without_hosts_a_node_is_alone(void **state)
{
    static const char *const texts[] = { "{}", "{\"bootstrap\":{}}",
                                         "{\"bootstrap\":{\"hosts\":[]}}",
                                         "{\"tbon\":{\"fanout\":2}}" };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(json_decrefp) json_t *o = config(texts[i]);
        struct bootconf *b = NULL;

        assert_int_equal(bootconf_new(o, "a", &b, NULL), -ENOENT);
    }
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "{\"bootstrap\":1}", "bootstrap: must be a table" },
        { "{\"bootstrap\":{\"hsots\":[]}}", "bootstrap.hsots: unknown key" },
        { "{\"bootstrap\":{\"hosts\":\"a\"}}", "bootstrap.hosts: expected an array" },
        { "{\"bootstrap\":{\"hosts\":[\"a\"]}}", "bootstrap.hosts[0]: expected { host" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a[\"}]}}", "is not a list of hosts" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a\"},{\"host\":\"a\"}]}}", "a is there twice" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"b\"}]}}", "this host, a, is not in" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a\",\"parent\":\"z\"}]}}", "parent 'z' of a" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a\",\"bnid\":\"z\"}]}}",
          "hosts[0].bnid: unknown" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a\",\"bind\":\"udp://z\"}]}}",
          "tcp:// or ipc://" },
        { "{\"bootstrap\":{\"default_port\":0}}", "default_port: expected 1 to 65535" },
        { "{\"bootstrap\":{\"default_bind\":\"z\",\"hosts\":[{\"host\":\"a\"}]}}",
          "bind of a: 'z' does not begin" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a\"},{\"host\":\"b\",\"connect\":\"tcp://"
          "%h\"}]}}",
          "connect of b: 'tcp://b' has no port" },
        { "{\"bootstrap\":{\"default_bind\":\"tcp://[::]:%p\",\"default_port\":1,"
          "\"hosts\":[{\"host\":\"a\"}]}}",
          "bind of a: 'tcp://[::]:1' needs bootstrap.enable_ipv6" },
        { "{\"bootstrap\":{\"default_connect\":\"tcp://%h:%p\",\"hosts\":[{\"host\":\"a\"}]}}",
          "default_port: needed for %p" },
        { "{\"bootstrap\":{\"hosts\":[{\"host\":\"a/b\"}]}}", "'a/b' is no name of a host" },
        { "{\"bootstrap\":{\"curve_cert\":7}}", "curve_cert: expected a string" },
        { "{\"bootstrap\":{\"keydir\":\"/k\"}}", "bootstrap.keydir: needs bootstrap.curve_cert" },
        { "{\"bootstrap\":{\"enable_ipv6\":7}}", "enable_ipv6: expected true or false" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(json_decrefp) json_t *o = config(bad[i].text);
        flux_error_t error = { .text = "" };
        struct bootconf *b = NULL;

        assert_true(bootconf_new(o, "a", &b, &error) < 0);
        if (!strstr(error.text, bad[i].says))
            fail_msg("%s: '%s' does not say '%s'", bad[i].text, error.text, bad[i].says);
    }
}

static void uris_that_are_missing_are_asked_for(void **state)
{
    CLEANUP(json_decrefp)
    json_t *o = config("{\"bootstrap\":{\"hosts\":[{\"host\":\"a\"}]}}");
    CLEANUP(bootconf_freep) struct bootconf *b = NULL;
    flux_error_t error = { .text = "" };
    char uri[BOOTCONF_URI_SIZE];

    assert_int_equal(bootconf_new(o, "a", &b, &error), 0);
    assert_true(bootconf_bind(b, 0, uri, &error) < 0);
    assert_non_null(strstr(error.text, "needs bind or default_bind"));
    assert_true(bootconf_connect(b, 0, uri, &error) < 0);
    assert_non_null(strstr(error.text, "needs connect or default_connect"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_hosts_get_ranks_in_their_order),
        cmocka_unit_test(parents_are_ranks),
        cmocka_unit_test(without_hosts_a_node_is_alone),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(uris_that_are_missing_are_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
