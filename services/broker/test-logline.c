/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "broker/logline.h"

static int parse(const char *s, struct logline *ret)
{
    return logline_parse(s, strlen(s), ret);
}

static void the_parts_of_a_line_are_found(void **state)
{
    struct logline l;

    assert_int_equal(parse("<14>1 2026-01-01T00:00:00Z 3 flux-run 42 - - hello there\n", &l), 0);
    assert_int_equal(l.severity, 6);
    assert_string_equal(l.hostname, "3");
    assert_string_equal(l.appname, "flux-run");
    assert_string_equal(l.procid, "42");
    assert_int_equal(l.text_size, 11);
    assert_memory_equal(l.text, "hello there", 11);
}

static void structured_data_is_passed_over_with_its_quotes(void **state)
{
    struct logline l;

    assert_int_equal(parse("<3>1 - - - - - [a b=\"]\\\"x\"][c] text", &l), 0);
    assert_int_equal(l.severity, 3);
    assert_string_equal(l.appname, "");
    assert_memory_equal(l.text, "text", 4);
}

static void a_line_may_have_no_text(void **state)
{
    struct logline l;

    assert_int_equal(parse("<0>1 - - - - - -", &l), 0);
    assert_int_equal(l.text_size, 0);
}

static void what_is_not_rfc_5424_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "hello",
        "<>1 - - - - - - x",
        "<192>1 - - - - - - x",
        "<1234>1 - - - - - - x",
        "<14>2 - - - - - - x",
        "<14>1 - - - -",
        "<14>1 - - - - - [a x",
        "<14>1 - - - - - x",
        "<14>1 - h\x01st - - - - x",
        "<14>1  - - - - - x",
    };
    struct logline l;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(bad[i], &l), -EPROTO);
}

static void long_words_are_cut(void **state)
{
    char s[512] = "<14>1 - ";
    struct logline l;

    memset(s + 8, 'h', 300);
    (void)strcpy(s + 308, " app - - - x");
    assert_int_equal(parse(s, &l), 0);
    assert_int_equal(strlen(l.hostname), sizeof(l.hostname) - 1);
    assert_string_equal(l.appname, "app");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_line_are_found),
        cmocka_unit_test(structured_data_is_passed_over_with_its_quotes),
        cmocka_unit_test(a_line_may_have_no_text),
        cmocka_unit_test(what_is_not_rfc_5424_is_refused),
        cmocka_unit_test(long_words_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
