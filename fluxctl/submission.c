/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Submitting jobs and, with --wait or --watch, staying until they have ended.
 *
 * At most SUBMIT_WINDOW submissions are unanswered and WAIT_WINDOW jobs unfinished at a time. Ids
 * are printed in the order of the jobs. A submission whose answer was lost with the connection is
 * not repeated, since the job may exist; a wait is.
 *
 * A signal ends the command when the submissions under way are answered, so that the ids of all
 * jobs there are were printed; a second one ends it at once. The jobs go on. */
#include "submission.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "follow.h"
#include "joblog.h"
#include "progress.h"

#define SUBMIT_WINDOW 64
#define WAIT_WINDOW   16384

static const int signums[] = { SIGINT, SIGTERM, SIGHUP };

enum entry_state { ENTRY_SENT, ENTRY_ACCEPTED, ENTRY_REFUSED };

struct submission;

/* One job. */
struct entry {
    struct submission *s;
    enum entry_state state;
    flux_jobid_t id;
    flux_future_t *end;               /* --wait: of the job */
    struct follow *follow;            /* --watch */
    struct joblog *out_log, *err_log; /* --log, --log-stderr */
};

struct submission {
    const struct cmdline *c;
    flux_t *h;
    flux_reactor_t *reactor;
    const struct job_source *source;
    bool wait, watch, quiet;
    struct entry *entries;
    size_t total, sent, in_flight, printed, unfinished;
    struct progress progress;
    struct progress_counts counts;
    flux_watcher_t *signals[ARRAY_SIZE(signums)];
    int signum; /* that told us to end; 0: none */
    int status; /* exit status: the largest of what jobs and submissions had */
};

static FILE *out_of(const struct entry *e)
{
    return e->out_log ? joblog_file(e->out_log) : stdout;
}

static FILE *err_of(const struct entry *e)
{
    return e->err_log ? joblog_file(e->err_log) : stderr;
}

/* Nothing more will be written about this job. */
static void close_logs(struct entry *e)
{
    joblog_put(e->out_log);
    joblog_put(e->err_log);
    e->out_log = e->err_log = NULL;
}

static void fail(struct submission *s, int status)
{
    if (status > s->status)
        s->status = status;
}

/* Print the ids that are known, up to the first that is not. */
static void print_ids(struct submission *s)
{
    if (s->progress.file && isatty(STDOUT_FILENO))
        progress_clear(&s->progress);
    for (; s->printed < s->sent && s->entries[s->printed].state != ENTRY_SENT; s->printed++) {
        struct entry *e = &s->entries[s->printed];

        if (e->state == ENTRY_ACCEPTED && !s->quiet)
            fprintf(out_of(e), "%s\n", jobid_text(e->id));
        if (e->state == ENTRY_REFUSED || !s->wait)
            close_logs(e);
    }
}

static void pump(struct submission *s);

static void check_done(struct submission *s)
{
    progress_update(&s->progress, &s->counts);
    if (s->sent == s->total && s->in_flight == 0 && (s->unfinished == 0 || s->signum))
        flux_reactor_stop(s->reactor);
}

static void job_ended(struct entry *e, bool success, int status)
{
    struct submission *s = e->s;

    if (e < s->entries + s->printed)
        close_logs(e);
    s->unfinished--;
    if (success)
        s->counts.completed++;
    else
        s->counts.failed++;
    fail(s, success ? 0 : status);
    pump(s);
    check_done(s);
}

/* --- waiting for one job --- */

static void wait_for(struct entry *e);

static void on_waited(flux_future_t *f, void *arg)
{
    struct entry *e = arg;
    const char *errstr = NULL;
    bool success = false;

    e->end = NULL;
    if (flux_job_wait_get_status(f, &success, &errstr) < 0) {
        if (errno == ECONNRESET) {
            flux_future_destroy(f);
            wait_for(e);
            return;
        }
        complain_to(err_of(e), "cannot wait for job %s: %s", jobid_text(e->id), future_reason(f));
    } else if (!success) {
        complain_to(err_of(e), "job %s failed: %s", jobid_text(e->id),
                    errstr && errstr[0] ? errstr : "unknown");
    }
    flux_future_destroy(f);
    job_ended(e, success, EXIT_FAILURE);
}

