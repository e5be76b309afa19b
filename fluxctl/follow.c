/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Being attached to a job.
 *
 * Two eventlogs are followed at once: the job's own, which says how it ended, and guest.output. The
 * job is done when both have ended. guest.output may not exist yet when we first ask, or never for
 * a job that did not start: it is asked for again at each event of the job, and after the end of
 * the job it is waited for no longer than OUTPUT_GRACE seconds. */
#include "follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "client.h"
#include "input.h"
#include "interrupt.h"
#include "output-print.h"
#include "terminal.h"
#include "watch.h"
#include "plain-text.h"

#define OUTPUT_GRACE 10.0

enum output_state { OUTPUT_ABSENT, OUTPUT_FOLLOWED, OUTPUT_ENDED };

struct follow {
    flux_t *h;
    flux_jobid_t id;
    struct follow_options options;
    struct output_printer printer;
    struct watch *job;
    struct watch *output;
    struct watch *exec; /* verbose only */
    struct input *input;
    struct terminal *terminal; /* instead of input */
    bool terminal_open;
    struct interrupt *interrupt;
    flux_watcher_t *grace;
    flux_watcher_t *flusher;
    enum output_state output_state;
    double t_submit;
    bool started;
    bool ended; /* the job's eventlog has ended */
    bool exec_ended;
    bool done;
    int status;  /* wait status of the job, -1: never finished */
    int failure; /* exit status if it never finished */
};

DEFINE_CLEANUP(struct follow *, follow_free)

static void start_output(struct follow *fo);

struct follow *follow_free(struct follow *fo)
{
    if (fo) {
        flux_watcher_destroy(fo->flusher);
        flux_watcher_destroy(fo->grace);
        interrupt_free(fo->interrupt);
        terminal_free(fo->terminal);
        input_free(fo->input);
        watch_free(fo->exec);
        watch_free(fo->output);
        watch_free(fo->job);
        free(fo);
    }
    return NULL;
}

static int exit_status(const struct follow *fo)
{
    if (fo->status < 0)
        return fo->failure;
    if (WIFSIGNALED(fo->status))
        return 128 + WTERMSIG(fo->status);
    return WEXITSTATUS(fo->status);
}

static void check_done(struct follow *fo)
{
    if (fo->done || !fo->ended || fo->output_state == OUTPUT_FOLLOWED || fo->terminal_open ||
        (fo->exec && !fo->exec_ended))
        return;
    fo->done = true;
    (void)fflush(fo->options.out);
    fo->options.on_done(fo, exit_status(fo), fo->options.arg);
}

static void print_event(const struct follow *fo, const char *prefix, const char *name,
                        double timestamp, const json_t *context)
{
    CLEANUP(freep) char *text = context ? json_dumps(context, JSON_COMPACT) : NULL;

    fprintf(fo->options.err, "%.3fs: %s.%s%s%s\n", timestamp - fo->t_submit, prefix, name,
            text ? " " : "", text ? plain_text(text, "") : "");
}

/* An exception in words. Severity 0 ends the job; others are remarks. */
static void on_exception(struct follow *fo, const json_t *context)
{
    const char *type = json_string_value(json_object_get(context, "type"));
    const char *note = json_string_value(json_object_get(context, "note"));
    json_int_t severity = json_integer_value(json_object_get(context, "severity"));

    if (severity == 0)
        fo->failure = EXIT_FAILURE;
    if (fo->options.quiet)
        return;
    if (!type)
        type = "unknown";
    if (severity == 0 && strcmp(type, "cancel") == 0)
        complain_to(fo->options.err, "job %s was canceled%s%s", jobid_text(fo->id),
                    note && note[0] ? ": " : "", note ? note : "");
    else
        complain_to(fo->options.err, "job %s: %s exception '%s'%s%s", jobid_text(fo->id),
                    severity == 0 ? "fatal" : "non-fatal", type, note && note[0] ? ": " : "",
                    note ? note : "");
}

static void on_finish(struct follow *fo, const json_t *context)
{
    fo->status = (int)json_integer_value(json_object_get(context, "status"));
    input_stop(fo->input);
    if (WIFSIGNALED(fo->status) && !fo->options.quiet)
        complain_to(fo->options.err, "job %s: shell ended by signal %d (%s)", jobid_text(fo->id),
                    WTERMSIG(fo->status), strsignal(WTERMSIG(fo->status)));
}

