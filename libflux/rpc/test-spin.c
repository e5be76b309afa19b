/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <unistd.h>
#include "base/testing.h"
#include "rpc/spin.h"

struct fixture {
    int fds[2];
    struct pollfd pfd;
    struct spin spin;
};

static int setup(void **state)
{
    static struct fixture fx;

    fx = (struct fixture){ .spin.cores = 2 };
    assert_int_equal(pipe(fx.fds), 0);
    fx.pfd = (struct pollfd){ .fd = fx.fds[0], .events = POLLIN };
    *state = &fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;

    close(fx->fds[0]);
    close(fx->fds[1]);
    return 0;
}

static void test_what_is_there_is_found_and_keeps_it_looking(void **state)
{
    struct fixture *fx = *state;

    fx->spin.misses = 3;
    assert_int_equal(write(fx->fds[1], "x", 1), 1);
    assert_int_equal(spin_poll(&fx->spin, &fx->pfd, 1), 1);
    assert_int_equal(fx->pfd.revents, POLLIN);
    assert_int_equal(fx->spin.misses, 0);
    assert_int_equal(fx->spin.skip, 0);
}

static void test_where_nothing_comes_it_looks_ever_more_rarely(void **state)
{
    struct fixture *fx = *state;
    unsigned int waits = 0, looks = 0;

    while (waits < 1000) {
        const unsigned int skip = fx->spin.skip;

        assert_int_equal(spin_poll(&fx->spin, &fx->pfd, 1), 0);
        looks += skip == 0;
        waits++;
    }
    assert_int_equal(fx->spin.misses, SPIN_MISSES_MAX);
    assert_in_range(looks, SPIN_MISSES_MAX, SPIN_MISSES_MAX + 4);
}

static void test_on_one_core_it_never_looks(void **state)
{
    struct fixture *fx = *state;

    fx->spin.cores = 1;
    assert_int_equal(write(fx->fds[1], "x", 1), 1);
    assert_int_equal(spin_poll(&fx->spin, &fx->pfd, 1), 0);
    assert_int_equal(fx->pfd.revents, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_there_is_found_and_keeps_it_looking, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_where_nothing_comes_it_looks_ever_more_rarely, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_on_one_core_it_never_looks, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
