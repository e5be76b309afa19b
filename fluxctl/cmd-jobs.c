/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl jobs: list jobs, in columns, in a format of the user's, or as JSON. */
#include <string.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/monotime.h"
#include "client.h"
#include "families.h"
#include "job-fields.h"
#include "job-uri.h"
#include "named-format.h"
#include "since.h"

static const struct named_format formats[] = {
    { "default",
      "{id.f58:>12} {username:<8.8} {name:<10.10} {status_abbrev:>2.2} {ntasks:>6} {nnodes:>6h} "
      "{runtime!F:>8h} {nodelist:h}",
      "what people want to know first" },
    { "long",
      "{id.f58:>12} {username:<8.8} {queue:<8.8h} {name:<16.16} {status:>9.9} {urgency:>3} "
      "{ntasks:>6} {nnodes:>6h} {ncores:>6h} {t_submit!D:<19} {runtime!F:>8h} {t_remaining!F:>8h} "
      "{nodelist:h}",
      "with queue, urgency, cores, times" },
    { "deps",
      "{id.f58:>12} {username:<8.8} {name:<16.16} {urgency:>3} {priority:>10h} {state:>8} "
      "{dependencies:h}",
      "what jobs wait for" },
    { "ends",
      "{id.f58:>12} {username:<8.8} {name:<16.16} {t_inactive!D:<19} {runtime!F:>8h} "
      "{result_abbrev:>2.2h} {returncode:>4h} {exception.type:<14h} {exception.note:h}",
      "how jobs ended" },
    { 0 },
};

static const struct format_user format_user = {
    .tool = "jobs", .formats = formats, .heading = job_field_heading, .things = "jobs"
};

DEFINE_CLEANUP(struct format *, format_free)

struct filter {
    int states;
    int results;
};

static const struct filter_word {
    const char *name;
    int states, results;
} filter_words[] = {
    { "pending", FLUX_JOB_STATE_PENDING, 0 },
    { "running", FLUX_JOB_STATE_RUNNING, 0 },
    { "active", FLUX_JOB_STATE_ACTIVE, 0 },
    { "inactive", FLUX_JOB_STATE_INACTIVE, 0 },
    { "new", FLUX_JOB_STATE_NEW, 0 },
    { "depend", FLUX_JOB_STATE_DEPEND, 0 },
    { "priority", FLUX_JOB_STATE_PRIORITY, 0 },
    { "sched", FLUX_JOB_STATE_SCHED, 0 },
    { "run", FLUX_JOB_STATE_RUN, 0 },
    { "cleanup", FLUX_JOB_STATE_CLEANUP, 0 },
    { "completed", FLUX_JOB_STATE_INACTIVE, FLUX_JOB_RESULT_COMPLETED },
    { "failed", FLUX_JOB_STATE_INACTIVE, FLUX_JOB_RESULT_FAILED },
    { "canceled", FLUX_JOB_STATE_INACTIVE, FLUX_JOB_RESULT_CANCELED },
    { "timeout", FLUX_JOB_STATE_INACTIVE, FLUX_JOB_RESULT_TIMEOUT },
};

static const struct filter_word *find_word(const char *s, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(filter_words); i++) {
        if (strlen(filter_words[i].name) == len && strncasecmp(filter_words[i].name, s, len) == 0)
            return &filter_words[i];
    }
    return NULL;
}

/* "inactive" takes every result, whatever else is listed. */
static int parse_filter(const char *s, struct filter *ret)
{
    bool every_result = false;

    *ret = (struct filter){ 0 };
    do {
        size_t len = strcspn(s, ",");
        const struct filter_word *w = find_word(s, len);

        if (!w) {
            complain("--filter: '%.*s' is neither a state nor a result of a job", (int)len, s);
            return -1;
        }
        ret->states |= w->states;
        ret->results |= w->results;
        every_result |= w->states == FLUX_JOB_STATE_INACTIVE && !w->results;
        s += len + (s[len] == ',');
    } while (*s);
    if (every_result)
        ret->results = 0;
    return 0;
}

/* --- what to ask for --- */

