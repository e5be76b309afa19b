/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The command line: what is taken, what is refused and how. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/options.h"

static int run(struct attrs *attrs, flux_error_t *error, char *word, char *value)
{
    char *argv[] = { "flux-broker", word, value, NULL };
    struct broker_options o;
    int rc = broker_options_parse(value ? 3 : word ? 2 : 1, argv, &o, error);

    if (rc == 0)
        rc = broker_options_apply(&o, attrs, error);
    broker_options_deinit(&o);
    return rc;
}

static void attributes_are_set_in_both_spellings(void **state)
{
    struct attrs attrs = { 0 };
    flux_error_t error;

    assert_int_equal(run(&attrs, &error, NULL, NULL), 0);
    assert_int_equal(run(&attrs, &error, "--setattr=x=y=z", NULL), 0);
    assert_string_equal(attr_find(&attrs, "x")->value, "y=z");
    assert_int_equal(run(&attrs, &error, "-S", "x="), 0);
    assert_string_equal(attr_find(&attrs, "x")->value, "");
    attrs_deinit(&attrs);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        char *word, *value;
        int errnum;
        const char *text;
    } cases[] = {
        { "--setattr=x", NULL, EINVAL, "--setattr=x: expected NAME=VALUE" },
        { "--setattr==x", NULL, EINVAL, "--setattr==x: expected NAME=VALUE" },
        { "--setattr=rank=7", NULL, EPERM, "--setattr=rank=7: attribute rank cannot be set" },
        { "--setattr=a b=7", NULL, EINVAL, "--setattr=a b=7: Invalid argument" },
        { "--nonsense", NULL, EINVAL, "unknown option --nonsense (see flux-broker --help)" },
        { "-x", NULL, EINVAL, "unknown option -x (see flux-broker --help)" },
        { "--setattr", NULL, EINVAL, "option --setattr needs a value" },
        { "word", NULL, EINVAL, "unexpected argument 'word' (see flux-broker --help)" },
    };
    struct attrs attrs = { 0 };
    flux_error_t error;

    assert_int_equal(attr_add(&attrs, "rank", "0", ATTR_IMMUTABLE), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run(&attrs, &error, cases[i].word, cases[i].value), -cases[i].errnum);
        assert_string_equal(error.text, cases[i].text);
    }
    attrs_deinit(&attrs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_set_in_both_spellings),
        cmocka_unit_test(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
