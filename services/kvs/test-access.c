/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Namespaces, what guests may do in them, and operations that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/fake-client.h"

static void test_namespaces_come_and_go(void **state)
{
    struct fake *f = *state;

    assert_int_equal(fake_create(f, "job", 7), 0);
    assert_int_equal(fake_create(f, "job", 7), -EEXIST);
    assert_int_equal(fake_create(f, "", 7), -EINVAL);
    assert_int_equal(fake_put(f, "job", "a", "1"), 0);
    fake_assert_error(f, "primary", 0, "a", ENOENT);
    assert_int_equal(fake_remove(f, "job"), 0);
    assert_int_equal(fake_remove(f, "job"), -ENOTSUP);
    assert_int_equal(fake_remove(f, "primary"), -ENOTSUP);
    fake_assert_error(f, "job", 0, "a", ENOTSUP);
    assert_int_equal(fake_put(f, "job", "a", "1"), -ENOTSUP);
    fake_restart(f);
    fake_assert_error(f, "job", 0, "a", ENOTSUP);
    assert_int_equal(fake_create(f, "job", 7), 0);
    fake_assert_error(f, "job", 0, "a", ENOENT);
}

static void test_archive_moves_a_namespace_under_a_key(void **state)
{
    struct fake *f = *state;

    fake_create(f, "job", 7);
    fake_put(f, "job", "x.y", "1");
    assert_int_equal(fake_commit(f, "primary",
                                 "[{'key':'j.guest','flags':0,'archive':'job'},"
                                 "{'key':'j.again','flags':0,'archive':'job'}]"),
                     -ENOTSUP);
    fake_assert_value(f, "job", "x.y", "1"); /* the whole transaction failed */
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.guest','flags':0,'archive':'job'}]"), 0);
    fake_assert_value(f, "primary", "j.guest.x.y", "1");
    fake_assert_error(f, "job", 0, "x.y", ENOTSUP);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.guest','flags':0,'archive':'job'}]"),
                     -ENOTSUP);
    assert_int_equal(fake_commit(f, "primary", "[{'key':'p','flags':0,'archive':'primary'}]"),
                     -ENOTSUP);
    fake_restart(f);
    fake_assert_value(f, "primary", "j.guest.x.y", "1");
    fake_assert_error(f, "job", 0, "x.y", ENOTSUP);
}

#define CREATE(key, ns) "{'key':'" key "','flags':0,'create':'" ns "','owner':7}"

static void test_a_namespace_and_the_link_to_it_are_one_commit(void **state)
{
    const struct caller user = { .userid = 7 };
    struct fake *f = *state;
    const size_t before = fake_commits(f);
    struct namespace *ns;

    assert_int_equal(
        fake_commit(
            f, "primary",
            "[" CREATE("j.guest", "job") ","
                                         "{'key':'j.R','flags':0,'dirent':{'ver':1,'type':'val',"
                                         "'data':'eA=='}}]"),
        0);
    assert_int_equal(fake_commits(f), before + 1);
    assert_int_equal(kvs_access(fake_kvs(f), "job", &user, &ns), 0);
    assert_int_equal(fake_put(f, "job", "x.y", "1"), 0);
    fake_assert_value(f, "primary", "j.guest.x.y", "1");
    fake_assert_value(f, "primary", "j.R", "x");
    /* One that is there stays as it is. */
    assert_int_equal(fake_commit(f, "primary", "[" CREATE("j.guest", "job") "]"), 0);
    fake_restart(f);
    fake_assert_value(f, "primary", "j.guest.x.y", "1");
    assert_int_equal(fake_commit(f, "primary", "[{'key':'j.guest','flags':0,'archive':'job'}]"), 0);
    fake_assert_error(f, "job", 0, "x.y", ENOTSUP);
}

