/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl job ...: what concerns one job: attach, cancel, kill, raise, wait, its
 * data, its id in other spellings. */
#include <string.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/number.h"
#include "base/sign_none.h"
#include "client.h"
#include "families.h"
#include "follow.h"
#include "job-open.h"

static int finish(flux_future_t *f, const char *what, flux_jobid_t id)
{
    int status = EXIT_SUCCESS;

    if (!f || flux_future_get(f, NULL) < 0)
        status = complain_future(f, "cannot %s job %s", what, jobid_text(id));
    flux_future_destroy(f);
    return status;
}

static int check_ranks(const struct cmdline *c)
{
    const char *ranks = cmdline_string(c, "stdin-ranks", "all");
    struct idset *ids = strcmp(ranks, "all") == 0 ? idset_create(0, 0) : idset_decode(ranks);

    if (!ids)
        return complain("--stdin-ranks must be ranks of tasks such as 0 or 0-3, or all, not '%s'",
                        ranks);
    idset_destroy(ids);
    if (cmdline_has(c, "stdin-ranks") && cmdline_has(c, "read-only"))
        return complain("--stdin-ranks and --read-only exclude each other");
    return EXIT_SUCCESS;
}

static int run_attach(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    flux_jobid_t id;

    if (check_ranks(c) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    if (!(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    return follow_job(h, id,
                      (struct follow_options){ .label = cmdline_has(c, "label-io"),
                                               .input = !cmdline_has(c, "read-only"),
                                               .interrupts = !cmdline_has(c, "read-only"),
                                               .ranks = cmdline_string(c, "stdin-ranks", NULL),
                                               .wait_event = cmdline_string(c, "wait-event", NULL),
                                               .quiet = cmdline_has(c, "quiet"),
                                               .events = cmdline_has(c, "show-events"),
                                               .exec = cmdline_has(c, "show-exec"),
                                               .verbose = cmdline_count(c, "verbose") });
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

static int parse_severity(const struct cmdline *c, const char *fallback, int *ret)
{
    const char *s = cmdline_string(c, "severity", fallback);

    if (number_parse_int(s, 0, 7, ret) == 0)
        return 0;
    complain("--severity must be 0 (fatal) to 7, not '%s'", s);
    return -1;
}

static int run_raise(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(freep)
    char *note =
        cmdline_has(c, "message") ? strdup(cmdline_string(c, "message", "")) : cmdline_join(c, 1);
    flux_jobid_t id;
    int severity;

    if (parse_severity(c, "0", &severity) < 0 || !(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    return finish(flux_job_raise(h, id, cmdline_string(c, "type", "cancel"), severity, note),
                  "raise an exception on", id);
}

static int run_urgency(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    flux_jobid_t id;
    int urgency;

    if (parse_urgency(c->argv[1], "the urgency", &urgency) < 0)
        return EXIT_FAILURE;
    if (!(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    return finish(flux_job_set_urgency(h, id, urgency), "set the urgency of", id);
}

/* --- wait --- */

/* -1: all were waited for. */
static int wait_one(flux_t *h, flux_jobid_t id, bool all)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = flux_job_wait(h, id);
    const char *errstr = NULL;
    bool success, say = !all && id == FLUX_JOBID_ANY;

    if (!f || flux_job_wait_get_id(f, &id) < 0 ||
        flux_job_wait_get_status(f, &success, &errstr) < 0)
        return all && errno == ECHILD ? -1 : complain_future(f, "cannot wait");
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
    if (!cmdline_has(c, "all"))
        return wait_one(h, id, false);
    while ((rc = wait_one(h, FLUX_JOBID_ANY, true)) >= 0)
        status |= rc;
    return status;
}

/* --- data --- */

/* The jobspec as it was signed, with what the instance leaves out of its own copy. */
static int print_original(json_t *answer)
{
    const char *j = json_string_value(json_object_get(answer, "J"));
    CLEANUP(freep) char *jobspec = NULL;
    flux_error_t error = { "it is not there" };
    uint32_t userid;
    size_t size;

    if (!j || sign_none_unwrap(j, strlen(j), &jobspec, &size, &userid, &error) < 0)
        return complain("cannot read the signed request: %s", error.text);
    puts(jobspec);
    return EXIT_SUCCESS;
}

static int run_info(const struct cmdline *c)
{
    CLEANUP(flux_closep) flux_t *h = NULL;
    CLEANUP(json_decrefp) json_t *answer = NULL;
    bool original = cmdline_has(c, "original");
    flux_jobid_t id;
    json_t *keys;

    if (original && (c->argc != 2 || strcmp(c->argv[1], "jobspec") != 0))
        return complain("--original is for the key jobspec alone");
    if (!(h = open_for_job(c->argv[0], &id)))
        return EXIT_FAILURE;
    keys = json_array();
    for (int i = 1; i < c->argc; i++)
        (void)json_array_append_new(keys, json_string(original ? "J" : c->argv[i]));
    answer = fetch_job_keys(h, id, keys, "the data");
    if (!answer)
        return EXIT_FAILURE;
    if (original)
        return print_original(answer);
    for (int i = 1; i < c->argc; i++) {
        const char *s = json_string_value(json_object_get(answer, c->argv[i]));
        size_t len = s ? strlen(s) : 0;

        printf("%s%s", s ? s : "", len > 0 && s[len - 1] == '\n' ? "" : "\n");
    }
    return EXIT_SUCCESS;
}

static int encode_id(flux_jobid_t id, const char *style, char *buf, size_t size)
{
    if (strcmp(style, "kvs") == 0)
        return flux_job_kvs_key(buf, (int)size, id, NULL) < 0 ? -1 : 0;
    return flux_job_id_encode(id, style, buf, size);
}

static int check_style(const char *option, const char *style)
{
    char buf[128];

    if (encode_id(1, style, buf, sizeof(buf)) < 0)
        return complain("--%s must be dec, hex, dothex, words, f58, f58plain or kvs, not '%s'",
                        option, style);
    return EXIT_SUCCESS;
}

/* from: the only spelling to accept; NULL: all. */
static int print_id(const char *s, const char *from, const char *to)
{
    flux_jobid_t id;
    char buf[128];

    if (parse_jobid(s, &id) < 0)
        return EXIT_FAILURE;
    if (from && (encode_id(id, from, buf, sizeof(buf)) < 0 || strcasecmp(buf, s) != 0))
        return complain("'%s' is not a job id in the spelling %s", s, from);
    if (encode_id(id, to, buf, sizeof(buf)) < 0)
        return complain("'%s' cannot be spelled as %s", s, to);
    puts(buf);
    return EXIT_SUCCESS;
}

static int run_id(const struct cmdline *c)
{
    const char *to = cmdline_string(c, "to", "dec");
    const char *from = cmdline_string(c, "from", NULL);
    int status = EXIT_SUCCESS;
    char line[256];

    if (check_style("to", to) != EXIT_SUCCESS ||
        (from && check_style("from", from) != EXIT_SUCCESS))
        return EXIT_FAILURE;
    for (int i = 0; i < c->argc; i++)
        status |= print_id(c->argv[i], from, to);
    while (c->argc == 0 && fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        status |= print_id(line, from, to);
    }
    return status;
}

static int parse_flags(const char *s, int *ret)
{
    static const struct {
        const char *name;
        int flag;
    } names[] = { { "debug", FLUX_JOB_DEBUG },
                  { "waitable", FLUX_JOB_WAITABLE },
                  { "novalidate", FLUX_JOB_NOVALIDATE } };

    for (*ret = 0; *s; s += strcspn(s, ","), s += *s == ',') {
        size_t len = strcspn(s, ","), i;

        for (i = 0; i < ARRAY_SIZE(names); i++) {
            if (strlen(names[i].name) == len && strncmp(names[i].name, s, len) == 0)
                break;
        }
        if (i == ARRAY_SIZE(names))
            return complain("--flags: there is no flag '%.*s': debug, novalidate, waitable are",
                            (int)len, s);
        *ret |= names[i].flag;
    }
    return EXIT_SUCCESS;
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
    int urgency, flags;

    if (parse_urgency(cmdline_string(c, "urgency", "default"), "--urgency", &urgency) < 0 ||
        parse_flags(cmdline_string(c, "flags", ""), &flags) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    o = from_stdin ? json_loadf(stdin, 0, &e) : json_load_file(path, 0, &e);
    if (!o && e.line < 0)
        return complain("cannot read %s: %s", from_stdin ? "standard input" : path,
                        strerror(errno));
    if (!o)
        return complain("%s: line %d: %s", from_stdin ? "standard input" : path, e.line, e.text);
    if (!(text = jsonx_encode(o, NULL)) || !(h = client_open()))
        return EXIT_FAILURE;
    f = flux_job_submit(h, text, urgency, flags);
    if (!f || flux_job_submit_get_id(f, &id) < 0)
        return complain_future(f, "cannot submit the job");
    puts(jobid_text(id));
    return EXIT_SUCCESS;
}

/* --- many jobs --- */

/* The selection that raiseall and killall share. FLUX_USERID_UNKNOWN: all users. */
static json_t *selection(const struct cmdline *c)
{
    uint32_t userid = getuid();
    const char *user = cmdline_string(c, "user", NULL);
    int states;

    if ((user && parse_user(user, &userid) < 0) ||
        parse_states(cmdline_string(c, "states", "active"), "states", &states) < 0)
        return NULL;
    return json_pack("{s:I s:i s:b}", "userid", (json_int_t)userid, "states", states, "dry_run",
                     !cmdline_has(c, "force"));
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
        fprintf(stderr, "%d job%s would be %s; confirm with --force\n", count,
                plural((size_t)count), verb);
    else if (count > 0 || !cmdline_has(c, "quiet"))
        fprintf(stderr, "%d job%s %s (%d errors)\n", count, plural((size_t)count), verb, errors);
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

    if (parse_severity(c, "7", &severity) < 0)
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
    { 'i', "stdin-ranks", "RANKS", "Forward input to these tasks only (default all)" },
    { 'u', "unbuffered", NULL, "Forward input as it is read (always done)" },
    { 'w', "wait-event", "EVENT", "Detach at this event of the job" },
    { 'E', "show-events", NULL, "Show job events" },
    { 'X', "show-exec", NULL, "Show execution events" },
    { 'q', "quiet", NULL, "Do not say how the job ended" },
    { 'v', "verbose", NULL, "-vv: job events, -vvv: execution events too" },
    { 0 },
};
static const struct option signal_options[] = {
    { 's', "signal", "SIG", "Name or number of the signal (default TERM)" },
    { 0 },
};
static const struct option raise_options[] = {
    { 's', "severity", "N", "0 ends the job (default), 7 is the least" },
    { 't', "type", "TYPE", "Type of the exception (default cancel)" },
    { 'm', "message", "TEXT", "Why" },
    { 0 },
};
static const struct option wait_options[] = {
    { 'a', "all", NULL, "Wait for all waitable jobs" },
    { 0 },
};
static const struct option info_options[] = {
    { 'o', "original", NULL, "The jobspec as it was signed" },
    { 'b', "base", NULL, "What was stored, without later updates (there are none here)" },
    { 0 },
};
static const struct option id_options[] = {
    { 't', "to", "STYLE", "dec (default), hex, dothex, words, f58, f58plain, kvs" },
    { 'f', "from", "STYLE", "Accept this spelling only (default: any)" },
    { 0 },
};
static const struct option submit_options[] = {
    { 'u', "urgency", "N", "0 to 31 (default 16)" },
    { 'f', "flags", "LIST", "debug, novalidate, waitable" },
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
    { "job attach", "JOBID", "Show the output of a job and wait for its end", attach_options, 1, 1,
      0, run_attach },
    { "job cancelall", "[MESSAGE...]", "Cancel many jobs", cancelall_options, 0, -1, COMMAND_TEXT,
      run_cancelall },
    { "job id", "[JOBID...]", "Convert job ids to another spelling", id_options, 0, -1, 0, run_id },
    { "job info", "JOBID KEY...", "Print data of a job: jobspec, R, J ...", info_options, 2, -1, 0,
      run_info },
    { "job kill", "JOBID...", "Send a signal to the tasks of jobs", signal_options, 1, -1, 0,
      run_kill },
    { "job killall", NULL, "Send a signal to many jobs", killall_options, 0, 0, 0, run_killall },
    { "job raise", "JOBID [NOTE...]", "Raise an exception on a job", raise_options, 1, -1,
      COMMAND_TEXT, run_raise },
    { "job raiseall", "TYPE [NOTE...]", "Raise an exception on many jobs", raiseall_options, 1, -1,
      COMMAND_TEXT, run_raiseall },
    { "job submit", "[FILE]", "Submit a jobspec", submit_options, 0, 1, 0, run_submit_jobspec },
    { "job urgency", "JOBID URGENCY", "Change the urgency of a job", NULL, 2, 2, 0, run_urgency },
    { "job wait", "[JOBID]", "Wait for a job submitted with --flags=waitable", wait_options, 0, 1,
      0, run_wait },
    { 0 },
};
