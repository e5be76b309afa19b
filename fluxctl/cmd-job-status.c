/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job status, last, timeleft, stats, namespace: how jobs ended, which there are, how long
 * they may go on. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fsd.h"
#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "families.h"
#include "job-open.h"
#include "watch.h"
#include "plain-text.h"

#define STATUS_WINDOW 256

/* --- status: wait for jobs, exit as the worst of them did --- */

struct statuses;

struct ending {
    struct statuses *all;
    flux_jobid_t id;
    struct watch *watch;
    int status;        /* of the event finish; -1: none came */
    json_t *exception; /* context of the first with severity 0, or NULL */
    double t_submit, t_clean;
    char *failure; /* why it cannot be followed */
    int code;      /* to exit with */
};

struct statuses {
    const struct cmdline *c;
    flux_t *h;
    struct ending *jobs;
    size_t n, begun, done;
    int exception_code; /* -1: not given */
};

static void begin_more(struct statuses *s);

static void on_event(const char *name, double timestamp, const json_t *context, void *arg)
{
    struct ending *e = arg;

    if (strcmp(name, "submit") == 0)
        e->t_submit = timestamp;
    else if (strcmp(name, "finish") == 0)
        e->status = (int)json_integer_value(json_object_get(context, "status"));
    else if (strcmp(name, "clean") == 0)
        e->t_clean = timestamp;
    else if (strcmp(name, "exception") == 0 && !e->exception &&
             json_integer_value(json_object_get(context, "severity")) == 0)
        e->exception = json_deep_copy(context);
}

static int code_of(const struct ending *e)
{
    if (e->failure)
        return EXIT_FAILURE;
    if (e->exception && e->all->exception_code >= 0)
        return e->all->exception_code;
    if (e->status >= 0 && WIFSIGNALED(e->status))
        return 128 + WTERMSIG(e->status);
    if (e->status > 0)
        return WEXITSTATUS(e->status);
    return e->exception || e->status < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char *exception_text(const struct ending *e, const char *key)
{
    const char *s = json_string_value(json_object_get(e->exception, key));

    return s ? s : "";
}

static void print_verbose(const struct ending *e)
{
    if (e->failure)
        return;
    if (e->exception) {
        printf("%s: exception type=", jobid_text(e->id));
        plain_puts(stdout, exception_text(e, "type"));
        fputs(exception_text(e, "note")[0] ? ": " : "", stdout);
        plain_puts(stdout, exception_text(e, "note"));
        putchar('\n');
    } else if (e->status >= 0 && WIFSIGNALED(e->status))
        printf("%s: killed by signal %d (%s)\n", jobid_text(e->id), WTERMSIG(e->status),
               strsignal(WTERMSIG(e->status)));
    else
        printf("%s: exited with exit code %d\n", jobid_text(e->id), e->code);
}

static const char *result_of(const struct ending *e)
{
    if (e->exception && strcmp(exception_text(e, "type"), "cancel") == 0)
        return "CANCELED";
    if (e->exception && strcmp(exception_text(e, "type"), "timeout") == 0)
        return "TIMEOUT";
    return e->exception || e->status != 0 ? "FAILED" : "COMPLETED";
}

static void print_json(const struct ending *e)
{
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:s s:s s:i s:b s:b}", "id", jobid_text(e->id), "result", result_of(e),
                          "returncode", e->code, "success", strcmp(result_of(e), "COMPLETED") == 0,
                          "exception_occurred", e->exception != NULL);

    if (e->status >= 0)
        (void)json_object_set_new(o, "waitstatus", json_integer(e->status));
    if (e->exception) {
        (void)json_object_set_new(o, "exception_type", json_string(exception_text(e, "type")));
        (void)json_object_set_new(o, "exception_note", json_string(exception_text(e, "note")));
        (void)json_object_set_new(o, "exception_severity", json_integer(0));
    }
    (void)json_object_set_new(o, "t_submit", json_real(e->t_submit));
    (void)json_object_set_new(o, "t_inactive", json_real(e->t_clean));
    (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
}

static void on_end(int errnum, const char *reason, void *arg)
{
    struct ending *e = arg;
    struct statuses *s = e->all;

    if (errnum && !(e->failure = strdup(reason)))
        e->failure = strdup("");
    e->code = code_of(e);
    s->done++;
    begin_more(s);
    if (s->done == s->n)
        flux_reactor_stop(flux_get_reactor(s->h));
}

static const struct watch_ops status_ops = { .on_event = on_event, .on_end = on_end };

