/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Eventlogs of a shell against a KVS that loses answers: each text is there once, whole, in order.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "api/treeobj.h"
#include "logs.h"

struct store { /* the keys of one namespace */
    char *key[4];
    char *text[4];
};

static struct fixture {
    flux_t *h;
    flux_msg_handler_t *commit, *lookup;
    struct logs *logs;
    struct store store;
    int ncommits, nlookups; /* not counting empty commits */
    bool late;              /* what failed is applied before the empty commit that follows it */
    json_t *under_way;
    /* for the next commits: */
    int errnum;   /* answer */
    bool applied; /* although errnum says otherwise */
    int nfails;   /* this many commits fail */
    int nlookup_fails;
    bool finished, dead;
    int nrooms;
} fx;

static char **slot(const char *key)
{
    int i = 0;

    while (fx.store.key[i] && strcmp(fx.store.key[i], key) != 0)
        i++;
    if (!fx.store.key[i])
        fx.store.key[i] = strdup(key);
    return &fx.store.text[i];
}

static const char *stored(const char *key)
{
    return *slot(key) ? *slot(key) : "";
}

static void append(const char *key, const json_t *val)
{
    char **text = slot(key), *data, *joined;
    size_t size;

    assert_int_equal(treeobj_decode_val(val, &data, &size), 0);
    assert_true(asprintf(&joined, "%s%s", stored(key), data) >= 0);
    free(data);
    free(*text);
    *text = joined;
}

static void apply(const json_t *ops)
{
    json_t *op;
    size_t i;

    json_array_foreach (ops, i, op)
        append(json_string_value(json_object_get(op, "key")), json_object_get(op, "dirent"));
}

static void on_kvs_commit(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const bool fails = fx.nfails > 0;
    json_t *ops;

    assert_int_equal(flux_request_unpack(msg, NULL, "{s:o}", "ops", &ops), 0);
    if (json_array_size(ops) == 0) {
        apply(fx.under_way);
        json_decref(fx.under_way);
        fx.under_way = NULL;
        assert_int_equal(
            flux_respond_pack(h, msg, "{s:s s:i}", "rootref", "blake2b-00", "rootseq", 1), 0);
        return;
    }
    fx.ncommits++;
    if (!fails || fx.applied)
        apply(ops);
    else if (fx.late)
        fx.under_way = json_incref(ops);
    if (fails) {
        fx.nfails--;
        assert_int_equal(flux_respond_error(h, msg, fx.errnum, NULL), 0);
    } else {
        assert_int_equal(
            flux_respond_pack(h, msg, "{s:s s:i}", "rootref", "blake2b-00", "rootseq", 1), 0);
    }
}

static void on_kvs_lookup(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    const char *key;

    fx.nlookups++;
    assert_int_equal(flux_request_unpack(msg, NULL, "{s:s}", "key", &key), 0);
    if (fx.nlookup_fails > 0) {
        fx.nlookup_fails--;
        assert_int_equal(flux_respond_error(h, msg, ECONNRESET, NULL), 0);
    } else if (!*stored(key)) {
        assert_int_equal(flux_respond_error(h, msg, ENOENT, NULL), 0);
    } else {
        json_t *val = treeobj_create_val(stored(key), strlen(stored(key)));

        assert_int_equal(flux_respond_pack(h, msg, "{s:o}", "val", val), 0);
    }
}

static void on_finished(void *arg)
{
    fx.finished = true;
    flux_reactor_stop(flux_get_reactor(fx.h));
}

static void on_room(void *arg)
{
    fx.nrooms++;
}

static void on_dead(void *arg, const char *why)
{
    fx.dead = true;
}

static flux_msg_handler_t *serve(const char *topic, flux_msg_handler_f cb)
{
    struct flux_match match = FLUX_MATCH_REQUEST;
    flux_msg_handler_t *mh;

    match.topic_glob = topic;
    mh = flux_msg_handler_create(fx.h, match, cb, NULL);
    assert_non_null(mh);
    flux_msg_handler_start(mh);
    return mh;
}

static int setup(void **state)
{
    const struct logs_events events = { .on_room = on_room, .on_dead = on_dead };

    fx = (struct fixture){ .h = flux_open("loop://", 0) };
    if (!fx.h || logs_new(fx.h, "job-1", &events, &fx.logs) < 0)
        return -1;
    fx.commit = serve("kvs.commit", on_kvs_commit);
    fx.lookup = serve("kvs.lookup", on_kvs_lookup);
    return 0;
}

static int teardown(void **state)
{
    logs_free(fx.logs);
    flux_msg_handler_destroy(fx.commit);
    flux_msg_handler_destroy(fx.lookup);
    flux_close(fx.h);
    for (int i = 0; i < 4; i++) {
        free(fx.store.key[i]);
        free(fx.store.text[i]);
    }
    return 0;
}

