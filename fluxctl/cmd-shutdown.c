/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl shutdown, startlog: the end of an instance, and the list of its runs. */
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/eventlog.h"
#include "base/fsd.h"
#include "base/monotime.h"
#include "client.h"
#include "families.h"
#include "job-uri.h"

#define TOPIC "state-machine.shutdown"

extern char **environ;

/* --- shutdown --- */

struct ending {
    const struct cmdline *c;
    const char *uri;
    flux_t *hold; /* the instance does not end before this connection does */
    bool dumped;
    int status;
};

/* Another command of ours, on the instance that is ending. 0 or its exit status. */
static int run_self(const struct ending *e, char *const *argv)
{
    pid_t pid;
    int status;

    if ((e->uri && setenv("FLUX_URI", e->uri, 1) < 0) ||
        posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) != 0 ||
        waitpid(pid, &status, 0) < 0)
        return EXIT_FAILURE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* Nothing changes any more: the moment to store what is there, or to throw away what is not needed.
 */
static void do_last_things(struct ending *e)
{
    const char *path = cmdline_string(e->c, "dump", NULL);
    char *const gc[] = { "flux", "content", "gc", "--grace=0s", NULL }; /* nobody is left */
    char *const dump[] = { "flux", "dump", (char *)path, NULL };
    int status = 0;

    if (e->dumped)
        return;
    e->dumped = true;
    if (cmdline_has(e->c, "gc") || (path && strcmp(path, "auto") == 0))
        status = run_self(e, gc);
    else if (path)
        status = run_self(e, dump);
    if (status != 0)
        e->status = complain("that failed; the instance is shut down all the same");
    flux_close(TAKE(e->hold));
}

/* Better now than when there is no way back. */
static int check_dump(const struct cmdline *c)
{
    const char *path = cmdline_string(c, "dump", NULL);
    const char *slash = path ? strrchr(path, '/') : NULL;
    CLEANUP(freep) char *dir = NULL;

    if (!path || strcmp(path, "auto") == 0 || strcmp(path, "-") == 0)
        return 0;
    dir = slash > path ? strndup(path, (size_t)(slash - path)) : strdup(slash ? "/" : ".");
    if (dir && access(dir, W_OK) == 0)
        return 0;
    return -complain("--dump: cannot write in %s: %s; nothing was shut down", dir ? dir : path,
                     strerror(errno));
}

static void print_progress(const struct ending *e, const char *state, int level, const char *text)
{
    const bool verbose = cmdline_has(e->c, "verbose");
    const int limit = cmdline_has(e->c, "quiet") ? LOG_WARNING : verbose ? LOG_DEBUG : LOG_INFO;

    if (!*text || level > limit)
        return;
    (void)complain("%s%s%s", verbose ? state : "", verbose ? ": " : "", text);
}

/* false: the stream has ended. */
static bool handle_progress(struct ending *e, flux_future_t *f)
{
    const char *state, *text;
    int level;

    if (flux_rpc_get_unpack(f, "{s:s s:i s:s}", "state", &state, "level", &level, "text", &text) <
        0) {
        if (errno == EHOSTUNREACH || errno == ECONNRESET || errno == EPIPE)
            print_progress(e, "goodbye", LOG_INFO, "this node has left the instance");
        else if (errno != ENODATA)
            e->status = complain_future(f, "cannot shut the instance down");
        return false;
    }
    print_progress(e, state, level, text);
    if (strcmp(state, "finalize") == 0)
        do_last_things(e);
    flux_future_reset(f);
    return true;
}

static int hold(struct ending *e)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    e->hold = flux_open(e->uri, 0);
    if (e->hold)
        f = flux_rpc_pack(e->hold, TOPIC, 0, FLUX_RPC_STREAMING, "{s:b}", "hold", 1);
    if (!f || flux_rpc_get(f, NULL) < 0) {
        (void)complain_future(f, "cannot shut the instance down");
        flux_close(TAKE(e->hold));
        return -1;
    }
    return 0;
}

