/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl submit: enqueue jobs, one or a copy for each id of --cc, and print their ids; with
 * --wait, stay until they have ended.
 *
 * At most SUBMIT_WINDOW submissions are unanswered and WAIT_WINDOW jobs unfinished at a time. Ids
 * are printed in the order of --cc. A submission whose answer was lost with the connection is not
 * repeated, since the job may exist; a wait is. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "families.h"
#include "follow.h"
#include "job-request.h"
#include "progress.h"

#define SUBMIT_WINDOW 64
#define WAIT_WINDOW   16384

enum entry_state { ENTRY_SENT, ENTRY_ACCEPTED, ENTRY_REFUSED };

struct submission;

/* One job. */
struct entry {
    struct submission *s;
    enum entry_state state;
    flux_jobid_t id;
};

struct submission {
    const struct cmdline *c;
    flux_t *h;
    flux_reactor_t *reactor;
    struct idset *ids; /* of --cc or --bcc; NULL: one job */
    unsigned int next_id;
    bool set_cc, wait, watch, quiet;
    struct entry *entries;
    size_t total, sent, in_flight, printed, unfinished;
    struct progress progress;
    struct progress_counts counts;
    int status; /* exit status: the largest of what jobs and submissions had */
};

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
        if (s->entries[s->printed].state == ENTRY_ACCEPTED && !s->quiet)
            puts(jobid_text(s->entries[s->printed].id));
    }
}

static void pump(struct submission *s);

static void check_done(struct submission *s)
{
    progress_update(&s->progress, &s->counts);
    if (s->sent == s->total && s->in_flight == 0 && s->unfinished == 0)
        flux_reactor_stop(s->reactor);
}

static void job_ended(struct submission *s, bool success, int status)
{
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

    if (flux_job_wait_get_status(f, &success, &errstr) < 0) {
        if (errno == ECONNRESET) {
            flux_future_destroy(f);
            wait_for(e);
            return;
        }
        complain_future(f, "cannot wait for job %s", jobid_text(e->id));
    } else if (!success) {
        complain("job %s failed: %s", jobid_text(e->id), errstr && errstr[0] ? errstr : "unknown");
    }
    flux_future_destroy(f);
    job_ended(e->s, success, EXIT_FAILURE);
}

static void wait_for(struct entry *e)
{
    flux_future_t *f = flux_job_wait(e->s->h, e->id);

    if (!f || flux_future_then(f, -1., on_waited, e) < 0) {
        complain_future(f, "cannot wait for job %s", jobid_text(e->id));
        flux_future_destroy(f);
        job_ended(e->s, false, EXIT_FAILURE);
    }
}

static void on_followed(struct follow *fo, int status, void *arg)
{
    struct entry *e = arg;

    follow_free(fo);
    job_ended(e->s, status == 0, status);
}

