/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl queue: submission and scheduling, for maintenance. There is one queue, without a name, so
 * that --queue is refused and --all changes nothing. */
#include <string.h>

#include "client.h"
#include "families.h"
#include "named-format.h"
#include "plain-text.h"

DEFINE_CLEANUP(struct format *, format_free)

static int check_queue(const struct cmdline *c)
{
    const char *name = cmdline_string(c, "queue", NULL);

    if (refuse_both(c, "queue", "all") < 0)
        return EXIT_FAILURE;
    if (name)
        return complain("there is no queue '%s': this instance has no named queues", name);
    return EXIT_SUCCESS;
}

static json_t *fetch_status(flux_t *h)
{
    return client_call(h, "job-manager.queue-status", NULL, "ask for the status");
}

static size_t count_of(const json_t *o, const char *key)
{
    return (size_t)json_integer_value(json_object_get(o, key));
}

static void print_half(const char *what, const char *state, const json_t *reason)
{
    const char *s = json_string_value(reason);

    printf("%s is %s%s", what, state, s ? ": " : "");
    if (s)
        plain_puts(stdout, s);
    putchar('\n');
}

static const char *submission_of(const json_t *o)
{
    return json_is_true(json_object_get(o, "enable")) ? "enabled" : "disabled";
}

static const char *scheduling_of(const json_t *o)
{
    return json_is_true(json_object_get(o, "start")) ? "started" : "stopped";
}

static void print_status(const json_t *o, bool verbose)
{
    print_half("Job submission", submission_of(o), json_object_get(o, "disable_reason"));
    print_half("Scheduling", scheduling_of(o), json_object_get(o, "stop_reason"));
    if (!verbose)
        return;
    printf("%zu alloc request%s queued\n", count_of(o, "queued"), plural(count_of(o, "queued")));
    printf("%zu alloc request%s pending to scheduler\n", count_of(o, "outstanding"),
           plural(count_of(o, "outstanding")));
    printf("%zu running job%s\n", count_of(o, "running"), plural(count_of(o, "running")));
}

static int set(const struct cmdline *c, const char *topic, const char *key, bool value)
{
    CLEANUP(freep)
    char *reason =
        cmdline_has(c, "message") ? strdup(cmdline_string(c, "message", "")) : cmdline_join(c, 0);
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(json_decrefp) json_t *status = NULL;

    if (check_queue(c) != EXIT_SUCCESS || !(h = client_open()) ||
        !(answer = client_call(h, topic,
                               json_pack("{s:b s:s}", key, value, "reason", reason ? reason : ""),
                               "change the queue")))
        return EXIT_FAILURE;
    if (cmdline_has(c, "quiet"))
        return EXIT_SUCCESS;
    if (!(status = fetch_status(h)))
        return EXIT_FAILURE;
    print_status(status, cmdline_has(c, "verbose"));
    return EXIT_SUCCESS;
}

static int run_enable(const struct cmdline *c)
{
    return set(c, "job-manager.queue-enable", "enable", true);
}

static int run_disable(const struct cmdline *c)
{
    return set(c, "job-manager.queue-enable", "enable", false);
}

static int run_start(const struct cmdline *c)
{
    return set(c, "job-manager.queue-start", "start", true);
}

static int run_stop(const struct cmdline *c)
{
    return set(c, "job-manager.queue-start", "start", false);
}

static int run_status(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;

    if (check_queue(c) != EXIT_SUCCESS || !(h = client_open()) || !(o = fetch_status(h)))
        return EXIT_FAILURE;
    if (cmdline_has(c, "json")) {
        (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        print_status(o, cmdline_has(c, "verbose"));
    }
    return EXIT_SUCCESS;
}

/* --- list */

static const struct named_format list_formats[] = {
    { "default",
      "{queue:<8h} {submission:<10} {scheduling:<10} {pending:>8} {running:>8} {active:>8}",
      "settings and numbers of jobs" },
    { "long",
      "{queue:<8h} {submission:<10} {scheduling:<10} {pending:>8} {running:>8} {active:>8} "
      "{submission.reason:h} {scheduling.reason:h}",
      "and why they were changed" },
    { 0 },
};

static const char *const fields[][2] = {
    { "queue", "QUEUE" },
    { "submission", "SUBMIT" },
    { "submission.reason", "WHY-DISABLED" },
    { "scheduling", "SCHEDULE" },
    { "scheduling.reason", "WHY-STOPPED" },
    { "pending", "PENDING" },
    { "running", "RUNNING" },
    { "active", "ACTIVE" },
};

static const char *field_heading(const char *field)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (strcmp(fields[i][0], field) == 0)
            return fields[i][1];
    return NULL;
}

static struct value text(const char *s)
{
    return (struct value){ .type = s ? VALUE_TEXT : VALUE_ABSENT, .text = s };
}

static struct value field_get(const char *field, void *arg)
{
    const json_t *o = arg;

    if (strcmp(field, "queue") == 0)
        return text(NULL);
    if (strcmp(field, "submission") == 0)
        return text(submission_of(o));
    if (strcmp(field, "scheduling") == 0)
        return text(scheduling_of(o));
    if (strcmp(field, "submission.reason") == 0)
        return text(json_string_value(json_object_get(o, "disable_reason")));
    if (strcmp(field, "scheduling.reason") == 0)
        return text(json_string_value(json_object_get(o, "stop_reason")));
    return (struct value){ .type = VALUE_INTEGER, .integer = (int64_t)count_of(o, field) };
}