static void on_job_event(const char *name, double timestamp, const json_t *context, void *arg)
{
    struct follow *fo = arg;

    if (strcmp(name, "submit") == 0)
        fo->t_submit = timestamp;
    else if (strcmp(name, "exception") == 0)
        on_exception(fo, context);
    else if (strcmp(name, "finish") == 0)
        on_finish(fo, context);
    else if (strcmp(name, "start") == 0) {
        fo->started = true;
        interrupt_set_running(fo->interrupt);
    }
    if (fo->options.verbose >= 2 || fo->options.events)
        print_event(fo, "job", name, timestamp, context);
    if (fo->options.wait_event && strcmp(name, fo->options.wait_event) == 0 && !fo->done) {
        fo->done = true;
        fo->options.on_done(fo, exit_status(fo), fo->options.arg);
        return;
    }
    if (fo->output_state == OUTPUT_ABSENT && fo->started)
        start_output(fo);
}

static void on_grace_over(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct follow *fo = arg;

    complain_to(fo->options.err, "job %s has ended but the end of its output did not arrive",
                jobid_text(fo->id));
    fo->output_state = OUTPUT_ENDED;
    fo->exec_ended = true;
    fo->terminal_open = false;
    check_done(fo);
}

static void on_job_end(int errnum, const char *reason, void *arg)
{
    struct follow *fo = arg;

    if (errnum) {
        complain_to(fo->options.err, "cannot follow job %s: %s", jobid_text(fo->id), reason);
        fo->failure = EXIT_FAILURE;
        fo->output_state = OUTPUT_ENDED;
    }
    fo->ended = true;
    if (fo->output_state == OUTPUT_FOLLOWED && !fo->started)
        fo->output_state = OUTPUT_ABSENT; /* it will never come */
    fo->exec_ended |= errnum || !fo->started;
    if (fo->output_state == OUTPUT_FOLLOWED || fo->terminal_open || (fo->exec && !fo->exec_ended))
        flux_watcher_start(fo->grace);
    check_done(fo);
}

/* Where the service of the job's shells is. */
static uint32_t leader_rank(const json_t *header)
{
    int rank;

    return json_unpack((json_t *)header, "{s:{s:i}}", "options", "leader-rank", &rank) == 0
               ? (uint32_t)rank
               : FLUX_NODEID_ANY;
}

static void on_terminal_end(void *arg)
{
    struct follow *fo = arg;

    fo->terminal_open = false;
    check_done(fo);
}

/* Of those who give no input nobody gets a terminal. */
static void start_terminal(struct follow *fo, uint32_t nodeid)
{
    if (!fo->input || fo->terminal)
        return;
    fo->terminal_open = true;
    fo->terminal = terminal_new(fo->h, fo->id, nodeid, on_terminal_end, fo);
    if (fo->terminal)
        return;
    fo->terminal_open = false;
    complain("cannot attach to the terminal of job %s: %s", jobid_text(fo->id), strerror(errno));
}

static bool has_terminal(const json_t *header)
{
    return json_is_true(json_object_get(json_object_get(header, "options"), "pty"));
}

static void on_output_event(const char *name, double timestamp, const json_t *context, void *arg)
{
    struct follow *fo = arg;

    if (output_print(&fo->printer, name, context) < 0)
        complain_to(fo->options.err, "job %s: a malformed record in its output was skipped",
                    jobid_text(fo->id));
    /* The header is written by the shell once it is there to take input. */
    if (strcmp(name, "header") == 0 && has_terminal(context))
        start_terminal(fo, leader_rank(context));
    else if (strcmp(name, "header") == 0)
        input_start(fo->input, leader_rank(context));
}

static void on_output_end(int errnum, const char *reason, void *arg)
{
    struct follow *fo = arg;

    fo->output_state = OUTPUT_ENDED;
    if (errnum == ENOENT || errnum == ENOTSUP)
        fo->output_state = OUTPUT_ABSENT;
    else if (errnum)
        complain_to(fo->options.err, "cannot read the output of job %s: %s", jobid_text(fo->id),
                    reason);
    check_done(fo);
}

