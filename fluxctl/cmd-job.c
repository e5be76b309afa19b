/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job ...: what concerns one job: attach, cancel, kill, raise, wait, its eventlogs, its
 * data, its id in other spellings. */
#include <string.h>
#include <unistd.h>

#include "base/eventlog.h"
#include "base/jsonx.h"
#include "client.h"
#include "eventlog-print.h"
#include "families.h"
#include "follow.h"

/* Open the instance and parse the first argument. */
static flux_t *open_for_job(const struct cmdline *c, flux_jobid_t *ret_id)
{
    if (parse_jobid(c->argv[0], ret_id) < 0)
        return NULL;
    return client_open();
}

static int finish(flux_future_t *f, const char *what, flux_jobid_t id)
{
    int status = EXIT_SUCCESS;

    if (!f || flux_future_get(f, NULL) < 0)
        status = complain_future(f, "cannot %s job %s", what, jobid_text(id));
    flux_future_destroy(f);
    return status;
}

static int run_attach(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    flux_jobid_t id;

    if (!(h = open_for_job(c, &id)))
        return EXIT_FAILURE;
    return follow_job(h, id,
                      (struct follow_options){ .label = cmdline_has(c, "label-io"),
                                               .input = !cmdline_has(c, "read-only"),
                                               .interrupts = !cmdline_has(c, "read-only"),
                                               .verbose = cmdline_count(c, "verbose") +
                                                          cmdline_has(c, "show-events") +
                                                          2 * cmdline_has(c, "show-exec") });
}

/* "cancel ID... [message]": words that are no job ids end the list. */
static int run_cancel(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(freep) char *message = NULL;
    int status = EXIT_SUCCESS;
    flux_jobid_t id;
    int n = 0;

    while (n < c->argc && flux_job_id_parse(c->argv[n], &id) == 0)
        n++;
    if (n == 0)
        return complain("'%s' is not a job id", c->argv[0]);
    message =
        cmdline_has(c, "message") ? strdup(cmdline_string(c, "message", "")) : cmdline_join(c, n);
    if (!(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < n; i++) {
        (void)flux_job_id_parse(c->argv[i], &id);
        status |= finish(flux_job_cancel(h, id, message), "cancel", id);
    }
    return status;
}

static int run_kill(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    int status = EXIT_SUCCESS;
    int signum;

    if (parse_signal(cmdline_string(c, "signal", "TERM"), &signum) < 0 || !(h = client_open()))
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++) {
        flux_jobid_t id;

        if (parse_jobid(c->argv[i], &id) < 0)
            status = EXIT_FAILURE;
        else
            status |= finish(flux_job_kill(h, id, signum), "signal", id);
    }
    return status;
}

static int run_raise(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(freep) char *note = cmdline_join(c, 1);
    flux_jobid_t id;
    int severity;

    if (parse_count(cmdline_string(c, "severity", "0"), "--severity", 0, &severity) < 0 ||
        !(h = open_for_job(c, &id)))
        return EXIT_FAILURE;
    return finish(flux_job_raise(h, id, cmdline_string(c, "type", "cancel"), severity, note),
                  "raise an exception on", id);
}

static int run_urgency(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    flux_jobid_t id;
    int urgency;

    if (strcmp(c->argv[1], "hold") == 0)
        urgency = FLUX_JOB_URGENCY_HOLD;
    else if (strcmp(c->argv[1], "expedite") == 0)
        urgency = FLUX_JOB_URGENCY_EXPEDITE;
    else if (strcmp(c->argv[1], "default") == 0)
        urgency = FLUX_JOB_URGENCY_DEFAULT;
    else if (parse_count(c->argv[1], "the urgency", 0, &urgency) < 0)
        return EXIT_FAILURE;
    if (!(h = open_for_job(c, &id)))
        return EXIT_FAILURE;
    return finish(flux_job_set_urgency(h, id, urgency), "set the urgency of", id);
}

/* --- wait --- */

