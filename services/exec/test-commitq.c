/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Group commit against a KVS of a few lines: what goes into which commit, and who is told what. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "commitq.h"

#define OPS_MAX 600

struct op {
    struct commit_op op;
    char key[16];
    int ndone, errnum;
};

static struct fixture {
    flux_t *h;
    flux_msg_handler_t *mh;
    struct commitq *q;
    struct op ops[OPS_MAX];
    int ncommits;
    int sizes[OPS_MAX];  /* operations of each commit */
    const char *bad_key; /* a commit with it is refused with EPERM */
    int errnum;          /* of all commits, if nfails > 0 */
    int nfails;
    int ndone, nwanted; /* stop after so many are done */
    bool unknown;
} fx;

static void on_kvs_commit(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    bool bad = false;
    json_t *ops, *op;
    size_t i;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:o}", "ops", &ops), 0);
    fx.sizes[fx.ncommits++] = (int)json_array_size(ops);
    json_array_foreach (ops, i, op) {
        const char *key = json_string_value(json_object_get(op, "key"));

        bad = bad || (fx.bad_key && strcmp(key, fx.bad_key) == 0);
    }
    if (fx.nfails > 0)
        assert_int_equal(flux_respond_error(h, msg, fx.errnum, NULL), 0);
    else if (bad)
        assert_int_equal(flux_respond_error(h, msg, EPERM, NULL), 0);
    else
        assert_int_equal(
            flux_respond_pack(h, msg, "{s:s s:i}", "rootref", "blake2b-00", "rootseq", 1), 0);
    fx.nfails -= fx.nfails > 0;
}

static void on_unknown(void *arg, const char *why)
{
    fx.unknown = true;
    flux_reactor_stop(flux_get_reactor(fx.h));
}

static int setup(void **state)
{
    struct flux_match match = FLUX_MATCH_REQUEST;

    fx = (struct fixture){ .h = flux_open("loop://", 0) };
    if (!fx.h || commitq_new(fx.h, flux_get_reactor(fx.h), on_unknown, NULL, &fx.q) < 0)
        return -1;
    match.topic_glob = "kvs.commit";
    fx.mh = flux_msg_handler_create(fx.h, match, on_kvs_commit, NULL);
    flux_msg_handler_start(fx.mh);
    return 0;
}

static int teardown(void **state)
{
    commitq_free(fx.q);
    flux_msg_handler_destroy(fx.mh);
    flux_close(fx.h);
    return 0;
}

static int fill(flux_kvs_txn_t *txn, void *arg)
{
    struct op *o = arg;

    return flux_kvs_txn_put(txn, 0, o->key, "x") < 0 ? -errno : 0;
}

static void done(void *arg, int errnum, const char *errstr)
{
    struct op *o = arg;

    o->ndone++;
    o->errnum = errnum;
    if (++fx.ndone == fx.nwanted)
        flux_reactor_stop(flux_get_reactor(fx.h));
}

static void push(int first, int n)
{
    for (int i = first; i < first + n; i++) {
        struct op *o = &fx.ops[i];

        (void)snprintf(o->key, sizeof(o->key), "k%d", i);
        o->op = (struct commit_op){ .fill = fill, .done = done, .arg = o };
        commitq_push(fx.q, &o->op);
    }
    fx.nwanted += n;
}

static void run(void)
{
    assert_true(flux_reactor_run(flux_get_reactor(fx.h), 0) >= 0);
}

static int total(void)
{
    int n = 0;

    for (int i = 0; i < fx.ncommits; i++)
        n += fx.sizes[i];
    return n;
}

static void what_is_asked_for_in_one_turn_is_one_commit(void **state)
{
    push(0, 10);
    run();
    assert_int_equal(fx.ncommits, 1);
    assert_int_equal(fx.sizes[0], 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fx.ops[i].ndone, 1);
        assert_int_equal(fx.ops[i].errnum, 0);
    }
    assert_true(commitq_idle(fx.q));
}

static void a_batch_has_a_limit_and_nothing_is_left_behind(void **state)
{
    push(0, OPS_MAX);
    run();
    assert_true(fx.ncommits >= 3);
    assert_int_equal(total(), OPS_MAX);
    assert_int_equal(fx.ndone, OPS_MAX);
}

static void one_bad_change_fails_alone(void **state)
{
    fx.bad_key = "k2";
    push(0, 5);
    run();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fx.ops[i].ndone, 1);
        assert_int_equal(fx.ops[i].errnum, i == 2 ? EPERM : 0);
    }
    assert_int_equal(fx.ncommits, 6); /* together, then each by itself */
}

static void a_lost_answer_tells_nobody_and_ends_the_daemon(void **state)
{
    fx.nfails = 1;
    fx.errnum = ECONNRESET;
    push(0, 3);
    run();
    assert_true(fx.unknown);
    assert_int_equal(fx.ndone, 0);
}

static void a_kvs_that_is_away_is_no_refusal(void **state)
{
    fx.nfails = 1;
    fx.errnum = ENOSYS; /* there is no such service, just now */
    push(0, 1);
    run();
    assert_true(fx.unknown);
    assert_int_equal(fx.ndone, 0);
}

static void a_full_disk_is_waited_for(void **state)
{
    fx.nfails = 1;
    fx.errnum = ENOSPC;
    push(0, 3);
    run();
    assert_false(fx.unknown);
    assert_int_equal(fx.ncommits, 2);
    assert_int_equal(fx.sizes[1], 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx.ops[i].errnum, 0);
}

static void what_was_taken_back_is_not_sent(void **state)
{
    push(0, 3);
    commitq_cancel(fx.q, &fx.ops[1].op);
    commitq_cancel(fx.q, &fx.ops[1].op); /* again: nothing happens */
    fx.nwanted = 2;
    run();
    assert_int_equal(fx.sizes[0], 2);
    assert_int_equal(fx.ops[1].ndone, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_asked_for_in_one_turn_is_one_commit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_batch_has_a_limit_and_nothing_is_left_behind, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_bad_change_fails_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_answer_tells_nobody_and_ends_the_daemon, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_kvs_that_is_away_is_no_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_taken_back_is_not_sent, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
