/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "broker/overlay/hello.h"

static struct hello make(const char *host, int min, int max)
{
    struct hello h = { .version_min = min,
                       .version_max = max,
                       .rank = 3,
                       .size = 7,
                       .uuid = "u1",
                       .epoch = "e1",
                       .event_seq = 42 };

    (void)snprintf(h.host, sizeof(h.host), "%s", host);
    return h;
}

static void what_is_said_is_understood(void **state)
{
    const struct hello h = make("node3", 1, 2);
    CLEANUP(freep) char *text = hello_encode(&h);
    struct hello got;

    assert_int_equal(hello_decode(text, strlen(text), &got), 0);
    assert_int_equal(got.version_max, 2);
    assert_int_equal(got.rank, 3);
    assert_int_equal(got.size, 7);
    assert_int_equal(got.event_seq, 42);
    assert_string_equal(got.host, "node3");
    assert_string_equal(got.uuid, "u1");
    assert_string_equal(got.epoch, "e1");
    assert_string_equal(got.session, "");
}

static void a_session_that_goes_on_is_named(void **state)
{
    struct hello h = make("node3", 1, 2), got;
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) char *bad = NULL;

    memset(h.session, 'a', sizeof(h.session) - 1);
    text = hello_encode(&h);
    assert_int_equal(hello_decode(text, strlen(text), &got), 0);
    assert_string_equal(got.session, h.session);
    assert_true(asprintf(&bad, "%.*s,\"session\":\"%s%s\"}", (int)strlen(text) - 1, text, h.session,
                         "a") > 0);
    assert_true(hello_decode(bad, strlen(bad), &got) < 0);
}

static void nonsense_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"version\":[1,1]}",
        "{\"version\":[1,1],\"rank\":-1,\"size\":1,\"uuid\":\"\",\"epoch\":\"\",\"hostname\":\"\","
        "\"event_seq\":0}",
        "{\"version\":[1,1],\"rank\":0,\"size\":0,\"uuid\":\"\",\"epoch\":\"\",\"hostname\":\"\","
        "\"event_seq\":0}",
        "{\"version\":[1,1],\"rank\":0,\"size\":1,\"uuid\":"
        "\"0123456789012345678901234567890123456789\",\"epoch\":\"\",\"hostname\":\"\","
        "\"event_seq\":0}",
    };
    struct hello got;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(hello_decode(bad[i], strlen(bad[i]), &got) < 0);
}

static void versions_that_overlap_work_together(void **state)
{
    const struct hello a = make("a", 1, 3), b = make("b", 2, 5);

    assert_int_equal(hello_version(&a, &b, NULL), 3);
    assert_int_equal(hello_version(&b, &a, NULL), 3);
}

static void of_others_the_one_too_old_is_named(void **state)
{
    const struct hello old = make("oldhost", 1, 1), new = make("newhost", 2, 3);
    flux_error_t error = { .text = "" };

    assert_int_equal(hello_version(&new, &old, &error), -EPROTONOSUPPORT);
    assert_non_null(strstr(error.text, "upgrade oldhost"));
    assert_int_equal(hello_version(&old, &new, &error), -EPROTONOSUPPORT);
    assert_non_null(strstr(error.text, "upgrade oldhost"));
}

static void a_refusal_says_why(void **state)
{
    const struct refusal r = { .errnum = EPERM, .reason = "no such key" };
    CLEANUP(freep) char *text = refusal_encode(&r);
    struct refusal got;

    assert_int_equal(refusal_decode(text, strlen(text), &got), 0);
    assert_int_equal(got.errnum, EPERM);
    assert_string_equal(got.reason, "no such key");
    assert_true(refusal_decode("x", 1, &got) < 0);
    assert_true(refusal_decode("", 0, &got) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_understood),
        cmocka_unit_test(a_session_that_goes_on_is_named),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(versions_that_overlap_work_together),
        cmocka_unit_test(of_others_the_one_too_old_is_named),
        cmocka_unit_test(a_refusal_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
