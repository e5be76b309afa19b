/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "broker/endpoint.h"

static void what_zeromq_can_use_is_taken(void **state)
{
    static const struct {
        const char *uri;
        enum endpoint_use use;
        bool ipv6;
    } good[] = {
        { "tcp://*:8050", ENDPOINT_BIND, false },
        { "tcp://eth0:1", ENDPOINT_BIND, false },
        { "tcp://node1.example.org:65535", ENDPOINT_CONNECT, false },
        { "tcp://192.168.0.1:8050", ENDPOINT_CONNECT, false },
        { "tcp://[::1]:8050", ENDPOINT_CONNECT, true },
        { "tcp://[fe80::1%eth0]:8050", ENDPOINT_BIND, true },
        { "ipc:///run/flux/tbon", ENDPOINT_BIND, false },
    };
    flux_error_t error = { .text = "" };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (endpoint_check("x", good[i].uri, good[i].use, good[i].ipv6, &error) != 0)
            fail_msg("%s: %s", good[i].uri, error.text);
}

static void what_it_cannot_use_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *uri, *says;
    } bad[] = {
        { "", "does not begin with" },
        { "udp://a:1", "does not begin with" },
        { "tcp:/a:1", "does not begin with" },
        { "tcp://", "not tcp://HOST:PORT" },
        { "tcp://:8050", "not tcp://HOST:PORT" },
        { "tcp://a b:1", "no URI has" },
        { "tcp://a;b:1", "not tcp://HOST:PORT" },
        { "tcp://a", "no port" },
        { "tcp://a:", "no port" },
        { "tcp://a:0", "no port" },
        { "tcp://a:*", "no port" },
        { "tcp://a:65536", "no port" },
        { "tcp://a:80x", "no port" },
        { "tcp://*:8050", "names no host" },
        { "tcp://::1:8050", "needs brackets" },
        { "tcp://[::1]:8050", "enable_ipv6" },
        { "tcp://[::1]", "not tcp://[ADDRESS]:PORT" },
        { "tcp://[1.2.3.4]:1", "no IPv6 address" },
        { "tcp://[]:1", "no IPv6 address" },
        { "ipc://", "no absolute path" },
        { "ipc://@abstract", "no absolute path" },
        { "ipc:///"
          "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
          "8901234567890123456789",
          "a path of a socket has" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        flux_error_t error = { .text = "" };

        assert_int_equal(endpoint_check("here", bad[i].uri, ENDPOINT_CONNECT, false, &error),
                         -EINVAL);
        if (!strstr(error.text, bad[i].says) || strncmp(error.text, "here: ", 6) != 0)
            fail_msg("%s: '%s' does not say '%s'", bad[i].uri, error.text, bad[i].says);
    }
}

static void names_of_hosts_have_an_end(void **state)
{
    char name[ENDPOINT_HOST_SIZE + 1];

    memset(name, 'a', sizeof(name));
    assert_true(endpoint_host_valid(name, ENDPOINT_HOST_SIZE - 1));
    assert_false(endpoint_host_valid(name, ENDPOINT_HOST_SIZE));
    assert_false(endpoint_host_valid("", 0));
    assert_false(endpoint_host_valid("a/b", 3));
    assert_false(endpoint_host_valid("a,b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_zeromq_can_use_is_taken),
        cmocka_unit_test(what_it_cannot_use_is_refused_with_the_reason),
        cmocka_unit_test(names_of_hosts_have_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
