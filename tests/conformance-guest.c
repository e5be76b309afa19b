/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the pages of section 3 promise to those who may not: run by test_man3.py as a user who is
 * not the owner of the instance, with the owner's job in $OWNERS_JOB. The owner publishes private
 * and public events meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conformance.h"

#define NOBODYS "blake2b-0000000000000000000000000000000000000000000000000000000000000000"

static int commit_error(const char *ns)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    int errnum;

    assert_int_equal(flux_kvs_txn_put(txn, 0, "a", "1"), 0);
    errnum = outcome(flux_kvs_commit(h, ns, 0, txn));
    if (errnum == EPERM)
        assert_int_equal(outcome(flux_kvs_fence(h, ns, 0, "guest", 1, txn)), EPERM);
    flux_kvs_txn_destroy(txn);
    return errnum;
}

static void the_store_of_the_owner_is_EPERM(void **state)
{
    int version;

    assert_int_equal(outcome(flux_kvs_lookup(h, NULL, 0, "a")), EPERM);
    assert_int_equal(outcome(flux_kvs_lookup(h, NULL, FLUX_KVS_WATCH, "a")), EPERM);
    assert_int_equal(outcome(flux_kvs_lookup(h, NULL, FLUX_KVS_READDIR, ".")), EPERM);
    assert_int_equal(outcome(flux_kvs_getroot(h, NULL, 0)), EPERM);
    assert_int_equal(flux_kvs_get_version(h, NULL, &version), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(flux_kvs_wait_version(h, NULL, 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(flux_kvs_dropcache(h), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(outcome(flux_kvs_copy(h, "a", "b", 0)), EPERM);
    assert_int_equal(outcome(flux_kvs_move(h, "a", "b", 0)), EPERM);
    assert_int_equal(commit_error(NULL), EPERM);
    assert_int_equal(outcome(flux_kvs_namespace_create(h, "mine", getuid(), 0)), EPERM);
    assert_int_equal(outcome(flux_kvs_namespace_remove(h, "guests")), EPERM);
}

static void a_namespace_of_his_own_is_his(void **state)
{
    int version;

    assert_int_equal(commit_error("guests"), 0);
    assert_int_equal(outcome(flux_kvs_lookup(h, "guests", 0, "a")), 0);
    assert_int_equal(flux_kvs_get_version(h, "guests", &version), 0);
    assert_int_equal(outcome(flux_kvs_lookup(h, "owners", 0, "a")), EPERM);
}

static void a_hash_is_not_a_secret(void **state)
{
    assert_int_equal(outcome(flux_content_load(h, NOBODYS, 0)), EPERM);
    assert_int_equal(outcome(flux_content_store(h, "x", 1, 0)), EPERM);
}

static void attributes_are_read_and_not_set(void **state)
{
    assert_non_null(flux_attr_get(h, "rank"));
    assert_int_equal(flux_attr_set(h, "guests-attr", "1"), -1);
    assert_int_equal(errno, EPERM);
}

static void services_have_the_name_of_the_user(void **state)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%u-echo", getuid());
    assert_int_equal(outcome(flux_service_register(h, "echo")), EPERM);
    assert_int_equal(outcome(flux_service_register(h, name)), 0);
    assert_int_equal(outcome(flux_service_unregister(h, name)), 0);
}

static void jobs_of_others_are_theirs(void **state)
{
    flux_jobid_t id;

    assert_int_equal(flux_job_id_parse(getenv("OWNERS_JOB"), &id), 0);
    assert_int_equal(outcome(flux_job_cancel(h, id, NULL)), EPERM);
    assert_int_equal(outcome(flux_job_raise(h, id, "mine", 7, NULL)), EPERM);
    assert_int_equal(outcome(flux_job_kill(h, id, 9)), EPERM);
    assert_int_equal(outcome(flux_job_set_urgency(h, id, 1)), EPERM);
    assert_int_equal(outcome(flux_job_event_watch(h, id, "eventlog", 0)), EPERM);
    assert_int_equal(outcome(flux_job_wait(h, id)), EPERM);
}

/* The owner publishes "secret" privately, then "open", again and again. */
static void private_events_of_others_do_not_come(void **state)
{
    flux_msg_t *msg;
    const char *topic;

    assert_int_equal(flux_event_subscribe(h, ""), 0);
    for (int i = 0; i < 5; i++) {
        msg = flux_recv(h, FLUX_MATCH_EVENT, 0);
        assert_non_null(msg);
        assert_int_equal(flux_msg_get_topic(msg, &topic), 0);
        assert_string_not_equal(topic, "conf.secret");
        assert_false(flux_msg_is_private(msg));
        flux_msg_destroy(msg);
    }
    assert_int_equal(outcome(flux_event_publish(h, "mine", FLUX_MSGFLAG_PRIVATE, NULL)), 0);
    do {
        struct flux_msg_cred cred;

        msg = flux_recv(h, FLUX_MATCH_EVENT, 0);
        assert_non_null(msg);
        assert_int_equal(flux_msg_get_topic(msg, &topic), 0);
        assert_int_equal(flux_msg_get_cred(msg, &cred), 0);
        if (strcmp(topic, "mine") != 0)
            topic = NULL;
        else
            assert_int_equal(cred.userid, getuid());
        flux_msg_destroy(msg);
    } while (!topic);
    assert_int_equal(flux_event_unsubscribe(h, ""), 0);
}

static void logging_is_for_everybody(void **state)
{
    assert_int_equal(flux_log(h, LOG_INFO, "a guest was here"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_of_the_owner_is_EPERM),
        cmocka_unit_test(a_namespace_of_his_own_is_his),
        cmocka_unit_test(a_hash_is_not_a_secret),
        cmocka_unit_test(attributes_are_read_and_not_set),
        cmocka_unit_test(services_have_the_name_of_the_user),
        cmocka_unit_test(jobs_of_others_are_theirs),
        cmocka_unit_test(private_events_of_others_do_not_come),
        cmocka_unit_test(logging_is_for_everybody),
    };

    return cmocka_run_group_tests_name("guest", tests, setup, teardown);
}
