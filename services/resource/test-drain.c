/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "resource/drain.h"

DEFINE_CLEANUP(struct idset *, idset_destroy)

static void assert_ranks(const struct drain *d, const char *expect)
{
    CLEANUP(freep) char *s = idset_encode(drain_ranks(d), IDSET_FLAG_RANGE);

    assert_string_equal(s, expect);
}

static void replay_gives_the_state(void **state)
{
    CLEANUP(drain_freep) struct drain *d = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *s = NULL;

    assert_int_equal(drain_new(&d), 0);
    assert_int_equal(
        drain_replay(d,
                     "{\"timestamp\":1.0,\"name\":\"resource-init\",\"context\":{}}\n"
                     "{\"timestamp\":2.0,\"name\":\"drain\",\"context\":{\"idset\":\"0-3\","
                     "\"reason\":\"hot\"}}\n"
                     "{\"timestamp\":3.0,\"name\":\"undrain\",\"context\":{\"idset\":\"1-2\"}}\n"
                     "{\"timestamp\":4.0,\"name\":\"drain\",\"context\":{\"idset\":\"7\"}}\n",
                     NULL, NULL),
        0);
    assert_ranks(d, "0,3,7");
    o = drain_encode(d);
    s = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(s, "{\"0,3\":{\"reason\":\"hot\",\"timestamp\":2.0},"
                           "\"7\":{\"reason\":\"\",\"timestamp\":4.0}}");
}

static void draining_again_keeps_the_time_and_takes_the_reason(void **state)
{
    CLEANUP(drain_freep) struct drain *d = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    json_t *entry;

    assert_int_equal(drain_new(&d), 0);
    assert_int_equal(drain_replay(d,
                                  "{\"timestamp\":2.0,\"name\":\"drain\",\"context\":{\"idset\":"
                                  "\"0\",\"reason\":\"a\"}}\n"
                                  "{\"timestamp\":3.0,\"name\":\"drain\",\"context\":{\"idset\":"
                                  "\"0\",\"reason\":\"b\"}}\n",
                                  NULL, NULL),
                     0);
    o = drain_encode(d);
    entry = json_object_get(o, "0");
    assert_string_equal(json_string_value(json_object_get(entry, "reason")), "b");
    assert_true(json_number_value(json_object_get(entry, "timestamp")) == 2.0);
}

static void drain_again(struct drain *d, const char *reason, enum drain_overwrite overwrite)
{
    CLEANUP(idset_destroyp) struct idset *ids = idset_decode("0-1");
    CLEANUP(json_decrefp)
    json_t *event = drain_event(
        &(struct drain_order){ .ranks = ids, .reason = reason, .overwrite = overwrite });

    assert_int_equal(drain_apply(d, event), 0);
}

static void assert_entry(const struct drain *d, const char *ranks, const char *reason, bool old)
{
    CLEANUP(json_decrefp) json_t *o = drain_encode(d);
    const json_t *entry = json_object_get(o, ranks);

    assert_non_null(entry);
    assert_string_equal(json_string_value(json_object_get(entry, "reason")), reason);
    assert_int_equal(json_number_value(json_object_get(entry, "timestamp")) == 2.0, old);
}

static void the_first_reason_stays_unless_it_is_to_be_overwritten(void **state)
{
    CLEANUP(drain_freep) struct drain *d = NULL;

    assert_int_equal(drain_new(&d), 0);
    assert_int_equal(drain_replay(d,
                                  "{\"timestamp\":2.0,\"name\":\"drain\",\"context\":{\"idset\":"
                                  "\"0-1\",\"reason\":\"\",\"overwrite\":0}}\n",
                                  NULL, NULL),
                     0);
    assert_false(drain_has_reason(d, 0));
    drain_again(d, "first", DRAIN_KEEP);
    assert_entry(d, "0-1", "first", true);
    assert_true(drain_has_reason(d, 0));
    drain_again(d, "second", DRAIN_KEEP);
    assert_entry(d, "0-1", "first", true);
    drain_again(d, "third", DRAIN_REASON);
    assert_entry(d, "0-1", "third", true);
    drain_again(d, "fourth", DRAIN_ALL);
    assert_entry(d, "0-1", "fourth", false);
}