/* 'eA==': x. What the user of a job wrote where its log is, or did not. */
static void test_a_jobs_archive_ends_its_log_and_never_fails(void **state)
{
    static const char archive[] = "[{'key':'j.guest','flags':0,'archive':'job','log':'end'}]";
    struct fake *f = *state;

    assert_int_equal(fake_commit(f, "primary", "[" CREATE("j.guest", "job") "]"), 0);
    assert_int_equal(fake_put(f, "job", "exec.eventlog", "begin "), 0);
    fake_restart(f);
    assert_int_equal(fake_commit(f, "primary", archive), 0);
    fake_assert_value(f, "primary", "j.guest.exec.eventlog", "begin end");
    fake_assert_error(f, "job", 0, "exec.eventlog", ENOTSUP);
    assert_int_equal(fake_commit(f, "primary", archive), 0); /* it is gone: nothing happens */
    fake_assert_value(f, "primary", "j.guest.exec.eventlog", "begin end");

    assert_int_equal(fake_commit(f, "primary", "[" CREATE("j.guest", "job") "]"), 0);
    assert_int_equal(fake_commit(f, "primary", archive), 0); /* an empty one */
    fake_assert_value(f, "primary", "j.guest.exec.eventlog", "end");

    assert_int_equal(fake_commit(f, "primary", "[" CREATE("j.guest", "job") "]"), 0);
    assert_int_equal(fake_put(f, "job", "exec", "not a directory"), 0);
    assert_int_equal(fake_commit(f, "primary", archive), 0);
    fake_assert_value(f, "primary", "j.guest.exec.eventlog", "end");

    assert_int_equal(fake_commit(f, "primary", "[" CREATE("j.guest", "job") "]"), 0);
    assert_int_equal(fake_put(f, "job", "exec.eventlog.x", "a directory"), 0);
    assert_int_equal(fake_commit(f, "primary", archive), 0);
    fake_assert_value(f, "primary", "j.guest.exec.eventlog.x", "a directory");
    fake_assert_error(f, "job", 0, "exec", ENOTSUP);
}

static void test_no_namespace_comes_of_a_transaction_that_fails(void **state)
{
    struct fake *f = *state;

    fake_put(f, "primary", "a", "1");
    assert_int_equal(
        fake_commit(f, "primary",
                    "[" CREATE("j.guest", "job") ","
                                                 "{'key':'j.z','flags':0,'archive':'none'}]"),
        -ENOTSUP);
    fake_assert_error(f, "job", 0, ".", ENOTSUP);
    fake_assert_error(f, "primary", FLUX_KVS_READLINK, "j.guest", ENOENT);
    fake_fail_next(f, -ENOSPC);
    assert_int_equal(fake_commit(f, "primary", "[" CREATE("j.guest", "job") "]"), -ENOSPC);
    fake_assert_error(f, "job", 0, ".", ENOTSUP);
    fake_assert_error(f, "primary", FLUX_KVS_READLINK, "j.guest", ENOENT);
    /* Its archive comes first in the same transaction: a new one, empty. */
    fake_create(f, "job", 7);
    fake_put(f, "job", "x", "1");
    assert_int_equal(
        fake_commit(f, "primary",
                    "[{'key':'old','flags':0,'archive':'job'}," CREATE("l", "job") "]"),
        0);
    fake_assert_value(f, "primary", "old.x", "1");
    fake_assert_error(f, "primary", 0, "l.x", ENOENT);
    assert_int_equal(fake_put(f, "job", "x", "2"), 0);
}

