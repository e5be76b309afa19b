/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <stdlib.h>
#include <string.h>

#include "log-print.h"
#include "plain-text.h"

static void assert_shown(const char *s, const char *expected)
{
    char *copy = strdup(s), *printed = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&printed, &size);

    plain_puts(f, s);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(printed, expected);
    assert_string_equal(plain_text(copy, ""), expected);
    free(printed);
    free(copy);
}

static void what_drives_a_terminal_is_a_dot(void **state)
{
    assert_shown("red \033[31m, bell \a", "red .[31m, bell .");
    assert_shown("two\nlines\r\tor one\x7f", "two.lines..or one.");
    assert_shown("CSI \xc2\x9b"
                 "31m NEL \xc2\x85",
                 "CSI .31m NEL .");
}

static void other_characters_are_as_they_were(void **state)
{
    assert_shown("", "");
    assert_shown("caf\xc3\xa9 \xc2\xa0\xc6\x92"
                 "3x~",
                 "caf\xc3\xa9 \xc2\xa0\xc6\x92"
                 "3x~");
    assert_shown("cut \xc2", "cut \xc2");
    assert_shown("\xff\x9b", "\xff\x9b"); /* no UTF-8 */
}

static void lines_may_stay_lines(void **state)
{
    char s[] = "a\n\tb\033c";

    assert_string_equal(plain_text(s, "\n\t"), "a\n\tb.c");
}

static void bytes_may_have_a_nul(void **state)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&printed, &size);

    plain_write(f, "a\0b\xc2", 4);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(printed, "a.b\xc2");
    free(printed);
}

static void a_record_of_the_log_is_one_line_whoever_wrote_it(void **state)
{
    struct log_printer p = { .format = LOG_FORMAT_TEXT };
    struct log_record r = { .usec = 1000000,
                            .level = 6,
                            .rank = "0\n",
                            .host = "node\0333",
                            .service = "kvs\r.x",
                            .message = (char *)"one\ntwo" };
    char *printed = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&printed, &size);

    log_print(&p, &r, f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(printed, "1970-01-01T00:00:01.000000Z node.3 kvs..x.info[0.]: one.two\n");
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_drives_a_terminal_is_a_dot),
        cmocka_unit_test(other_characters_are_as_they_were),
        cmocka_unit_test(lines_may_stay_lines),
        cmocka_unit_test(bytes_may_have_a_nul),
        cmocka_unit_test(a_record_of_the_log_is_one_line_whoever_wrote_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