static int run_shutdown(const struct cmdline *c)
{
    CLEANUP(freep) char *found = NULL;
    CLEANUP(freep) char *uri = NULL;
    struct ending e = { .c = c };
    const bool stream = !cmdline_has(c, "background");
    flux_error_t error = { "" };
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (c->argc > 0 &&
        (!(found = job_uri_parse(c->argv[0], false)) || !(uri = uri_from_here(found))))
        return EXIT_FAILURE;
    e.uri = uri;
    if (!(h = flux_open_ex(e.uri, 0, &error)))
        return complain("cannot reach the Flux instance%s%s: %s", e.uri ? " at " : "",
                        e.uri ? e.uri : "", error.text[0] ? error.text : strerror(errno));
    if (cmdline_has(c, "dump") || cmdline_has(c, "gc")) {
        if (!stream)
            return complain("--background goes neither with --dump nor with --gc");
        if (check_dump(c) < 0)
            return EXIT_FAILURE;
        if (hold(&e) < 0)
            return EXIT_FAILURE;
    }
    f = flux_rpc(h, TOPIC, NULL, 0, stream ? FLUX_RPC_STREAMING : 0);
    if (!f)
        e.status = complain_future(f, "cannot shut the instance down");
    else if (!stream && flux_rpc_get(f, NULL) < 0)
        e.status = complain_future(f, "cannot shut the instance down");
    while (f && stream && handle_progress(&e, f))
        ;
    flux_close(e.hold);
    return e.status;
}

/* --- startlog --- */

struct run {
    double start, finish;
    char version[64], id[64];
};

static void print_time(double t)
{
    const time_t seconds = (time_t)t;
    char text[32] = "?";
    struct tm tm;

    if (localtime_r(&seconds, &tm))
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    fputs(text, stdout);
}

static void print_run(const struct run *r, bool is_last, bool version)
{
    char text[32] = "?";
    const double end = r->finish > 0 ? r->finish : walltime();

    print_time(r->start);
    fputs(" - ", stdout);
    if (r->finish > 0)
        print_time(r->finish);
    else
        fputs(is_last ? "running" : "crashed", stdout);
    if (end >= r->start)
        (void)fsd_format(text, sizeof(text), end - r->start);
    if (r->finish > 0 || is_last)
        printf(" (%s)", text);
    if (version)
        printf(" [%s]", r->version[0] ? r->version : "?");
    putchar('\n');
}

struct startlog {
    struct run now; /* start 0: none */
    bool crashed;   /* the run before it has no end */
    bool quiet, version;
    json_t *runs; /* --json: instead of lines */
};

static void add_run(const struct startlog *l, bool is_last)
{
    const struct run *r = &l->now;
    const char *state = r->finish > 0 ? "ended" : is_last ? "running" : "crashed";
    json_t *o =
        json_pack("{s:f s:s s:s}", "start", r->start, "state", state, "version", r->version);

    if (o && r->finish > 0)
        (void)json_object_set_new(o, "finish", json_real(r->finish));
    (void)json_array_append_new(l->runs, o);
}

static void tell_run(const struct startlog *l, bool is_last)
{
    if (l->now.start <= 0)
        return;
    if (l->runs)
        add_run(l, is_last);
    else if (!l->quiet)
        print_run(&l->now, is_last, l->version);
}

static void see_start(struct startlog *l, double timestamp, const json_t *context)
{
    const char *version = json_string_value(json_object_get(context, "core-version"));
    const char *id = json_string_value(json_object_get(context, "run"));

    if (id && strcmp(id, l->now.id) == 0)
        return; /* it was said twice */
    l->crashed = l->now.start > 0 && l->now.finish == 0;
    tell_run(l, false);
    l->now = (struct run){ .start = timestamp };
    (void)snprintf(l->now.version, sizeof(l->now.version), "%s", version ? version : "");
    (void)snprintf(l->now.id, sizeof(l->now.id), "%s", id ? id : "");
}