static const struct watch_ops job_ops = { .on_event = on_job_event, .on_end = on_job_end };
static const struct watch_ops output_ops = { .on_event = on_output_event, .on_end = on_output_end };

static void start_output(struct follow *fo)
{
    watch_free(fo->output);
    if ((fo->output = watch_new(fo->h, fo->id, "guest.output", &output_ops, fo)))
        fo->output_state = OUTPUT_FOLLOWED;
}

static void on_exec_event(const char *name, double timestamp, const json_t *context, void *arg)
{
    print_event(arg, "exec", name, timestamp, context);
}

static void on_exec_end(int errnum, const char *reason, void *arg)
{
    struct follow *fo = arg;

    fo->exec_ended = true;
    check_done(fo);
}

static const struct watch_ops exec_ops = { .on_event = on_exec_event, .on_end = on_exec_end };

/* Standard output is buffered while events arrive and flushed before the loop waits. Who only looks
 * at the job ends when that fails: there is nothing else to wait for. */
static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    const struct follow *fo = arg;

    if (fo->options.owner || fo->options.out != stdout)
        (void)fflush(fo->options.out);
    else
        output_flush();
}

static int create_parts(struct follow *fo)
{
    flux_reactor_t *r = flux_get_reactor(fo->h);

    if (!(fo->job = watch_new(fo->h, fo->id, "eventlog", &job_ops, fo)) ||
        !(fo->grace = flux_timer_watcher_create(r, OUTPUT_GRACE, 0., on_grace_over, fo)) ||
        !(fo->flusher = flux_prepare_watcher_create(r, on_prepare, fo)))
        return -1;
    start_output(fo);
    if (!fo->output)
        return -1;
    if (fo->options.input && !(fo->input = input_new(fo->h, fo->id, fo->options.ranks)))
        return -1;
    if (fo->options.interrupts && !(fo->interrupt = interrupt_new(fo->h, fo->id, false)))
        return -1;
    if ((fo->options.verbose >= 3 || fo->options.exec) &&
        !(fo->exec = watch_new(fo->h, fo->id, "guest.exec.eventlog", &exec_ops, fo)))
        return -1;
    flux_watcher_unref(fo->flusher);
    flux_watcher_start(fo->flusher);
    return 0;
}

struct follow *follow_new(flux_t *h, flux_jobid_t id, const struct follow_options *options)
{
    CLEANUP(follow_freep) struct follow *fo = calloc(1, sizeof(*fo));

    if (!fo)
        return NULL;
    fo->h = h;
    fo->id = id;
    fo->options = *options;
    fo->status = -1;
    if (!fo->options.out)
        fo->options.out = stdout;
    if (!fo->options.err)
        fo->options.err = stderr;
    output_printer_init(&fo->printer, options->label, fo->options.out, fo->options.err);
    if (options->label_job)
        snprintf(fo->printer.prefix, sizeof(fo->printer.prefix), "%s: ", jobid_text(id));
    if (create_parts(fo) < 0)
        return NULL;
    if (options->owner)
        fo->interrupt = options->owner;
    return TAKE(fo);
}

struct result {
    flux_reactor_t *reactor;
    int status;
};

static void on_single_done(struct follow *fo, int status, void *arg)
{
    struct result *result = arg;

    result->status = status;
    flux_reactor_stop(result->reactor);
}

int follow_job(flux_t *h, flux_jobid_t id, struct follow_options options)
{
    CLEANUP(follow_freep) struct follow *fo = NULL;
    struct result result = { .reactor = flux_get_reactor(h), .status = EXIT_FAILURE };

    options.on_done = on_single_done;
    options.arg = &result;
    if (!(fo = follow_new(h, id, &options)))
        return complain("cannot attach to job %s: %s", jobid_text(id), strerror(errno));
    if (flux_reactor_run(result.reactor, 0) < 0)
        return complain("lost the connection to the instance: %s; `flux job attach %s` takes "
                        "job %s up again",
                        strerror(errno), jobid_text(id), jobid_text(id));
    return result.status;
}
