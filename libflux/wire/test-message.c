/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "wire/message.h"

DEFINE_CLEANUP(flux_msg_t *, flux_msg_destroy)

static flux_msg_t *make_request(const char *topic)
{
    flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);

    assert_non_null(msg);
    assert_int_equal(flux_msg_set_topic(msg, topic), 0);
    return msg;
}

static flux_msg_t *round_trip(const flux_msg_t *msg)
{
    CLEANUP(freep) void *buf = NULL;
    size_t size;
    flux_msg_t *out;

    assert_int_equal(flux_msg_encode(msg, &buf, &size), 0);
    out = flux_msg_decode(buf, size);
    assert_non_null(out);
    return out;
}

static void test_a_new_message_has_the_defaults_of_rfc3(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_REQUEST);
    uint32_t n;

    assert_int_equal(flux_msg_get_nodeid(msg, &n), 0);
    assert_int_equal(n, FLUX_NODEID_ANY);
    assert_int_equal(flux_msg_get_matchtag(msg, &n), 0);
    assert_int_equal(n, FLUX_MATCHTAG_NONE);
    assert_int_equal(flux_msg_get_userid(msg, &n), 0);
    assert_int_equal(n, FLUX_USERID_UNKNOWN);
    assert_int_equal(flux_msg_get_rolemask(msg, &n), 0);
    assert_int_equal(n, FLUX_ROLE_NONE);
    errno = 0;
    assert_null(flux_msg_create(3));
    assert_int_equal(errno, EINVAL);
}

static void test_the_encoding_is_that_of_rfc3(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("a.b");
    CLEANUP(freep) void *buf = NULL;
    size_t size;
    static const uint8_t expected[] = {
        0xff, 0xee, 0x00, 0x12, 0,    0,   0,   36, /* frame */
        2,    'r',  '2',  2,    'r',  '1', 0,       /* newest hop first, delimiter */
        3,    'a',  '.',  'b',  3,    'x', 'y', 0,  /* topic, payload */
        20,   0x8e, 1,    1,    0x0b, 0,   0,   0,  7, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 1, 2,
    };

    assert_int_equal(flux_msg_route_enable(msg), 0);
    assert_int_equal(flux_msg_route_push(msg, "r1"), 0);
    assert_int_equal(flux_msg_route_push(msg, "r2"), 0);
    assert_int_equal(flux_msg_set_string(msg, "xy"), 0);
    assert_int_equal(flux_msg_set_userid(msg, 7), 0);
    assert_int_equal(flux_msg_set_rolemask(msg, 1), 0);
    assert_int_equal(flux_msg_set_nodeid(msg, 9), 0);
    assert_int_equal(flux_msg_set_matchtag(msg, 258), 0);
    assert_int_equal(flux_msg_encode(msg, &buf, &size), 0);
    assert_int_equal(size, sizeof(expected));
    assert_memory_equal(buf, expected, size);
    assert_int_equal(size, msg_encode_size(msg));
}

static void test_part_sizes_change_form_at_255_bytes(void **state)
{
    for (int n = 253; n < 258; n++) {
        CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
        CLEANUP(flux_msg_destroyp) flux_msg_t *out = NULL;
        char data[258];
        const void *buf;
        int size;

        memset(data, n, sizeof(data));
        assert_int_equal(flux_msg_set_payload(msg, data, n), 0);
        assert_int_equal(msg_encode_size(msg), 8 + 2 + (n < 255 ? 1 : 5) + n + 21);
        out = round_trip(msg);
        assert_int_equal(flux_msg_get_payload(out, &buf, &size), 0);
        assert_int_equal(size, n);
        assert_memory_equal(buf, data, n);
    }
}

static void test_every_truncation_and_extension_is_refused(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("service.method");
    CLEANUP(freep) void *buf = NULL;
    size_t size;
    char longer[256];

    assert_int_equal(flux_msg_route_enable(msg), 0);
    assert_int_equal(flux_msg_route_push(msg, "0123456789abcdef"), 0);
    assert_int_equal(flux_msg_set_string(msg, "{}"), 0);
    assert_int_equal(flux_msg_encode(msg, &buf, &size), 0);
    for (size_t n = 0; n < size; n++) {
        errno = 0;
        assert_null(flux_msg_decode(buf, n));
        assert_int_equal(errno, EPROTO);
    }
    memcpy(longer, buf, size);
    longer[size] = 0;
    assert_null(flux_msg_decode(longer, size + 1));
}