static int print_list_json(const json_t *queue)
{
    CLEANUP(json_decrefp) json_t *list = json_pack("[O]", queue);

    (void)json_dumpf(list, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    return EXIT_SUCCESS;
}

static int run_list(const struct cmdline *c)
{
    static const struct format_user user = { .tool = "queue",
                                             .part = "list",
                                             .formats = list_formats,
                                             .heading = field_heading,
                                             .things = "queues" };
    CLEANUP(format_freep) struct format *f = NULL;
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct format_source source = { .get = field_get, .heading = field_heading };
    int rc = named_format_get(c, &user, &f);

    if (rc != 0)
        return rc > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (check_queue(c) != EXIT_SUCCESS || !(h = client_open()) || !(o = fetch_status(h)))
        return EXIT_FAILURE;
    (void)json_object_set_new(
        o, "pending", json_integer((json_int_t)(count_of(o, "active") - count_of(o, "running"))));
    if (cmdline_has(c, "json"))
        return print_list_json(o);
    source.arg = o;
    if (!cmdline_has(c, "no-header"))
        format_print_heading(f, &source, stdout);
    format_print(f, &source, stdout);
    putchar('\n');
    return EXIT_SUCCESS;
}

/* A job manager that is restarted meanwhile forgets who waits: ask again. */
static int wait_for(const struct cmdline *c, const char *topic)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *limit = cmdline_string(c, "timeout", NULL);
    double timeout = -1.;

    if ((limit && parse_duration(limit, "--timeout", &timeout) < 0) ||
        check_queue(c) != EXIT_SUCCESS || !(h = client_open()))
        return EXIT_FAILURE;
    for (;;) {
        CLEANUP(flux_future_destroyp)
        flux_future_t *f = flux_rpc(h, topic, NULL, FLUX_NODEID_ANY, 0);

        if (!f || flux_future_wait_for(f, timeout) < 0) {
            if (errno == ETIMEDOUT)
                return complain("timed out after %s", limit);
            return complain_future(f, "cannot wait");
        }
        if (flux_rpc_get(f, NULL) == 0)
            return EXIT_SUCCESS;
        if (errno != ECONNRESET)
            return complain_future(f, "cannot wait");
    }
}

static int run_drain(const struct cmdline *c)
{
    return wait_for(c, "job-manager.queue-drain");
}

static int run_idle(const struct cmdline *c)
{
    return wait_for(c, "job-manager.queue-idle");
}

static const struct option set_options[] = {
    { 'a', "all", NULL, "All queues" },
    { 'q', "queue", "NAME", "This queue (there is only one, without a name)" },
    { 0, "quiet", NULL, "Do not print the status afterwards" },
    { 'v', "verbose", NULL, "Print how many jobs wait and run, too" },
    { 0 },
};
static const struct option refuse_options[] = {
    { 'm', "message", "TEXT", "Why" },
    { 'a', "all", NULL, "All queues" },
    { 'q', "queue", "NAME", "This queue (there is only one, without a name)" },
    { 0, "quiet", NULL, "Do not print the status afterwards" },
    { 'v', "verbose", NULL, "Print how many jobs wait and run, too" },
    { 0 },
};
static const struct option status_options[] = {
    { 'q', "queue", "NAME", "This queue (there is only one, without a name)" },
    { 'v', "verbose", NULL, "Say how many jobs wait and run" },
    { 0, "json", NULL, "Print JSON" },
    { 0 },
};
static const struct option list_options[] = {
    { 'q', "queue", "NAME", "This queue (there is only one, without a name)" },
    { 'n', "no-header", NULL, "No line of headings" },
    { 'o', "format", "FORMAT", "Output format, or the name of one; help lists them" },
    { 0, "json", NULL, "As JSON: an array of the queues" },
    { 0 },
};
static const struct option wait_options[] = {
    { 'q', "queue", "NAME", "This queue (there is only one, without a name)" },
    { 't', "timeout", "FSD", "Give up after so long" },
    { 0 },
};

const struct command cmd_queue[] = {
    { "queue disable", "[REASON...]", "Refuse new jobs", refuse_options, 0, -1, COMMAND_TEXT,
      run_disable },
    { "queue drain", NULL, "Wait until no job is active", wait_options, 0, 0, 0, run_drain },
    { "queue enable", NULL, "Accept jobs again", set_options, 0, 0, 0, run_enable },
    { "queue idle", NULL, "Wait until no job runs", wait_options, 0, 0, 0, run_idle },
    { "queue list", NULL, "List queues", list_options, 0, 0, 0, run_list },
    { "queue start", NULL, "Schedule jobs again", set_options, 0, 0, 0, run_start },
    { "queue status", NULL, "Say whether jobs are accepted and scheduled", status_options, 0, 0, 0,
      run_status },
    { "queue stop", "[REASON...]", "Start no more jobs", refuse_options, 0, -1, COMMAND_TEXT,
      run_stop },
    { 0 },
};
