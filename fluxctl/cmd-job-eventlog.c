/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job eventlog, wait-event: what happened to a job, and waiting until something does. */
#include <string.h>

#include "base/eventlog.h"
#include "client.h"
#include "eventlog-print.h"
#include "families.h"
#include "job-open.h"

struct printing {
    struct eventlog_printer printer;
    const char *wanted;      /* wait-event: stop at this event */
    const char *key, *value; /* of its context; NULL: any */
    size_t key_len;
    int count; /* so many of them */
    bool quiet, verbose;
    bool found;
};

/* Is the value of the key in the context `text`, as JSON or as the string itself? */
static bool value_is(const json_t *v, const char *text)
{
    CLEANUP(json_decrefp) json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
    const char *s = json_string_value(v);

    return v && ((o && json_equal(o, v)) || (s && strcmp(s, text) == 0));
}

static bool is_wanted(const struct printing *p, const char *name, const json_t *context)
{
    char key[128];

    if (!p->wanted || strcmp(name, p->wanted) != 0)
        return false;
    if (!p->key)
        return true;
    snprintf(key, sizeof(key), "%.*s", (int)p->key_len, p->key);
    return value_is(json_object_get(context, key), p->value);
}

static void print_line(struct printing *p, const char *line)
{
    CLEANUP(json_decrefp) json_t *entry = eventlog_entry_decode(line, strlen(line), NULL);
    json_t *context = NULL;
    const char *name;
    bool wanted;

    if (!entry || eventlog_entry_parse(entry, NULL, &name, &context) < 0)
        return;
    wanted = is_wanted(p, name, context);
    p->found = wanted && --p->count <= 0;
    if (!p->wanted || p->verbose || (p->found && !p->quiet))
        eventlog_print(&p->printer, entry);
    else
        eventlog_printer_see(&p->printer, entry);
}

/* The failure of a watch, in errno; the future's sentence where it has one. */
static int end_of_log(flux_future_t *f, flux_jobid_t id, const char *path, const struct printing *p)
{
    if (errno == ENODATA && !p->wanted)
        return EXIT_SUCCESS;
    if (errno == ENODATA)
        return complain("job %s has ended without event '%s'", jobid_text(id), p->wanted);
    if (errno == ETIMEDOUT)
        return complain("timed out waiting for event '%s' of job %s", p->wanted, jobid_text(id));
    return complain_future(f, "cannot read %s of job %s", path, jobid_text(id));
}

/* Follow an eventlog of a job synchronously. timeout < 0: none. */
static int follow_log(flux_t *h, flux_jobid_t id, const char *path, struct printing *p,
                      double timeout)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_job_event_watch(h, id, path, 0);

    while (f && flux_future_wait_for(f, timeout) == 0) {
        const char *line;

        if (flux_job_event_watch_get(f, &line) < 0)
            break;
        print_line(p, line);
        output_flush();
        if (p->found)
            return EXIT_SUCCESS;
        flux_future_reset(f);
    }
    return end_of_log(f, id, path, p);
}

/* The eventlogs that everybody asks for have short names. */
static const char *log_path(const struct cmdline *c)
{
    static const char *const names[][2] = { { "main", "eventlog" },
                                            { "exec", "guest.exec.eventlog" },
                                            { "output", "guest.output" },
                                            { "input", "guest.input" } };
    const char *path = cmdline_string(c, "path", "eventlog");

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(path, names[i][0]) == 0)
            return names[i][1];
    }
    return path;
}

static int printing_init(struct printing *p, const struct cmdline *c)
{
    const char *times = cmdline_has(c, "human") ? "human" : "raw";

    *p = (struct printing){ .quiet = cmdline_has(c, "quiet"),
                            .verbose = cmdline_has(c, "verbose"),
                            .count = 1 };
    if (cmdline_has(c, "human") && cmdline_has(c, "time-format")) {
        complain("--human and --time-format exclude each other");
        return -1;
    }
    if (eventlog_printer_init(&p->printer, cmdline_string(c, "format", "text"),
                              cmdline_string(c, "time-format", times)) < 0)
        return -1;
    return cmdline_has(c, "color")
               ? eventlog_printer_color(&p->printer, cmdline_string(c, "color", "always"))
               : eventlog_printer_color(&p->printer, "auto");
}

