/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "linelabel.h"

static char *text;
static size_t text_size;
static FILE *f;
static struct linelabel a, b;

static int setup(void **state)
{
    a = b = (struct linelabel){ .data = NULL };
    f = open_memstream(&text, &text_size);
    return f ? 0 : -1;
}

static int teardown(void **state)
{
    linelabel_deinit(&a);
    linelabel_deinit(&b);
    fclose(f);
    free(text);
    return 0;
}

static void say(struct linelabel *l, uint32_t label, const char *s)
{
    linelabel_print(l, label, f, s, strlen(s));
}

static void printed(const char *expected)
{
    assert_int_equal(fflush(f), 0);
    assert_string_equal(text, expected);
}

static void each_line_has_its_label(void **state)
{
    say(&a, 1, "x\n\ny\n");
    printed("1: x\n1: \n1: y\n");
}

static void lines_that_come_in_pieces_are_not_torn_and_not_mixed(void **state)
{
    say(&a, 1, "one ");
    say(&b, 2, "two ");
    say(&a, 1, "more");
    printed("");
    say(&b, 2, "lines\nthree");
    say(&a, 1, "\n");
    printed("2: two lines\n1: one more\n");
    linelabel_end(&b, 2, f);
    linelabel_end(&a, 1, f);
    linelabel_end(&b, 2, f);
    printed("2: two lines\n1: one more\n2: three\n");
}

static void a_line_without_end_is_printed_in_long_pieces(void **state)
{
    static char piece[1001];

    memset(piece, 'x', 1000);
    for (int i = 0; i < 100; i++)
        say(&a, 7, piece);
    linelabel_end(&a, 7, f);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(text_size, 100000 + 2 * strlen("7: \n"));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_line_has_its_label),
        TEST(lines_that_come_in_pieces_are_not_torn_and_not_mixed),
        TEST(a_line_without_end_is_printed_in_long_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