static int wait_one(flux_t *h, flux_jobid_t id, bool say)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_job_wait(h, id);
    const char *errstr = NULL;
    bool success;

    if (!f || flux_job_wait_get_id(f, &id) < 0 ||
        flux_job_wait_get_status(f, &success, &errstr) < 0)
        return errno == ECHILD ? -1 : complain_future(f, "cannot wait");
    if (say)
        printf("%s\n", jobid_text(id));
    if (!success)
        return complain("job %s failed: %s", jobid_text(id),
                        errstr && errstr[0] ? errstr : "unknown");
    return EXIT_SUCCESS;
}

static int run_wait(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    flux_jobid_t id = FLUX_JOBID_ANY;
    int status = EXIT_SUCCESS, rc;

    if ((c->argc > 0 && parse_jobid(c->argv[0], &id) < 0) || !(h = client_open()))
        return EXIT_FAILURE;
    if (!cmdline_has(c, "all")) {
        rc = wait_one(h, id, c->argc == 0);
        return rc < 0 ? complain("there is no waitable job; submit with --flags=waitable") : rc;
    }
    while ((rc = wait_one(h, FLUX_JOBID_ANY, false)) >= 0)
        status |= rc;
    return status;
}

/* --- eventlogs --- */

struct printing {
    struct eventlog_printer printer;
    flux_reactor_t *reactor;
    const char *wanted; /* wait-event: stop at this event */
    bool quiet, verbose;
    bool found;
    int status;
};

static void print_line(struct printing *p, const char *line)
{
    CLEANUP(json_decrefp) json_t *entry = eventlog_entry_decode(line, strlen(line), NULL);
    const char *name;

    if (!entry || eventlog_entry_parse(entry, NULL, &name, NULL) < 0)
        return;
    p->found = p->wanted && strcmp(name, p->wanted) == 0;
    if (!p->wanted || p->verbose || (p->found && !p->quiet))
        eventlog_print(&p->printer, entry);
    else
        eventlog_printer_see(&p->printer, entry);
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
    if (errno == ENODATA && !p->wanted)
        return EXIT_SUCCESS;
    if (errno == ENODATA)
        return complain("job %s has ended without event '%s'", jobid_text(id), p->wanted);
    if (errno == ETIMEDOUT)
        return complain("timed out waiting for event '%s' of job %s", p->wanted, jobid_text(id));
    return complain_future(f, "cannot read %s of job %s", path, jobid_text(id));
}

static int printing_init(struct printing *p, const struct cmdline *c)
{
    *p =
        (struct printing){ .quiet = cmdline_has(c, "quiet"), .verbose = cmdline_has(c, "verbose") };
    return eventlog_printer_init(&p->printer, cmdline_string(c, "format", "text"),
                                 cmdline_string(c, "time-format", "raw"));
}

static int run_eventlog(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    CLEANUP(json_decrefp) json_t *entries = NULL;
    const char *path = cmdline_string(c, "path", "eventlog");
    struct printing p;
    flux_jobid_t id;
    const char *text;
    size_t i;
    json_t *entry;

    if (printing_init(&p, c) < 0 || !(h = open_for_job(c, &id)))
        return EXIT_FAILURE;
    if (cmdline_has(c, "follow"))
        return follow_log(h, id, path, &p, -1.);
    answer =
        client_call(h, "job-info.lookup",
                    json_pack("{s:I s:[s] s:i}", "id", (json_int_t)id, "keys", path, "flags", 0),
                    "read the eventlog");
    if (!answer)
        return EXIT_FAILURE;
    text = json_string_value(json_object_get(answer, path));
    if (!text || !(entries = eventlog_decode(text, strlen(text), NULL)))
        return complain("the eventlog of job %s is malformed", jobid_text(id));
    json_array_foreach (entries, i, entry)
        eventlog_print(&p.printer, entry);
    return EXIT_SUCCESS;
}

static int run_wait_event(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    const char *limit = cmdline_string(c, "timeout", NULL);
    double timeout = -1.;
    struct printing p;
    flux_jobid_t id;

    if (printing_init(&p, c) < 0 || (limit && parse_duration(limit, "--timeout", &timeout) < 0) ||
        !(h = open_for_job(c, &id)))
        return EXIT_FAILURE;
    p.wanted = c->argv[1];
    return follow_log(h, id, cmdline_string(c, "path", "eventlog"), &p, timeout);
}