/* At most STATUS_WINDOW eventlogs are followed at a time. */
static void begin_more(struct statuses *s)
{
    while (s->begun < s->n && s->begun - s->done < STATUS_WINDOW) {
        struct ending *e = &s->jobs[s->begun++];

        if (!(e->watch = watch_new(s->h, e->id, "eventlog", &status_ops, e)))
            on_end(errno, strerror(errno), e);
    }
}

static int report(const struct statuses *s)
{
    int code = EXIT_SUCCESS;

    for (size_t i = 0; i < s->n; i++) {
        const struct ending *e = &s->jobs[i];

        if (e->failure)
            complain("cannot tell the status of job %s: %s", jobid_text(e->id), e->failure);
        else if (cmdline_has(s->c, "json"))
            print_json(e);
        else if (cmdline_has(s->c, "verbose"))
            print_verbose(e);
        code = e->code > code ? e->code : code;
    }
    return code;
}

static int wait_for_all(struct statuses *s)
{
    begin_more(s);
    if (s->done < s->n && flux_reactor_run(flux_get_reactor(s->h), 0) < 0)
        return complain("lost the connection to the instance: %s", strerror(errno));
    return report(s);
}

static int run_status(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    struct statuses s = { .c = c, .n = (size_t)c->argc, .exception_code = -1 };
    const char *code = cmdline_string(c, "exception-exit-code", NULL);
    int status = EXIT_FAILURE;

    if (code && number_parse_int(code, 0, 255, &s.exception_code) < 0)
        return complain("--exception-exit-code must be 0 to 255, not '%s'", code);
    if (!(s.jobs = calloc(s.n, sizeof(*s.jobs))))
        return complain("out of memory");
    for (size_t i = 0; i < s.n; i++) {
        s.jobs[i] = (struct ending){ .all = &s, .status = -1 };
        if (parse_jobid(c->argv[i], &s.jobs[i].id) < 0) {
            free(s.jobs);
            return EXIT_FAILURE;
        }
    }
    if ((s.h = h = client_open()))
        status = wait_for_all(&s);
    for (size_t i = 0; i < s.n; i++) {
        watch_free(s.jobs[i].watch);
        json_decref(s.jobs[i].exception);
        free(s.jobs[i].failure);
    }
    free(s.jobs);
    return status;
}

/* --- last --- */

