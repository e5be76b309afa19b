/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What incomplete fences may hold. How complete ones are committed: test-client.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "kvs/fake-client.h"
#include "kvs/fence.h"

#define MIB (1u << 20)

static int nanswered;

static void on_done(struct txn *t, void *arg)
{
    assert_int_equal(t->err, 0);
    nanswered++;
    txn_free(t);
}

/* One participant of a fence of this user, whose request had so many bytes. Its client is gone. */
static int enter(struct fake *f, uint32_t userid, const char *name, int nprocs, size_t size)
{
    const struct caller who = { .userid = userid, .is_owner = userid == FAKE_OWNER };
    const struct fence_args args = { .name = name, .nprocs = nprocs, .size_bytes = size };
    json_t *ops = json_array();
    flux_error_t error;
    struct txn *t;
    int rc;

    assert_int_equal(txn_new_commit(fake_kvs(f), "his", 0, ops, &who, &t, &error), 0);
    json_decref(ops);
    t->done = on_done;
    rc = fence_submit(fake_kvs(f), &args, t, &error);
    if (rc < 0) {
        assert_true(strlen(error.text) > 0);
        txn_free(t);
    }
    return rc;
}

/* So many fences that nobody completes. */
static int open_all(struct fake *f, uint32_t userid)
{
    char name[32];
    int n = 0, rc = 0;

    while (rc == 0) {
        (void)snprintf(name, sizeof(name), "open-%d", n++);
        rc = enter(f, userid, name, 2, 100);
    }
    assert_int_equal(rc, -EAGAIN);
    return n - 1;
}

static void what_clients_left_in_incomplete_fences_is_charged_to_their_user(void **state)
{
    int n = 0;

    while (enter(*state, 7, "whole-world", 1 << 30, MIB) == 0)
        assert_true(++n <= 64);
    assert_int_equal(n, 64);
    assert_int_equal(enter(*state, 7, "other", 2, MIB), -EAGAIN);
    assert_int_equal(enter(*state, 8, "whole-world", 2, MIB), 0);
    assert_int_equal(enter(*state, FAKE_OWNER, "whole-world", 2, MIB), 0);
}

static void no_guest_keeps_others_out_nor_all_guests_the_owner(void **state)
{
    int n = open_all(*state, 7);

    assert_int_equal(n, FENCES_PER_GUEST);
    for (uint32_t userid = 8; userid < 30; userid++)
        n += open_all(*state, userid);
    assert_int_equal(n, FENCES_GUESTS);
    assert_int_equal(open_all(*state, FAKE_OWNER), FENCES_MAX - FENCES_GUESTS);
}

static void complete_fences_hold_nothing(void **state)
{
    char name[32];

    nanswered = 0;
    assert_int_equal(fake_create(*state, "his", 7), 0);
    for (int i = 0; i < 2 * FENCES_PER_GUEST; i++) {
        (void)snprintf(name, sizeof(name), "done-%d", i);
        assert_int_equal(enter(*state, 7, name, 2, MIB), 0);
        assert_int_equal(enter(*state, 7, name, 2, MIB), 0);
        fake_run(*state);
    }
    assert_int_equal(nanswered, 4 * FENCES_PER_GUEST);
}

static void a_name_that_is_remembered_is_not_long(void **state)
{
    char name[FENCE_NAME_MAX + 2];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(enter(*state, FAKE_OWNER, name, 1, 100), -EINVAL);
    assert_int_equal(enter(*state, FAKE_OWNER, name + 1, 2, 100), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_clients_left_in_incomplete_fences_is_charged_to_their_user),
        T(no_guest_keeps_others_out_nor_all_guests_the_owner),
        T(complete_fences_hold_nothing),
        T(a_name_that_is_remembered_is_not_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
