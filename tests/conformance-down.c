/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the pages of section 3 promise while a service is down, and of what is too large: run by
 * test_man3.py with the pid of the KVS, which is ended here, in $KVS_PID, in an instance that keeps
 * blobs of 1000 bytes at most. */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

#include "conformance.h"

static flux_future_t *watch_that_was_received(const char *key)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;

    assert_int_equal(flux_kvs_txn_put(txn, 0, key, "1"), 0);
    assert_int_equal(outcome(flux_kvs_commit(h, NULL, 0, txn)), 0);
    flux_kvs_txn_destroy(txn);
    f = flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH, key);
    assert_non_null(f);
    assert_int_equal(flux_future_wait_for(f, LIMIT), 0);
    assert_int_equal(flux_future_get(f, NULL), 0);
    flux_future_reset(f);
    return f;
}

/* A request that the service had not received yet may instead be answered by the next one. */
static void what_is_in_flight_when_a_service_ends_is_ECONNRESET(void **state)
{
    pid_t pid = (pid_t)strtol(getenv("KVS_PID"), NULL, 10);
    flux_future_t *watch = watch_that_was_received("down.a");
    flux_future_t *f;

    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    f = flux_kvs_lookup(h, NULL, 0, "down.a");
    assert_int_equal(flux_future_wait_for(f, 0.05), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(flux_future_wait_for(f, LIMIT), 0);
    if (flux_future_get(f, NULL) < 0) {
        assert_int_equal(errno, ECONNRESET);
        assert_true(strlen(flux_future_error_string(f)) > 0);
    }
    flux_future_destroy(f);
    assert_int_equal(outcome(watch), ECONNRESET);
}

/* It is started again, and what comes meanwhile waits for it. */
static void who_asks_again_is_answered(void **state)
{
    assert_int_equal(outcome(flux_kvs_lookup(h, NULL, 0, "down.none")), ENOENT);
}

static void a_service_that_does_not_exist_is_ENOSYS(void **state)
{
    assert_int_equal(outcome(flux_rpc(h, "no-such-service.x", NULL, FLUX_NODEID_ANY, 0)), ENOSYS);
    assert_int_equal(outcome(flux_rpc(h, "kvs.no-such-method", NULL, FLUX_NODEID_ANY, 0)), ENOSYS);
}

static void what_is_too_large_is_EFBIG(void **state)
{
    static char blob[1001];
    flux_future_t *f;

    assert_int_equal(outcome(flux_content_store(h, blob, 1000, 0)), 0);
    f = flux_content_store(h, blob, 1001, 0);
    assert_int_equal(flux_future_wait_for(f, LIMIT), 0);
    assert_int_equal(flux_future_get(f, NULL), -1);
    assert_int_equal(errno, EFBIG);
    assert_non_null(strstr(flux_future_error_string(f), "1000"));
    flux_future_destroy(f);
    assert_null(flux_content_store(h, blob, (size_t)INT_MAX + 1, 0));
    assert_int_equal(errno, EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_flight_when_a_service_ends_is_ECONNRESET),
        cmocka_unit_test(who_asks_again_is_answered),
        cmocka_unit_test(a_service_that_does_not_exist_is_ENOSYS),
        cmocka_unit_test(what_is_too_large_is_EFBIG),
    };

    return cmocka_run_group_tests_name("down", tests, setup, teardown);
}
