/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "supervise/unitfile.h"

static struct unitfile *parse(const char *text)
{
    struct unitfile *uf = NULL;
    flux_error_t error;

    assert_int_equal(unitfile_parse(text, strlen(text), &uf, &error), 0);
    return uf;
}

static void expect_error(const char *text, const char *words)
{
    struct unitfile *uf = NULL;
    flux_error_t error;

    assert_int_equal(unitfile_parse(text, strlen(text), &uf, &error), -EINVAL);
    assert_non_null(strstr(error.text, words));
}

static void test_sections_keys_and_values_are_trimmed(void **state)
{
    CLEANUP(unitfile_freep)
    struct unitfile *uf =
        parse("# c\n; c\n\n [Unit] \n A = b c \nA=second\n[Service]\r\nX=\"q\"\r\n");

    assert_int_equal(uf->count, 3);
    assert_string_equal(unitfile_get(uf, "Unit", "A"), "second");
    assert_string_equal(uf->entries[0].value, "b c");
    assert_string_equal(unitfile_get(uf, "Service", "X"), "\"q\"");
    assert_null(unitfile_get(uf, "Service", "A"));
}

static void test_lines_are_continued_and_comments_are_not(void **state)
{
    CLEANUP(unitfile_freep)
    struct unitfile *uf =
        parse("[A]\nk=one \\\n# between\n  two\\\nthree\n# not \\\nm=x\nlast=y\\");

    assert_string_equal(unitfile_get(uf, "A", "k"), "one    two three");
    assert_string_equal(unitfile_get(uf, "A", "m"), "x");
    assert_string_equal(unitfile_get(uf, "A", "last"), "y");
}

static void test_an_empty_assignment_takes_back_what_came_before(void **state)
{
    CLEANUP(unitfile_freep) struct unitfile *uf = parse("[A]\nk=1\nk=2\nk=\nk=3\nother=x\nk=4\n");
    size_t i = unitfile_first(uf, "A", "k");

    assert_string_equal(uf->entries[i].value, "3");
    i = unitfile_next(uf, "A", "k", i);
    assert_string_equal(uf->entries[i].value, "4");
    assert_int_equal(unitfile_next(uf, "A", "k", i), uf->count);
    assert_int_equal(unitfile_first(uf, "A", "none"), uf->count);
}

static void test_errors_name_the_line(void **state)
{
    expect_error("[Unit]\nA=b\nnonsense\n", "line 3");
    expect_error("A=b\n", "line 1: assignment outside");
    expect_error("[Unit\n", "line 1");
    expect_error("[A]\n=x\n", "line 2");
}

static void test_nul_bytes_and_huge_files_are_refused(void **state)
{
    static char huge[UNITFILE_MAX + 1];
    struct unitfile *uf;
    flux_error_t error;

    assert_int_equal(unitfile_parse("[A]\0b", 6, &uf, &error), -EINVAL);
    memset(huge, '\n', sizeof(huge));
    assert_int_equal(unitfile_parse(huge, sizeof(huge), &uf, &error), -EFBIG);
    assert_int_equal(unitfile_read("/nonexistent/file", &uf, &error), -ENOENT);
}

static void test_words_are_split_with_quotes_and_backslashes(void **state)
{
    CLEANUP(strv_freep) char **w = NULL;
    char **none = NULL;

    assert_int_equal(unitfile_split(" a  \"b c\" 'd \"e' f\\ g A=\"x y\" ", &w), 0);
    assert_int_equal(strv_count(w), 5);
    assert_string_equal(w[0], "a");
    assert_string_equal(w[1], "b c");
    assert_string_equal(w[2], "d \"e");
    assert_string_equal(w[3], "f g");
    assert_string_equal(w[4], "A=x y");
    assert_int_equal(unitfile_split("\"open", &none), -EINVAL);
    assert_int_equal(unitfile_split("", &none), 0);
    assert_int_equal(strv_count(none), 0);
    (void)strv_free(none);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t usec;
    } good[] = { { "5", 5000000 },           { "100ms", 100000 }, { "1min 30s", 90000000 },
                 { "1.5s", 1500000 },        { "0", 0 },          { "2h", 7200000000 },
                 { "infinity", UINT64_MAX }, { "20 us", 20 } };
    static const char *const wrong[] = { "", "x", "5 parsecs", "-1", "1e300", "ms", "0x10", "nan" };
    uint64_t usec;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(unitfile_parse_usec(good[i].text, &usec), 0);
        assert_int_equal(usec, good[i].usec);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(unitfile_parse_usec(wrong[i], &usec), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_keys_and_values_are_trimmed),
        cmocka_unit_test(test_lines_are_continued_and_comments_are_not),
        cmocka_unit_test(test_an_empty_assignment_takes_back_what_came_before),
        cmocka_unit_test(test_errors_name_the_line),
        cmocka_unit_test(test_nul_bytes_and_huge_files_are_refused),
        cmocka_unit_test(test_words_are_split_with_quotes_and_backslashes),
        cmocka_unit_test(test_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
