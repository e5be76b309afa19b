/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl kvs eventlog get, append, wait-event: eventlogs (RFC 18) under any key. */
#include <string.h>

#include "base/eventlog.h"
#include "base/jsonx.h"
#include "base/number.h"
#include "client.h"
#include "eventlog-print.h"
#include "eventlog-select.h"
#include "families.h"
#include "kvs-common.h"

DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)

struct reading {
    const struct cmdline *c;
    struct eventlog_selection selection;
    int count; /* stop after so many were printed; 0: no end */
    int printed;
    bool done;
};

static int handle_text(struct reading *r, const char *text)
{
    flux_error_t error;
    CLEANUP(json_decrefp) json_t *entries = eventlog_decode(text, strlen(text), &error);
    size_t i;
    json_t *entry;

    if (!entries)
        return complain("%s: not an eventlog: %s", r->c->argv[0], error.text);
    json_array_foreach (entries, i, entry) {
        r->printed += eventlog_selection_take(&r->selection, entry);
        r->done = r->selection.found || (r->count && r->printed == r->count);
        if (r->done)
            break;
    }
    output_flush();
    return EXIT_SUCCESS;
}

static int read_log(flux_t *h, struct reading *r, bool watch)
{
    int flags = (cmdline_has(r->c, "waitcreate") ? FLUX_KVS_WAITCREATE : 0) |
                (watch ? FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND : 0);
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(h, kvs_option_namespace(r->c), flags, r->c->argv[0]);
    const char *text;

    while (f && eventlog_selection_await(&r->selection, f) == 0 &&
           flux_kvs_lookup_get(f, &text) == 0) {
        int status = handle_text(r, text ? text : "");

        if (status != EXIT_SUCCESS || r->done || !watch)
            return status;
        flux_future_reset(f);
    }
    if (errno == ENODATA)
        return EXIT_SUCCESS;
    if (errno == ETIMEDOUT)
        return complain("timed out waiting for event '%s'", r->selection.wanted);
    return kvs_complain(f, "--namespace", kvs_option_namespace(r->c), r->c->argv[0]);
}

static int run_get(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct reading r = { .c = c };

    if (eventlog_selection_init(&r.selection, c) < 0 ||
        parse_count(cmdline_string(c, "count", "0"), "--count", 0, &r.count) < 0 ||
        !(h = client_open()))
        return EXIT_FAILURE;
    return read_log(h, &r, cmdline_has(c, "watch"));
}

static int run_wait_event(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct reading r = { .c = c };

    if (eventlog_selection_init(&r.selection, c) < 0 ||
        eventlog_selection_want(&r.selection, c, c->argv[1]) < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    return read_log(h, &r, true);
}

/* The words of the context joined by spaces, as a JSON object. */
static int parse_context(const struct cmdline *c, json_t **ret)
{
    CLEANUP(freep) char *text = NULL;
    flux_error_t error;
    size_t size;
    FILE *f;

    *ret = NULL;
    if (c->argc < 3 || !(f = open_memstream(&text, &size)))
        return 0;
    for (int i = 2; i < c->argc; i++)
        fprintf(f, "%s%s", i > 2 ? " " : "", c->argv[i]);
    (void)fclose(f);
    if (!(*ret = jsonx_decode_object(text, size, &error))) {
        complain("the context must be a JSON object: %s", error.text);
        return -1;
    }
    return 0;
}

static int run_append(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(json_decrefp) json_t *context = NULL;
    CLEANUP(json_decrefp) json_t *entry = NULL;
    CLEANUP(freep) char *line = NULL;
    const char *time = cmdline_string(c, "timestamp", NULL);
    double timestamp = 0; /* now */

    if (time && (number_parse_double(time, &timestamp) < 0 || timestamp <= 0 ||
                 timestamp >= EVENTLOG_TIME_END))
        return complain("--timestamp must be seconds since the epoch, more than 0 and before the "
                        "year 10000, not '%s'",
                        time);
    if (parse_context(c, &context) < 0)
        return EXIT_FAILURE;
    if (!(entry = eventlog_entry_create(timestamp, c->argv[1], context)) ||
        !(line = eventlog_entry_encode(entry)))
        return complain("'%s' cannot be the name of an event", c->argv[1]);
    if (!txn || flux_kvs_txn_put(txn, FLUX_KVS_APPEND, c->argv[0], line) < 0)
        return kvs_complain_key(c->argv[0]);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    if (!(f = flux_kvs_commit(h, kvs_option_namespace(c), 0, txn)) || flux_future_get(f, NULL) < 0)
        return kvs_complain(f, "--namespace", kvs_option_namespace(c), "cannot commit");
    return EXIT_SUCCESS;
}

static const struct option get_options[] = {
    KVS_NAMESPACE_OPTION,
    { 'W', "waitcreate", NULL, "Wait until the eventlog exists" },
    { 'w', "watch", NULL, "Go on with events as they are appended" },
    { 'c', "count", "N", "Stop after N events" },
    { 'u', "unformatted", NULL, "Print the events as they are stored" },
    EVENTLOG_PRINT_OPTIONS,
    { 0 },
};
static const struct option append_options[] = {
    KVS_NAMESPACE_OPTION,
    { 't', "timestamp", "SECONDS", "Time of the event (default: now)" },
    { 0 },
};
static const struct option wait_options[] = {
    KVS_NAMESPACE_OPTION,
    EVENTLOG_WAIT_OPTIONS,
    { 'u', "unformatted", NULL, "Print the event as it is stored" },
    { 'W', "waitcreate", NULL, "Wait until the eventlog exists" },
    EVENTLOG_PRINT_OPTIONS,
    { 0 },
};

const struct command cmd_kvs_eventlog[] = {
    { "kvs eventlog get", "KEY", "Print an eventlog", get_options, 1, 1, 0, run_get },
    { "kvs eventlog append", "KEY NAME [CONTEXT...]", "Append an event", append_options, 2, -1, 0,
      run_append },
    { "kvs eventlog wait-event", "KEY NAME", "Wait for an event", wait_options, 2, 2, 0,
      run_wait_event },
    { 0 },
};
