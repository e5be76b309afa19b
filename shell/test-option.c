/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shell options as people write them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "option.h"

static struct shell_info info;

static void set(const char *json)
{
    json_decref(info.jobspec.shell_options);
    info.jobspec.shell_options = json_loads(json, 0, NULL);
    assert_non_null(info.jobspec.shell_options);
}

static int teardown(void **state)
{
    json_decref(info.jobspec.shell_options);
    info.jobspec.shell_options = NULL;
    return 0;
}

static void a_flag_is_on_when_it_is_named(void **state)
{
    flux_error_t error;
    bool on = false;

    set("{\"a\":1, \"b\":true, \"c\":0, \"d\":false, \"e\":\"yes\", \"f\":7}");
    assert_int_equal(option_flag(&info, "a", &on, &error), 1);
    assert_true(on);
    assert_int_equal(option_flag(&info, "c", &on, &error), 1);
    assert_false(on);
    assert_int_equal(option_flag(&info, "b", &on, &error), 1);
    assert_true(on);
    assert_int_equal(option_flag(&info, "d", &on, &error), 1);
    assert_false(on);
    assert_int_equal(option_flag(&info, "none", &on, &error), 0);
    assert_int_equal(option_flag(&info, "e", &on, &error), -EINVAL);
    assert_non_null(strstr(error.text, "-o e:"));
    assert_int_equal(option_flag(&info, "f", &on, &error), -EINVAL);
}

static void a_duration_is_a_number_a_text_or_none(void **state)
{
    flux_error_t error;
    double t = 7;

    set("{\"x\":{\"n\":2.5, \"s\":\"3m\", \"none\":\"none\", \"bad\":\"soon\", \"neg\":-1}}");
    assert_int_equal(option_duration(&info, "x.missing", true, &t, &error), 0);
    assert_true(t == 7);
    assert_int_equal(option_duration(&info, "x.n", true, &t, &error), 1);
    assert_true(t == 2.5);
    assert_int_equal(option_duration(&info, "x.s", true, &t, &error), 1);
    assert_true(t == 180);
    assert_int_equal(option_duration(&info, "x.none", true, &t, &error), 1);
    assert_true(t == -1);
    assert_int_equal(option_duration(&info, "x.none", false, &t, &error), -EINVAL);
    assert_int_equal(option_duration(&info, "x.bad", true, &t, &error), -EINVAL);
    assert_int_equal(option_duration(&info, "x.neg", true, &t, &error), -EINVAL);
}

static void sizes_have_decimal_suffixes_and_a_limit(void **state)
{
    flux_error_t error;
    uint64_t n = 0;

    assert_int_equal(option_parse_size("12", &n), 0);
    assert_true(n == 12);
    assert_int_equal(option_parse_size("1.5k", &n), 0);
    assert_true(n == 1500);
    assert_int_equal(option_parse_size("2M", &n), 0);
    assert_true(n == 2000000);
    assert_int_equal(option_parse_size("1G", &n), 0);
    assert_true(n == 1000000000);
    for (const char **s = (const char *[]){ "", "M", "-1", "1T", "x", "1e99", "nan", NULL }; *s;
         s++)
        assert_int_equal(option_parse_size(*s, &n), -EINVAL);
    set("{\"a\":\"10M\", \"b\":\"11M\", \"c\":-5}");
    assert_int_equal(option_size(&info, "a", 10000000, &n, &error), 1);
    assert_int_equal(option_size(&info, "b", 10000000, &n, &error), -EINVAL);
    assert_int_equal(option_size(&info, "c", 10000000, &n, &error), -EINVAL);
}

static void signals_go_by_name_or_number(void **state)
{
    int n;

    assert_int_equal(option_parse_signal("USR2", &n), 0);
    assert_int_equal(n, SIGUSR2);
    assert_int_equal(option_parse_signal("sigterm", &n), 0);
    assert_int_equal(n, SIGTERM);
    assert_int_equal(option_parse_signal("9", &n), 0);
    assert_int_equal(n, 9);
    for (const char **s = (const char *[]){ "", "SIG", "0", "9x", "1000", "NOPE", NULL }; *s; s++)
        assert_int_equal(option_parse_signal(*s, &n), -EINVAL);
}

static void numbers_keep_to_their_range(void **state)
{
    flux_error_t error;
    int n = 9;

    set("{\"v\":2, \"t\":true, \"s\":\"2\", \"big\":99}");
    assert_int_equal(option_int(&info, "v", 0, 5, &n, &error), 1);
    assert_int_equal(n, 2);
    assert_int_equal(option_int(&info, "t", 0, 5, &n, &error), 1);
    assert_int_equal(n, 1);
    assert_int_equal(option_int(&info, "t", 2, 5, &n, &error), -EINVAL);
    assert_int_equal(option_int(&info, "s", 0, 5, &n, &error), -EINVAL);
    assert_int_equal(option_int(&info, "big", 0, 5, &n, &error), -EINVAL);
    assert_non_null(strstr(error.text, "0 to 5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flag_is_on_when_it_is_named),
        cmocka_unit_test(a_duration_is_a_number_a_text_or_none),
        cmocka_unit_test(sizes_have_decimal_suffixes_and_a_limit),
        cmocka_unit_test(signals_go_by_name_or_number),
        cmocka_unit_test(numbers_keep_to_their_range),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