static void own_events_can_be_replayed(void **state)
{
    CLEANUP(drain_freep) struct drain *d = NULL;
    CLEANUP(idset_destroyp) struct idset *ids = idset_decode("3,5-6");
    CLEANUP(idset_destroyp) struct idset *five = idset_decode("5");
    CLEANUP(json_decrefp)
    json_t *drain =
        drain_event(&(struct drain_order){ .ranks = ids, .nodelist = "n[3,5-6]", .reason = "why" });
    CLEANUP(json_decrefp) json_t *undrain = undrain_event(five, "n5", NULL);

    assert_int_equal(drain_new(&d), 0);
    assert_int_equal(drain_apply(d, drain), 0);
    assert_ranks(d, "3,5-6");
    assert_int_equal(drain_apply(d, undrain), 0);
    assert_ranks(d, "3,6");
    assert_int_equal(drain_apply(d, undrain), 0);
    assert_ranks(d, "3,6");
}

static void broken_events_are_refused(void **state)
{
    CLEANUP(drain_freep) struct drain *d = NULL;

    assert_int_equal(drain_new(&d), 0);
    assert_int_equal(drain_replay(d, "{\"timestamp\":1.0,\"name\":\"drain\"}\n", NULL, NULL),
                     -EPROTO);
    assert_int_equal(
        drain_replay(d, "{\"timestamp\":1.0,\"name\":\"drain\",\"context\":{\"idset\":\"x\"}}\n",
                     NULL, NULL),
        -EPROTO);
    assert_int_equal(drain_replay(d, "junk\n", NULL, NULL), -EPROTO);
    assert_ranks(d, "");
}

#define DRAIN(ids, hosts)                                                 \
    "{\"timestamp\":1.0,\"name\":\"drain\",\"context\":{\"idset\":\"" ids \
    "\",\"nodelist\":\"" hosts "\",\"reason\":\"hot\",\"overwrite\":0}}\n"
#define UNDRAIN(ids, hosts)                                                 \
    "{\"timestamp\":2.0,\"name\":\"undrain\",\"context\":{\"idset\":\"" ids \
    "\",\"nodelist\":\"" hosts "\"}}\n"

static void assert_replayed(const struct drain_hosts *hosts, const char *log, const char *expect)
{
    CLEANUP(drain_freep) struct drain *d = NULL;

    assert_int_equal(drain_new(&d), 0);
    assert_int_equal(drain_replay(d, log, hosts, NULL), 0);
    assert_ranks(d, expect);
}

static void hosts_stay_drained_when_their_ranks_change(void **state)
{
    const char *names[] = { "n0", "new", "n1", "n3", NULL };
    const struct drain_hosts hosts = { .names = names, .count = 5 };

    assert_replayed(&hosts, DRAIN("1", "n1"), "2");
    assert_replayed(&hosts, DRAIN("0-1,3", "n[0-1,3]"), "0,2-3");
    assert_replayed(&hosts, DRAIN("0-1", "n[0-1]") UNDRAIN("1", "n1"), "0");
    assert_replayed(&hosts, DRAIN("2", "n2"), ""); /* it is gone */
    assert_replayed(&hosts, DRAIN("1", "n1.example.org"), "2");
    assert_replayed(NULL, DRAIN("1", "n1"), "1");
}

static void ranks_count_where_hosts_do_not_say_more(void **state)
{
    const char *names[] = { "vm", "vm", "vm", "vm" };
    const struct drain_hosts hosts = { .names = names, .count = 4 };

    assert_replayed(&hosts, DRAIN("2", "vm"), "2"); /* several nodes of one host */
    assert_replayed(&hosts, DRAIN("1,3", "vm,vm"), "1,3");
    assert_replayed(&hosts, DRAIN("1,3", "vm"), "1,3"); /* a count that is not that of the ranks */
    assert_replayed(&hosts,
                    "{\"timestamp\":1.0,\"name\":\"drain\",\"context\":{\"idset\":\"3\"}}\n", "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_stay_drained_when_their_ranks_change),
        cmocka_unit_test(ranks_count_where_hosts_do_not_say_more),
        cmocka_unit_test(replay_gives_the_state),
        cmocka_unit_test(draining_again_keeps_the_time_and_takes_the_reason),
        cmocka_unit_test(the_first_reason_stays_unless_it_is_to_be_overwritten),
        cmocka_unit_test(own_events_can_be_replayed),
        cmocka_unit_test(broken_events_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