static int ask_for_text(const struct cmdline *c, const char *key, json_t *request)
{
    const char *s = cmdline_string(c, key, NULL);

    if (!s || json_object_set_new(request, key, json_string(s)) == 0)
        return 0;
    complain("--%s: '%s' is not valid UTF-8", key, s);
    return -1;
}

static json_t *list_request(const struct cmdline *c)
{
    bool everybody = cmdline_has(c, "A");
    const char *words = everybody || cmdline_has(c, "a") || cmdline_has(c, "since")
                            ? "pending,running,inactive"
                            : "pending,running";
    const char *user = cmdline_string(c, "user", NULL);
    uint32_t userid = everybody ? FLUX_USERID_UNKNOWN : getuid();
    double since = 0;
    struct filter filter;
    CLEANUP(json_decrefp) json_t *o = NULL;
    int count;

    if (parse_count(cmdline_string(c, "count", "1000"), "--count", 0, &count) < 0 ||
        parse_filter(cmdline_string(c, "filter", words), &filter) < 0 ||
        (user && parse_user(user, &userid) < 0) ||
        (cmdline_has(c, "since") && parse_since(cmdline_string(c, "since", ""), &since) < 0))
        return NULL;
    o = json_pack("{s:i s:[s] s:i}", "max_entries", count, "attrs", "all", "states", filter.states);
    if (userid != FLUX_USERID_UNKNOWN)
        (void)json_object_set_new(o, "userid", json_integer(userid));
    if (filter.results)
        (void)json_object_set_new(o, "results", json_integer(filter.results));
    if (since > 0)
        (void)json_object_set_new(o, "since", json_real(since));
    if (ask_for_text(c, "name", o) < 0 || ask_for_text(c, "queue", o) < 0)
        return NULL;
    return TAKE(o);
}

static json_t *fetch_listed(flux_t *h, const struct cmdline *c)
{
    json_t *request = list_request(c);
    CLEANUP(json_decrefp)
    json_t *answer = request ? client_call(h, "job-list.list", request, "list jobs") : NULL;

    return json_incref(json_object_get(answer, "jobs"));
}

/* The jobs named on the command line. Those that are unknown are complained about. */
static json_t *fetch_named(flux_t *h, const struct cmdline *c, int *ret_status)
{
    json_t *jobs = json_array();

    for (int i = 0; i < c->argc; i++) {
        CLEANUP(json_decrefp) json_t *answer = NULL;
        flux_jobid_t id;
        char what[128];

        if (parse_jobid(c->argv[i], &id) < 0) {
            *ret_status = EXIT_FAILURE;
            continue;
        }
        snprintf(what, sizeof(what), "list job %s", c->argv[i]);
        answer = client_call(h, "job-list.list-id",
                             json_pack("{s:I s:[s]}", "id", (json_int_t)id, "attrs", "all"), what);
        if (answer)
            (void)json_array_append(jobs, json_object_get(answer, "job"));
        else
            *ret_status = EXIT_FAILURE;
    }
    return jobs;
}

/* --- what to print --- */

static const char *color_of(const json_t *job)
{
    const char *status = job_status(job);

    if (strcmp(status, "FAILED") == 0 || strcmp(status, "TIMEOUT") == 0)
        return "\033[01;31m";
    if (strcmp(status, "CANCELED") == 0)
        return "\033[37m";
    return NULL;
}

static int parse_color(const struct cmdline *c, bool *ret)
{
    const char *when = cmdline_string(c, "color", "auto");

    if (strcmp(when, "always") != 0 && strcmp(when, "never") != 0 && strcmp(when, "auto") != 0) {
        complain("--color must be never, always or auto, not '%s'", when);
        return -1;
    }
    *ret = strcmp(when, "auto") == 0 ? isatty(STDOUT_FILENO) : strcmp(when, "always") == 0;
    return 0;
}

