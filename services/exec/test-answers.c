/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 32 answers: gathered, in order, on the newest request of the job manager that asked. The
 * requests are stand-ins that keep what they are answered. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "answers.h"
#include "base/cleanup.h"

struct request {
    int refs, client;
    bool gone;
    json_t *messages; /* array */
};

struct request *request_ref(struct request *req)
{
    req->refs++;
    return req;
}

struct request *request_unref(struct request *req)
{
    if (req)
        req->refs--;
    return NULL;
}

bool request_gone(const struct request *req)
{
    return req->gone;
}

bool request_same_client(const struct request *a, const struct request *b)
{
    return a->client == b->client;
}

int request_respond_json(struct request *req, const json_t *o)
{
    return json_array_append(req->messages, (json_t *)o);
}

int request_respond_pack(struct request *req, const char *fmt, ...)
{
    va_list ap;
    json_t *o;

    va_start(ap, fmt);
    o = json_vpack_ex(NULL, 0, fmt, ap);
    va_end(ap);
    return json_array_append_new(req->messages, json_deep_copy(o)) < 0 ? -1 : (json_decref(o), 0);
}

static struct fixture {
    flux_reactor_t *r;
    struct answers *a;
    struct request req[2];
} fx;

static int setup(void **state)
{
    fx = (struct fixture){ .r = flux_reactor_create(0) };
    for (int i = 0; i < 2; i++)
        fx.req[i] = (struct request){ .client = 1, .messages = json_array() };
    return fx.r ? answers_new(fx.r, &fx.a) : -1;
}

static int teardown(void **state)
{
    answers_free(fx.a);
    for (int i = 0; i < 2; i++) {
        json_decref(fx.req[i].messages);
        if (fx.req[i].refs != 0)
            return -1;
    }
    flux_reactor_destroy(fx.r);
    return 0;
}

/* One pass of the loop. */
static void turn(void)
{
    assert_true(flux_reactor_run(fx.r, FLUX_REACTOR_NOWAIT) >= 0);
}

static const char *type_of(const json_t *o)
{
    return json_string_value(json_object_get(o, "type"));
}

static void one_answer_is_a_message_as_rfc_32_has_it(void **state)
{
    json_t *o;

    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    answers_finish(fx.a, 7, 256, false);
    assert_int_equal(json_array_size(fx.req[0].messages), 0); /* not before the loop sleeps */
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 1);
    o = json_array_get(fx.req[0].messages, 0);
    assert_string_equal(type_of(o), "finish");
    assert_int_equal(json_integer_value(json_object_get(o, "id")), 7);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "data"), "status")),
                     256);
}

static void answers_of_a_turn_share_a_message_in_order(void **state)
{
    static const char *const types[] = { "start", "exception", "finish", "release" };
    json_t *list;

    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    answers_start(fx.a, 1);
    answers_exception(fx.a, 1, "exec", "why");
    answers_finish(fx.a, 1, 9, false);
    answers_release(fx.a, 1, "0");
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 1);
    list = json_object_get(json_array_get(fx.req[0].messages, 0), "responses");
    assert_int_equal(json_array_size(list), ARRAY_SIZE(types));
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        assert_string_equal(type_of(json_array_get(list, i)), types[i]);
    assert_true(
        json_is_true(json_object_get(json_object_get(json_array_get(list, 3), "data"), "final")));
}

static void a_message_has_a_limit_and_all_get_through(void **state)
{
    size_t n = 0;

    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    for (flux_jobid_t id = 1; id <= 2500; id++)
        answers_start(fx.a, id);
    for (int i = 0; i < 5; i++)
        turn();
    assert_in_range(json_array_size(fx.req[0].messages), 3, 5);
    for (size_t i = 0; i < json_array_size(fx.req[0].messages); i++)
        n += json_array_size(json_object_get(json_array_get(fx.req[0].messages, i), "responses"));
    assert_int_equal(n, 2500);
}

static void the_newest_request_of_the_same_job_manager_carries_what_waits(void **state)
{
    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    answers_finish(fx.a, 1, 0, false);
    assert_int_equal(answers_set_carrier(fx.a, &fx.req[1]), 0);
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 0);
    assert_int_equal(json_array_size(fx.req[1].messages), 1);
}

static void another_life_of_the_job_manager_does_not_hear_what_was_meant_for_the_last(void **state)
{
    fx.req[1].client = 2;
    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    answers_start(fx.a, 1);
    assert_int_equal(answers_set_carrier(fx.a, &fx.req[1]), -EBUSY); /* there is one already */
    fx.req[0].gone = true;
    assert_int_equal(answers_set_carrier(fx.a, &fx.req[1]), 0);
    answers_finish(fx.a, 2, 0, false);
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 0);
    assert_int_equal(json_array_size(fx.req[1].messages), 1);
    assert_int_equal(
        json_integer_value(json_object_get(json_array_get(fx.req[1].messages, 0), "id")), 2);
}

static void stop(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    if (json_array_size(fx.req[0].messages) > 0)
        flux_reactor_stop(r);
}

static void a_start_waits_for_company_but_not_for_long(void **state)
{
    flux_watcher_t *check = flux_check_watcher_create(fx.r, stop, NULL);
    flux_watcher_t *prepare = flux_prepare_watcher_create(fx.r, stop, NULL);

    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    answers_start(fx.a, 1);
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 0);
    flux_watcher_start(prepare);
    flux_watcher_start(check);
    assert_true(flux_reactor_run(fx.r, 0) >= 0);
    assert_int_equal(json_array_size(fx.req[0].messages), 1);
    answers_start(fx.a, 2);
    answers_finish(fx.a, 2, 0, false);
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 2);
    flux_watcher_destroy(prepare);
    flux_watcher_destroy(check);
}

static void answers_to_nobody_are_dropped(void **state)
{
    answers_start(fx.a, 1);
    turn();
    assert_int_equal(answers_set_carrier(fx.a, &fx.req[0]), 0);
    fx.req[0].gone = true;
    answers_start(fx.a, 2);
    turn();
    fx.req[0].gone = false;
    turn();
    assert_int_equal(json_array_size(fx.req[0].messages), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_answer_is_a_message_as_rfc_32_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_of_a_turn_share_a_message_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_message_has_a_limit_and_all_get_through, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_newest_request_of_the_same_job_manager_carries_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(
            another_life_of_the_job_manager_does_not_hear_what_was_meant_for_the_last, setup,
            teardown),
        cmocka_unit_test_setup_teardown(a_start_waits_for_company_but_not_for_long, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(answers_to_nobody_are_dropped, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
