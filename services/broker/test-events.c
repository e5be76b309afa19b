/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "broker/events.h"

struct fixture {
    struct events events;
    struct subscriber a, b;
    int hits_a, hits_b;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){ 0 };
    subscriber_init(&f.a);
    subscriber_init(&f.b);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    events_forget(&f->events, &f->a);
    events_forget(&f->events, &f->b);
    assert_null(f->events.prefixes);
    return 0;
}

static void count(struct subscriber *sub, void *arg)
{
    struct fixture *f = arg;

    *(sub == &f->a ? &f->hits_a : &f->hits_b) += 1;
}

static void publish(struct fixture *f, const char *topic)
{
    f->hits_a = f->hits_b = 0;
    events_match(&f->events, topic, count, f);
}

static void subscribers_of_a_prefix_get_the_event_and_others_do_not(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->events, &f->a, "job."), 0);
    assert_int_equal(events_subscribe(&f->events, &f->b, "job.state"), 0);
    publish(f, "job.state.run");
    assert_int_equal(f->hits_a, 1);
    assert_int_equal(f->hits_b, 1);
    publish(f, "job.exception");
    assert_int_equal(f->hits_a, 1);
    assert_int_equal(f->hits_b, 0);
    publish(f, "job");
    assert_int_equal(f->hits_a, 0);
}

static void the_empty_topic_matches_everything(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->events, &f->a, ""), 0);
    publish(f, "x");
    assert_int_equal(f->hits_a, 1);
}

static void an_event_comes_once_however_many_prefixes_match(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->events, &f->a, "a"), 0);
    assert_int_equal(events_subscribe(&f->events, &f->a, "ab"), 0);
    assert_int_equal(events_subscribe(&f->events, &f->a, "abc"), 0);
    publish(f, "abcd");
    assert_int_equal(f->hits_a, 1);
    publish(f, "abcd");
    assert_int_equal(f->hits_a, 1);
}

static void who_subscribes_twice_must_unsubscribe_twice(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->events, &f->a, "a"), 0);
    assert_int_equal(events_subscribe(&f->events, &f->a, "a"), 0);
    assert_int_equal(events_unsubscribe(&f->events, &f->a, "a"), 0);
    publish(f, "a");
    assert_int_equal(f->hits_a, 1);
    assert_int_equal(events_unsubscribe(&f->events, &f->a, "a"), 0);
    publish(f, "a");
    assert_int_equal(f->hits_a, 0);
    assert_int_equal(events_unsubscribe(&f->events, &f->a, "a"), -ENOENT);
}

static void a_subscriber_that_left_gets_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(events_subscribe(&f->events, &f->a, "a"), 0);
    assert_int_equal(events_subscribe(&f->events, &f->b, "a"), 0);
    events_forget(&f->events, &f->a);
    publish(f, "a");
    assert_int_equal(f->hits_a, 0);
    assert_int_equal(f->hits_b, 1);
}

static void subscriptions_are_bounded_in_number_and_length(void **state)
{
    struct fixture *f = *state;
    char topic[300];

    for (int i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        (void)snprintf(topic, sizeof(topic), "t%d", i);
        assert_int_equal(events_subscribe(&f->events, &f->a, topic), 0);
    }
    assert_int_equal(events_subscribe(&f->events, &f->a, "one-more"), -ENOSPC);
    memset(topic, 'x', sizeof(topic));
    topic[256] = '\0';
    assert_int_equal(events_subscribe(&f->events, &f->b, topic), -EINVAL);
    topic[255] = '\0';
    assert_int_equal(events_subscribe(&f->events, &f->b, topic), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(subscribers_of_a_prefix_get_the_event_and_others_do_not),
        T(the_empty_topic_matches_everything),
        T(an_event_comes_once_however_many_prefixes_match),
        T(who_subscribes_twice_must_unsubscribe_twice),
        T(a_subscriber_that_left_gets_nothing),
        T(subscriptions_are_bounded_in_number_and_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