static void test_guests_reach_their_own_namespaces_only(void **state)
{
    struct fake *f = *state;
    struct caller guest = { .userid = 7 };
    flux_error_t error;
    struct txn *t;
    json_t *ops;
    char *text;
    int err;

    fake_create(f, "job", 7);
    fake_put(f, "job", "a", "1");
    fake_commit(f, "job",
                "[" FAKE_OP("out", "{'ver':1,'type':'symlink','data':{'namespace':'primary',"
                                   "'target':'secret'}}") "]");
    fake_put(f, "primary", "secret", "2");
    text = fake_lookup_as(f, 7, "job", 0, "a", &err);
    assert_string_equal(text, "1");
    free(text);
    assert_null(fake_lookup_as(f, 8, "job", 0, "a", &err));
    assert_int_equal(err, -EPERM);
    assert_null(fake_lookup_as(f, 7, "primary", 0, "secret", &err));
    assert_int_equal(err, -EPERM);
    assert_null(fake_lookup_as(f, 7, "job", 0, "out", &err)); /* a link is no way round */
    assert_int_equal(err, -EPERM);
    ops = json_pack("[{s:s s:i s:{s:i s:s s:[s]}}]", "key", "x", "flags", 0, "dirent", "ver", 1,
                    "type", "dirref", "data",
                    "blake2b-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
    ops = json_pack("[{s:s s:i s:{s:i s:s s:{}}}]", "key", ".", "flags", 0, "dirent", "ver", 1,
                    "type", "dir", "data");
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
    ops = json_pack("[{s:s s:i s:s}]", "key", "x", "flags", 0, "archive", "job");
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
    ops = json_pack("[{s:s s:i s:s s:i}]", "key", "x", "flags", 0, "create", "new", "owner", 7);
    assert_int_equal(txn_new_commit(fake_kvs(f), "job", 0, ops, &guest, &t, &error), -EPERM);
    json_decref(ops);
}

/* flux-job-list reads a job's namespace and its archive for the job's user, as the owner: a link
 * would show him everything. */
static void test_guests_leave_no_links_for_those_who_may_more(void **state)
{
    static const char *const links[] = {
        "[" FAKE_OP("x",
                    "{'ver':1,'type':'symlink','data':{'namespace':'primary','target':'s'}}") "]",
        "[" FAKE_OP("x", FAKE_LINK("job.0.J")) "]",
        "[" FAKE_OP("x", "{'ver':1,'type':'dir','data':{'y':" FAKE_LINK("s") "}}") "]",
    };
    struct caller guest = { .userid = 7 };
    flux_error_t error;
    struct txn *t;

    fake_create(*state, "job", 7);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        CLEANUP(freep) char *text = strdup(links[i]);
        CLEANUP(json_decrefp) json_t *ops = NULL;

        for (char *p = text; *p; p++)
            *p = *p == '\'' ? '"' : *p;
        ops = json_loads(text, 0, NULL);
        assert_non_null(ops);
        assert_int_equal(txn_new_commit(fake_kvs(*state), "job", 0, ops, &guest, &t, &error),
                         -EPERM);
        assert_non_null(strstr(error.text, "x: only the instance owner"));
    }
}

/* They were written into the store as a number that it could not read, which ended the daemon. */
static void test_a_namespace_has_no_flags(void **state)
{
    flux_error_t error;
    struct txn *t;

    for (int flags = -1; flags <= 1; flags += 2) {
        assert_int_equal(txn_new_create(fake_kvs(*state), "new", 7, flags, NULL, &t, &error),
                         -EINVAL);
        assert_non_null(strstr(error.text, "flags"));
    }
}

static void test_bad_operations_are_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = {
        "[7]",
        "[{}]",
        "[{'key':'a'}]",
        "[{'key':'a','flags':0}]",
        "[{'key':'','flags':0,'dirent':null}]",
        "[{'key':'.','flags':0,'dirent':null}]",
        "[{'key':'a','flags':1,'dirent':null}]",
        "[{'key':'a','flags':0,'dirent':{}}]",
        "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'val','data':'!'}}]",
        "[{'key':'a','flags':32,'dirent':{'ver':1,'type':'dir','data':{}}}]",
        "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'dirref','data':['sha1-aa']}}]",
        "[{'key':'a','flags':0,'dirent':{'ver':1,'type':'hdir','data':{}}}]",
        ("[{'key':'a','flags':0,'dirent':{'ver':1,'type':'dir','data':{'a.b':"
         "{'ver':1,'type':'val','data':''}}}}]"),
        "[{'key':'.','flags':0,'dirent':{'ver':1,'type':'val','data':''}}]",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int rc = fake_commit(*state, "primary", bad[i]);

        assert_true(rc == -EINVAL || rc == -EPROTO);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_namespaces_come_and_go),
        T(test_archive_moves_a_namespace_under_a_key),
        T(test_a_namespace_and_the_link_to_it_are_one_commit),
        T(test_a_jobs_archive_ends_its_log_and_never_fails),
        T(test_no_namespace_comes_of_a_transaction_that_fails),
        T(test_guests_reach_their_own_namespaces_only),
        T(test_guests_leave_no_links_for_those_who_may_more),
        T(test_a_namespace_has_no_flags),
        T(test_bad_operations_are_refused_with_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