static void watch(struct entry *e)
{
    struct follow_options options = { .label = cmdline_has(e->s->c, "label-io"),
                                      .on_done = on_followed,
                                      .arg = e };

    if (!follow_new(e->s->h, e->id, &options)) {
        complain("cannot watch job %s: %s", jobid_text(e->id), strerror(errno));
        job_ended(e->s, false, EXIT_FAILURE);
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
            complain("the connection was lost while submitting: the job may or may not have been "
                     "accepted, see `fluxctl jobs`");
        else
            complain_future(f, "cannot submit the job");
        e->state = ENTRY_REFUSED;
        s->counts.failed++;
        fail(s, EXIT_FAILURE);
    } else {
        e->state = ENTRY_ACCEPTED;
        s->counts.submitted++;
        if (cmdline_has(s->c, "verbose"))
            fprintf(stderr, "jobid: %s\n", jobid_text(e->id));
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

static int submit_one(struct submission *s, const char *cc)
{
    struct entry *e = &s->entries[s->sent];
    struct job_request req;
    flux_future_t *f;

    if (job_request_init(&req, s->c, cc, s->set_cc) < 0)
        return -1;
    if (s->wait && !s->watch)
        req.flags |= FLUX_JOB_WAITABLE;
    *e = (struct entry){ .s = s };
    f = flux_job_submit(s->h, req.jobspec, req.urgency, req.flags);
    job_request_deinit(&req);
    if (!f || flux_future_then(f, -1., on_submitted, e) < 0) {
        complain_future(f, "cannot submit the job");
        flux_future_destroy(f);
        return -1;
    }
    s->sent++;
    s->in_flight++;
    return 0;
}

/* Send what the windows allow. A job that cannot be built ends the sending. */
static void pump(struct submission *s)
{
    while (s->sent < s->total && s->in_flight < SUBMIT_WINDOW && s->unfinished < WAIT_WINDOW) {
        char cc[16];

        if (s->ids) {
            s->next_id = s->sent ? idset_next(s->ids, s->next_id) : idset_first(s->ids);
            snprintf(cc, sizeof(cc), "%u", s->next_id);
        }
        if (submit_one(s, s->ids ? cc : NULL) < 0) {
            fail(s, EXIT_FAILURE);
            s->total = s->sent;
        }
    }
}

static void print_summary(const struct submission *s)
{
    progress_finish((struct progress *)&s->progress, &s->counts);
    if (s->progress.file && s->wait)
        fprintf(stderr, "%zu jobs: %zu completed, %zu failed\n", s->counts.total,
                s->counts.completed, s->counts.failed);
}

static FILE *progress_file(const struct cmdline *c)
{
    bool forced = strcmp(cmdline_string(c, "progress", ""), "always") == 0;

    return cmdline_has(c, "progress") && (forced || isatty(STDERR_FILENO)) ? stderr : NULL;
}

static int submit_all(struct submission *s)
{
    s->reactor = flux_get_reactor(s->h);
    progress_init(&s->progress, progress_file(s->c), cmdline_has(s->c, "jps"));
    s->counts = (struct progress_counts){ .total = s->total, .waiting = s->wait };
    pump(s);
    if (s->in_flight > 0 && flux_reactor_run(s->reactor, 0) < 0)
        return complain("lost the connection to the instance: %s", strerror(errno));
    print_summary(s);
    return s->status;
}

static int print_jobspecs(struct submission *s)
{
    for (size_t i = 0; i < s->total; i++) {
        struct job_request req;
        char cc[16];

        if (s->ids) {
            s->next_id = i ? idset_next(s->ids, s->next_id) : idset_first(s->ids);
            snprintf(cc, sizeof(cc), "%u", s->next_id);
        }
        if (job_request_init(&req, s->c, s->ids ? cc : NULL, s->set_cc) < 0)
            return EXIT_FAILURE;
        puts(req.jobspec);
        job_request_deinit(&req);
    }
    return EXIT_SUCCESS;
}

static int parse_ids(struct submission *s)
{
    const char *cc = cmdline_string(s->c, "cc", NULL);
    const char *bcc = cmdline_string(s->c, "bcc", NULL);

    s->total = 1;
    s->set_cc = cc != NULL;
    if (cc && bcc)
        return complain("--cc and --bcc exclude each other");
    if (!cc && !bcc)
        return EXIT_SUCCESS;
    if (!(s->ids = idset_decode(cc ? cc : bcc)) || idset_count(s->ids) == 0)
        return complain("--%s must be a set of numbers such as 1-10,20, not '%s'",
                        cc ? "cc" : "bcc", cc ? cc : bcc);
    s->total = idset_count(s->ids);
    return EXIT_SUCCESS;
}

static int run_submit(const struct cmdline *c)
{
    struct submission s = { .c = c,
                            .watch = cmdline_has(c, "watch"),
                            .quiet = cmdline_has(c, "quiet") };
    int status;

    s.wait = s.watch || cmdline_has(c, "wait");
    if ((status = parse_ids(&s)) == EXIT_SUCCESS && cmdline_has(c, "dry-run"))
        status = print_jobspecs(&s);
    else if (status == EXIT_SUCCESS) {
        status = EXIT_FAILURE;
        if (!(s.entries = calloc(s.total, sizeof(*s.entries))))
            complain("out of memory");
        else if ((s.h = client_open()))
            status = submit_all(&s);
    }
    flux_close(s.h);
    free(s.entries);
    idset_destroy(s.ids);
    return status;
}

static const struct option submit_options[] = {
    JOB_OPTIONS,
    { 0, "cc", "IDSET", "A job for each id; {cc} stands for it, FLUX_JOB_CC is set" },
    { 0, "bcc", "IDSET", "Same, FLUX_JOB_CC is not set" },
    { 0, "wait", NULL, "Wait until all jobs have ended; exit 1 if one failed" },
    { 0, "watch", NULL, "Show the output of all jobs; implies --wait" },
    { 0, "progress", "always", "Show a progress line if stderr is a terminal, or always",
      OPTION_OPTIONAL_ARG },
    { 0, "jps", NULL, "With --progress, show jobs per second" },
    { 0, "quiet", NULL, "Do not print job ids" },
    { 0 },
};

const struct command cmd_submit[] = {
    { .name = "submit",
      .args = "COMMAND [ARGS...]",
      .summary = "Enqueue a job, or many, and print the ids",
      .options = submit_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT,
      .run = run_submit },
    { .name = "mini submit",
      .args = "COMMAND [ARGS...]",
      .summary = "Same as submit",
      .options = submit_options,
      .min_args = 1,
      .max_args = -1,
      .flags = COMMAND_STOP_AT_ARGUMENT | COMMAND_HIDDEN,
      .run = run_submit },
    { 0 },
};