static void test_other_versions_types_flags_and_long_forms_are_refused(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("a");
    CLEANUP(freep) uint8_t *buf = NULL;
    static const struct {
        int from_end;
        uint8_t value;
    } bad[] = { { 20, 0x8f }, { 19, 2 }, { 18, 3 }, { 18, 0 },  { 17, 0x81 },
                { 17, 0 },    { 17, 3 }, { 17, 9 }, { 21, 19 }, { 18, 8 } };
    static const uint8_t long_form[] = { 0xff, 0xee, 0,  0x12, 0, 0, 0, 27, 255, 0, 0, 0,
                                         1,    'a',  20, 0x8e, 1, 1, 1, 0,  0,   0, 0, 0,
                                         0,    0,    0,  0,    0, 0, 0, 0,  0,   0, 0 };
    size_t size;

    assert_int_equal(flux_msg_encode(msg, (void **)&buf, &size), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t saved = buf[size - bad[i].from_end];

        buf[size - bad[i].from_end] = bad[i].value;
        assert_null(flux_msg_decode(buf, size));
        buf[size - bad[i].from_end] = saved;
    }
    assert_null(flux_msg_decode(long_form, sizeof(long_form)));
}

/* A message of a type and with flags; parts are what lies between its length and its header. */
static size_t raw_message(uint8_t *buf, int type, uint8_t flags, const char *parts, size_t size)
{
    const uint8_t frame[] = { 0xff, 0xee, 0, 0x12, 0, 0, 0, (uint8_t)(size + 21) };
    const uint8_t header[21] = { 20, 0x8e, 1, (uint8_t)type, flags };

    memcpy(buf, frame, sizeof(frame));
    memcpy(buf + sizeof(frame), parts, size);
    memcpy(buf + sizeof(frame) + size, header, sizeof(header));
    return sizeof(frame) + size + sizeof(header);
}

static void expect_refused(const uint8_t *buf, size_t size, const char *why)
{
    const char *reason = NULL;
    flux_msg_t *msg;

    assert_int_equal(msg_decode(buf, size, -EBADF, 0, &msg, &reason), -EPROTO);
    assert_string_equal(reason, why);
}

#define ROUTE_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_each_part_is_checked_and_the_refusal_says_which(void **state)
{
    const uint8_t routed = FLUX_MSGFLAG_ROUTE | FLUX_MSGFLAG_TOPIC;
    static const struct {
        int type;
        uint8_t flags;
        const char *parts;
        size_t size;
        const char *why;
    } bad[] = {
#define PARTS(s) s, sizeof(s) - 1
        { FLUX_MSGTYPE_REQUEST, 0, PARTS(""), "message without a topic" },
        { FLUX_MSGTYPE_EVENT, FLUX_MSGFLAG_PAYLOAD, PARTS("\1x"), "message without a topic" },
        { FLUX_MSGTYPE_CONTROL, FLUX_MSGFLAG_TOPIC, PARTS("\1t"), "control message with parts" },
        { FLUX_MSGTYPE_REQUEST, routed, PARTS("\101" ROUTE_64 "x\0\1t"), "bad route" },
        { FLUX_MSGTYPE_REQUEST, routed, PARTS("\3a\0b\0\1t"), "bad route" },
        { FLUX_MSGTYPE_REQUEST, routed,
          PARTS("\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\1a\0\1t"), "too many routes" },
        { FLUX_MSGTYPE_REQUEST, FLUX_MSGFLAG_TOPIC, PARTS("\3a b"), "bad topic" },
        { FLUX_MSGTYPE_REQUEST, FLUX_MSGFLAG_TOPIC, PARTS("\3a\0b"), "bad topic" },
        { FLUX_MSGTYPE_REQUEST, FLUX_MSGFLAG_TOPIC, PARTS("\2\177a"), "bad topic" },
        { FLUX_MSGTYPE_REQUEST, FLUX_MSGFLAG_TOPIC, PARTS("\0"), "bad topic" },
        { FLUX_MSGTYPE_REQUEST, FLUX_MSGFLAG_TOPIC, PARTS("\1t\1x"),
          "parts that the flags do not announce" },
        { FLUX_MSGTYPE_REQUEST, FLUX_MSGFLAG_TOPIC, PARTS("\2t"), "bad part size" },
#undef PARTS
    };
    uint8_t buf[256];
    const char *reason;
    flux_msg_t *msg;
    size_t size;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size = raw_message(buf, bad[i].type, bad[i].flags, bad[i].parts, bad[i].size);
        expect_refused(buf, size, bad[i].why);
    }
    size = raw_message(buf, FLUX_MSGTYPE_REQUEST, routed, "\100" ROUTE_64 "\0\1t", 68);
    assert_int_equal(msg_decode(buf, size, -EBADF, 0, &msg, &reason), 0);
    assert_string_equal(flux_msg_route_first(msg), ROUTE_64);
    flux_msg_destroy(msg);
    buf[7]++;
    expect_refused(buf, size, "length does not match");
}

