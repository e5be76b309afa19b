/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job eventlog, wait-event: what happened to a job, and waiting until something does. */
#include <string.h>

#include "base/eventlog.h"
#include "client.h"
#include "eventlog-select.h"
#include "families.h"
#include "job-open.h"

static void take_line(struct eventlog_selection *s, const char *line)
{
    CLEANUP(json_decrefp) json_t *entry = eventlog_entry_decode(line, strlen(line), NULL);

    if (entry)
        (void)eventlog_selection_take(s, entry);
}

/* The failure of a watch, in errno; the future's sentence where it has one. */
static int end_of_log(flux_future_t *f, flux_jobid_t id, const char *path,
                      const struct eventlog_selection *s)
{
    if (errno == ENODATA && !s->wanted)
        return EXIT_SUCCESS;
    if (errno == ENODATA)
        return complain("job %s has ended without event '%s'", jobid_text(id), s->wanted);
    if (errno == ETIMEDOUT)
        return complain("timed out waiting for event '%s' of job %s", s->wanted, jobid_text(id));
    return complain_future(f, "cannot read %s of job %s", path, jobid_text(id));
}

/* Follow an eventlog of a job synchronously. */
static int follow_log(flux_t *h, flux_jobid_t id, const char *path, struct eventlog_selection *s)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_job_event_watch(h, id, path, 0);

    while (f && eventlog_selection_await(s, f) == 0) {
        const char *line;

        if (flux_job_event_watch_get(f, &line) < 0)
            break;
        take_line(s, line);
        output_flush();
        if (s->found)
            return EXIT_SUCCESS;
        flux_future_reset(f);
    }
    return end_of_log(f, id, path, s);
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

static int run_eventlog(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(json_decrefp) json_t *entries = NULL;
    const char *path = log_path(c);
    struct eventlog_selection s;
    flux_jobid_t id;
    const char *text;
    size_t i;
    json_t *entry;

    if (eventlog_selection_init(&s, c) < 0 || !(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    if (cmdline_has(c, "follow"))
        return follow_log(h, id, path, &s);
    answer = fetch_job_keys(h, id, json_pack("[s]", path), path);
    if (!answer)
        return EXIT_FAILURE;
    text = json_string_value(json_object_get(answer, path));
    if (!text || !(entries = eventlog_decode(text, strlen(text), NULL)))
        return complain("the eventlog of job %s is malformed", jobid_text(id));
    json_array_foreach (entries, i, entry)
        (void)eventlog_selection_take(&s, entry);
    return EXIT_SUCCESS;
}

static int run_wait_event(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct eventlog_selection s;
    flux_jobid_t id;

    if (eventlog_selection_init(&s, c) < 0 || eventlog_selection_want(&s, c, c->argv[1]) < 0 ||
        !(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    return follow_log(h, id, log_path(c), &s);
}

#define PATH_OPTION                                                                              \
    {                                                                                            \
        'p', "path", "PATH", "exec, output, input, guest.NAME ... (default: the job's eventlog)" \
    }
static const struct option eventlog_options[] = {
    EVENTLOG_PRINT_OPTIONS,
    PATH_OPTION,
    { 'F', "follow", NULL, "Print events as they happen until the job has ended" },
    { 0 },
};
static const struct option wait_event_options[] = {
    EVENTLOG_PRINT_OPTIONS,
    PATH_OPTION,
    EVENTLOG_WAIT_OPTIONS,
    { 'W', "waitcreate", NULL, "Wait for the eventlog to come to exist (always done)" },
    { 0 },
};

const struct command cmd_job_eventlog[] = {
    { "job eventlog", "JOBID", "Print the events of a job", eventlog_options, 1, 1, 0,
      run_eventlog },
    { "job wait-event", "JOBID EVENT", "Wait for an event of a job", wait_event_options, 2, 2, 0,
      run_wait_event },
    { 0 },
};