static void add(enum log_name name, const char *text)
{
    assert_int_equal(logs_append(fx.logs, name, text, strlen(text)), 0);
}

static void finish(void)
{
    logs_finish(fx.logs, on_finished, NULL);
    if (!fx.finished)
        assert_true(flux_reactor_run(flux_get_reactor(fx.h), 0) >= 0);
    assert_true(fx.finished);
}

static void all_logs_go_out_in_one_commit(void **state)
{
    add(LOGS_EXEC, "a\n");
    add(LOGS_OUTPUT, "b\n");
    add(LOGS_EXEC, "c\n");
    assert_false(logs_is_empty(fx.logs, LOGS_EXEC));
    assert_true(logs_is_empty(fx.logs, LOGS_INPUT));
    finish();
    assert_int_equal(fx.ncommits, 1);
    assert_string_equal(stored("exec.eventlog"), "a\nc\n");
    assert_string_equal(stored("output"), "b\n");
    assert_int_equal(fx.nlookups, 0);
}

static void nothing_to_write_needs_no_commit(void **state)
{
    finish();
    assert_int_equal(fx.ncommits, 0);
}

static void a_commit_that_did_not_happen_is_repeated(void **state)
{
    fx.nfails = 2;
    fx.errnum = ECONNRESET;
    add(LOGS_EXEC, "a\n");
    add(LOGS_OUTPUT, "b\n");
    finish();
    assert_int_equal(fx.ncommits, 3);
    assert_int_equal(fx.nlookups, 2);
    assert_string_equal(stored("exec.eventlog"), "a\n");
    assert_string_equal(stored("output"), "b\n");
}

static void a_commit_whose_answer_was_lost_is_not_repeated(void **state)
{
    fx.nfails = 1;
    fx.errnum = ECONNRESET;
    fx.applied = true;
    add(LOGS_OUTPUT, "once\n");
    finish();
    assert_int_equal(fx.ncommits, 1);
    assert_int_equal(fx.nlookups, 1);
    assert_string_equal(stored("output"), "once\n");
}

static void a_commit_that_is_still_under_way_is_not_repeated(void **state)
{
    fx.nfails = 1;
    fx.errnum = ECONNRESET;
    fx.late = true;
    add(LOGS_OUTPUT, "once\n");
    finish();
    assert_int_equal(fx.ncommits, 1);
    assert_string_equal(stored("output"), "once\n");
}

static void what_came_meanwhile_follows_in_order(void **state)
{
    add(LOGS_OUTPUT, "1\n");
    finish();
    fx.finished = false;
    fx.nfails = 1;
    fx.errnum = EHOSTUNREACH;
    fx.applied = true;
    add(LOGS_OUTPUT, "2\n");
    logs_finish(fx.logs, on_finished, NULL); /* sends it */
    add(LOGS_OUTPUT, "3\n");                 /* while it is on its way */
    assert_true(flux_reactor_run(flux_get_reactor(fx.h), 0) >= 0);
    assert_string_equal(stored("output"), "1\n2\n3\n");
    assert_int_equal(fx.ncommits, 3);
}

static void a_kvs_that_cannot_be_asked_is_asked_again(void **state)
{
    fx.nfails = 1;
    fx.errnum = ECONNRESET;
    fx.applied = true;
    fx.nlookup_fails = 2;
    add(LOGS_EXEC, "x\n");
    finish();
    assert_int_equal(fx.nlookups, 3);
    assert_int_equal(fx.ncommits, 1);
    assert_string_equal(stored("exec.eventlog"), "x\n");
}

static void a_namespace_that_is_gone_ends_the_writing(void **state)
{
    fx.nfails = 1;
    fx.errnum = ENOTSUP;
    add(LOGS_EXEC, "x\n");
    finish();
    assert_true(fx.dead);
    add(LOGS_EXEC, "y\n"); /* dropped, no complaint */
    assert_int_equal(fx.ncommits, 1);
    assert_string_equal(stored("exec.eventlog"), "");
}

static void a_full_log_says_so_and_tells_when_there_is_room(void **state)
{
    char *big = malloc(LOGS_FULL + 1);

    assert_non_null(big);
    memset(big, 'x', LOGS_FULL);
    big[LOGS_FULL] = '\0';
    add(LOGS_OUTPUT, big);
    assert_true(logs_is_full(fx.logs));
    finish();
    assert_int_equal(fx.nrooms, 1);
    assert_false(logs_is_full(fx.logs));
    assert_string_equal(stored("output"), big);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_logs_go_out_in_one_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_write_needs_no_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_that_did_not_happen_is_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_that_is_still_under_way_is_not_repeated, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_commit_whose_answer_was_lost_is_not_repeated, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_came_meanwhile_follows_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kvs_that_cannot_be_asked_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_namespace_that_is_gone_ends_the_writing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_log_says_so_and_tells_when_there_is_room, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
