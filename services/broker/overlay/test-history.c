/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/jsonx.h"
#include "broker/overlay/history.h"

static void add(struct history *h, uint32_t seq, size_t payload)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    static char buf[2u << 20];

    assert_non_null(msg);
    assert_int_equal(flux_msg_set_topic(msg, "x"), 0);
    assert_int_equal(flux_msg_set_seq(msg, seq), 0);
    if (payload)
        assert_int_equal(flux_msg_set_payload(msg, buf, (int)payload), 0);
    history_add(h, msg);
    flux_msg_destroy(msg);
}

static void a_new_one_covers_nothing(void **state)
{
    struct history h = { .first = 1, .next = 1 };

    assert_true(history_covers(&h, 0)); /* nothing was missed */
    assert_false(history_covers(&h, 1));
    assert_int_equal(history_last(&h), 0);
    assert_null(history_get(&h, 1));
}

static void what_was_missed_is_there(void **state)
{
    struct history h = { .first = 1, .next = 1 };
    uint32_t seq;

    for (seq = 1; seq <= 10; seq++)
        add(&h, seq, 0);
    assert_true(history_covers(&h, 7));
    assert_true(history_covers(&h, 10));
    assert_false(history_covers(&h, 11));
    assert_int_equal(flux_msg_get_seq(history_get(&h, 8), &seq), 0);
    assert_int_equal(seq, 8);
    history_deinit(&h);
}

static void the_oldest_go_first(void **state)
{
    struct history h = { .first = 1, .next = 1 };

    for (uint32_t seq = 1; seq <= HISTORY_EVENTS + 5; seq++)
        add(&h, seq, 0);
    assert_false(history_covers(&h, 4));
    assert_true(history_covers(&h, 5));
    assert_null(history_get(&h, 5));
    assert_non_null(history_get(&h, 6));
    history_deinit(&h);
}

static void large_events_make_it_short_and_not_large(void **state)
{
    struct history h = { .first = 1, .next = 1 };

    for (uint32_t seq = 1; seq <= 10; seq++)
        add(&h, seq, 1u << 20);
    assert_true(h.bytes <= HISTORY_BYTES);
    assert_false(history_covers(&h, 1));
    assert_true(history_covers(&h, 9));
    history_deinit(&h);
    assert_int_equal(h.bytes, 0);
}

static void a_gap_begins_it_anew(void **state)
{
    struct history h = { .first = 1, .next = 1 };

    add(&h, 1, 0);
    add(&h, 5, 0);
    assert_false(history_covers(&h, 1));
    assert_true(history_covers(&h, 4));
    assert_int_equal(history_last(&h), 5);
    history_deinit(&h);
}

static void the_next_process_has_it_too(void **state)
{
    struct history h = { .first = 1, .next = 1 }, next = { .first = 1, .next = 1 };
    CLEANUP(json_decrefp) json_t *events = NULL;
    uint32_t seq;

    for (seq = 1; seq <= HISTORY_EVENTS + 5; seq++)
        add(&h, seq, seq == 10 ? 100000 : 0); /* one that travels as a descriptor */
    events = history_encode(&h);
    history_restore(&next, events, HISTORY_EVENTS + 5);
    assert_int_equal(history_last(&next), HISTORY_EVENTS + 5);
    assert_false(history_covers(&next, 4));
    assert_true(history_covers(&next, 5));
    assert_int_equal(flux_msg_get_seq(history_get(&next, 10), &seq), 0);
    assert_int_equal(seq, 10);
    assert_int_equal(next.bytes, h.bytes);
    history_deinit(&next);
    history_deinit(&h);
}

static void what_does_not_lead_up_to_the_last_event_is_not_taken(void **state)
{
    struct history h = { .first = 1, .next = 1 }, next = { .first = 1, .next = 1 };
    CLEANUP(json_decrefp) json_t *events = NULL;
    CLEANUP(json_decrefp) json_t *others = json_pack("[s, i, s]", "none", 1, "");

    add(&h, 1, 0);
    events = history_encode(&h);
    history_restore(&next, events, 2);
    assert_int_equal(history_last(&next), 2);
    assert_false(history_covers(&next, 1));
    history_restore(&next, others, 3);
    assert_int_equal(history_last(&next), 3);
    history_restore(&next, NULL, 4);
    assert_int_equal(history_last(&next), 4);
    assert_int_equal(next.bytes, 0);
    history_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_covers_nothing),
        cmocka_unit_test(what_was_missed_is_there),
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(large_events_make_it_short_and_not_large),
        cmocka_unit_test(a_gap_begins_it_anew),
        cmocka_unit_test(the_next_process_has_it_too),
        cmocka_unit_test(what_does_not_lead_up_to_the_last_event_is_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
