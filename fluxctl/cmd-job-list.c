/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job list, list-inactive, list-ids: what the instance keeps of jobs, as lines of JSON for
 * programs; flux jobs is for people. */
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "families.h"
#include "job-open.h"
#include "since.h"

static void print_job(const json_t *job)
{
    (void)json_dumpf(job, stdout, JSON_COMPACT);
    putchar('\n');
}

static int print_jobs(json_t *request)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    json_t *job;
    size_t i;

    if (!h) {
        json_decref(request);
        return EXIT_FAILURE;
    }
    if (!(answer = client_call(h, "job-list.list", request, "list jobs")))
        return EXIT_FAILURE;
    json_array_foreach (json_object_get(answer, "jobs"), i, job)
        print_job(job);
    return EXIT_SUCCESS;
}

/* What both lists have: --count, --name. NULL: has complained. */
static json_t *list_request(const struct cmdline *c, int states)
{
    const char *name = cmdline_string(c, "name", NULL);
    json_t *o;
    int count;

    if (parse_count(cmdline_string(c, "count", "1000"), "--count", 0, &count) < 0)
        return NULL;
    o = json_pack("{s:i s:[s] s:i}", "max_entries", count, "attrs", "all", "states", states);
    if (name && json_object_set_new(o, "name", json_string(name)) < 0) {
        complain("--name: '%s' is not valid UTF-8", name);
        json_decref(o);
        return NULL;
    }
    return o;
}

static int run_list(const struct cmdline *c)
{
    const char *user = cmdline_has(c, "A") ? "all" : cmdline_string(c, "user", NULL);
    const char *words = cmdline_has(c, "a") || cmdline_has(c, "A") ? "active,inactive" : "active";
    uint32_t userid = getuid();
    json_t *o;
    int states;

    if (parse_states(cmdline_string(c, "states", words), "states", &states) < 0 ||
        (user && parse_user(user, &userid) < 0) || !(o = list_request(c, states)))
        return EXIT_FAILURE;
    if (userid != FLUX_USERID_UNKNOWN)
        (void)json_object_set_new(o, "userid", json_integer(userid));
    return print_jobs(o);
}

static int run_list_inactive(const struct cmdline *c)
{
    double since = 0;
    json_t *o;

    if ((cmdline_has(c, "since") && parse_since(cmdline_string(c, "since", ""), &since) < 0) ||
        !(o = list_request(c, FLUX_JOB_STATE_INACTIVE)))
        return EXIT_FAILURE;
    if (since > 0)
        (void)json_object_set_new(o, "since", json_real(since));
    return print_jobs(o);
}

/* --- list-ids --- */

/* The state that a job comes to by an event (RFC 21), or 0. */
static int state_after(const char *name, const json_t *context)
{
    static const struct {
        const char *name;
        int state;
    } events[] = { { "validate", FLUX_JOB_STATE_DEPEND }, { "depend", FLUX_JOB_STATE_PRIORITY },
                   { "priority", FLUX_JOB_STATE_SCHED },  { "alloc", FLUX_JOB_STATE_RUN },
                   { "finish", FLUX_JOB_STATE_CLEANUP },  { "clean", FLUX_JOB_STATE_INACTIVE } };

    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        if (strcmp(events[i].name, name) == 0)
            return events[i].state;
    if (strcmp(name, "exception") == 0 &&
        json_integer_value(json_object_get(context, "severity")) == 0)
        return FLUX_JOB_STATE_CLEANUP;
    return 0;
}

/* States are bits in their order: a job that is beyond the state will not come to it. */
static int wait_for_state(flux_t *h, flux_jobid_t id, int state)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_job_event_watch(h, id, "eventlog", 0);

    for (;;) {
        CLEANUP(json_decrefp) json_t *entry = NULL;
        json_t *context = NULL;
        const char *line, *name;

        if (!f || flux_job_event_watch_get(f, &line) < 0)
            return complain_future(f, "cannot wait for job %s", jobid_text(id));
        entry = json_loads(line, 0, NULL);
        if (json_unpack(entry, "{s:s s?o}", "name", &name, "context", &context) == 0 &&
            state_after(name, context) >= state)
            return EXIT_SUCCESS;
        flux_future_reset(f);
    }
}

static int parse_state(const char *s, int *ret)
{
    flux_job_state_t state;

    if (flux_job_strtostate(s, &state) == 0 && state >= FLUX_JOB_STATE_DEPEND) {
        *ret = (int)state;
        return EXIT_SUCCESS;
    }
    return complain("--wait-state must be depend, priority, sched, run, cleanup or inactive, "
                    "not '%s'",
                    s);
}

static int run_list_ids(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *wait = cmdline_string(c, "wait-state", NULL);
    int status = EXIT_SUCCESS, state = 0;

    if ((wait && parse_state(wait, &state) != EXIT_SUCCESS) || !(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++) {
        CLEANUP(json_decrefp) json_t *job = NULL;
        flux_jobid_t id;

        if (parse_jobid(c->argv[i], &id) < 0 ||
            (wait && wait_for_state(h, id, state) != EXIT_SUCCESS) || !(job = fetch_job(h, id)))
            status = EXIT_FAILURE;
        else
            print_job(job);
    }
    return status;
}

static const struct option list_options[] = {
    { 'a', NULL, NULL, "Ended jobs too" },
    { 'A', NULL, NULL, "Those of all users, ended ones too" },
    { 'c', "count", "N", "At most N jobs (default 1000, 0 for no limit)" },
    { 'n', "name", "NAME", "Jobs of this name" },
    { 's', "states", "STATES", "Comma-separated: active (default), pending, run, inactive ..." },
    { 'u', "user", "USER", "Jobs of a user, by name or number, or all" },
    { 0 },
};
static const struct option list_inactive_options[] = {
    { 'c', "count", "N", "At most N jobs (default 1000, 0 for no limit)" },
    { 'n', "name", "NAME", "Jobs of this name" },
    { 's', "since", "WHEN", "Jobs that ended since -2h, 2026-01-31 8am, ..." },
    { 0 },
};
static const struct option list_ids_options[] = {
    { 'W', "wait-state", "STATE", "Wait until each job has come to this state, or beyond" },
    { 0 },
};

const struct command cmd_job_list[] = {
    { "job list", NULL, "Print jobs as lines of JSON", list_options, 0, 0, 0, run_list },
    { "job list-ids", "JOBID...", "Print these jobs as lines of JSON", list_ids_options, 1, -1, 0,
      run_list_ids },
    { "job list-inactive", NULL, "Print ended jobs as lines of JSON", list_inactive_options, 0, 0,
      0, run_list_inactive },
    { 0 },
};
