/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The expressions of bulksubmit --define. */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "expression.h"

static void check(const char *code, const char *x, const char *want)
{
    flux_error_t e = { "" };
    char *s = NULL;

    if (expression_eval(code, x, &s, &e) < 0)
        fail_msg("%s: %s", code, e.text);
    if (strcmp(s, want) != 0)
        fail_msg("%s: %s instead of %s", code, s, want);
    free(s);
}

static void refuse(const char *code, int errnum)
{
    flux_error_t e = { "" };
    char *s = NULL;

    assert_int_equal(expression_eval(code, "5", &s, &e), -errnum);
    assert_true(strlen(e.text) > 0);
}

static void numbers_are_those_of_python(void **state)
{
    check("2**int(x)", "10", "1024");
    check("-2**2", "", "-4");
    check("2**-1", "", "0.5");
    check("2**3**2", "", "512");
    check("7/2", "", "3.5");
    check("6/2", "", "3.0");
    check("-7//2", "", "-4");
    check("-7%3", "", "2");
    check("7.5//2", "", "3.0");
    check("1+2*3-(4-5)", "", "8");
    check("0.1+0.2", "", "0.30000000000000004");
    check("int(float(x)*1.5)", "5", "7");
    check("max(int(x), 3, 9)", "5", "9");
    check("min(int(x), 3)", "5", "3");
    check("round(2.5)", "", "2");
    check("round(1.2345, 2)", "", "1.23");
    check("abs(-3)", "", "3");
    check("float(x)", "100", "100.0");
    check("float(x)*2", "500000000000000", "1000000000000000.0");
    check("1e16", "", "1e+16");
    check("1/40000", "", "2.5e-05");
    check("-1/1000", "", "-0.001");
}

static void logic_is_that_of_python(void **state)
{
    check("0 or x", "a", "a");
    check("x and 'b'", "a", "b");
    check("x and 'b'", "", "");
    check("1 or 2 and 0", "", "1");
    check("not 1 or not not x", "a", "True");
    check("True + True", "", "2");
    check("1 if x == 'a' and not False else 2", "a", "1");
    refuse("x and", EINVAL);
    refuse("notx", EINVAL);
}

static void strings_are_those_of_python(void **state)
{
    check("x * 3", "ab", "ababab");
    check("2 * x", "ab", "abab");
    check("x * -1", "ab", "");
    refuse("x * 100000", EOVERFLOW);
    refuse("x * 1.5", EINVAL);
    check("x", "a b", "a b");
    check("x.upper()", "abc", "ABC");
    check("x[1:]", "abc", "bc");
    check("x[-1]", "abc", "c");
    check("x[:-1]", "abc", "ab");
    check("x[5:]", "abc", "");
    check("x.replace('.in', \".out\")", "a.in", "a.out");
    check("'n' + x.zfill(4)", "7", "n0007");
    check("x.strip().lower()", "  A ", "a");
    check("str(len(x)) + x", "abc", "3abc");
}

static void conditions_choose(void **state)
{
    check("'big' if int(x) > 3 else 'small'", "5", "big");
    check("'big' if int(x) > 3 else 'mid' if int(x) > 1 else 'small'", "2", "mid");
    check("x == 'a'", "a", "True");
    check("x.endswith('.c')", "a.h", "False");
    check("1 <= 1.5", "", "True");
}

static void the_rest_of_python_is_refused(void **state)
{
    char deep[512];

    refuse("__import__('os')", EINVAL);
    refuse("y", EINVAL);
    refuse("x +", EINVAL);
    refuse("x + 1", EINVAL);
    refuse("x.format()", EINVAL);
    refuse("[1]", EINVAL);
    refuse("'a", EINVAL);
    refuse("1 2", EINVAL);
    refuse("", EINVAL);
    refuse("int('a')", EINVAL);
    refuse("1//0", EDOM);
    refuse("x[7]", EDOM);
    refuse("2**64", EOVERFLOW);
    refuse("9223372036854775807+1", EOVERFLOW);
    refuse("99999999999999999999", EOVERFLOW);
    memset(deep, '(', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    refuse(deep, EINVAL);
    memset(deep, '-', sizeof(deep) - 1);
    refuse(deep, EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_python),   cmocka_unit_test(logic_is_that_of_python),
        cmocka_unit_test(strings_are_those_of_python),   cmocka_unit_test(conditions_choose),
        cmocka_unit_test(the_rest_of_python_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
