/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Options in scripts (RFC 36). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "directives.h"

/* The words joined by "|". */
static void gives(const char *text, const char *expect)
{
    flux_error_t error = { .text = "" };
    char buf[512] = "";
    char **words;
    size_t n;

    assert_int_equal(directives_parse(text, strlen(text), &words, &n, &error), 0);
    for (size_t i = 0; i < n; i++) {
        (void)strcat(buf, i ? "|" : "");
        (void)strcat(buf, words[i]);
    }
    assert_string_equal(buf, expect);
    directives_free(words);
}

static void refused(const char *text, const char *why)
{
    flux_error_t error = { .text = "" };
    char **words;
    size_t n;

    assert_int_equal(directives_parse(text, strlen(text), &words, &n, &error), -EINVAL);
    assert_non_null(strstr(error.text, why));
}

static void words_are_split_and_quoted_as_by_a_shell(void **state)
{
    gives("#!/bin/sh\nhostname\n", "");
    gives("#!/bin/sh\n#FLUX: -N4    # four nodes\n#FLUX: --queue=batch\nflux run app\n",
          "-N4|--queue=batch");
    gives("# flux: -N 4 -c 2\n# Set job name:\n# flux: --job-name=x\n", "-N|4|-c|2|--job-name=x");
    gives("# flux: --setattr=user.data='{\"option\": \"arg\"}'",
          "--setattr=user.data={\"option\": \"arg\"}");
    gives("# flux: --job-name='''It's a \"job\"'''\n", "--job-name=It's a \"job\"");
    gives("# flux: --a=\"x \\\" $y\" --b=c\\ d '' #e\n", "--a=x \" $y|--b=c d|");
    gives("#flux:\n#flux:   \n#flux: # nothing\n", "");
}

static void any_comment_will_do(void **state)
{
    gives("--\n-- flux: -N1 --exclusive\n-- flux: --output=job.out\nlocal app\n",
          "-N1|--exclusive|--output=job.out");
    gives("def main():\n    \"\"\"\n    flux: -N4\n\n    # any:\n    flux: --x=y\n    \"\"\"\n    "
          "run()\n",
          "-N4|--x=y");
    gives("\"\"\"\nflux: --nodes=4\n\nSet a value:\nflux: --setattr=user.foo=\"a b\"\n\"\"\"\n",
          "--nodes=4|--setattr=user.foo=a b");
    gives("# influx: -N4\n# flux -N4\nflux_: x\n", "");
}

static void text_in_three_quotes_may_be_several_lines(void **state)
{
    gives("# flux: --setattr=user.conf=\"\"\"\n# flux: [config]\n# flux:   item = \"foo\"\n# flux: "
          "\"\"\"\n# flux: -N2\n",
          "--setattr=user.conf=[config]\n  item = \"foo\"\n|-N2");
    gives("# flux: --x='''\n# flux:    a\n# flux:\n# flux:     b\n# flux: ''' -n1\n",
          "--x=a\n\n b\n|-n1");
    refused("# flux: --x='''\n# flux: a\n", "not closed");
    refused("# flux: --x='''\nhostname\n# flux: '''\n", "not closed");
    refused("# flux: --x='''\n# flux: a'''\n", "alone");
}

static void what_would_not_be_read_is_an_error(void **state)
{
    refused("#!/bin/sh\n#FLUX: -N1\nhostname; date\n#FLUX: --job-name=test\n", "line 4");
    refused("#flux: -N1\n# flux: -n1\n", "line 2: all directives must begin with '#flux:'");
    refused("#flux: -N1\n#FLUX: -n1\n", "line 2");
    refused("#flux: hostname\n", "line 1: 'hostname' is not an option");
    refused("#flux: --x='a\n", "not closed");
    refused("#flux: --x=\"a\n", "not closed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_and_quoted_as_by_a_shell),
        cmocka_unit_test(any_comment_will_do),
        cmocka_unit_test(text_in_three_quotes_may_be_several_lines),
        cmocka_unit_test(what_would_not_be_read_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
