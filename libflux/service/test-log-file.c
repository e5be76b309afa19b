/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "service/log-file.h"

static char dir[] = "/tmp/test-log-file-XXXXXX";

static json_t *last_line(const char *path)
{
    FILE *f = fopen(path, "re");
    char line[8192], last[8192] = "";
    json_t *o;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        (void)strcpy(last, line);
    (void)fclose(f);
    o = json_loads(last, 0, NULL);
    assert_non_null(o);
    return o;
}

static void a_record_is_one_line_of_strings_as_journalctl_has_them(void **state)
{
    const char *fields[] = { "MESSAGE=two\nlines \"quoted\" = x", "PRIORITY=4", "FLUX_RANK=0" };
    struct log_file f;
    json_t *o;

    assert_int_equal(log_file_open(&f, dir, "kvs"), 0);
    log_file_write(&f, fields, 3);
    o = last_line(f.path);
    assert_string_equal(json_string_value(json_object_get(o, "MESSAGE")),
                        "two\nlines \"quoted\" = x");
    assert_string_equal(json_string_value(json_object_get(o, "PRIORITY")), "4");
    assert_true(json_is_string(json_object_get(o, "__REALTIME_TIMESTAMP")));
    json_decref(o);
    log_file_close(&f);
}

static void bytes_that_are_not_utf_8_do_not_lose_the_record(void **state)
{
    const char *fields[] = { "MESSAGE=a\xff\xfe z" };
    struct log_file f;
    json_t *o;

    assert_int_equal(log_file_open(&f, dir, "bad"), 0);
    log_file_write(&f, fields, 1);
    o = last_line(f.path);
    assert_string_equal(json_string_value(json_object_get(o, "MESSAGE")), "a?? z");
    json_decref(o);
    log_file_close(&f);
}

/* A disk that was full: the file may not grow for a while. */
static void a_record_that_was_cut_off_does_not_spoil_the_next(void **state)
{
    const char *first[] = { "MESSAGE=first" }, *cut[] = { "MESSAGE=cut off" },
               *last[] = { "MESSAGE=last" };
    struct rlimit old, small;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int restart = 0; restart < 2; restart++) {
        struct log_file f;
        json_t *o;

        assert_int_equal(log_file_open(&f, dir, restart ? "full-restarted" : "full"), 0);
        log_file_write(&f, first, 1);
        small = (struct rlimit){ .rlim_cur = f.size_bytes + 10, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        log_file_write(&f, cut, 1);
        log_file_write(&f, cut, 1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        if (restart) {
            log_file_close(&f);
            assert_int_equal(log_file_open(&f, dir, "full-restarted"), 0);
        }
        log_file_write(&f, last, 1);
        o = last_line(f.path);
        assert_string_equal(json_string_value(json_object_get(o, "MESSAGE")), "last");
        json_decref(o);
        log_file_close(&f);
    }
}

static void the_file_is_rotated_once_and_stays_below_its_limit(void **state)
{
    char text[4096] = "MESSAGE=";
    const char *fields[] = { text };
    struct log_file f;
    struct stat st;
    char old[300];

    memset(text + 8, 'x', sizeof(text) - 9);
    assert_int_equal(log_file_open(&f, dir, "big"), 0);
    for (size_t i = 0; i < 3 * LOG_FILE_MAX / sizeof(text); i++)
        log_file_write(&f, fields, 1);
    assert_int_equal(stat(f.path, &st), 0);
    assert_true(st.st_size <= LOG_FILE_MAX);
    (void)snprintf(old, sizeof(old), "%s/big.log.1", dir);
    assert_int_equal(stat(old, &st), 0);
    assert_true(st.st_size <= LOG_FILE_MAX && st.st_size > LOG_FILE_MAX / 2);
    (void)snprintf(old, sizeof(old), "%s/big.log.2", dir);
    assert_int_equal(stat(old, &st), -1);
    log_file_close(&f);
}

static int setup(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_of_strings_as_journalctl_has_them),
        cmocka_unit_test(bytes_that_are_not_utf_8_do_not_lose_the_record),
        cmocka_unit_test(a_record_that_was_cut_off_does_not_spoil_the_next),
        cmocka_unit_test(the_file_is_rotated_once_and_stays_below_its_limit),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
