/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "job-list/lines.h"

static char out[200];

static int on_line(const char *line, size_t len, void *arg)
{
    assert_int_equal(strlen(line), len);
    snprintf(out + strlen(out), sizeof(out) - strlen(out), "<%s>", line);
    return arg ? -EPIPE : 0;
}

static void add(struct lines *l, const char *s)
{
    assert_int_equal(lines_add(l, s, strlen(s), on_line, NULL), 0);
}

static int setup(void **state)
{
    out[0] = '\0';
    return 0;
}

static void lines_come_whole_however_they_are_cut(void **state)
{
    struct lines l = { 0 };

    add(&l, "a\nbb");
    add(&l, "");
    add(&l, "b\n\nc");
    assert_string_equal(out, "<a><bbb><>");
    add(&l, "\n");
    assert_string_equal(out, "<a><bbb><><c>");
    lines_deinit(&l);
}

static void what_is_told_again_is_skipped(void **state)
{
    struct lines l = { 0 };

    add(&l, "a\nb\nc");
    lines_rewind(&l);
    add(&l, "a\n");
    add(&l, "b\nccc\nd\n");
    assert_string_equal(out, "<a><b><ccc><d>");
    lines_rewind(&l);
    lines_rewind(&l);
    add(&l, "a\nb\nccc\nd\ne\n");
    assert_string_equal(out, "<a><b><ccc><d><e>");
    lines_deinit(&l);
}

static void another_process_goes_on_behind_the_last_whole_line(void **state)
{
    struct lines l = { 0 }, next = { 0 };

    add(&l, "a\nb\nc");
    lines_skip(&next, lines_told(&l));
    add(&next, "a\nb\nccc\nd\n");
    assert_string_equal(out, "<a><b><ccc><d>");
    lines_deinit(&l);
    lines_deinit(&next);
}

static void a_refusal_stops(void **state)
{
    struct lines l = { 0 };

    assert_int_equal(lines_add(&l, "a\nb\n", 4, on_line, &l), -EPIPE);
    assert_string_equal(out, "<a>");
    lines_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_come_whole_however_they_are_cut, setup),
        cmocka_unit_test_setup(what_is_told_again_is_skipped, setup),
        cmocka_unit_test_setup(another_process_goes_on_behind_the_last_whole_line, setup),
        cmocka_unit_test_setup(a_refusal_stops, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
