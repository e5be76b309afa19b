/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A pause of a session, as one side of it knows it; without a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/jsonx.h"
#include "broker/overlay/item.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static struct node *new_node(void)
{
    struct node *n = NULL;

    assert_int_equal(node_new(NULL, 3, "node3", NULL, &n), 0);
    return n;
}

static void send(struct node *n, const char *topic, int payload_size)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    CLEANUP(freep) char *payload = calloc(1, (size_t)payload_size + 1);

    assert_non_null(msg);
    assert_int_equal(flux_msg_set_topic(msg, topic), 0);
    flux_msg_route_enable(msg);
    assert_int_equal(flux_msg_route_push(msg, "client"), 0);
    assert_int_equal(flux_msg_set_payload(msg, payload, payload_size), 0);
    assert_int_equal(node_send(n, msg), 0);
}

static void the_one_that_ends_waits_for_the_last_word(void **state)
{
    CLEANUP(node_freep) struct node *n = new_node();

    node_pause(n);
    assert_true(n->held && n->pausing);
    assert_false(node_is_paused(n));
    node_on_pause(n); /* the other one ends, too: that is not its last word */
    assert_false(node_is_paused(n));
    node_on_paused(n);
    assert_true(node_is_paused(n));
    node_resume(n);
    assert_false(n->held || n->pausing || node_is_paused(n));
}

static void the_one_that_stays_has_heard_all_with_the_pause(void **state)
{
    CLEANUP(node_freep) struct node *n = new_node();

    node_on_paused(n); /* nobody was asked */
    assert_false(n->held || node_is_paused(n));
    node_on_pause(n);
    assert_true(n->held && node_is_paused(n));
    node_pause(n); /* nothing more is to be said */
    assert_true(node_is_paused(n) && !n->pausing);
}

static void what_is_sent_meanwhile_waits(void **state)
{
    CLEANUP(node_freep) struct node *n = new_node();

    node_on_pause(n);
    send(n, "a.b", 10);
    assert_int_equal(node_queue_control(n, NODE_EPOCH, "{}", 2), 0);
    assert_int_equal(node_send_control(n, NODE_ALIVE, NULL, 0), 0); /* goes nowhere */
    assert_int_equal(n->queued_messages, 2);
    assert_int_equal(node_flush(n), -EAGAIN);
}

static void half_a_large_message_begins_anew(void **state)
{
    CLEANUP(node_freep) struct node *n = new_node();
    struct node_item *item;

    n->held = true;
    send(n, "large.one", 300000);
    send(n, "small.one", 1); /* of the same client: not before it */
    item = STAILQ_FIRST(&n->bulk);
    assert_non_null(item);
    assert_non_null(STAILQ_NEXT(item, entry));
    item->begun = true;
    item->fd_done = MSG_INLINE_MAX;
    n->window = 7;
    node_on_pause(n);
    assert_false(item->begun);
    assert_int_equal(item->fd_done, 0);
    assert_int_equal(n->window, 7); /* acknowledgements are still on their way */
    node_resume(n);
    assert_int_equal(n->window, NODE_WINDOW);
}

static void the_next_process_sends_what_waits_in_the_same_order(void **state)
{
    CLEANUP(node_freep) struct node *n = new_node();
    CLEANUP(node_freep) struct node *next = new_node();
    CLEANUP(json_decrefp) json_t *queue = NULL;
    const struct node_item *a, *b;
    size_t budget = 1 << 20;

    node_on_pause(n);
    for (int i = 0; i < 10; i++)
        send(n, i % 2 ? "odd.one" : "even.one", 100 * i + 1);
    assert_true(node_queue_fits(n, &budget));
    assert_true(budget < 1 << 20);
    budget = 1000;
    assert_false(node_queue_fits(n, &budget));
    queue = node_queue_encode(n);
    assert_int_equal(json_array_size(queue), 10);
    next->held = true;
    assert_int_equal(node_queue_restore(next, NULL, queue), 0);
    assert_int_equal(next->queued_bytes, n->queued_bytes);
    assert_int_equal(next->queued_messages, n->queued_messages);
    b = STAILQ_FIRST(&next->queue);
    STAILQ_FOREACH(a, &n->queue, entry)
    {
        assert_non_null(b);
        assert_int_equal(a->key, b->key);
        assert_int_equal(a->frame_size, b->frame_size);
        assert_memory_equal(a->frame, b->frame, a->frame_size);
        b = STAILQ_NEXT(b, entry);
    }
    assert_null(b);
}

static void what_is_no_queue_is_not_taken(void **state)
{
    static const char *const bad[] = { "[1]", "[{}]",
                                       "[{\"key\":1,\"bulk\":false,\"frame\":\"*\"}]" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(node_freep) struct node *n = new_node();
        CLEANUP(json_decrefp) json_t *queue = json_loads(bad[i], 0, NULL);

        assert_true(node_queue_restore(n, NULL, queue) < 0);
        assert_int_equal(n->queued_messages, 0);
    }
}

static void a_large_message_is_not_handed_on_where_nobody_keeps_descriptors(void **state)
{
    CLEANUP(node_freep) struct node *n = new_node();

    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    node_on_pause(n);
    send(n, "large.one", 300000);
    assert_null(node_queue_encode(n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_that_ends_waits_for_the_last_word),
        cmocka_unit_test(the_one_that_stays_has_heard_all_with_the_pause),
        cmocka_unit_test(what_is_sent_meanwhile_waits),
        cmocka_unit_test(half_a_large_message_begins_anew),
        cmocka_unit_test(the_next_process_sends_what_waits_in_the_same_order),
        cmocka_unit_test(what_is_no_queue_is_not_taken),
        cmocka_unit_test(a_large_message_is_not_handed_on_where_nobody_keeps_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
