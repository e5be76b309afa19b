/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "supervise/fdstore.h"
#include "supervise/notify.h"

static void test_descriptors_are_kept_up_to_the_limit_and_not_twice(void **state)
{
    struct fdstore s = { .max = 2 };
    int a[2], b[2], dup_of_a;

    assert_int_equal(pipe(a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b), 0);
    dup_of_a = dup(a[0]);
    assert_int_equal(fdstore_add(&s, a[0], "one", true), 0);
    assert_int_equal(fdstore_add(&s, dup_of_a, "one", true), 0);
    assert_int_equal(s.count, 1);
    assert_int_equal(fcntl(dup_of_a, F_GETFD), -1);
    assert_int_equal(fdstore_add(&s, b[0], "two", true), 0);
    assert_int_equal(fdstore_add(&s, b[1], "three", true), -ENOSPC);
    assert_int_equal(fcntl(b[1], F_GETFD), -1);
    fdstore_remove(&s, "two");
    assert_int_equal(s.count, 1);
    fdstore_deinit(&s);
    assert_int_equal(fcntl(a[0], F_GETFD), -1);
    close(a[1]);
}

static void test_bad_names_are_refused(void **state)
{
    static const char *const wrong[] = { "", "a:b", "a\nb", "\x80" };
    struct fdstore s = { .max = 9 };

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(fdstore_add(&s, dup(0), wrong[i], true), -EINVAL);
    fdstore_deinit(&s);
}

static void test_connections_whose_peer_left_are_dropped_unless_told_otherwise(void **state)
{
    struct fdstore s = { .max = 9 };
    int a[2], b[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b), 0);
    assert_int_equal(fdstore_add(&s, a[0], "polled", true), 0);
    assert_int_equal(fdstore_add(&s, b[0], "kept", false), 0);
    fdstore_drop_dead(&s);
    assert_int_equal(s.count, 2);
    close(a[1]);
    close(b[1]);
    fdstore_drop_dead(&s);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.fds[0].name, "kept");
    fdstore_deinit(&s);
}

static void test_notifications_are_read_line_by_line(void **state)
{
    char text[] =
        "READY=1\nSTATUS=17 commits\nWATCHDOG=1\nFDSTORE=1\nFDNAME=conn\nX_OTHER=1\nFDPOLL=0";
    char trigger[] = "WATCHDOG=trigger\nREADY=0\nWATCHDOG_USEC=nonsense";
    struct notification n;

    notification_parse(text, &n);
    assert_true(n.ready && n.watchdog && n.fdstore && n.fdpoll_off);
    assert_string_equal(n.status, "17 commits");
    assert_string_equal(n.fdname, "conn");
    notification_parse(trigger, &n);
    assert_true(n.watchdog_trigger && !n.ready && !n.watchdog);
    assert_int_equal(n.watchdog_usec, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_are_kept_up_to_the_limit_and_not_twice),
        cmocka_unit_test(test_bad_names_are_refused),
        cmocka_unit_test(test_connections_whose_peer_left_are_dropped_unless_told_otherwise),
        cmocka_unit_test(test_notifications_are_read_line_by_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