static void wait_for(struct entry *e)
{
    flux_future_t *f = flux_job_wait(e->s->h, e->id);

    if (!f || flux_future_then(f, -1., on_waited, e) < 0) {
        complain_to(err_of(e), "cannot wait for job %s: %s", jobid_text(e->id), future_reason(f));
        flux_future_destroy(f);
        job_ended(e, false, EXIT_FAILURE);
        return;
    }
    e->end = f;
}

static void on_followed(struct follow *fo, int status, void *arg)
{
    struct entry *e = arg;

    e->follow = follow_free(fo);
    job_ended(e, status == 0, status);
}

static void watch(struct entry *e)
{
    struct follow_options options = { .label = cmdline_has(e->s->c, "label-io"),
                                      .out = out_of(e),
                                      .err = err_of(e),
                                      .on_done = on_followed,
                                      .arg = e };

    e->follow = follow_new(e->s->h, e->id, &options);
    if (!e->follow) {
        complain_to(err_of(e), "cannot watch job %s: %s", jobid_text(e->id), strerror(errno));
        job_ended(e, false, EXIT_FAILURE);
    }
}

/* --- submitting --- */

static void on_submitted(flux_future_t *f, void *arg)
{
    struct entry *e = arg;
    struct submission *s = e->s;

    s->in_flight--;
    if (flux_job_submit_get_id(f, &e->id) < 0) {
        if (errno == ECONNRESET)
            complain_to(
                err_of(e),
                "the connection was lost while submitting: the job may or may not have been "
                "accepted, see `flux jobs`");
        else
            complain_to(err_of(e), "cannot submit the job: %s", future_reason(f));
        e->state = ENTRY_REFUSED;
        s->counts.failed++;
        fail(s, EXIT_FAILURE);
    } else {
        e->state = ENTRY_ACCEPTED;
        s->counts.submitted++;
        if (cmdline_has(s->c, "verbose"))
            fprintf(err_of(e), "jobid: %s\n", jobid_text(e->id));
    }
    flux_future_destroy(f);
    print_ids(s);
    if (e->state == ENTRY_ACCEPTED && (s->wait || s->watch)) {
        s->unfinished++;
        if (s->watch)
            watch(e);
        else
            wait_for(e);
    }
    pump(s);
    check_done(s);
}

/* Open what --log and --log-stderr name for this job; errors go with the output unless told. */
static int open_logs(struct entry *e, const struct job_plan *plan)
{
    const char *err = plan->log_stderr ? plan->log_stderr : plan->log;

    if ((plan->log && !(e->out_log = joblog_get(plan->log))) ||
        (err && !(e->err_log = joblog_get(err)))) {
        complain("cannot write %s: %s", e->out_log || !plan->log ? err : plan->log,
                 strerror(errno));
        return -1;
    }
    return 0;
}

/* 1: sent, 0: there is no more, -1: complained */
static int submit_one(struct submission *s)
{
    struct entry *e = &s->entries[s->sent];
    struct job_plan plan = { 0 };
    flux_future_t *f = NULL;
    int rc = s->source->next(s->source->arg, &plan);

    if (rc <= 0)
        return rc;
    *e = (struct entry){ .s = s };
    rc = open_logs(e, &plan);
    if (rc == 0) {
        int flags = s->wait && !s->watch ? FLUX_JOB_WAITABLE : 0;

        f = flux_job_submit(s->h, plan.req.jobspec, plan.req.urgency, plan.req.flags | flags);
        if (!f || flux_future_then(f, -1., on_submitted, e) < 0) {
            complain_future(f, "cannot submit the job");
            flux_future_destroy(f);
            rc = -1;
        }
    }
    job_plan_deinit(&plan);
    if (rc < 0) {
        close_logs(e);
        return -1;
    }
    s->sent++;
    s->in_flight++;
    return 1;
}

