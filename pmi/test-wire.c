/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/testing.h"
#include "pmi/wire.h"

static int parse(const char *line, struct pmi_msg *m)
{
    return pmi_msg_parse(line, strlen(line), m);
}

static void test_fields_in_any_order_with_any_blanks(void **state)
{
    struct pmi_msg m;
    int n;

    assert_int_equal(parse("  b=2\t  cmd=x  empty= ", &m), 0);
    assert_int_equal(m.count, 3);
    assert_string_equal(pmi_msg_get(&m, "cmd"), "x");
    assert_string_equal(pmi_msg_get(&m, "empty"), "");
    assert_int_equal(pmi_msg_get_int(&m, "b", &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(pmi_msg_get_int(&m, "cmd", &n), -EPROTO);
    assert_int_equal(pmi_msg_get_int(&m, "absent", &n), -ENOENT);
    assert_null(pmi_msg_get(&m, "absent"));
}

static void test_a_value_is_the_rest_of_the_line(void **state)
{
    struct pmi_msg m;

    assert_int_equal(parse("cmd=put key=k value=a = b\tkey=c ", &m), 0);
    assert_string_equal(pmi_msg_get(&m, "value"), "a = b\tkey=c ");
    assert_string_equal(pmi_msg_get(&m, "key"), "k");
}

static void test_what_is_no_list_of_fields_is_refused(void **state)
{
    static const char *const lines[] = { "cmd",     "=x",       "cmd=a b",  "cmd=a =b",
                                         "a=1 a=2", "cmd=\001", "cmd=\177", "cmd=\303\244" };
    char many[256] = "", nul[] = "cmd=a\0b";
    struct pmi_msg m;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(parse(lines[i], &m), -EPROTO);
    for (int i = 0; i <= PMI_FIELDS_MAX; i++)
        sprintf(many + strlen(many), "f%d=x ", i);
    assert_int_equal(parse(many, &m), -EPROTO);
    assert_int_equal(pmi_msg_parse(nul, sizeof(nul) - 1, &m), -EPROTO);
}

static void test_lines_are_bounded(void **state)
{
    char line[PMI_LINE_MAX + 1];
    struct pmi_msg m;

    memset(line, 'x', sizeof(line));
    memcpy(line, "value=", 6);
    assert_int_equal(pmi_msg_parse(line, PMI_LINE_MAX - 1, &m), 0);
    assert_int_equal(pmi_msg_parse(line, PMI_LINE_MAX, &m), -EMSGSIZE);
}

static void test_formatted_lines_end_with_a_newline_or_do_not_fit(void **state)
{
    char buf[8];

    assert_int_equal(pmi_format(buf, sizeof(buf), "%s", "cmd=ab"), 7);
    assert_string_equal(buf, "cmd=ab\n");
    assert_int_equal(pmi_format(buf, sizeof(buf), "%s", "cmd=abc"), -EMSGSIZE);
}

static void test_words_and_values(void **state)
{
    assert_true(pmi_word_valid("a.b", 4));
    assert_false(pmi_word_valid("a.bc", 4));
    assert_false(pmi_word_valid("", 4));
    assert_false(pmi_word_valid("a=b", 8));
    assert_true(pmi_value_valid("", 4));
    assert_true(pmi_value_valid("a=b~!", 8));
    assert_false(pmi_value_valid("a b", 8));
    assert_false(pmi_value_valid("a\tb", 8));
    assert_false(pmi_value_valid("a\nb", 8));
}

static void test_a_stream_is_cut_into_lines(void **state)
{
    struct pmi_reader r = { 0 };
    char line[PMI_LINE_MAX];
    size_t len;
    int p[2];

    assert_int_equal(pipe2(p, O_NONBLOCK), 0);
    assert_int_equal(pmi_reader_fill(&r, p[0]), -EAGAIN);
    assert_int_equal(write(p[1], "a=1\n\nb=", 7), 7);
    assert_int_equal(pmi_reader_fill(&r, p[0]), 7);
    assert_int_equal(pmi_reader_line(&r, line, &len), 1);
    assert_string_equal(line, "a=1");
    assert_int_equal(pmi_reader_line(&r, line, &len), 1);
    assert_int_equal(len, 0);
    assert_int_equal(pmi_reader_line(&r, line, &len), 0);
    assert_int_equal(write(p[1], "2\n\0\n", 4), 4);
    assert_int_equal(pmi_reader_fill(&r, p[0]), 4);
    assert_int_equal(pmi_reader_line(&r, line, &len), 1);
    assert_string_equal(line, "b=2");
    assert_int_equal(pmi_reader_line(&r, line, &len), -EPROTO);
    close(p[1]);
    assert_int_equal(pmi_reader_fill(&r, p[0]), 0);
    close(p[0]);
}

static void test_a_stream_without_newline_is_refused(void **state)
{
    struct pmi_reader r = { 0 };
    char line[PMI_LINE_MAX], junk[PMI_LINE_MAX];
    size_t len;
    int p[2];

    memset(junk, 'x', sizeof(junk));
    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], junk, sizeof(junk)), sizeof(junk));
    assert_int_equal(pmi_reader_fill(&r, p[0]), sizeof(junk));
    assert_int_equal(pmi_reader_line(&r, line, &len), -EMSGSIZE);
    assert_int_equal(pmi_reader_fill(&r, p[0]), -EMSGSIZE);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_in_any_order_with_any_blanks),
        cmocka_unit_test(test_a_value_is_the_rest_of_the_line),
        cmocka_unit_test(test_what_is_no_list_of_fields_is_refused),
        cmocka_unit_test(test_lines_are_bounded),
        cmocka_unit_test(test_formatted_lines_end_with_a_newline_or_do_not_fit),
        cmocka_unit_test(test_words_and_values),
        cmocka_unit_test(test_a_stream_is_cut_into_lines),
        cmocka_unit_test(test_a_stream_without_newline_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