/* --- data --- */

static int run_info(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    flux_jobid_t id;
    json_t *keys;

    if (!(h = open_for_job(c, &id)))
        return EXIT_FAILURE;
    keys = json_array();
    for (int i = 1; i < c->argc; i++)
        (void)json_array_append_new(keys, json_string(c->argv[i]));
    answer = client_call(h, "job-info.lookup",
                         json_pack("{s:I s:o s:i}", "id", (json_int_t)id, "keys", keys, "flags", 0),
                         "read the data of the job");
    if (!answer)
        return EXIT_FAILURE;
    for (int i = 1; i < c->argc; i++) {
        const char *s = json_string_value(json_object_get(answer, c->argv[i]));
        size_t len = s ? strlen(s) : 0;

        printf("%s%s", s ? s : "", len > 0 && s[len - 1] == '\n' ? "" : "\n");
    }
    return EXIT_SUCCESS;
}

static int print_id(const char *s, const char *style)
{
    flux_jobid_t id;
    char buf[128];

    if (parse_jobid(s, &id) < 0)
        return EXIT_FAILURE;
    if (strcmp(style, "kvs") == 0 ? flux_job_kvs_key(buf, sizeof(buf), id, NULL) < 0
                                  : flux_job_id_encode(id, style, buf, sizeof(buf)) < 0)
        return complain("--to must be dec, hex, dothex, words, f58, f58plain or kvs, not '%s'",
                        style);
    puts(buf);
    return EXIT_SUCCESS;
}

static int run_id(const struct cmdline *c)
{
    const char *style = cmdline_string(c, "to", "dec");
    int status = EXIT_SUCCESS;
    char line[256];

    for (int i = 0; i < c->argc; i++)
        status |= print_id(c->argv[i], style);
    while (c->argc == 0 && fgets(line, sizeof(line), stdin))
        status |= print_id(line, style);
    return status;
}

/* Submit a jobspec from a file or standard input. */
static int run_submit_jobspec(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *text = NULL;
    const char *path = c->argc > 0 ? c->argv[0] : "-";
    bool from_stdin = strcmp(path, "-") == 0;
    json_error_t e;
    flux_jobid_t id;
    int urgency;

    if (parse_count(cmdline_string(c, "urgency", "16"), "--urgency", 0, &urgency) < 0)
        return EXIT_FAILURE;
    o = from_stdin ? json_loadf(stdin, 0, &e) : json_load_file(path, 0, &e);
    if (!o)
        return complain("%s: line %d: %s", from_stdin ? "standard input" : path, e.line, e.text);
    if (!(text = jsonx_encode(o, NULL)) || !(h = client_open()))
        return EXIT_FAILURE;
    f = flux_job_submit(h, text, urgency,
                        strstr(cmdline_string(c, "flags", ""), "waitable") ? FLUX_JOB_WAITABLE : 0);
    if (!f || flux_job_submit_get_id(f, &id) < 0)
        return complain_future(f, "cannot submit the job");
    puts(jobid_text(id));
    return EXIT_SUCCESS;
}

/* --- many jobs --- */

static int parse_states(const char *s, int *ret)
{
    *ret = 0;
    while (*s) {
        size_t len = strcspn(s, ",");
        char word[32];
        flux_job_state_t state;

        snprintf(word, sizeof(word), "%.*s", (int)len, s);
        if (strcasecmp(word, "active") == 0)
            *ret |= FLUX_JOB_STATE_ACTIVE;
        else if (strcasecmp(word, "pending") == 0)
            *ret |= FLUX_JOB_STATE_PENDING;
        else if (strcasecmp(word, "running") == 0)
            *ret |= FLUX_JOB_STATE_RUNNING;
        else if (flux_job_strtostate(word, &state) == 0)
            *ret |= (int)state;
        else {
            complain("--states: '%s' is not a state of a job", word);
            return -1;
        }
        s += len + (s[len] == ',');
    }
    return 0;
}