static void print_table(const struct format *f, const json_t *jobs, bool heading, bool colors)
{
    struct job_fields fields = { .now = walltime() };
    struct format_source source = { .get = job_field_get,
                                    .heading = job_field_heading,
                                    .arg = &fields };
    size_t i;
    json_t *job;

    if (heading)
        format_print_heading(f, &source, stdout);
    json_array_foreach ((json_t *)jobs, i, job) {
        const char *color = colors ? color_of(job) : NULL;

        fields.job = job;
        fputs(color ? color : "", stdout);
        format_print(f, &source, stdout);
        fputs(color ? "\033[0m\n" : "\n", stdout);
    }
    job_fields_deinit(&fields);
}

/* {"jobs":[...], "stats":{...}}; either may be NULL. */
static void print_json(const json_t *jobs, const json_t *stats)
{
    struct job_fields fields = { .now = walltime() };
    CLEANUP(json_decrefp) json_t *o = json_object();
    json_t *list = jobs ? json_array() : NULL;
    size_t i;
    json_t *job;

    json_array_foreach ((json_t *)jobs, i, job) {
        fields.job = job;
        (void)json_array_append_new(list, job_fields_json(&fields));
    }
    if (list)
        (void)json_object_set_new(o, "jobs", list);
    if (stats)
        (void)json_object_set(o, "stats", (json_t *)stats);
    (void)json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    job_fields_deinit(&fields);
}

struct totals {
    json_int_t running, completed, failed, canceled, timeout, pending;
};

static json_int_t total(const json_t *answer, const char *key)
{
    return json_integer_value(json_object_get(answer, key));
}

static int fetch_totals(flux_t *h, struct totals *ret)
{
    CLEANUP(json_decrefp) json_t *o = client_call(h, "job-list.job-stats", NULL, "count jobs");
    const json_t *states = json_object_get(o, "job_states");

    if (!o)
        return -1;
    *ret = (struct totals){
        .running = total(states, "run") + total(states, "cleanup"),
        .completed = total(o, "successful"),
        .failed = total(o, "failed"),
        .canceled = total(o, "canceled"),
        .timeout = total(o, "timeout"),
        .pending = total(states, "depend") + total(states, "priority") + total(states, "sched"),
    };
    return 0;
}

static void print_totals(const struct totals *t)
{
    printf("%lld running, %lld completed, %lld failed, %lld canceled, %lld timeout, %lld pending\n",
           (long long)t->running, (long long)t->completed, (long long)t->failed,
           (long long)t->canceled, (long long)t->timeout, (long long)t->pending);
}

static json_t *totals_json(const struct totals *t)
{
    return json_pack("{s:I s:I s:I s:I s:I s:I}", "running", t->running, "completed", t->completed,
                     "failed", t->failed, "canceled", t->canceled, "timeout", t->timeout, "pending",
                     t->pending);
}

/* What --stats and --stats-only print. */
static json_t *show_totals(const struct cmdline *c, const struct totals *t)
{
    if (cmdline_has(c, "json"))
        return totals_json(t);
    print_totals(t);
    return NULL;
}

/* --- instances that are jobs --- */

struct listing {
    const struct cmdline *c;
    const struct format *format;
    bool colors;
    int level; /* how many further down */
};

static bool is_instance(const struct listing *l, const json_t *job)
{
    const bool ours = json_integer_value(json_object_get(job, "userid")) == (json_int_t)getuid();
    const int state = (int)json_integer_value(json_object_get(job, "state"));

    return job_uri(job) && state == FLUX_JOB_STATE_RUN &&
           (ours || cmdline_has(l->c, "recurse-all"));
}

static void print_heading(const char *path)
{
    printf("\n%s:\n", path);
}

/* The jobs of one that is an instance, below the path of those around it. */
static void list_inside(const struct listing *l, const json_t *job, const char *path);

static void list_below(const struct listing *l, const json_t *jobs, const char *path)
{
    size_t i;
    json_t *job;

    json_array_foreach ((json_t *)jobs, i, job)
        if (l->level != 0 && is_instance(l, job))
            list_inside(l, job, path);
}

