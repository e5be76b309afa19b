/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "request.h"

#define PARSE(literal) parse(literal, sizeof(literal))

static struct imp_request req;

/* The literal's own NUL ends the last field. */
static int parse(const char *data, size_t size)
{
    const char *why = NULL;
    const int rc = imp_request_parse(data, size, &req, &why);

    if (rc < 0)
        assert_non_null(why);
    return rc;
}

static void the_three_verbs_are_read(void **state)
{
    assert_int_equal(PARSE("verb=start\0jobid=18446744073709551615\0userid=1000\0"
                           "uri=local:///run/flux/local"),
                     0);
    assert_int_equal(req.verb, IMP_START);
    assert_true(req.jobid == UINT64_MAX);
    assert_int_equal(req.userid, 1000);
    assert_string_equal(req.uri, "local:///run/flux/local");
    assert_int_equal(PARSE("verb=kill\0jobid=7\0signum=15"), 0);
    assert_int_equal(req.verb, IMP_KILL);
    assert_int_equal(req.signum, 15);
    assert_int_equal(PARSE("verb=list"), 0);
    assert_int_equal(req.verb, IMP_LIST);
}

static void the_order_of_fields_does_not_matter(void **state)
{
    assert_int_equal(PARSE("signum=9\0jobid=7\0verb=kill"), 0);
}

static void fields_must_be_exactly_those_of_the_verb(void **state)
{
    assert_int_equal(PARSE("verb=kill\0jobid=7"), -EINVAL);
    assert_int_equal(PARSE("jobid=7\0signum=9"), -EINVAL);
    assert_int_equal(PARSE("verb=list\0jobid=7"), -EINVAL);
    assert_int_equal(PARSE("verb=kill\0jobid=7\0signum=9\0userid=1"), -EINVAL);
    assert_int_equal(PARSE("verb=start\0jobid=7\0userid=1000"), -EINVAL);
}

static void unknown_and_repeated_fields_are_refused(void **state)
{
    assert_int_equal(PARSE("verb=list\0shell=/bin/sh"), -EINVAL);
    assert_int_equal(PARSE("verb=list\0verb=list"), -EINVAL);
    assert_int_equal(PARSE("verb=kill\0jobid=7\0jobid=8\0signum=9"), -EINVAL);
    assert_int_equal(PARSE("verb=list\0"), -EINVAL); /* an empty field */
    assert_int_equal(PARSE("verb"), -EINVAL);
    assert_int_equal(PARSE("=list"), -EINVAL);
    assert_int_equal(PARSE("VERB=list"), -EINVAL);
}

static void numbers_are_plain_and_in_range(void **state)
{
    static const char *const bad[] = {
        "jobid=",
        "jobid=0",
        "jobid=07",
        "jobid=+7",
        "jobid=-7",
        "jobid= 7",
        "jobid=7 ",
        "jobid=7x",
        "jobid=0x7",
        "jobid=18446744073709551616",
        "jobid=99999999999999999999999",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char data[128] = "verb=kill\0signum=9";
        const size_t head = sizeof("verb=kill\0signum=9");

        memcpy(data + head, bad[i], strlen(bad[i]) + 1);
        assert_int_equal(parse(data, head + strlen(bad[i]) + 1), -EINVAL);
    }
    assert_int_equal(PARSE("verb=kill\0jobid=7\0signum=0"), -EINVAL);
    assert_int_equal(PARSE("verb=kill\0jobid=7\0signum=65"), -EINVAL);
    assert_int_equal(PARSE("verb=start\0jobid=7\0userid=4294967296\0uri=local:///a"), -EINVAL);
}

static void uris_are_plain_local_paths(void **state)
{
    static const char *const bad[] = {
        "uri=",
        "uri=local://",
        "uri=local:///",
        "uri=local://run/flux",
        "uri=ssh:///run/flux",
        "uri=local:///run/../etc",
        "uri=local:///run//flux",
        "uri=local:///run/flux\n",
        "uri=local:///run/flux local",
        "uri=local:///run/$HOME",
        "uri=local:///run/%t",
        "uri=local:///run/\"x\"",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char data[256] = "verb=start\0jobid=7\0userid=1";
        const size_t head = sizeof("verb=start\0jobid=7\0userid=1");

        memcpy(data + head, bad[i], strlen(bad[i]) + 1);
        assert_int_equal(parse(data, head + strlen(bad[i]) + 1), -EINVAL);
    }
}

static void sizes_are_checked(void **state)
{
    char big[IMP_REQUEST_MAX + 1];

    memset(big, 'a', sizeof(big));
    memcpy(big, "uri=local:///", 13);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(parse(big, sizeof(big)), -EINVAL);
    assert_int_equal(parse("", 0), -EINVAL);
    assert_int_equal(parse("", 1), -EINVAL);
    assert_int_equal(parse("verb=list", 9), -EINVAL); /* no NUL */
}

static void only_the_owner_is_served_and_only_for_himself(void **state)
{
    struct imp_request r = { .verb = IMP_START, .jobid = 1, .userid = 500 };

    assert_null(imp_request_refuse(&r, 500, 500));
    assert_non_null(imp_request_refuse(&r, 501, 500));
    assert_non_null(imp_request_refuse(&r, 0, 500));
    r.userid = 501;
    assert_non_null(imp_request_refuse(&r, 500, 500));
    r.userid = 0;
    assert_non_null(imp_request_refuse(&r, 500, 500));
    assert_non_null(imp_request_refuse(&r, 0, 0));
    r.userid = 65534;
    assert_non_null(imp_request_refuse(&r, 65534, 65534));
    r = (struct imp_request){ .verb = IMP_LIST };
    assert_null(imp_request_refuse(&r, 500, 500));
    assert_non_null(imp_request_refuse(&r, 1000, 500));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_verbs_are_read),
        cmocka_unit_test(the_order_of_fields_does_not_matter),
        cmocka_unit_test(fields_must_be_exactly_those_of_the_verb),
        cmocka_unit_test(unknown_and_repeated_fields_are_refused),
        cmocka_unit_test(numbers_are_plain_and_in_range),
        cmocka_unit_test(uris_are_plain_local_paths),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(only_the_owner_is_served_and_only_for_himself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