static int run_eventlog(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(json_decrefp) json_t *entries = NULL;
    const char *path = log_path(c);
    struct printing p;
    flux_jobid_t id;
    const char *text;
    size_t i;
    json_t *entry;

    if (printing_init(&p, c) < 0 || !(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    if (cmdline_has(c, "follow"))
        return follow_log(h, id, path, &p, -1.);
    answer = fetch_job_keys(h, id, json_pack("[s]", path), path);
    if (!answer)
        return EXIT_FAILURE;
    text = json_string_value(json_object_get(answer, path));
    if (!text || !(entries = eventlog_decode(text, strlen(text), NULL)))
        return complain("the eventlog of job %s is malformed", jobid_text(id));
    json_array_foreach (entries, i, entry)
        eventlog_print(&p.printer, entry);
    return EXIT_SUCCESS;
}

static int parse_match(const struct cmdline *c, struct printing *p)
{
    const char *match = cmdline_string(c, "match-context", NULL);
    const char *equals = match ? strchr(match, '=') : NULL;

    if (match && (!equals || equals == match))
        return complain("--match-context must be KEY=VALUE, not '%s'", match);
    p->key = match;
    p->key_len = match ? (size_t)(equals - match) : 0;
    p->value = match ? equals + 1 : NULL;
    return EXIT_SUCCESS;
}

static int run_wait_event(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *limit = cmdline_string(c, "timeout", NULL);
    double timeout = -1.;
    struct printing p;
    flux_jobid_t id;

    if (printing_init(&p, c) < 0 || parse_match(c, &p) != EXIT_SUCCESS ||
        parse_count(cmdline_string(c, "count", "1"), "--count", 1, &p.count) < 0 ||
        (limit && parse_duration(limit, "--timeout", &timeout) < 0) ||
        !(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    p.wanted = c->argv[1];
    return follow_log(h, id, log_path(c), &p, timeout);
}

#define PRINT_OPTIONS                                                                            \
    { 'f', "format", "FORMAT", "text (default) or json" },                                       \
        { 'T', "time-format", "FORMAT", "raw (default), iso, offset or human" },                 \
        { 'H', "human", NULL, "Same as --time-format=human" },                                   \
        { 'L', "color", "WHEN", "Colors: always (default if given), never or auto (default)",    \
          OPTION_OPTIONAL_ARG },                                                                 \
    {                                                                                            \
        'p', "path", "PATH", "exec, output, input, guest.NAME ... (default: the job's eventlog)" \
    }
static const struct option eventlog_options[] = {
    PRINT_OPTIONS,
    { 'F', "follow", NULL, "Print events as they happen until the job has ended" },
    { 0 },
};
static const struct option wait_event_options[] = {
    PRINT_OPTIONS,
    { 't', "timeout", "FSD", "Give up after so long without an event" },
    { 'm', "match-context", "KEY=VALUE", "Only an event whose context has this value" },
    { 'c', "count", "N", "The N-th such event (default 1)" },
    { 'W', "waitcreate", NULL, "Wait for the eventlog to come to exist (always done)" },
    { 'q', "quiet", NULL, "Do not print the event" },
    { 'v', "verbose", NULL, "Print all events up to it" },
    { 0 },
};

const struct command cmd_job_eventlog[] = {
    { "job eventlog", "JOBID", "Print the events of a job", eventlog_options, 1, 1, 0,
      run_eventlog },
    { "job wait-event", "JOBID EVENT", "Wait for an event of a job", wait_event_options, 2, 2, 0,
      run_wait_event },
    { 0 },
};