/* The selection that raiseall and killall share. userid -1 on the wire: all users. */
static json_t *selection(const struct cmdline *c)
{
    uint32_t userid = getuid();
    const char *user = cmdline_string(c, "user", NULL);
    int states;

    if ((user && parse_user(user, &userid) < 0) ||
        parse_states(cmdline_string(c, "states", "active"), &states) < 0)
        return NULL;
    return json_pack("{s:I s:i s:b}", "userid",
                     userid == FLUX_USERID_UNKNOWN ? (json_int_t)-1 : (json_int_t)userid, "states",
                     states, "dry_run", !cmdline_has(c, "force"));
}

static int act_on_all(const struct cmdline *c, const char *topic, json_t *request, const char *verb)
{
    CLEANUP(flux_closep) flux_t *h = client_open();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    int count, errors;

    if (!h) {
        json_decref(request);
        return EXIT_FAILURE;
    }
    if (!(answer = client_call(h, topic, request, "act on these jobs")))
        return EXIT_FAILURE;
    count = (int)json_integer_value(json_object_get(answer, "count"));
    errors = (int)json_integer_value(json_object_get(answer, "errors"));
    if (count > 0 && !cmdline_has(c, "force"))
        fprintf(stderr, "%d jobs would be %s; confirm with --force\n", count, verb);
    else if (count > 0 || !cmdline_has(c, "quiet"))
        fprintf(stderr, "%d jobs %s (%d errors)\n", count, verb, errors);
    return errors ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int raise_all(const struct cmdline *c, const char *type, int severity, char *note)
{
    CLEANUP(freep) char *held = note;
    json_t *request = selection(c);

    (void)held; /* released at the end of the scope */
    if (!request)
        return EXIT_FAILURE;
    (void)json_object_set_new(request, "severity", json_integer(severity));
    (void)json_object_set_new(request, "type", json_string(type));
    if (note)
        (void)json_object_set_new(request, "note", json_string(note));
    return act_on_all(c, "job-manager.raiseall", request,
                      strcmp(type, "cancel") == 0 ? "canceled" : "given the exception");
}

static int run_cancelall(const struct cmdline *c)
{
    return raise_all(c, "cancel", 0, cmdline_join(c, 0));
}

static int run_raiseall(const struct cmdline *c)
{
    int severity;

    if (parse_count(cmdline_string(c, "severity", "7"), "--severity", 0, &severity) < 0)
        return EXIT_FAILURE;
    return raise_all(c, c->argv[0], severity, cmdline_join(c, 1));
}

static int run_killall(const struct cmdline *c)
{
    json_t *request;
    int signum;

    if (parse_signal(cmdline_string(c, "signal", "TERM"), &signum) < 0 || !(request = selection(c)))
        return EXIT_FAILURE;
    (void)json_object_set_new(request, "signum", json_integer(signum));
    return act_on_all(c, "job-manager.killall", request, "signaled");
}

static const struct option attach_options[] = {
    { 'l', "label-io", NULL, "Begin lines of output with the rank of the task" },
    { 'r', "read-only", NULL, "Do not forward input and Ctrl-C" },
    { 'E', "show-events", NULL, "Show job events" },
    { 'X', "show-exec", NULL, "Show execution events too" },
    { 'v', "verbose", NULL, "-vv: job events, -vvv: execution events too" },
    { 0 },
};
static const struct option cancel_options[] = {
    { 'm', "message", "TEXT", "Why" },
    { 0 },
};
static const struct option signal_options[] = {
    { 's', "signal", "SIG", "Name or number of the signal (default TERM)" },
    { 0 },
};
static const struct option raise_options[] = {
    { 's', "severity", "N", "0 ends the job (default), 7 is the least" },
    { 't', "type", "TYPE", "Type of the exception (default cancel)" },
    { 0 },
};
static const struct option wait_options[] = {
    { 'a', "all", NULL, "Wait for all waitable jobs" },
    { 0 },
};
#define EVENTLOG_OPTIONS                                                                \
    { 'f', "format", "FORMAT", "text (default) or json" },                              \
        { 'T', "time-format", "FORMAT", "raw (default), iso, offset or human" },        \
    {                                                                                   \
        'p', "path", "PATH", "guest.exec.eventlog, guest.output ... (default eventlog)" \
    }
static const struct option eventlog_options[] = {
    EVENTLOG_OPTIONS,
    { 'F', "follow", NULL, "Print events as they happen until the job has ended" },
    { 0 },
};
static const struct option wait_event_options[] = {
    EVENTLOG_OPTIONS,
    { 't', "timeout", "FSD", "Give up after so long without an event" },
    { 'q', "quiet", NULL, "Do not print the event" },
    { 'v', "verbose", NULL, "Print all events up to it" },
    { 0 },
};
static const struct option id_options[] = {
    { 't', "to", "STYLE", "dec (default), hex, dothex, words, f58, f58plain, kvs" },
    { 0 },
};
static const struct option submit_options[] = {
    { 'u', "urgency", "N", "0 to 31 (default 16)" },
    { 'f', "flags", "LIST", "waitable" },
    { 0 },
};
#define SELECTION_OPTIONS                                                              \
    { 'u', "user", "USER", "Jobs of this user, or all (default: yours)" },             \
        { 'S', "states", "STATES", "Jobs in these states (default active)" },          \
        { 'f', "force", NULL, "Do it; without, only say how many jobs it would hit" }, \
    {                                                                                  \
        'q', "quiet", NULL, "Say nothing if no job matches"                            \
    }
static const struct option cancelall_options[] = { SELECTION_OPTIONS, { 0 } };
static const struct option raiseall_options[] = {
    SELECTION_OPTIONS,
    { 's', "severity", "N", "0 to 7 (default 7)" },
    { 0 },
};
static const struct option killall_options[] = {
    SELECTION_OPTIONS,
    { 's', "signal", "SIG", "Name or number of the signal (default TERM)" },
    { 0 },
};

const struct command cmd_job[] = {
    { "cancel", "JOBID... [MESSAGE...]", "Cancel jobs", cancel_options, 1, -1, 0, run_cancel },
    { "job attach", "JOBID", "Show the output of a job and wait for its end", attach_options, 1, 1,
      0, run_attach },
    { "job cancel", "JOBID... [MESSAGE...]", "Cancel jobs", cancel_options, 1, -1, 0, run_cancel },
    { "job cancelall", "[MESSAGE...]", "Cancel many jobs", cancelall_options, 0, -1, 0,
      run_cancelall },
    { "job eventlog", "JOBID", "Print the events of a job", eventlog_options, 1, 1, 0,
      run_eventlog },
    { "job id", "[JOBID...]", "Convert job ids to another spelling", id_options, 0, -1, 0, run_id },
    { "job info", "JOBID KEY...", "Print data of a job: jobspec, R, J ...", NULL, 2, -1, 0,
      run_info },
    { "job kill", "JOBID...", "Send a signal to the tasks of jobs", signal_options, 1, -1, 0,
      run_kill },
    { "job killall", NULL, "Send a signal to many jobs", killall_options, 0, 0, 0, run_killall },
    { "job raise", "JOBID [NOTE...]", "Raise an exception on a job", raise_options, 1, -1, 0,
      run_raise },
    { "job raiseall", "TYPE [NOTE...]", "Raise an exception on many jobs", raiseall_options, 1, -1,
      0, run_raiseall },
    { "job submit", "[FILE]", "Submit a jobspec", submit_options, 0, 1, 0, run_submit_jobspec },
    { "job urgency", "JOBID URGENCY", "Change the urgency of a job", NULL, 2, 2, 0, run_urgency },
    { "job wait", "[JOBID]", "Wait for a job submitted with --flags=waitable", wait_options, 0, 1,
      0, run_wait },
    { "job wait-event", "JOBID EVENT", "Wait for an event of a job", wait_event_options, 2, 2, 0,
      run_wait_event },
    { 0 },
};
