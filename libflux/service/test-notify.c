/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a service manager is told, with its socket played by the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "base/monotime.h"
#include "service/state.h"

static int open_manager(char *dir)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/notify", dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", sa.sun_path, 1), 0);
    return fd;
}

static void a_long_start_asks_for_more_time_once_a_second(void **state)
{
    char dir[] = "/tmp/test-notify-XXXXXX", text[256], path[64];
    const int fd = open_manager(dir);
    flux_reactor_t *r = flux_reactor_create(0);
    const uint64_t begin_usec = monotime_usec();
    uint64_t seconds;
    struct notify *n;
    unsigned int count = 0;

    assert_non_null(r);
    assert_int_equal(notify_new(r, &n), 0);
    for (; count == 0; notify_extend(n)) {
        const ssize_t len = recv(fd, text, sizeof(text) - 1, 0);

        count += len > 0;
        text[len > 0 ? len : 0] = '\0';
    }
    seconds = (monotime_usec() - begin_usec) / 1000000;
    assert_true(seconds >= 1);
    assert_string_equal(text, "EXTEND_TIMEOUT_USEC=60000000");
    while (recv(fd, text, sizeof(text), 0) > 0)
        count++;
    assert_true(count <= seconds + 1);
    (void)notify_free(n);
    flux_reactor_destroy(r);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/notify", dir);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

static void a_start_that_waits_for_others_asks_for_more_time_until_it_is_ready(void **state)
{
    char dir[] = "/tmp/test-notify-XXXXXX", text[256] = "", path[64];
    const int fd = open_manager(dir);
    struct service svc = { .reactor = flux_reactor_create(0) };

    assert_non_null(svc.reactor);
    assert_int_equal(notify_new(svc.reactor, &svc.notify), 0);
    assert_int_equal(service_hold_ready(&svc), 0);
    while (recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) < 0)
        assert_true(flux_reactor_run(svc.reactor, FLUX_REACTOR_ONCE) >= 0);
    assert_string_equal(text, "EXTEND_TIMEOUT_USEC=60000000");
    service_ready(&svc);
    assert_int_equal(flux_reactor_run(svc.reactor, 0), 0); /* nothing is left to be waited for */
    service_allow(&svc, 300);
    assert_true(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
    assert_string_equal(text, "EXTEND_TIMEOUT_USEC=300000000");
    flux_watcher_destroy(svc.hold);
    (void)notify_free(svc.notify);
    flux_reactor_destroy(svc.reactor);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/notify", dir);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_start_asks_for_more_time_once_a_second),
        cmocka_unit_test(a_start_that_waits_for_others_asks_for_more_time_until_it_is_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
