/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "broker/options.h"
#include "broker/tbonconf.h"

static int read_both(const char *toml, const char *a, const char *b, struct tbonconf *ret,
                     flux_error_t *error)
{
    char *assignments[] = { (char *)a, (char *)b };
    const struct broker_options o = { .nassignments = b   ? 2
                                                      : a ? 1
                                                          : 0,
                                      .assignments = assignments };
    json_t *config = json_loads(toml, 0, NULL);
    int rc;

    assert_non_null(config);
    rc = tbonconf_read(ret, config, &o, error);
    if (rc == 0 && ret->topo && !ret->shape_is_argument)
        ret->topo = strcmp(ret->topo, "mincrit") == 0 ? "mincrit" : "other"; /* config goes */
    json_decref(config);
    return rc;
}

static void without_a_word_there_are_defaults(void **state)
{
    struct tbonconf c;

    assert_int_equal(read_both("{}", NULL, NULL, &c, NULL), 0);
    assert_null(c.topo);
    assert_int_equal(c.fanout, -1);
    assert_true(c.connect_timeout == 30. && c.tcp_user_timeout == 20.);
    assert_true(c.torpid_min == 5. && c.torpid_max == 30. && c.restart_timeout == 10.);
    assert_false(c.zmqdebug || c.prefertcp || c.shape_is_argument);
}

static void the_configuration_counts(void **state)
{
    struct tbonconf c;

    assert_int_equal(read_both("{\"tbon\":{\"topo\":\"mincrit\",\"connect_timeout\":3,"
                               "\"tcp_user_timeout\":\"2m\",\"torpid_min\":\"500ms\","
                               "\"torpid_max\":0,\"restart_timeout\":0,\"zmqdebug\":1}}",
                               NULL, NULL, &c, NULL),
                     0);
    assert_string_equal(c.topo, "mincrit");
    assert_true(c.connect_timeout == 3. && c.tcp_user_timeout == 120.);
    assert_true(c.torpid_min == 0.5 && c.torpid_max == 0. && c.zmqdebug);
    assert_true(c.restart_timeout == 0.);
}

static void the_command_line_wins(void **state)
{
    struct tbonconf c;
    const char *timeout = "tbon.connect_timeout=1m", *debug = "tbon.zmqdebug=0";
    const char *fanout = "tbon.fanout=7", *topo = "tbon.topo=kary:3";

    assert_int_equal(
        read_both("{\"tbon\":{\"connect_timeout\":3,\"zmqdebug\":true}}", timeout, debug, &c, NULL),
        0);
    assert_true(c.connect_timeout == 60. && !c.zmqdebug);
    assert_int_equal(read_both("{\"tbon\":{\"topo\":\"mincrit\"}}", fanout, NULL, &c, NULL), 0);
    assert_null(c.topo);
    assert_int_equal(c.fanout, 7);
    assert_int_equal(read_both("{\"tbon\":{\"fanout\":2}}", fanout, topo, &c, NULL), 0);
    assert_string_equal(c.topo, "kary:3");
    assert_int_equal(c.fanout, -1);
    assert_true(c.shape_is_argument);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *toml;
        const char *argument;
        const char *says;
    } bad[] = {
        { "{\"tbon\":7}", NULL, "tbon: must be a table" },
        { "{\"tbon\":{\"color\":1}}", NULL, "tbon.color: unknown key" },
        { "{\"tbon\":{\"level\":1}}", NULL, "tbon.level: unknown key" },
        { "{\"tbon\":{\"prefertcp\":1}}", NULL, "tbon.prefertcp: unknown key" },
        { "{\"tbon\":{\"fanout\":-1}}", NULL, "tbon.fanout: expected a number" },
        { "{\"tbon\":{\"fanout\":2,\"topo\":\"kary:2\"}}", NULL, "leave one of them out" },
        { "{\"tbon\":{\"torpid_max\":\"soon\"}}", NULL, "tbon.torpid_max: expected a duration" },
        { "{\"tbon\":{\"torpid_min\":0}}", NULL, "tbon.torpid_min: expected a duration" },
        { "{\"tbon\":{\"connect_timeout\":\"inf\"}}", NULL, "tbon.connect_timeout: expected" },
        { "{\"tbon\":{\"topo\":2}}", NULL, "tbon.topo: expected kary" },
        { "{\"tbon\":{\"zmqdebug\":\"yes\"}}", NULL, "tbon.zmqdebug: expected 0 or 1" },
        { "{}", "tbon.fanuot=2", "--setattr=tbon.fanuot=2: no such attribute" },
        { "{}", "tbon.=2", "no such attribute" },
        { "{}", "tbon.level=2", "attribute tbon.level cannot be set" },
        { "{}", "tbon.fanout=two", "tbon.fanout: expected a number" },
        { "{}", "tbon.topo=", "tbon.topo: expected" },
        { "{}", "tbon.torpid_min=-1s", "tbon.torpid_min: expected a duration" },
        { "{}", "tbon.prefertcp=yes", "tbon.prefertcp: expected 0 or 1" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        flux_error_t error = { .text = "" };
        struct tbonconf c;

        assert_true(read_both(bad[i].toml, bad[i].argument, NULL, &c, &error) < 0);
        if (!strstr(error.text, bad[i].says))
            fail_msg("%s %s: '%s' does not say '%s'", bad[i].toml,
                     bad[i].argument ? bad[i].argument : "", error.text, bad[i].says);
    }
}

static void attributes_of_others_are_not_looked_at(void **state)
{
    const char *other = "tbonx=1", *more = "broker.quorum=many";
    struct tbonconf c;

    assert_int_equal(read_both("{\"tbonx\":{\"a\":1}}", other, more, &c, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_word_there_are_defaults),
        cmocka_unit_test(the_configuration_counts),
        cmocka_unit_test(the_command_line_wins),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(attributes_of_others_are_not_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
