/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lack of memory in messages and in the connection they travel on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <flux/message.h>

#include "base/cleanup.h"
#include "base/nomem.h"
#include "base/testing.h"
#include "wire/channel.h"
#include "wire/message.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)
DEFINE_CLEANUP(struct channel *, channel_free)

static int op_message_build(void *arg)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    CLEANUP(freep) char *routes = NULL;

    if (!msg || flux_msg_set_topic(msg, "a.topic.that.is.longer.than.others") < 0 ||
        flux_msg_route_enable(msg) < 0 || flux_msg_route_push(msg, "first") < 0 ||
        flux_msg_route_push(msg, "second") < 0 || flux_msg_set_payload(msg, "data", 4) < 0 ||
        flux_msg_set_string(msg, "text") < 0 ||
        flux_msg_pack(msg, "{s:i s:[s,s]}", "n", 1, "a", "x", "y") < 0 ||
        !(routes = flux_msg_route_string(msg)))
        return -1;
    return flux_msg_route_delete_last(msg);
}

static int op_message_copy(void *arg)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    CLEANUP(flux_msg_destroyp) flux_msg_t *copy = NULL;
    CLEANUP(flux_msg_destroyp) flux_msg_t *bare = NULL;

    if (!msg || flux_msg_set_topic(msg, "a.b") < 0 || flux_msg_set_string(msg, "text") < 0 ||
        flux_msg_route_enable(msg) < 0 || flux_msg_route_push(msg, "hop") < 0)
        return -1;
    return (copy = flux_msg_copy(msg, true)) && (bare = flux_msg_copy(msg, false)) &&
                   flux_msg_set_string(copy, "its own") == 0
               ? 0
               : -1;
}

static int op_message_codec(void *arg)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    CLEANUP(flux_msg_destroyp) flux_msg_t *decoded = NULL;
    CLEANUP(freep) void *buf = NULL;
    const char *s, *topic;
    size_t size;
    int n;

    if (!msg || flux_msg_set_topic(msg, "a.b") < 0 || flux_msg_route_enable(msg) < 0 ||
        flux_msg_route_push(msg, "hop") < 0 || flux_msg_pack(msg, "{s:i}", "n", 7) < 0 ||
        flux_msg_encode(msg, &buf, &size) < 0 || !(decoded = flux_msg_decode(buf, size)) ||
        flux_msg_unpack(decoded, "{s:i}", "n", &n) < 0 || flux_msg_get_string(decoded, &s) < 0 ||
        flux_msg_get_topic(decoded, &topic) < 0)
        return -1;
    assert_int_equal(n, 7);
    return 0;
}

static int pass(struct channel *from, struct channel *to, const flux_msg_t *msg)
{
    flux_msg_t *got = NULL;
    int rc = channel_send(from, msg);

    for (int i = 0; i < 2 && rc == 0 && !got; i++)
        rc = channel_recv(to, &got, NULL) == -EAGAIN && i == 0 ? 0 : rc;
    if (rc == 0 && !got)
        rc = -ENOMEM; /* received and lost: the connection is of no use any more */
    flux_msg_destroy(got);
    return rc;
}

/* A connection that lost a message for lack of memory is given up, so each attempt has its own. */
static int op_channel(void *arg)
{
    const size_t size = *(size_t *)arg;
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = NULL;
    CLEANUP(channel_freep) struct channel *a = NULL;
    CLEANUP(channel_freep) struct channel *b = NULL;
    CLEANUP(freep) char *data = NULL;
    long saved = nomem_suspend();
    int sv[2], rc;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    data = calloc(1, size);
    msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    assert_int_equal(flux_msg_set_topic(msg, "e"), 0);
    assert_int_equal(flux_msg_set_payload(msg, data, (int)size), 0);
    nomem_resume(saved);
    rc = channel_new(sv[0], NULL, &a);
    if (rc < 0)
        (void)close(sv[1]);
    else if ((rc = channel_new(sv[1], NULL, &b)) == 0)
        rc = pass(a, b, msg);
    errno = -rc;
    return rc < 0 ? -1 : 0;
}

static void every_failure_in_message_build(void **st)
{
    nomem_each(op_message_build, NULL, NULL);
}

static void every_failure_in_message_copy(void **st)
{
    nomem_each(op_message_copy, NULL, NULL);
}

static void every_failure_in_message_codec(void **st)
{
    nomem_each(op_message_codec, NULL, NULL);
}

static void every_failure_in_channel(void **st)
{
    size_t sizes[] = { 10, 20000, 200000 }; /* the last one travels as a memfd */

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        nomem_each(op_channel, &sizes[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_in_message_build),
        cmocka_unit_test(every_failure_in_message_copy),
        cmocka_unit_test(every_failure_in_message_codec),
        cmocka_unit_test(every_failure_in_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
