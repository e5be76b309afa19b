/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl event pub, sub: publish and print events of the instance. */
#include <ctype.h>
#include <string.h>

#include "base/jsonx.h"
#include "client.h"
#include "families.h"

/* --- pub --- */

static flux_future_t *publish(flux_t *h, const struct cmdline *c, const char *payload)
{
    int flags = cmdline_has(c, "private") ? FLUX_MSGFLAG_PRIVATE : 0;

    if (cmdline_has(c, "raw"))
        return flux_event_publish_raw(h, c->argv[0], flags, payload,
                                      payload ? (int)strlen(payload) : 0);
    return flux_event_publish(h, c->argv[0], flags, payload);
}

/* Wait until our own event with this sequence number comes back. */
static int await_event(flux_t *h, int seq)
{
    for (;;) {
        flux_msg_t *msg = flux_recv(h, FLUX_MATCH_EVENT, 0);
        uint32_t n = 0;

        if (!msg)
            return complain("the event did not come back: %s", strerror(errno));
        (void)flux_msg_get_seq(msg, &n);
        flux_msg_destroy(msg);
        if ((int)n == seq)
            return EXIT_SUCCESS;
    }
}

static int run_pub(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(freep) char *payload = cmdline_join(c, 1);
    CLEANUP(json_decrefp) json_t *o = NULL;
    flux_error_t error;
    int seq;

    if (payload && !cmdline_has(c, "raw") &&
        !(o = jsonx_decode_object(payload, strlen(payload), &error)))
        return complain("the payload must be a JSON object (or use --raw): %s", error.text);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    if (cmdline_has(c, "loopback") && flux_event_subscribe(h, c->argv[0]) < 0)
        return complain("cannot subscribe to '%s': %s", c->argv[0], strerror(errno));
    if (!(f = publish(h, c, payload)) || flux_event_publish_get_seq(f, &seq) < 0)
        return complain_future(f, "cannot publish event '%s'", c->argv[0]);
    return cmdline_has(c, "loopback") ? await_event(h, seq) : EXIT_SUCCESS;
}

/* --- sub --- */

static void print_event(const flux_msg_t *msg)
{
    const char *topic = "";
    const void *data = NULL;
    int len = 0;

    if (flux_event_decode_raw(msg, &topic, &data, &len) < 0)
        return;
    printf("%s\t", topic);
    for (int i = 0; i < len; i++) {
        unsigned char ch = ((const unsigned char *)data)[i];

        if (i == len - 1 && ch == '\0')
            break;
        if (ch >= 0x80 || isprint(ch))
            putchar(ch);
        else
            printf("\\x%02x", ch);
    }
    putchar('\n');
    output_flush();
}

static int run_sub(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int count, printed = 0;

    if (parse_count(cmdline_string(c, "count", "1"), "--count", 1, &count) < 0 ||
        !(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < (c->argc ? c->argc : 1); i++) {
        const char *topic = c->argc ? c->argv[i] : "";

        if (flux_event_subscribe(h, topic) < 0)
            return complain("cannot subscribe to '%s': %s", topic, strerror(errno));
    }
    while (!cmdline_has(c, "count") || printed < count) {
        flux_msg_t *msg = flux_recv(h, FLUX_MATCH_EVENT, 0);

        if (!msg)
            return complain("lost the connection to the instance: %s", strerror(errno));
        print_event(msg);
        flux_msg_destroy(msg);
        printed++;
    }
    return EXIT_SUCCESS;
}

static const struct option pub_options[] = {
    { 'r', "raw", NULL, "The payload is raw text, not JSON" },
    { 'l', "loopback", NULL, "Wait until the event has come back" },
    { 's', "synchronous", NULL, "Wait until the event has a sequence number (always done)" },
    { 'p', "private", NULL, "Only for the instance owner and yourself" },
    { 0 },
};
static const struct option sub_options[] = {
    { 'c', "count", "N", "Exit after N events" },
    { 0 },
};

const struct command cmd_event[] = {
    { "event pub", "TOPIC [PAYLOAD...]", "Publish an event", pub_options, 1, -1, 0, run_pub },
    { "event sub", "[TOPIC...]", "Print events", sub_options, 0, -1, 0, run_sub },
    { 0 },
};