static void see(struct startlog *l, json_t *entry)
{
    const char *name = "";
    double timestamp = 0;
    json_t *context = NULL;

    if (json_unpack(entry, "{s:F s:s s?o}", "timestamp", &timestamp, "name", &name, "context",
                    &context) < 0)
        return;
    if (strcmp(name, "start") == 0)
        see_start(l, timestamp, context);
    else if (strcmp(name, "finish") == 0 && l->now.start > 0)
        l->now.finish = timestamp;
}

/* The run that goes on now is noted a moment after its beginning: wait for it, for a while. */
#define NOTE_SECONDS 5.

static int read_events(struct startlog *l, flux_future_t *f)
{
    CLEANUP(json_decrefp) json_t *entries = NULL;
    flux_error_t error = { "" };
    const char *text = NULL;
    json_t *entry;
    size_t i;

    if (flux_kvs_lookup_get(f, &text) < 0)
        return complain_future(f, "cannot read the list of runs"), -1;
    entries = eventlog_decode(text ? text : "", text ? strlen(text) : 0, &error);
    if (!entries)
        return complain("admin.eventlog in the KVS: %s", error.text), -1;
    json_array_foreach (entries, i, entry)
        see(l, entry);
    return 0;
}

static int read_startlog(struct startlog *l, flux_t *h)
{
    const int flags = FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND | FLUX_KVS_WAITCREATE;
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(h, NULL, flags, "admin.eventlog");
    const char *id = flux_attr_get(h, "broker.run-id");

    for (;;) {
        if (!f || flux_future_wait_for(f, NOTE_SECONDS) < 0) {
            if (f && errno == ETIMEDOUT && l->now.start > 0)
                return 0;
            return complain_future(f, "cannot read the list of runs"), -1;
        }
        if (read_events(l, f) < 0)
            return -1;
        if (!id || strcmp(id, l->now.id) == 0)
            return 0;
        flux_future_reset(f);
    }
}

static int run_startlog(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *runs = cmdline_has(c, "json") ? json_array() : NULL;
    struct startlog l = { .runs = runs,
                          .quiet = cmdline_has(c, "quiet"),
                          .version = cmdline_has(c, "show-version") };

    if (!h || read_startlog(&l, h) < 0)
        return EXIT_FAILURE;
    tell_run(&l, true);
    if (runs && !l.quiet) {
        (void)json_dumpf(runs, stdout, JSON_COMPACT);
        putchar('\n');
    }
    return cmdline_has(c, "check") && l.crashed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct option shutdown_options[] = {
    { 0, "background", NULL, "Do not wait for the end" },
    { 0, "quiet", NULL, "Say only what goes wrong" },
    { 'v', "verbose", "LEVEL", "Say in which state it is, too", OPTION_OPTIONAL_ARG },
    { 0, "dump", "PATH", "Write an archive of the KVS to PATH (flux-dump(1)); auto: as --gc" },
    { 0, "gc", NULL, "Remove what the KVS does not refer to any more" },
    { 'y', "yes", NULL, "Accepted; nothing is asked" },
    { 'n', "no", NULL, "Accepted; nothing is asked" },
    { 0 },
};

static const struct option startlog_options[] = {
    { 0, "check", NULL, "Exit status 1 if the run before did not end in good order" },
    { 0, "quiet", NULL, "Print nothing but errors" },
    { 0, "json", NULL, "Print JSON: an array with an object for each run" },
    { 'v', "show-version", NULL, "Show the version of Flux that each run began with" },
    { 0 },
};

const struct command cmd_shutdown[] = {
    { "shutdown", "[TARGET]", "Stop the instance, all of it", shutdown_options, 0, 1, 0,
      run_shutdown },
    { "startlog", NULL, "List when the instance was started and stopped", startlog_options, 0, 0, 0,
      run_startlog },
    { 0 },
};
