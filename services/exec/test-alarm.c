/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alarm.h"
#include "base/monotime.h"

#define N 1000

static struct fixture {
    flux_reactor_t *r;
    struct alarms *as;
    struct alarm a[N];
    uint64_t due[N];
    int order[N], n, stop_at;
} fx;

static void on_alarm(void *arg)
{
    const int i = (int)((struct alarm *)arg - fx.a);

    assert_true(monotime_usec() >= fx.due[i]);
    fx.order[fx.n++] = i;
    if (fx.n == fx.stop_at)
        flux_reactor_stop(fx.r);
}

static int setup(void **state)
{
    fx = (struct fixture){ .r = flux_reactor_create(0) };
    for (int i = 0; i < N; i++) {
        fx.a[i].fn = on_alarm;
        fx.a[i].arg = &fx.a[i];
    }
    return fx.r ? alarms_new(fx.r, &fx.as) : -1;
}

static int teardown(void **state)
{
    alarms_free(fx.as);
    flux_reactor_destroy(fx.r);
    return 0;
}

static void set(int i, uint64_t usec)
{
    fx.due[i] = monotime_usec() + usec;
    alarm_set(fx.as, &fx.a[i], usec);
}

static void run(int n)
{
    fx.stop_at = n;
    assert_true(flux_reactor_run(fx.r, 0) >= 0);
    assert_int_equal(fx.n, n);
}

static void alarms_go_off_in_order_and_not_early(void **state)
{
    uint64_t at[4];

    set(0, 3000);
    set(1, 100);
    set(2, 2000);
    set(3, 0);
    for (int i = 0; i < 4; i++)
        at[i] = fx.a[i].at_usec; /* between two calls there may be any time */
    run(4);
    for (int i = 0; i < 3; i++)
        assert_true(at[fx.order[i]] <= at[fx.order[i + 1]]);
}

static void a_cleared_alarm_does_not_go_off(void **state)
{
    set(0, 100);
    set(1, 200);
    alarm_clear(fx.as, &fx.a[0]);
    alarm_clear(fx.as, &fx.a[0]);
    run(1);
    assert_int_equal(fx.order[0], 1);
}

static void set_again(void *arg)
{
    fx.a[0].fn = on_alarm;
    fx.due[0] = monotime_usec() + 10;
    alarm_set(fx.as, &fx.a[0], 10);
}

static void an_alarm_may_be_set_again_when_it_goes_off(void **state)
{
    fx.a[0].fn = set_again;
    set(0, 10);
    run(1);
}

static void more_than_one_pass_takes_all_go_off(void **state)
{
    for (int i = 0; i < N; i++)
        set(i, 50);
    run(N);
    for (int i = 0; i < N; i++)
        assert_int_equal(fx.order[i], i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(alarms_go_off_in_order_and_not_early, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cleared_alarm_does_not_go_off, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alarm_may_be_set_again_when_it_goes_off, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(more_than_one_pass_takes_all_go_off, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