static void test_routes_are_a_stack_whose_limits_hold(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
    CLEANUP(flux_msg_destroyp) flux_msg_t *out = NULL;
    CLEANUP(freep) char *s = NULL;
    char name[MSG_ROUTE_MAX + 2];

    assert_int_equal(flux_msg_route_count(msg), -1);
    assert_int_equal(flux_msg_route_push(msg, "x"), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(flux_msg_route_enable(msg), 0);
    assert_int_equal(flux_msg_route_delete_last(msg), -1);
    memset(name, 'n', sizeof(name));
    name[MSG_ROUTE_MAX + 1] = '\0';
    assert_int_equal(flux_msg_route_push(msg, name), -1);
    assert_int_equal(flux_msg_route_push(msg, ""), -1);
    for (int i = 0; i < MSG_ROUTES_MAX; i++) {
        name[0] = 'a' + i;
        name[MSG_ROUTE_MAX] = '\0';
        assert_int_equal(flux_msg_route_push(msg, name), 0);
    }
    assert_int_equal(flux_msg_route_push(msg, "x"), -1);
    assert_int_equal(errno, ELOOP);
    out = round_trip(msg);
    assert_int_equal(flux_msg_route_count(out), MSG_ROUTES_MAX);
    assert_int_equal(*flux_msg_route_first(out), 'a');
    assert_int_equal(*flux_msg_route_last(out), 'a' + MSG_ROUTES_MAX - 1);
    while (flux_msg_route_count(out) > 2)
        assert_int_equal(flux_msg_route_delete_last(out), 0);
    assert_int_equal(flux_msg_route_push(out, "new"), 0);
    assert_string_equal(flux_msg_route_last(out), "new");
    assert_int_equal(flux_msg_route_clear(out), 0);
    assert_int_equal(flux_msg_route_push(out, "one"), 0);
    assert_int_equal(flux_msg_route_push(out, "two"), 0);
    s = flux_msg_route_string(out);
    assert_string_equal(s, "one!two");
    assert_int_equal(flux_msg_route_count(msg), MSG_ROUTES_MAX);
}

static void test_same_sender_is_told_by_the_first_route(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *a = make_request("t");
    CLEANUP(flux_msg_destroyp) flux_msg_t *b = make_request("t");

    assert_true(flux_msg_route_match_first(a, b));
    (void)flux_msg_set_userid(a, 5);
    assert_false(flux_msg_route_match_first(a, b));
    (void)flux_msg_route_enable(a);
    (void)flux_msg_route_enable(b);
    (void)flux_msg_route_push(a, "x");
    assert_false(flux_msg_route_match_first(a, b));
    (void)flux_msg_route_push(b, "x");
    (void)flux_msg_route_push(b, "y");
    assert_true(flux_msg_route_match_first(a, b));
}

static void test_topics_are_short_printable_words(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("x");
    char topic[MSG_TOPIC_MAX + 2];
    const char *s;

    memset(topic, 't', sizeof(topic));
    topic[MSG_TOPIC_MAX + 1] = '\0';
    assert_int_equal(flux_msg_set_topic(msg, topic), -1);
    assert_int_equal(flux_msg_set_topic(msg, ""), -1);
    assert_int_equal(flux_msg_set_topic(msg, "a b"), -1);
    assert_int_equal(flux_msg_set_topic(msg, "a\nb"), -1);
    assert_string_equal(msg_topic(msg), "x");
    topic[MSG_TOPIC_MAX] = '\0';
    assert_int_equal(flux_msg_set_topic(msg, topic), 0);
    {
        CLEANUP(flux_msg_destroyp) flux_msg_t *out = round_trip(msg);

        assert_int_equal(flux_msg_get_topic(out, &s), 0);
        assert_string_equal(s, topic);
    }
    assert_int_equal(flux_msg_set_topic(msg, "short"), 0);
    assert_string_equal(msg_topic(msg), "short");
    assert_int_equal(flux_msg_set_topic(msg, NULL), 0);
    assert_int_equal(flux_msg_get_topic(msg, &s), -1);
    assert_int_equal(errno, EPROTO);
}

static void test_fields_belong_to_types(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *ev = flux_msg_create(FLUX_MSGTYPE_EVENT);
    CLEANUP(flux_msg_destroyp) flux_msg_t *rsp = flux_msg_create(FLUX_MSGTYPE_RESPONSE);
    CLEANUP(flux_msg_destroyp) flux_msg_t *ctl = flux_msg_create(FLUX_MSGTYPE_CONTROL);
    CLEANUP(flux_msg_destroyp) flux_msg_t *req = make_request("t");
    uint32_t u;
    int i, k;

    assert_int_equal(flux_msg_set_seq(ev, 77), 0);
    assert_int_equal(flux_msg_get_seq(ev, &u), 0);
    assert_int_equal(u, 77);
    assert_int_equal(flux_msg_get_matchtag(ev, &u), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(flux_msg_set_errnum(rsp, ENOENT), 0);
    assert_int_equal(flux_msg_get_errnum(rsp, &i), 0);
    assert_int_equal(i, ENOENT);
    assert_int_equal(flux_msg_set_errnum(req, 1), -1);
    assert_int_equal(flux_msg_set_control(ctl, 3, 4), 0);
    assert_int_equal(flux_msg_get_control(ctl, &i, &k), 0);
    assert_true(i == 3 && k == 4);
    assert_int_equal(flux_msg_set_nodeid(req, FLUX_NODEID_UPSTREAM), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_msg_set_flags(req, FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_TOPIC), -1);
    assert_int_equal(flux_msg_set_flags(req, FLUX_MSGFLAG_UPSTREAM | FLUX_MSGFLAG_TOPIC), 0);
    assert_int_equal(flux_msg_set_payload(ctl, "x", 1), -1);
}

static void test_matching_follows_type_tag_and_glob(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("kvs.lookup");
    struct flux_match m = FLUX_MATCH_ANY;

    assert_true(flux_msg_cmp(msg, m));
    m.topic_glob = "kvs.*";
    assert_true(flux_msg_cmp(msg, m));
    m.topic_glob = "kvs.look";
    assert_false(flux_msg_cmp(msg, m));
    m.topic_glob = "";
    assert_true(flux_msg_cmp(msg, m));
    m.matchtag = 5;
    assert_false(flux_msg_cmp(msg, m));
    (void)flux_msg_set_matchtag(msg, 5);
    assert_true(flux_msg_cmp(msg, m));
    m.typemask = FLUX_MSGTYPE_EVENT | FLUX_MSGTYPE_RESPONSE;
    assert_false(flux_msg_cmp(msg, m));
}

static void test_owner_and_named_user_are_authorized(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");

    assert_int_equal(flux_msg_authorize(msg, FLUX_USERID_UNKNOWN), -1);
    assert_int_equal(errno, EPERM);
    (void)flux_msg_set_cred(msg, (struct flux_msg_cred){ 100, FLUX_ROLE_USER });
    assert_int_equal(flux_msg_authorize(msg, 100), 0);
    assert_int_equal(flux_msg_authorize(msg, 101), -1);
    (void)flux_msg_set_rolemask(msg, FLUX_ROLE_OWNER);
    assert_int_equal(flux_msg_authorize(msg, 101), 0);
    (void)flux_msg_set_rolemask(msg, FLUX_ROLE_NONE);
    assert_int_equal(flux_msg_authorize(msg, 100), -1);
}

static void test_json_payloads_are_objects_with_their_nul(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
    const char *s;
    int n = 0;

    assert_int_equal(flux_msg_unpack(msg, "{s:i}", "a", &n), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(flux_msg_pack(msg, "{s:i s:s}", "a", 42, "b", "text"), 0);
    assert_int_equal(flux_msg_unpack(msg, "{s:i}", "a", &n), 0);
    assert_int_equal(n, 42);
    assert_int_equal(flux_msg_unpack(msg, "{s:s}", "b", &s), 0);
    assert_string_equal(s, "text");
    assert_int_equal(flux_msg_unpack(msg, "{s:s}", "a", &s), -1);
    assert_int_equal(errno, EPROTO);
    assert_true(strlen(flux_msg_last_error(msg)) > 0);
    assert_int_equal(flux_msg_pack(msg, "[i]", 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(flux_msg_pack(msg, "{s:i}", "a", 43), 0); /* the decoded object is renewed */
    assert_int_equal(flux_msg_unpack(msg, "{s:i}", "a", &n), 0);
    assert_int_equal(n, 43);
    assert_int_equal(flux_msg_set_payload(msg, "{}", 2), 0);
    assert_int_equal(flux_msg_unpack(msg, "{}"), -1);
    assert_int_equal(flux_msg_get_string(msg, &s), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(flux_msg_set_payload(msg, "a\0b", 4), 0);
    assert_int_equal(flux_msg_get_string(msg, &s), -1);
    assert_int_equal(flux_msg_set_string(msg, "[]"), 0);
    assert_int_equal(flux_msg_unpack(msg, "{}"), -1);
}

static void test_absent_and_empty_payloads_differ(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
    CLEANUP(flux_msg_destroyp) flux_msg_t *out = NULL;
    const void *buf;
    const char *s = "x";
    int size = -1;

    assert_int_equal(flux_msg_get_payload(msg, &buf, &size), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(flux_msg_get_string(msg, &s), 0);
    assert_null(s);
    assert_int_equal(flux_msg_set_payload(msg, "", 0), 0);
    out = round_trip(msg);
    assert_int_equal(flux_msg_get_payload(out, &buf, &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(flux_msg_set_payload(out, NULL, 0), 0);
    assert_false(flux_msg_has_payload(out));
}

static void test_a_copy_shares_the_payload_and_nothing_else(void **state)
{
    flux_msg_t *msg = make_request("one");
    CLEANUP(flux_msg_destroyp) flux_msg_t *received = round_trip(msg);
    CLEANUP(flux_msg_destroyp) flux_msg_t *cpy = NULL;
    CLEANUP(flux_msg_destroyp) flux_msg_t *bare = NULL;
    const char *s;

    (void)flux_msg_set_string(msg, "payload");
    flux_msg_destroy(received);
    received = round_trip(msg);
    flux_msg_destroy(msg);
    cpy = flux_msg_copy(received, true);
    bare = flux_msg_copy(received, false);
    (void)flux_msg_set_topic(received, "two");
    (void)flux_msg_set_string(received, "other");
    flux_msg_destroy(TAKE(received)); /* the copy keeps the bytes alive */
    assert_int_equal(flux_msg_get_string(cpy, &s), 0);
    assert_string_equal(s, "payload");
    assert_string_equal(msg_topic(cpy), "one");
    assert_false(flux_msg_has_payload(bare));
}

static void test_a_payload_may_be_set_from_itself(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
    const char *s;

    (void)flux_msg_set_string(msg, "0123456789");
    assert_int_equal(flux_msg_get_string(msg, &s), 0);
    assert_int_equal(flux_msg_set_string(msg, s + 5), 0);
    assert_int_equal(flux_msg_get_string(msg, &s), 0);
    assert_string_equal(s, "56789");
}

static void test_large_payloads_are_sent_as_sealed_memfds(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
    CLEANUP(freep) char *big = malloc(MSG_INLINE_MAX + 1);
    struct msg_pieces pieces;
    size_t size;

    memset(big, 'b', MSG_INLINE_MAX + 1);
    assert_int_equal(flux_msg_set_payload(msg, big, MSG_INLINE_MAX), 0);
    assert_int_equal(msg_encode_pieces(msg, &pieces), 0);
    assert_int_equal(pieces.fd, -EBADF);
    assert_int_equal(pieces.payload_size, MSG_INLINE_MAX);
    assert_int_equal(flux_msg_set_payload(msg, big, MSG_INLINE_MAX + 1), 0);
    assert_int_equal(msg_encode_pieces(msg, &pieces), 0);
    assert_true(pieces.fd >= 0);
    assert_int_equal(pieces.payload_size, 0);
    assert_int_equal(msg_encode_size(msg), pieces.head_size + pieces.tail_size);
    assert_int_equal(msg_memfd_check(pieces.fd, MSG_PAYLOAD_MAX, &size), 0);
    assert_int_equal(size, MSG_INLINE_MAX + 1);
    assert_int_equal(msg_memfd_check(pieces.fd, MSG_INLINE_MAX, &size), -EFBIG);
}

static void test_a_memfd_payload_is_read_on_demand_and_shared_by_copies(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("t");
    CLEANUP(flux_msg_destroyp) flux_msg_t *cpy = NULL;
    const char *s;

    assert_int_equal(msg_set_payload_fd(msg, msg_memfd_create("hello", 6), 6), 0);
    assert_int_equal(msg_payload_size(msg), 6);
    cpy = flux_msg_copy(msg, true);
    assert_int_equal(flux_msg_get_string(cpy, &s), 0);
    assert_string_equal(s, "hello");
    assert_int_equal(msg_payload_fd(msg), msg_payload_fd(cpy));
    {
        CLEANUP(flux_msg_destroyp) flux_msg_t *out = round_trip(msg);

        assert_int_equal(flux_msg_get_string(out, &s), 0);
        assert_string_equal(s, "hello");
    }
}

static void test_a_message_without_topic_does_not_travel(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = flux_msg_create(FLUX_MSGTYPE_EVENT);
    struct msg_pieces pieces;

    assert_int_equal(msg_encode_pieces(msg, &pieces), -EPROTO);
}

static void test_printing_shows_the_essentials(void **state)
{
    CLEANUP(flux_msg_destroyp) flux_msg_t *msg = make_request("kvs.lookup");
    char text[512] = "";
    FILE *f = fmemopen(text, sizeof(text), "w");

    (void)flux_msg_route_enable(msg);
    (void)flux_msg_route_push(msg, "abc");
    (void)flux_msg_set_string(msg, "\033[31m");
    flux_msg_fprint(f, msg);
    flux_msg_fprint(f, NULL);
    fclose(f);
    assert_non_null(strstr(text, "request kvs.lookup from abc matchtag=0\n"));
    assert_null(strchr(text, '\033'));
    assert_string_equal(flux_msg_typestr(77), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_message_has_the_defaults_of_rfc3),
        cmocka_unit_test(test_the_encoding_is_that_of_rfc3),
        cmocka_unit_test(test_part_sizes_change_form_at_255_bytes),
        cmocka_unit_test(test_every_truncation_and_extension_is_refused),
        cmocka_unit_test(test_other_versions_types_flags_and_long_forms_are_refused),
        cmocka_unit_test(test_each_part_is_checked_and_the_refusal_says_which),
        cmocka_unit_test(test_routes_are_a_stack_whose_limits_hold),
        cmocka_unit_test(test_same_sender_is_told_by_the_first_route),
        cmocka_unit_test(test_topics_are_short_printable_words),
        cmocka_unit_test(test_fields_belong_to_types),
        cmocka_unit_test(test_matching_follows_type_tag_and_glob),
        cmocka_unit_test(test_owner_and_named_user_are_authorized),
        cmocka_unit_test(test_json_payloads_are_objects_with_their_nul),
        cmocka_unit_test(test_absent_and_empty_payloads_differ),
        cmocka_unit_test(test_a_copy_shares_the_payload_and_nothing_else),
        cmocka_unit_test(test_a_payload_may_be_set_from_itself),
        cmocka_unit_test(test_large_payloads_are_sent_as_sealed_memfds),
        cmocka_unit_test(test_a_memfd_payload_is_read_on_demand_and_shared_by_copies),
        cmocka_unit_test(test_a_message_without_topic_does_not_travel),
        cmocka_unit_test(test_printing_shows_the_essentials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