static int newest_first(const void *a, const void *b)
{
    const flux_jobid_t x = *(const flux_jobid_t *)a, y = *(const flux_jobid_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* The user's jobs, newest first; malloc'd. Ids are made in the order of submission. NULL: has
 * complained. */
static flux_jobid_t *fetch_ids(flux_t *h, size_t *ret_n)
{
    CLEANUP(json_decrefp)
    json_t *answer = client_call(
        h, "job-list.list",
        json_pack("{s:i s:[] s:I}", "max_entries", 0, "attrs", "userid", (json_int_t)getuid()),
        "list jobs");
    json_t *jobs = json_object_get(answer, "jobs"), *job;
    flux_jobid_t *ids = calloc(json_array_size(jobs) + 1, sizeof(*ids));
    size_t i;

    if (!answer || !ids) {
        free(ids);
        return NULL;
    }
    json_array_foreach (jobs, i, job)
        ids[i] = (flux_jobid_t)json_integer_value(json_object_get(job, "id"));
    *ret_n = json_array_size(jobs);
    qsort(ids, *ret_n, sizeof(*ids), newest_first);
    return ids;
}

/* A slice in the manner of Python: [START:STOP:STEP] or [INDEX]. */
struct slice {
    bool has[3];
    long value[3];
    int nparts;
};

static int parse_slice(const char *s, struct slice *ret)
{
    size_t len = strlen(s);
    const char *p = s + 1;

    *ret = (struct slice){ .nparts = 1 };
    if (len < 2 || s[len - 1] != ']')
        return -EINVAL;
    for (; *p != ']'; p++) {
        char *end;

        if (*p == ':') {
            if (++ret->nparts > 3)
                return -EINVAL;
            continue;
        }
        errno = 0;
        ret->value[ret->nparts - 1] = strtol(p, &end, 10);
        if (errno || end == p || (*end != ':' && *end != ']') || ret->has[ret->nparts - 1])
            return -EINVAL;
        ret->has[ret->nparts - 1] = true;
        p = end - 1;
    }
    if (p != s + len - 1 || (ret->nparts == 1 && !ret->has[0]))
        return -EINVAL;
    return ret->nparts == 3 && ret->has[2] && ret->value[2] == 0 ? -EINVAL : 0;
}

static long clamp(long i, long n, long low, long high)
{
    i = i < 0 ? i + n : i;
    return i < low ? low : i > high ? high : i;
}

static void print_slice(const struct slice *s, const flux_jobid_t *ids, long n)
{
    long step = s->nparts == 3 && s->has[2] ? s->value[2] : 1;
    long start = step > 0 ? 0 : n - 1, stop = step > 0 ? n : -1;

    if (s->nparts == 1) {
        start = s->value[0] < 0 ? s->value[0] + n : s->value[0];
        stop = start + 1;
        if (start < 0 || start >= n)
            return;
    } else {
        if (s->has[0])
            start = clamp(s->value[0], n, step > 0 ? 0 : -1, step > 0 ? n : n - 1);
        if (s->has[1])
            stop = clamp(s->value[1], n, step > 0 ? 0 : -1, step > 0 ? n : n - 1);
    }
    for (long i = start; step > 0 ? i < stop : i > stop; i += step)
        puts(jobid_text(ids[i]));
}

static int run_last(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(freep) flux_jobid_t *ids = NULL;
    const char *which = c->argc > 0 ? c->argv[0] : "1";
    struct slice slice = { .has = { false, true }, .nparts = 2 };
    size_t n = 0;
    int count = 1;

    if (which[0] == '[') {
        if (parse_slice(which, &slice) < 0)
            return complain("'%s' is not a slice such as [0], [:3], [-2:] or [::-1]", which);
    } else if (parse_count(which, "the number of jobs", 1, &count) < 0) {
        return EXIT_FAILURE;
    } else {
        slice.value[1] = count;
    }
    if (!(h = client_open()) || !(ids = fetch_ids(h, &n)))
        return EXIT_FAILURE;
    if (n == 0)
        return complain("you have submitted no jobs");
    print_slice(&slice, ids, (long)n);
    return EXIT_SUCCESS;
}

/* --- timeleft --- */

static int print_timeleft(const struct cmdline *c, flux_jobid_t id, const json_t *job)
{
    json_int_t state = json_integer_value(json_object_get(job, "state"));
    double expiration = json_number_value(json_object_get(job, "expiration"));
    double left = expiration > 0 ? expiration - walltime() : 0;
    char text[64];

    if (state < FLUX_JOB_STATE_RUN)
        return complain("job %s has not started", jobid_text(id));
    if (state >= FLUX_JOB_STATE_CLEANUP || (expiration > 0 && left < 0)) {
        puts("0");
        return EXIT_SUCCESS;
    }
    if (expiration <= 0)
        puts("infinity");
    else if (!cmdline_has(c, "human") || fsd_format(text, sizeof(text), left) < 0)
        printf("%.0f\n", left);
    else
        puts(text);
    return EXIT_SUCCESS;
}

static int run_timeleft(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *job = NULL;
    const char *name = c->argc > 0 ? c->argv[0] : getenv("FLUX_JOB_ID");
    flux_jobid_t id;

    if (!name)
        return complain("say which job: this is not one (FLUX_JOB_ID is not set)");
    if (!(h = open_for_job(name, &id)) || !(job = fetch_job(h, id)))
        return EXIT_FAILURE;
    return print_timeleft(c, id, job);
}

/* --- stats, namespace --- */

static int run_stats(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *o = h ? client_call(h, "job-list.job-stats", NULL, "count jobs") : NULL;

    if (!o)
        return EXIT_FAILURE;
    (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    return EXIT_SUCCESS;
}

static int run_namespace(const struct cmdline *c)
{
    int status = EXIT_SUCCESS;

    for (int i = 0; i < c->argc; i++) {
        char buf[64];
        flux_jobid_t id;

        if (parse_jobid(c->argv[i], &id) < 0 || flux_job_kvs_namespace(buf, sizeof(buf), id) < 0)
            status = EXIT_FAILURE;
        else
            puts(buf);
    }
    return status;
}

static const struct option status_options[] = {
    { 'e', "exception-exit-code", "N", "Exit code for jobs that an exception ended (default 1)" },
    { 'j', "json", NULL, "Print JSON, a line for each job" },
    { 'v', "verbose", NULL, "Say how each job ended" },
    { 0 },
};
static const struct option timeleft_options[] = {
    { 'H', "human", NULL, "Print a duration such as 1.5h" },
    { 0 },
};

const struct command cmd_job_status[] = {
    { "job last", "[N|SLICE]", "Print the ids of your newest jobs", NULL, 0, 1, 0, run_last },
    { "job namespace", "JOBID...", "Print the KVS namespaces of jobs", NULL, 1, -1, 0,
      run_namespace },
    { "job stats", NULL, "Count jobs by state and result", NULL, 0, 0, 0, run_stats },
    { "job status", "JOBID...", "Wait for jobs and exit as the worst of them", status_options, 1,
      -1, 0, run_status },
    { "job timeleft", "[JOBID]", "Print the seconds that a job may go on (default: this one)",
      timeleft_options, 0, 1, 0, run_timeleft },
    { 0 },
};
