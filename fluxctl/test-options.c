/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "options.h"

static const struct option options[] = {
    { 'n', "ntasks", "N", "A number" },
    { 'v', "verbose", NULL, "A flag" },
    { 'a', NULL, NULL, "A letter only" },
    { 0, "env", "RULE", "Repeatable" },
    { 0, "env-file", "FILE", "Begins like another" },
    { 0, "progress", "WHEN", "Optional argument", OPTION_OPTIONAL_ARG },
    { 0, "secret", NULL, "Hidden", OPTION_HIDDEN },
    { 0 },
};
static const struct command permuting = { .name = "x", .options = options, .max_args = 2 };
static const struct command stopping = { .name = "x",
                                         .options = options,
                                         .min_args = 1,
                                         .max_args = -1,
                                         .flags = COMMAND_STOP_AT_ARGUMENT };

/* Split "words by spaces". */
static int parse(const struct command *command, const char *line, struct cmdline *c,
                 flux_error_t *error)
{
    static char copy[256];
    static char *argv[32];
    char *save;
    int argc = 0;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return cmdline_parse(command, argc, argv, c, error);
}

static void arguments_are_found_however_they_are_given(void **state)
{
    for (const char *const *s = (const char *const[]){ "-n4", "-n 4", "--ntasks=4", "--ntasks 4",
                                                       "--nt 4", "-vn4", "-n=4", "x -n 4", NULL };
         *s; s++) {
        struct cmdline c;

        assert_int_equal(parse(&permuting, *s, &c, NULL), 0);
        assert_string_equal(cmdline_string(&c, "ntasks", ""), "4");
        cmdline_deinit(&c);
    }
}

static void flags_are_counted(void **state)
{
    struct cmdline c;

    assert_int_equal(parse(&permuting, "-vv --verbose -a", &c, NULL), 0);
    assert_int_equal(cmdline_count(&c, "verbose"), 3);
    assert_true(cmdline_has(&c, "a"));
    assert_false(cmdline_has(&c, "ntasks"));
    assert_string_equal(cmdline_string(&c, "ntasks", "7"), "7");
    cmdline_deinit(&c);
}

static void values_keep_their_order(void **state)
{
    struct cmdline c;

    assert_int_equal(parse(&permuting, "--env=A --env-file=B --env=C", &c, NULL), 0);
    assert_int_equal(c.nvalues, 3);
    assert_true(option_is(&c.values[1], "env-file"));
    assert_string_equal(c.values[2].arg, "C");
    assert_string_equal(cmdline_string(&c, "env", ""), "C"); /* the last counts */
    cmdline_deinit(&c);
}

static void options_of_the_command_run_are_left_alone(void **state)
{
    struct cmdline c;

    assert_int_equal(parse(&stopping, "-n2 app -n3 --unknown -- x", &c, NULL), 0);
    assert_string_equal(cmdline_string(&c, "ntasks", ""), "2");
    assert_int_equal(c.argc, 5);
    assert_string_equal(c.argv[1], "-n3");
    assert_null(c.argv[5]);
    cmdline_deinit(&c);
    assert_int_equal(parse(&stopping, "-- -app", &c, NULL), 0);
    assert_string_equal(c.argv[0], "-app");
    cmdline_deinit(&c);
}

static void optional_arguments_need_an_equals_sign(void **state)
{
    struct cmdline c;

    assert_int_equal(parse(&permuting, "--progress x", &c, NULL), 0);
    assert_true(cmdline_has(&c, "progress"));
    assert_null(cmdline_string(&c, "progress", NULL));
    assert_int_equal(c.argc, 1);
    cmdline_deinit(&c);
    assert_int_equal(parse(&permuting, "--progress=always", &c, NULL), 0);
    assert_string_equal(cmdline_string(&c, "progress", ""), "always");
    cmdline_deinit(&c);
}

static void check_refused(const char *line, const char *sentence)
{
    struct cmdline c;
    flux_error_t e = { "" };

    assert_int_equal(parse(&permuting, line, &c, &e), -EINVAL);
    if (strcmp(e.text, sentence) != 0)
        fail_msg("said '%s'", e.text);
}

static void mistakes_are_named(void **state)
{
    struct cmdline c;

    check_refused("--nosuch", "unknown option --nosuch");
    check_refused("-z", "unknown option -z");
    check_refused("--e=x", "option --e is ambiguous");
    check_refused("-n", "option -n needs an argument: N");
    check_refused("--ntasks", "option --ntasks needs an argument: N");
    check_refused("--verbose=1", "option --verbose takes no argument");
    check_refused("a b c", "unexpected argument 'c'");
    assert_int_equal(parse(&stopping, "-v", &c, NULL), -EINVAL);
    assert_int_equal(parse(&stopping, "--help", &c, NULL), 0); /* without the argument */
    assert_true(c.help);
    cmdline_deinit(&c);
}

static char *help_of(const struct command *command)
{
    char *s = NULL;
    size_t size;
    FILE *f = open_memstream(&s, &size);

    command_print_help(command, f);
    fclose(f);
    return s;
}

static void help_lists_every_option_that_is_not_hidden(void **state)
{
    char *s = help_of(&permuting);

    assert_non_null(strstr(s, "  -n, --ntasks=N"));
    assert_non_null(strstr(s, "--progress[=WHEN]"));
    assert_non_null(strstr(s, "  -h, --help"));
    assert_null(strstr(s, "secret"));
    free(s);
}

static char *completions(int argc, char **argv)
{
    char *s = NULL;
    size_t size;
    FILE *f = open_memstream(&s, &size);

    commands_complete(argc, argv, f);
    fclose(f);
    return s;
}

static void completion_follows_the_tables(void **state)
{
    char *s = completions(1, (char *[]){ "ru" });

    assert_string_equal(s, "run\n");
    free(s);
    s = completions(2, (char *[]){ "job", "wai" });
    assert_string_equal(s, "wait\nwait-event\n");
    free(s);
    s = completions(3, (char *[]){ "kvs", "eventlog", "" });
    assert_string_equal(s, "get\nappend\nwait-event\n");
    free(s);
    s = completions(2, (char *[]){ "help", "job" });
    assert_string_equal(s, "jobs\njob\n");
    free(s);
    s = completions(2, (char *[]){ "mini", "bu" });
    assert_string_equal(s, "bulksubmit\n");
    free(s);
    s = completions(2, (char *[]){ "run", "--nt" });
    assert_string_equal(s, "--ntasks=\n");
    free(s);
}

static void longest_command_name_wins(void **state)
{
    int words;

    assert_string_equal(command_find(3, (char *[]){ "kvs", "eventlog", "get" }, &words)->name,
                        "kvs eventlog get");
    assert_int_equal(words, 3);
    assert_string_equal(command_find(2, (char *[]){ "mini", "run" }, &words)->name, "mini run");
    assert_null(command_find(1, (char *[]){ "kvs" }, &words));
    assert_null(command_find(1, (char *[]){ "nosuch" }, &words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_found_however_they_are_given),
        cmocka_unit_test(flags_are_counted),
        cmocka_unit_test(values_keep_their_order),
        cmocka_unit_test(options_of_the_command_run_are_left_alone),
        cmocka_unit_test(optional_arguments_need_an_equals_sign),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_lists_every_option_that_is_not_hidden),
        cmocka_unit_test(completion_follows_the_tables),
        cmocka_unit_test(longest_command_name_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
