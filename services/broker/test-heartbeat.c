/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* When the heart beats, and how often. That the beats arrive is seen in tests/test_heartbeat.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "broker/heartbeat.h"

static int period(const char *json, double *ret)
{
    json_t *o = json_loads(json, 0, NULL);
    flux_error_t error = { .text = "" };
    const int rc = heartbeat_period(o, ret, &error);

    assert_non_null(o);
    assert_true((rc < 0) == (error.text[0] != '\0'));
    assert_true(rc == 0 || strncmp(error.text, "heartbeat", 9) == 0);
    json_decref(o);
    return rc;
}

static void the_period_is_a_duration_of_a_tenth_of_a_second_or_more(void **state)
{
    static const char *const bad[] = { "1",
                                       "[]",
                                       "{\"period\":0}",
                                       "{\"period\":-1}",
                                       "{\"period\":\"x\"}",
                                       "{\"period\":\"inf\"}",
                                       "{\"period\":{}}",
                                       "{\"period\":0.09999}",
                                       "{\"period\":null}" };
    char text[64];
    double s;

    assert_int_equal(period("{}", &s), 0);
    assert_true(s == 2.);
    assert_int_equal(period("{\"heartbeat\":{}}", &s), 0);
    assert_true(s == 2.);
    assert_int_equal(period("{\"heartbeat\":{\"period\":\"1.5m\"}}", &s), 0);
    assert_true(s == 90.);
    assert_int_equal(period("{\"heartbeat\":{\"period\":5}}", &s), 0);
    assert_true(s == 5.);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        (void)snprintf(text, sizeof(text), "{\"heartbeat\":%s}", bad[i]);
        assert_int_equal(period(text, &s), -EINVAL);
    }
}

struct fixture {
    flux_reactor_t *r;
    struct router router;
    struct heartbeat hb;
    struct subscriber sub;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f || !(f->r = flux_reactor_create(0)) || heartbeat_init(&f->hb, &f->router, f->r) < 0)
        return -1;
    subscriber_init(&f->sub);
    heartbeat_set_period(&f->hb, HEARTBEAT_PERIOD_MIN);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    events_forget(&f->router.events, &f->sub);
    heartbeat_deinit(&f->hb);
    flux_reactor_destroy(f->r);
    free(f);
    return 0;
}

static void it_beats_for_those_who_want_it_only(void **state)
{
    struct fixture *f = *state;

    heartbeat_wake(&f->hb);
    assert_false(flux_watcher_is_active(f->hb.timer));
    assert_int_equal(events_subscribe(&f->router.events, &f->sub, "heartbeat.pulse.x"), 0);
    assert_int_equal(events_subscribe(&f->router.events, &f->sub, "heartbeet"), 0);
    heartbeat_wake(&f->hb);
    assert_false(flux_watcher_is_active(f->hb.timer));
    assert_int_equal(events_subscribe(&f->router.events, &f->sub, "heart"), 0);
    heartbeat_wake(&f->hb);
    assert_true(flux_watcher_is_active(f->hb.timer));
}

static void it_stops_by_itself_when_nobody_wants_it_any_more(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->router.events, &f->sub, ""), 0);
    heartbeat_wake(&f->hb);
    events_forget(&f->router.events, &f->sub);
    assert_true(flux_reactor_run(f->r, 0) >= 0); /* ends when nothing is watched */
    assert_false(flux_watcher_is_active(f->hb.timer));
    assert_int_equal(f->router.stats.events, 0);
}

static void only_rank_0_beats(void **state)
{
    struct fixture *f = *state;

    f->router.rank = 1;
    assert_int_equal(events_subscribe(&f->router.events, &f->sub, ""), 0);
    heartbeat_wake(&f->hb);
    assert_false(flux_watcher_is_active(f->hb.timer));
}

static void a_new_period_is_taken_while_it_beats(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->router.events, &f->sub, ""), 0);
    heartbeat_wake(&f->hb);
    heartbeat_set_period(&f->hb, 1000.);
    assert_true(flux_watcher_is_active(f->hb.timer));
    assert_true(flux_watcher_next_wakeup(f->hb.timer) > 900.);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_period_is_a_duration_of_a_tenth_of_a_second_or_more),
        T(it_beats_for_those_who_want_it_only),
        T(it_stops_by_itself_when_nobody_wants_it_any_more),
        T(only_rank_0_beats),
        T(a_new_period_is_taken_while_it_beats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
