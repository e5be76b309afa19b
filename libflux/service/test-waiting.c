/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who may wait, where the places are limited. */
#include "base/testing.h"

#include "service/request.h"
#include "service/state.h"
#include "service/waiting.h"
#include "wire/message.h"

#define OWNER 1
#define FULL  "too many wait"

static struct service svc;
static struct origin origin;
static struct waiting waiting;
static int nserved;

static int discard(struct origin *o, flux_msg_t *msg)
{
    return 0;
}

static int setup(void **state)
{
    static const struct service_desc desc = { .name = "test" };

    svc = (struct service){ .desc = &desc, .owner = OWNER, .running = true };
    assert_int_equal(quota_new(OWNER, &quota_limits_owner, &quota_limits_guest, &svc.quota), 0);
    origin_init(&origin, discard);
    waiting_init(&waiting);
    nserved = 0;
    return 0;
}

static int teardown(void **state)
{
    waiting_deinit(&waiting);
    origin_deinit(&origin);
    quota_free(svc.quota);
    return 0;
}

static int serve(struct request *req, void *arg)
{
    nserved++;
    return request_respond(req, NULL);
}

static int add(uint32_t uid)
{
    const struct flux_msg_cred cred = { uid, uid == OWNER ? FLUX_ROLE_OWNER : FLUX_ROLE_USER };
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    struct request *req;
    int rc;

    assert_int_equal(flux_msg_set_topic(msg, "test.x"), 0);
    assert_int_equal(flux_msg_set_cred(msg, cred), 0);
    assert_int_equal(request_new(&svc, &origin, msg, &req), 0);
    flux_msg_destroy(msg);
    rc = waiting_add(&waiting, req, serve, FULL);
    request_unref(req);
    return rc;
}

static size_t add_all(uint32_t uid)
{
    size_t n = 0;
    int rc;

    while ((rc = add(uid)) == 0)
        n++;
    assert_int_equal(rc, -EAGAIN);
    return n;
}

static void no_guest_keeps_others_out_nor_all_guests_the_owner(void **state)
{
    assert_int_equal(add_all(100), WAITING_PER_GUEST);
    assert_int_equal(add(101), 0);
    for (uint32_t uid = 102; uid < 110; uid++)
        (void)add_all(uid);
    assert_int_equal(waiting.count, WAITING_GUESTS);
    assert_int_equal(add_all(OWNER), WAITING_MAX - WAITING_GUESTS);
}

static void those_who_were_served_give_up_their_places(void **state)
{
    assert_int_equal(add_all(OWNER), WAITING_MAX);
    assert_int_equal(add(100), -EAGAIN);
    waiting_serve(&waiting, NULL);
    assert_int_equal(nserved, WAITING_MAX);
    assert_int_equal(add_all(100), WAITING_PER_GUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_guest_keeps_others_out_nor_all_guests_the_owner, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(those_who_were_served_give_up_their_places, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
