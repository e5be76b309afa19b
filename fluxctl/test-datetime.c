/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* --begin-time, in UTC and seen from Saturday, 2026-11-21 02:00:00. */
#include "base/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datetime.h"

#define NOW 1795226400.0

static int setup(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static void check(const char *s, const char *want)
{
    flux_error_t e = { "" };
    char buf[32];
    double t;
    time_t seconds;

    if (datetime_parse(s, NOW, &t, &e) < 0)
        fail_msg("%s: %s", s, e.text);
    seconds = (time_t)t;
    strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", gmtime(&seconds));
    if (strcmp(buf, want) != 0)
        fail_msg("%s: %s instead of %s", s, buf, want);
}

static void spans_count_from_now(void **state)
{
    check("now", "2026-11-21 02:00:00");
    check("+1.5h", "2026-11-21 03:30:00");
    check("in 5 minutes", "2026-11-21 02:05:00");
    check("in an hour", "2026-11-21 03:00:00");
    check("2 days", "2026-11-23 02:00:00");
}

static void days_and_times_go_in_any_order(void **state)
{
    check("2027-06-21 8am", "2027-06-21 08:00:00");
    check("2027-06-21T17:30", "2027-06-21 17:30:00");
    check("8:15 pm 2027-06-21", "2027-06-21 20:15:00");
    check("tomorrow morning", "2026-11-22 06:00:00");
    check("noon tomorrow", "2026-11-22 12:00:00");
    check("monday at 12:00:30", "2026-11-23 12:00:30");
    check("sat", "2026-11-28 00:00:00"); /* today is one: the next */
    check("12am tomorrow", "2026-11-22 00:00:00");
    check("2026-12-31", "2026-12-31 00:00:00");
}

static void a_time_alone_is_the_next_one(void **state)
{
    check("8am", "2026-11-21 08:00:00");
    check("1am", "2026-11-22 01:00:00");
}

static void what_is_not_understood_is_refused(void **state)
{
    static const char *const wrong[] = { "",
                                         "soon",
                                         "+1x",
                                         "25:00",
                                         "13pm",
                                         "8",
                                         "8am 9am",
                                         "2026-02-30",
                                         "2026-13-01",
                                         "in 5 moons",
                                         "tomorrow today",
                                         "+inf",
                                         "in 1e300 days" };
    double t;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        flux_error_t e = { "" };

        if (datetime_parse(wrong[i], NOW, &t, &e) != -EINVAL || !e.text[0])
            fail_msg("'%s' was taken", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_count_from_now),
        cmocka_unit_test(days_and_times_go_in_any_order),
        cmocka_unit_test(a_time_alone_is_the_next_one),
        cmocka_unit_test(what_is_not_understood_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
