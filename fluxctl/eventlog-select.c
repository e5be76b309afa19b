/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Events are judged one by one, in the order of the log. */
#include "eventlog-select.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/eventlog.h"
#include "base/monotime.h"
#include "client.h"

#define LONG_TIME 1e10 /* seconds: for ever */

/* Is the value of the key in the context `text`, as JSON or as the string itself? */
static bool value_is(const json_t *v, const char *text)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
    const char *s = json_string_value(v);

    return v && ((o && json_equal(o, v)) || (s && strcmp(s, text) == 0));
}

static bool is_wanted(const struct eventlog_selection *s, const char *name, const json_t *context)
{
    char key[128];

    if (!s->wanted || strcmp(name, s->wanted) != 0)
        return false;
    if (!s->key)
        return true;
    snprintf(key, sizeof(key), "%.*s", (int)s->key_len, s->key);
    return value_is(json_object_get(context, key), s->value);
}

bool eventlog_selection_take(struct eventlog_selection *s, const json_t *entry)
{
    json_t *context = NULL;
    const char *name;

    if (eventlog_entry_parse(entry, NULL, &name, &context) < 0)
        return false;
    s->found = is_wanted(s, name, context) && --s->count <= 0;
    if (s->found ? !s->quiet : !s->wanted || s->verbose) {
        eventlog_print(&s->printer, entry);
        return true;
    }
    eventlog_printer_see(&s->printer, entry);
    return false;
}

/* --unformatted: as it is stored. */
static const char *format_of(const struct cmdline *c)
{
    return cmdline_string(c, "format", cmdline_has(c, "unformatted") ? "json" : "text");
}

int eventlog_selection_init(struct eventlog_selection *s, const struct cmdline *c)
{
    const char *times = cmdline_has(c, "human") ? "human" : "raw";
    const char *color = cmdline_has(c, "color") ? "always" : "auto";

    *s = (struct eventlog_selection){ .quiet = cmdline_has(c, "quiet"),
                                      .verbose = cmdline_has(c, "verbose"),
                                      .count = 1 };
    if (refuse_both(c, "human", "time-format") < 0 || refuse_both(c, "unformatted", "format") < 0 ||
        eventlog_printer_init(&s->printer, format_of(c), cmdline_string(c, "time-format", times)) <
            0)
        return -1;
    return eventlog_printer_color(&s->printer, cmdline_string(c, "color", color));
}

int eventlog_selection_want(struct eventlog_selection *s, const struct cmdline *c,
                            const char *wanted)
{
    const char *match = cmdline_string(c, "match-context", NULL);
    const char *equals = match ? strchr(match, '=') : NULL;
    const char *limit = cmdline_string(c, "timeout", NULL);
    double seconds;

    if (match && (!equals || equals == match)) {
        complain("--match-context must be KEY=VALUE, not '%s'", match);
        return -1;
    }
    s->wanted = wanted;
    s->key = match;
    s->key_len = match ? (size_t)(equals - match) : 0;
    s->value = match ? equals + 1 : NULL;
    if (parse_count(cmdline_string(c, "count", "1"), "--count", 1, &s->count) < 0 ||
        (limit && parse_duration(limit, "--timeout", &seconds) < 0))
        return -1;
    if (limit && seconds < LONG_TIME)
        s->deadline_usec = monotime_usec() + (uint64_t)(seconds * 1e6);
    return 0;
}

int eventlog_selection_await(const struct eventlog_selection *s, flux_future_t *f)
{
    uint64_t now = monotime_usec();

    if (s->deadline_usec == 0)
        return flux_future_wait_for(f, -1.);
    return flux_future_wait_for(f, now < s->deadline_usec ? (double)(s->deadline_usec - now) / 1e6
                                                          : 0.);
}
