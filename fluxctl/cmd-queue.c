/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl queue: submission and scheduling as a whole, for maintenance. */
#include <string.h>

#include "client.h"
#include "families.h"

static void print_half(const char *what, const char *state, const json_t *reason)
{
    const char *s = json_string_value(reason);

    printf("%s is %s%s%s\n", what, state, s ? ": " : "", s ? s : "");
}

static void print_status(const json_t *o)
{
    print_half("Job submission",
               json_is_true(json_object_get(o, "enable")) ? "enabled" : "disabled",
               json_object_get(o, "disable_reason"));
    print_half("Scheduling", json_is_true(json_object_get(o, "start")) ? "started" : "stopped",
               json_object_get(o, "stop_reason"));
}

static int set(const struct cmdline *c, const char *topic, const char *key, bool value)
{
    CLEANUP(freep)
    char *reason =
        cmdline_has(c, "message") ? strdup(cmdline_string(c, "message", "")) : cmdline_join(c, 0);
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(json_decrefp) json_t *status = NULL;

    if (!h || !(answer = client_call(
                    h, topic, json_pack("{s:b s:s}", key, value, "reason", reason ? reason : ""),
                    "change the queue")))
        return EXIT_FAILURE;
    if (cmdline_has(c, "quiet"))
        return EXIT_SUCCESS;
    if (!(status = client_call(h, "job-manager.queue-status", NULL, "ask for the status")))
        return EXIT_FAILURE;
    print_status(status);
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
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp)
    json_t *o = h ? client_call(h, "job-manager.queue-status", NULL, "ask for the status") : NULL;

    if (!o)
        return EXIT_FAILURE;
    if (cmdline_has(c, "json")) {
        (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        return EXIT_SUCCESS;
    }
    print_status(o);
    if (cmdline_has(c, "verbose")) {
#define COUNT(key) (size_t) json_integer_value(json_object_get(o, key))
        printf("%zu alloc request%s queued\n", COUNT("queued"), plural(COUNT("queued")));
        printf("%zu alloc request%s pending to scheduler\n", COUNT("outstanding"),
               plural(COUNT("outstanding")));
        printf("%zu running job%s\n", COUNT("running"), plural(COUNT("running")));
#undef COUNT
    }
    return EXIT_SUCCESS;
}

/* A job manager that is restarted meanwhile forgets who waits: ask again. */
static int wait_for(const struct cmdline *c, const char *topic)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *limit = cmdline_string(c, "timeout", NULL);
    double timeout = -1.;

    if ((limit && parse_duration(limit, "--timeout", &timeout) < 0) || !(h = client_open()))
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
    { 'q', "quiet", NULL, "Do not print the status afterwards" },
    { 0 },
};
static const struct option refuse_options[] = {
    { 'm', "message", "TEXT", "Why" },
    { 'q', "quiet", NULL, "Do not print the status afterwards" },
    { 0 },
};
static const struct option status_options[] = {
    { 'v', "verbose", NULL, "Say how many jobs wait and run" },
    { 0, "json", NULL, "Print JSON" },
    { 0 },
};
static const struct option wait_options[] = {
    { 't', "timeout", "FSD", "Give up after so long" },
    { 0 },
};

const struct command cmd_queue[] = {
    { "queue disable", "[REASON...]", "Refuse new jobs", refuse_options, 0, -1, 0, run_disable },
    { "queue drain", NULL, "Wait until no job is active", wait_options, 0, 0, 0, run_drain },
    { "queue enable", NULL, "Accept jobs again", set_options, 0, 0, 0, run_enable },
    { "queue idle", NULL, "Wait until no job runs", wait_options, 0, 0, 0, run_idle },
    { "queue start", NULL, "Schedule jobs again", set_options, 0, 0, 0, run_start },
    { "queue status", NULL, "Say whether jobs are accepted and scheduled", status_options, 0, 0, 0,
      run_status },
    { "queue stop", "[REASON...]", "Start no more jobs", refuse_options, 0, -1, 0, run_stop },
    { 0 },
};
