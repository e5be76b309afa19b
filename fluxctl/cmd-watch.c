/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl watch: the output of many jobs at once, until they have ended. At most WINDOW are
 * followed at a time; those that have ended give their output and make way. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "families.h"
#include "follow.h"
#include "job-open.h"
#include "progress.h"
#include "since.h"

#define WINDOW 128

struct watching {
    const struct cmdline *c;
    flux_t *h;
    flux_jobid_t *ids;
    size_t n, begun, done;
    struct progress progress;
    struct progress_counts counts;
    int status;
};

static void begin_more(struct watching *w);

static void ended(struct watching *w, int status)
{
    w->done++;
    if (status == 0)
        w->counts.completed++;
    else
        w->counts.failed++;
    w->status = status > w->status ? status : w->status;
    progress_update(&w->progress, &w->counts);
}

static void on_done(struct follow *fo, int status, void *arg)
{
    struct watching *w = arg;

    follow_free(fo);
    ended(w, status);
    begin_more(w);
    if (w->done == w->n)
        flux_reactor_stop(flux_get_reactor(w->h));
}

static void begin_more(struct watching *w)
{
    struct follow_options options = { .label = cmdline_has(w->c, "label-io"),
                                      .label_job = true,
                                      .verbose = cmdline_count(w->c, "verbose"),
                                      .quiet = cmdline_has(w->c, "quiet"),
                                      .on_done = on_done,
                                      .arg = w };

    while (w->begun < w->n && w->begun - w->done < WINDOW) {
        flux_jobid_t id = w->ids[w->begun++];

        if (!follow_new(w->h, id, &options))
            ended(w, complain("cannot watch job %s: %s", jobid_text(id), strerror(errno)));
    }
}

/* --- which jobs --- */

static int parse_ids(const struct cmdline *c, struct watching *w)
{
    if (!(w->ids = calloc((size_t)c->argc, sizeof(*w->ids))))
        return complain("out of memory");
    for (int i = 0; i < c->argc; i++) {
        if (parse_jobid(c->argv[i], &w->ids[w->n++]) < 0)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* The states that the options choose; 0 after complaining. */
static int chosen_states(const struct cmdline *c)
{
    int states = 0;

    if (cmdline_has(c, "filter"))
        return parse_states(cmdline_string(c, "filter", ""), "filter", &states) < 0 ? 0 : states;
    if (cmdline_has(c, "all") || cmdline_has(c, "since"))
        return FLUX_JOB_STATE_ACTIVE | FLUX_JOB_STATE_INACTIVE;
    if (cmdline_has(c, "active"))
        states |= FLUX_JOB_STATE_ACTIVE;
    if (cmdline_has(c, "inactive"))
        states |= FLUX_JOB_STATE_INACTIVE;
    return states;
}

static json_t *list_request(const struct cmdline *c, int states)
{
    double since = 0;
    json_t *o;
    int count;

    if (parse_count(cmdline_string(c, "count", "1000"), "--count", 0, &count) < 0 ||
        (cmdline_has(c, "since") && parse_since(cmdline_string(c, "since", ""), &since) < 0))
        return NULL;
    o = json_pack("{s:i s:[] s:I s:i}", "max_entries", count, "attrs", "userid",
                  (json_int_t)getuid(), "states", states);
    if (since > 0)
        (void)json_object_set_new(o, "since", json_real(since));
    return o;
}

static int list_ids(struct watching *w, json_t *request)
{
    CLEANUP(json_decrefp) json_t *answer = client_call(w->h, "job-list.list", request, "list jobs");
    json_t *jobs = json_object_get(answer, "jobs");

    if (!answer)
        return EXIT_FAILURE;
    if (!(w->ids = calloc(json_array_size(jobs) + 1, sizeof(*w->ids))))
        return complain("out of memory");
    /* The list begins with the newest. */
    for (size_t i = json_array_size(jobs); i-- > 0;)
        w->ids[w->n++] =
            (flux_jobid_t)json_integer_value(json_object_get(json_array_get(jobs, i), "id"));
    return EXIT_SUCCESS;
}

static int watch_all(struct watching *w)
{
    FILE *file;

    if (progress_option(w->c, &file) < 0)
        return EXIT_FAILURE;
    if (w->n == 0)
        return complain("there are no such jobs");
    progress_init(&w->progress, file, cmdline_has(w->c, "jps"));
    w->counts = (struct progress_counts){ .total = w->n, .submitted = w->n, .waiting = true };
    begin_more(w);
    if (w->done < w->n && flux_reactor_run(flux_get_reactor(w->h), 0) < 0)
        return complain("lost the connection to the instance: %s", strerror(errno));
    progress_finish(&w->progress, &w->counts);
    return w->status;
}

static int run_watch(const struct cmdline *c)
{
    struct watching w = { .c = c };
    int states = chosen_states(c);
    json_t *request = NULL;
    int status = EXIT_FAILURE;

    if (c->argc > 0 && states)
        return complain("name jobs, or choose them by options");
    if (c->argc == 0 && !states)
        return cmdline_has(c, "filter")
                   ? EXIT_FAILURE
                   : complain("say which jobs: JOBID..., --active, --inactive, --all, --since");
    if (c->argc > 0 ? parse_ids(c, &w) == EXIT_SUCCESS
                    : (request = list_request(c, states)) != NULL)
        w.h = client_open();
    if (w.h && (!request || list_ids(&w, json_incref(request)) == EXIT_SUCCESS))
        status = watch_all(&w);
    json_decref(request);
    flux_close(w.h);
    free(w.ids);
    return status;
}

static const struct option options[] = {
    { 'a', "active", NULL, "Your jobs that have not ended" },
    { 'A', "all", NULL, "All your jobs" },
    { 0, "inactive", NULL, "Your jobs that have ended" },
    { 'f', "filter", "STATES", "Your jobs in these states: pending,running,inactive ..." },
    { 0, "since", "WHEN", "Your jobs that were active since -2h, 2026-01-31 8am, ..." },
    { 'c', "count", "N", "At most so many, the newest (default 1000, 0: all)" },
    { 'l', "label-io", NULL, "Begin lines of output with the job and the rank of the task" },
    { 'q', "quiet", NULL, "Do not say how jobs ended" },
    { 'v', "verbose", NULL, "-vv: job events, -vvv: execution events too" },
    { 0, "progress", "always", "Show a progress line if stderr is a terminal, or always",
      OPTION_OPTIONAL_ARG },
    { 0, "jps", NULL, "With --progress, show jobs per second" },
    { 0 },
};

const struct command cmd_watch[] = {
    { "watch", "[JOBID...]", "Show the output of jobs until they have ended", options, 0, -1, 0,
      run_watch },
    { 0 },
};