/* Send what the windows allow. A job that cannot be built ends the sending. */
static void pump(struct submission *s)
{
    while (s->sent < s->total && s->in_flight < SUBMIT_WINDOW && s->unfinished < WAIT_WINDOW) {
        int rc = submit_one(s);

        if (rc < 0)
            fail(s, EXIT_FAILURE);
        if (rc <= 0)
            s->total = s->sent;
    }
}

static void on_signal(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct submission *s = arg;
    const bool again = s->signum != 0;

    s->signum = flux_signal_watcher_get_signum(w);
    if (again) {
        (void)fflush(NULL);
        _exit(128 + s->signum);
    }
    s->total = s->sent;
    check_done(s);
}

static int watch_signals(struct submission *s)
{
    for (size_t i = 0; i < ARRAY_SIZE(signums); i++) {
        s->signals[i] = flux_signal_watcher_create(s->reactor, signums[i], on_signal, s);
        if (!s->signals[i])
            return complain("out of memory");
        flux_watcher_start(s->signals[i]);
    }
    return 0;
}

static void print_summary(const struct submission *s)
{
    progress_finish((struct progress *)&s->progress, &s->counts);
    if (s->progress.file && s->wait)
        fprintf(stderr, "%zu job%s: %zu completed, %zu failed\n", s->counts.total,
                plural(s->counts.total), s->counts.completed, s->counts.failed);
}

static int submit_all(struct submission *s, FILE *progress)
{
    s->reactor = flux_get_reactor(s->h);
    progress_init(&s->progress, progress, cmdline_has(s->c, "jps"));
    s->counts = (struct progress_counts){ .total = s->total, .waiting = s->wait };
    if (watch_signals(s) < 0)
        return EXIT_FAILURE;
    pump(s);
    if (s->in_flight > 0 && flux_reactor_run(s->reactor, 0) < 0)
        return complain("lost the connection to the instance: %s", strerror(errno));
    print_summary(s);
    if (s->signum) {
        complain("ended by a signal; jobs that were submitted go on");
        return 128 + s->signum;
    }
    return s->status;
}

int submission_run(const struct cmdline *c, const struct job_source *source)
{
    struct submission s = { .c = c,
                            .source = source,
                            .total = source->total,
                            .wait = cmdline_has(c, "wait") || cmdline_has(c, "watch"),
                            .watch = cmdline_has(c, "watch"),
                            .quiet = cmdline_has(c, "quiet") };
    int status = EXIT_FAILURE;
    FILE *progress;

    if (progress_option(c, &progress) < 0)
        return EXIT_FAILURE;
    if (s.total == 0)
        return EXIT_SUCCESS;
    if (!(s.entries = calloc(s.total, sizeof(*s.entries))))
        complain("out of memory");
    else if ((s.h = client_open()))
        status = submit_all(&s, progress);
    for (size_t i = 0; i < ARRAY_SIZE(signums); i++)
        flux_watcher_destroy(s.signals[i]);
    for (size_t i = 0; s.entries && i < s.sent; i++) { /* of jobs that go on */
        flux_future_destroy(s.entries[i].end);
        follow_free(s.entries[i].follow);
    }
    flux_close(s.h);
    if (!joblog_free_all() && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    free(s.entries);
    return status;
}

void job_plan_deinit(struct job_plan *p)
{
    job_request_deinit(&p->req);
    free(p->log);
    free(p->log_stderr);
    *p = (struct job_plan){ 0 };
}

int job_plan_init(struct job_plan *p, const struct cmdline *c, const char *cc, bool set_cc)
{
    const char *log = cmdline_string(c, "log", NULL);
    const char *log_stderr = cmdline_string(c, "log-stderr", NULL);

    *p = (struct job_plan){ 0 };
    if (job_request_init(&p->req, c, cc, set_cc) < 0)
        return -1;
    if ((log && !(p->log = cc_substitute(log, cc))) ||
        (log_stderr && !(p->log_stderr = cc_substitute(log_stderr, cc)))) {
        complain("out of memory");
        job_plan_deinit(p);
        return -1;
    }
    return 0;
}
