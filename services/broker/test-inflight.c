/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "broker/inflight.h"
#include "wire/message.h"

struct fixture {
    struct inflight_table *table;
    struct inflight_client a, b;
    struct inflight_target kvs;
};

static int setup(void **state)
{
    static struct fixture f;

    assert_int_equal(inflight_table_new(&f.table), 0);
    inflight_client_init(&f.a, 1);
    inflight_client_init(&f.b, 2);
    inflight_target_init(&f.kvs);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->table = inflight_table_free(f->table);
    return 0;
}

static flux_msg_t *message(int type, uint32_t matchtag, int errnum, bool streaming)
{
    flux_msg_t *msg = flux_msg_create(type);

    assert_non_null(msg);
    assert_int_equal(flux_msg_set_topic(msg, "kvs.lookup"), 0);
    msg_proto_mut(msg)->aux2 = matchtag;
    msg_proto_mut(msg)->aux1 = errnum;
    if (streaming)
        assert_int_equal(flux_msg_set_streaming(msg), 0);
    return msg;
}

static int add(struct fixture *f, struct inflight_client *c, uint32_t matchtag, bool streaming)
{
    flux_msg_t *msg = message(FLUX_MSGTYPE_REQUEST, matchtag, 0, streaming);
    struct inflight *e;
    const int rc = inflight_add(f->table, c, &f->kvs, msg, &e);

    flux_msg_destroy(msg);
    return rc;
}

static void a_matchtag_in_use_is_refused_and_free_again_after_the_answer(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add(f, &f->a, 7, false), 0);
    assert_int_equal(add(f, &f->a, 7, false), -EEXIST);
    assert_int_equal(f->a.count, 1);
    inflight_remove(f->table, inflight_find(f->table, &f->a, 7));
    assert_null(inflight_find(f->table, &f->a, 7));
    assert_int_equal(add(f, &f->a, 7, false), 0);
}

static void clients_may_use_the_same_matchtag(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add(f, &f->a, 7, false), 0);
    assert_int_equal(add(f, &f->b, 7, false), 0);
    assert_ptr_not_equal(inflight_find(f->table, &f->a, 7), inflight_find(f->table, &f->b, 7));
    assert_int_equal(f->kvs.count, 2);
}

static void an_entry_remembers_what_an_error_response_needs(void **state)
{
    struct fixture *f = *state;
    const struct inflight *e;

    assert_int_equal(add(f, &f->a, 9, true), 0);
    e = inflight_find(f->table, &f->a, 9);
    assert_string_equal(e->topic, "kvs.lookup");
    assert_int_equal(e->matchtag, 9);
    assert_true(e->streaming);
}

static void a_stream_ends_with_an_error_and_a_plain_request_with_any_answer(void **state)
{
    struct fixture *f = *state;
    flux_msg_t *data = message(FLUX_MSGTYPE_RESPONSE, 1, 0, true);
    flux_msg_t *end = message(FLUX_MSGTYPE_RESPONSE, 1, ENODATA, true);

    assert_int_equal(add(f, &f->a, 1, true), 0);
    assert_int_equal(add(f, &f->a, 2, false), 0);
    assert_false(inflight_is_final(inflight_find(f->table, &f->a, 1), data));
    assert_true(inflight_is_final(inflight_find(f->table, &f->a, 1), end));
    assert_true(inflight_is_final(inflight_find(f->table, &f->a, 2), data));
    assert_int_equal(inflight_count(f->table), 2);
    assert_int_equal(inflight_count_plain(f->table), 1);
    flux_msg_destroy(data);
    flux_msg_destroy(end);
}

static void a_client_has_at_most_65536_requests_in_flight(void **state)
{
    struct fixture *f = *state;

    for (uint32_t i = 1; i <= INFLIGHT_MAX_PER_CLIENT; i++)
        assert_int_equal(add(f, &f->a, i, false), 0);
    assert_int_equal(add(f, &f->a, INFLIGHT_MAX_PER_CLIENT + 1, false), -EAGAIN);
    assert_int_equal(add(f, &f->b, 1, false), 0);
    inflight_remove(f->table, inflight_find(f->table, &f->a, 500));
    assert_int_equal(add(f, &f->a, INFLIGHT_MAX_PER_CLIENT + 1, false), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_matchtag_in_use_is_refused_and_free_again_after_the_answer),
        T(clients_may_use_the_same_matchtag),
        T(an_entry_remembers_what_an_error_response_needs),
        T(a_stream_ends_with_an_error_and_a_plain_request_with_any_answer),
        T(a_client_has_at_most_65536_requests_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