static void list_inside(const struct listing *l, const json_t *job, const char *path)
{
    struct listing below = *l;
    CLEANUP(freep) char *uri = uri_from_here(job_uri(job));
    CLEANUP(freep) char *here = NULL;
    CLEANUP(flux_closep) flux_t *h = uri ? flux_open(uri, 0) : NULL;
    CLEANUP(json_decrefp) json_t *jobs = NULL;

    if (asprintf(&here, "%s%s%s", path, path[0] ? "/" : "",
                 jobid_text((flux_jobid_t)json_integer_value(json_object_get(job, "id")))) < 0) {
        here = NULL;
        return;
    }
    if (!h) {
        complain("job %s cannot be looked into: %s cannot be reached from this host", here, uri);
        return;
    }
    if (!(jobs = fetch_listed(h, l->c)) || json_array_size(jobs) == 0)
        return;
    below.level -= below.level > 0;
    print_heading(here);
    print_table(l->format, jobs, false, l->colors);
    list_below(&below, jobs, here);
}

static int parse_level(const struct cmdline *c, int *ret)
{
    const char *text = cmdline_string(c, "level", NULL);

    *ret = cmdline_has(c, "recursive") || text ? -1 : 0;
    return text ? parse_count(text, "--level", 1, ret) : 0;
}

static int run_jobs(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(format_freep) struct format *f = NULL;
    CLEANUP(json_decrefp) json_t *jobs = NULL;
    CLEANUP(json_decrefp) json_t *stats = NULL;
    bool only = cmdline_has(c, "stats-only");
    int status = EXIT_SUCCESS, rc;
    struct totals totals = { 0 };
    struct listing l = { .c = c };

    if ((rc = named_format_get(c, &format_user, &f)) > 0)
        return EXIT_SUCCESS;
    if (rc < 0 || parse_color(c, &l.colors) < 0 || parse_level(c, &l.level) < 0 ||
        !(h = client_open()))
        return EXIT_FAILURE;
    l.format = f;
    if (only || cmdline_has(c, "stats")) {
        if (fetch_totals(h, &totals) < 0)
            return EXIT_FAILURE;
        stats = show_totals(c, &totals);
    }
    if (!only && !(jobs = c->argc > 0 ? fetch_named(h, c, &status) : fetch_listed(h, c)))
        return EXIT_FAILURE;
    if (cmdline_has(c, "json"))
        print_json(jobs, stats);
    else if (jobs)
        print_table(f, jobs, !cmdline_has(c, "suppress-header") && !cmdline_has(c, "no-header"),
                    l.colors);
    if (jobs && !cmdline_has(c, "json"))
        list_below(&l, jobs, "");
    if (only)
        return totals.running + totals.pending > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    return status;
}

static const struct option jobs_options[] = {
    { 'a', NULL, NULL, "All jobs of yours, ended ones too" },
    { 'A', NULL, NULL, "All jobs of all users, ended ones too" },
    { 'n', "suppress-header", NULL, "No line of headings" },
    { 0, "no-header", NULL, "Same", OPTION_HIDDEN },
    { 'u', "user", "USER", "Jobs of a user, by name or number, or all" },
    { 'c', "count", "N", "At most N jobs (default 1000, 0 for no limit)" },
    { 'f', "filter", "STATE|RESULT", "Comma-separated: pending, running, inactive, failed ..." },
    { 'o', "format", "FORMAT", "Output format, or the name of one; help lists them" },
    { 'R', "recursive", NULL, "The jobs of your jobs that are instances too" },
    { 'L', "level", "N", "At most N instances deep; implies -R" },
    { 0, "recurse-all", NULL, "With -R: into instances of other users too" },
    { 0, "name", "NAME", "Jobs of this name" },
    { 0, "queue", "NAME", "Jobs of this queue" },
    { 0, "since", "WHEN", "Ended jobs since -2h, 2026-01-31 8am, ...; implies -a" },
    { 0, "color", "WHEN", "never, always or auto" },
    { 0, "stats", NULL, "Begin with the numbers of jobs" },
    { 0, "stats-only", NULL, "Print the numbers only; exit 1 if no job is active" },
    { 0, "json", NULL, "Print JSON" },
    { 0 },
};

const struct command cmd_jobs[] = {
    { .name = "jobs",
      .args = "[JOBID...]",
      .summary = "List jobs",
      .options = jobs_options,
      .max_args = -1,
      .run = run_jobs },
    { 0 },
};
