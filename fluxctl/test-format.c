/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The format language of `flux jobs` and the fields of a job. */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format.h"
#include "job-fields.h"

static const char job_text[] =
    "{\"id\":6731191091817518,\"userid\":4294967290,\"urgency\":16,\"priority\":16,\"t_submit\":"
    "100.5,"
    "\"t_run\":200.0,\"t_cleanup\":290.25,\"t_inactive\":291.0,\"state\":64,\"name\":\"a-long-"
    "name\","
    "\"ntasks\":4,\"nnodes\":2,\"nodelist\":\"n[0-1]\",\"success\":false,\"result\":2,"
    "\"exception_occurred\":true,\"exception_severity\":0,\"exception_type\":\"oom\","
    "\"exception_note\":\"\",\"waitstatus\":256,\"annotations\":{\"sched\":{\"queue\":\"q\"},"
    "\"user\":{\"x\":1}},\"dependencies\":[\"a\",\"b\"]}";
static const char pending_text[] =
    "{\"id\":1,\"userid\":0,\"state\":8,\"t_submit\":1.0,\"ntasks\":1}";

static char *print(const char *format, const char *text, bool heading)
{
    json_t *job = json_loads(text, 0, NULL);
    struct job_fields fields = { .job = job, .now = 1000 };
    struct format_source source = { job_field_get, job_field_heading, &fields };
    struct format *f = NULL;
    flux_error_t e;
    char *s = NULL;
    size_t size;
    FILE *file = open_memstream(&s, &size);

    assert_non_null(job);
    if (format_parse(format, &f, &e) < 0)
        fail_msg("%s: %s", format, e.text);
    if (heading) {
        format_print_heading(f, &source, file);
    } else {
        format_print(f, &source, file);
        fputc('\n', file);
    }
    fclose(file);
    format_free(f);
    job_fields_deinit(&fields);
    json_decref(job);
    return s;
}

static void check(const char *format, const char *text, const char *want)
{
    char *s = print(format, text, false);

    assert_string_equal(s, want);
    free(s);
}

#define DEFAULT_FORMAT                                                                          \
    "{id.f58:>12} {username:<8.8} {name:<10.10} {status_abbrev:>2.2} {ntasks:>6} {nnodes:>6h} " \
    "{runtime!F:>8h} {nodelist:h}"

static void default_format_fills_its_columns(void **state)
{
    char *s = print(DEFAULT_FORMAT, job_text, true);

    assert_string_equal(s, "       JOBID USER     NAME       ST NTASKS NNODES  RUNTIME NODELIST\n");
    free(s);
    /* U+0192 is one column wide, two bytes long. */
    check(DEFAULT_FORMAT, job_text,
          "  \u0192uZZybuNNy 42949672 a-long-nam  F      4      2   1.504m n[0-1]\n");
}

static void nothing_becomes_a_hyphen_on_request(void **state)
{
    check("{nnodes:>6h}|{runtime!F:>8h}|{nodelist:h}|{nodelist}|{result:h}", pending_text,
          "     -|       -|-||-\n");
}

static void widths_alignments_and_fills_are_those_of_python(void **state)
{
    check("{ntasks:5}|{ntasks:<5}|{ntasks:^5}|{ntasks:05}|{ntasks:_>5}", job_text,
          "    4|4    |  4  |00004|____4\n");
    check("{name:15}|{name:>15}|{name:^15}|{name:*<15}|{name:.3}", job_text,
          "a-long-name    |    a-long-name|  a-long-name  |a-long-name****|a-l\n");
    check("{t_run}|{t_cleanup}|{t_cleanup:.1f}|{runtime:8.2f}|{t_run:g}", job_text,
          "200.0|290.25|290.2|   90.25|200\n");
    check("{id:x}|{ntasks:+d}", job_text, "17e9fb8df16c2e|+4\n");
}

static void conversions_print_times_and_durations(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    check("{t_submit!D}|{t_depend!D}|{t_depend!D:h}", job_text, "1970-01-01T00:01:40||-\n");
    check("{t_submit!d:%H:%M:%S}", job_text, "00:01:40\n");
    check("{runtime!F}|{runtime!H}|{runtime!H:>10}", job_text, "1.504m|0:01:30|   0:01:30\n");
}

static void every_kind_of_field_is_found(void **state)
{
    check("{status} {state} {state_single} {result} {result_abbrev} {success} {returncode}",
          job_text, "FAILED INACTIVE I FAILED F False 1\n");
    check("{status} {state} {state_single} {result}{success}{returncode}", pending_text,
          "PENDING SCHED S \n");
    check("{exception.occurred} {exception.severity} {exception.type} {exception.note:h}", job_text,
          "True 0 oom -\n");
    check("{sched.queue} {annotations.sched.queue} {user.x} {sched} {sched.no:h}", job_text,
          "q q 1 {\"queue\":\"q\"} -\n");
    check("{dependencies} {id.dothex} {username}", job_text,
          "a,b 0017.e9fb.8df1.6c2e 4294967290\n");
    assert_null(job_field_heading("nosuch"));
    assert_string_equal(job_field_heading("sched.queue"), "SCHED.QUEUE");
}

static void braces_are_escaped_by_doubling(void **state)
{
    check("{{{ntasks}}}", job_text, "{4}\n");
    check("plain", job_text, "plain\n");
}

static void malformed_formats_are_refused(void **state)
{
    for (const char *const *s =
             (const char *const[]){ "{", "}", "{}", "{a", "a}", "{ntasks!}", "{ntasks!Q}",
                                    "{ntasks:5q}", "{ntasks:.}", "{ntasks:99999}", "{:5}", NULL };
         *s; s++) {
        struct format *f;
        flux_error_t e = { "" };

        if (format_parse(*s, &f, &e) != -EINVAL)
            fail_msg("'%s' was accepted", *s);
    }
}

static void durations_are_short(void **state)
{
    char buf[32];

    static const struct {
        double seconds;
        const char *text;
    } cases[] = { { 0, "0s" },    { 0.0001, "0s" }, { 0.1234, "0.123s" }, { 12.345, "12.35s" },
                  { 90, "1.5m" }, { 7200, "2h" },   { 129600, "1.5d" } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        format_duration(buf, sizeof(buf), cases[i].seconds);
        assert_string_equal(buf, cases[i].text);
    }
}

static void json_has_names_for_numbers(void **state)
{
    json_t *job = json_loads(job_text, 0, NULL);
    struct job_fields fields = { .job = job, .now = 1000 };
    json_t *o = job_fields_json(&fields);

    assert_string_equal(json_string_value(json_object_get(o, "state")), "INACTIVE");
    assert_string_equal(json_string_value(json_object_get(o, "result")), "FAILED");
    assert_int_equal(json_integer_value(json_object_get(o, "returncode")), 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "exception"), "type")),
                        "oom");
    assert_null(json_object_get(o, "exception_type"));
    json_decref(o);
    json_decref(job);
    job_fields_deinit(&fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_format_fills_its_columns),
        cmocka_unit_test(nothing_becomes_a_hyphen_on_request),
        cmocka_unit_test(widths_alignments_and_fills_are_those_of_python),
        cmocka_unit_test(conversions_print_times_and_durations),
        cmocka_unit_test(every_kind_of_field_is_found),
        cmocka_unit_test(braces_are_escaped_by_doubling),
        cmocka_unit_test(malformed_formats_are_refused),
        cmocka_unit_test(durations_are_short),
        cmocka_unit_test(json_has_names_for_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
