/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A client that goes on while daemons are restarted, and tolerates nothing: each error, gap and
 * repetition is told on stderr and counts.
 *
 *     steady MODE          until standard input ends; then what is under way is waited for
 *
 *     commit   commits steady.n = 1, 2, 3 ... and appends the same numbers to steady.log
 *     lookup   looks up steady.n
 *     watch    sees each value of steady.n once, in order
 *     log      sees each line of steady.log once, in order
 *     jobs     submits 100 jobs a second, if fewer than 50 are under way, waits for each, and reads
 *              the eventlog of each
 *     list     lists jobs
 *
 * One that does one thing after the other begins each PAUSE_SECONDS after the last.
 *
 * The last line of output is "MODE N": the number of operations that were done. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <flux/core.h>

#define PERIOD_SECONDS 0.01
#define JOBS_MAX       50
#define PAUSE_SECONDS  0.002

struct client {
    flux_t *h;
    const char *mode;
    long done, errors, last;
    long under_way;
    bool ending;
    flux_watcher_t *input, *timer;
    flux_future_t *stream;
};

static void trouble(struct client *c, const char *what, flux_future_t *f)
{
    const char *text = f ? flux_future_error_string(f) : strerror(errno);

    (void)fprintf(stderr, "%s: %s: %s (%s)\n", c->mode, what, strerror(errno), text);
    if (++c->errors > 20)
        exit(1);
}

static void end_if_done(struct client *c)
{
    if (c->ending && c->under_way == 0)
        flux_reactor_stop(flux_get_reactor(c->h));
}

/* --- one after the other */

static void pause_then_next(struct client *c)
{
    c->under_way = 0;
    if (c->ending) {
        end_if_done(c);
        return;
    }
    flux_timer_watcher_reset(c->timer, PAUSE_SECONDS, 0.);
    flux_watcher_start(c->timer);
}

static void on_commit(flux_future_t *f, void *arg)
{
    struct client *c = arg;

    if (flux_future_get(f, NULL) < 0)
        trouble(c, "commit", f);
    c->done++;
    flux_future_destroy(f);
    pause_then_next(c);
}

static flux_future_t *commit(struct client *c)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f;
    char text[32];

    (void)snprintf(text, sizeof(text), "%ld\n", c->done + 1);
    if (flux_kvs_txn_pack(txn, 0, "steady.n", "I", (json_int_t)c->done + 1) < 0 ||
        flux_kvs_txn_put(txn, FLUX_KVS_APPEND, "steady.log", text) < 0)
        exit(2);
    f = flux_kvs_commit(c->h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct client *c = arg;

    if (flux_future_get(f, NULL) < 0)
        trouble(c, "answer", f);
    c->done++;
    flux_future_destroy(f);
    pause_then_next(c);
}

static void on_pause_over(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct client *c = arg;
    flux_future_t *f;

    if (strcmp(c->mode, "commit") == 0)
        f = commit(c);
    else if (strcmp(c->mode, "lookup") == 0)
        f = flux_kvs_lookup(c->h, NULL, FLUX_KVS_WAITCREATE, "steady.n");
    else
        f = flux_rpc_pack(c->h, "job-list.list", FLUX_NODEID_ANY, 0, "{s:i s:[ss]}", "max_entries",
                          10, "attrs", "state", "t_submit");
    c->under_way = 1;
    if (!f ||
        flux_future_then(f, -1., strcmp(c->mode, "commit") == 0 ? on_commit : on_answer, c) < 0)
        exit(2);
}

/* --- streams */

static void expect(struct client *c, long n)
{
    if (c->last != 0 && n != c->last + 1) {
        (void)fprintf(stderr, "%s: after %ld came %ld\n", c->mode, c->last, n);
        c->errors++;
    }
    c->last = n;
    c->done++;
}

static void on_value(flux_future_t *f, void *arg)
{
    struct client *c = arg;
    json_int_t n;

    if (flux_kvs_lookup_get_unpack(f, "I", &n) < 0) {
        trouble(c, "watch", f);
        exit(1);
    }
    expect(c, (long)n);
    flux_future_reset(f);
}

static void on_lines(flux_future_t *f, void *arg)
{
    struct client *c = arg;
    const char *s;
    char *end;

    if (flux_kvs_lookup_get(f, &s) < 0) {
        trouble(c, "watch", f);
        exit(1);
    }
    while (s && *s) {
        expect(c, strtol(s, &end, 10));
        s = *end == '\n' ? end + 1 : "";
    }
    flux_future_reset(f);
}

static void follow(struct client *c)
{
    const bool log = strcmp(c->mode, "log") == 0;

    c->stream = flux_kvs_lookup(
        c->h, NULL, FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE | (log ? FLUX_KVS_WATCH_APPEND : 0),
        log ? "steady.log" : "steady.n");
    if (!c->stream || flux_future_then(c->stream, -1., log ? on_lines : on_value, c) < 0)
        exit(2);
}

/* --- jobs */

struct job {
    struct client *c;
    flux_jobid_t id;
    int parts; /* not finished yet: waiting, and reading */
    int events, finishes;
};

static void part_done(struct job *job)
{
    struct client *c = job->c;

    if (--job->parts > 0)
        return;
    c->under_way--;
    c->done++;
    free(job);
    end_if_done(c);
}

static void on_waited(flux_future_t *f, void *arg)
{
    struct job *job = arg;
    const char *text;
    bool success;

    if (flux_job_wait_get_status(f, &success, &text) < 0)
        trouble(job->c, "wait", f);
    else if (!success) {
        (void)fprintf(stderr, "jobs: a job failed: %s\n", text);
        job->c->errors++;
    }
    flux_future_destroy(f);
    part_done(job);
}

static void on_event(flux_future_t *f, void *arg)
{
    struct job *job = arg;
    const char *event;

    if (flux_job_event_watch_get(f, &event) == 0) {
        job->events++;
        job->finishes += strstr(event, "\"name\":\"finish\"") != NULL;
        flux_future_reset(f);
        return;
    }
    if (errno != ENODATA)
        trouble(job->c, "eventlog", f);
    else if (job->finishes != 1) {
        (void)fprintf(stderr, "jobs: an eventlog of %d lines has finish %d times\n", job->events,
                      job->finishes);
        job->c->errors++;
    }
    flux_future_destroy(f);
    part_done(job);
}

static void on_submitted(flux_future_t *f, void *arg)
{
    struct job *job = arg;
    flux_future_t *wait, *watch;

    if (flux_job_submit_get_id(f, &job->id) < 0) {
        trouble(job->c, "submit", f);
        flux_future_destroy(f);
        job->parts = 1;
        part_done(job);
        return;
    }
    flux_future_destroy(f);
    job->parts = 2;
    wait = flux_job_wait(job->c->h, job->id);
    watch = flux_job_event_watch(job->c->h, job->id, "eventlog", 0);
    if (!wait || !watch || flux_future_then(wait, -1., on_waited, job) < 0 ||
        flux_future_then(watch, -1., on_event, job) < 0)
        exit(2);
}

static void on_time(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    static const char jobspec[] =
        "{\"version\":1,\"resources\":[{\"type\":\"slot\",\"count\":1,\"label\":\"task\",\"with\":"
        "[{\"type\":\"core\",\"count\":1}]}],\"tasks\":[{\"command\":[\"/bin/true\"],\"slot\":"
        "\"task\",\"count\":{\"per_slot\":1}}],\"attributes\":{\"system\":{\"duration\":0,\"cwd\":"
        "\"/tmp\",\"environment\":{\"PATH\":\"/bin:/usr/bin\"}}}}";
    struct client *c = arg;
    struct job *job;
    flux_future_t *f;

    if (c->under_way >= JOBS_MAX)
        return;
    job = calloc(1, sizeof(*job));
    f = flux_job_submit(c->h, jobspec, 16, FLUX_JOB_WAITABLE);
    if (!job || !f || flux_future_then(f, -1., on_submitted, job) < 0)
        exit(2);
    job->c = c;
    c->under_way++;
}

/* --- */

static void on_input(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct client *c = arg;
    char buf[64];

    if (read(STDIN_FILENO, buf, sizeof(buf)) > 0)
        return;
    flux_watcher_stop(w);
    if (c->timer)
        flux_watcher_stop(c->timer);
    c->ending = true;
    end_if_done(c);
}

int main(int argc, char **argv)
{
    struct client c = { .mode = argc == 2 ? argv[1] : "" };
    flux_reactor_t *r;

    if (argc != 2 || !(c.h = flux_open(NULL, 0)) || !(r = flux_get_reactor(c.h)))
        return 2;
    c.input = flux_fd_watcher_create(r, STDIN_FILENO, FLUX_POLLIN, on_input, &c);
    flux_watcher_start(c.input);
    if (strcmp(c.mode, "watch") == 0 || strcmp(c.mode, "log") == 0) {
        follow(&c);
    } else if (strcmp(c.mode, "jobs") == 0) {
        c.timer =
            flux_periodic_watcher_create(r, PERIOD_SECONDS, PERIOD_SECONDS, NULL, on_time, &c);
        flux_watcher_start(c.timer);
    } else {
        c.timer = flux_timer_watcher_create(r, 0., 0., on_pause_over, &c);
        pause_then_next(&c);
    }
    if (flux_reactor_run(r, 0) < 0) {
        trouble(&c, "reactor", NULL);
    }
    printf("%s %ld\n", c.mode, c.done);
    flux_future_destroy(c.stream);
    flux_watcher_destroy(c.timer);
    flux_watcher_destroy(c.input);
    flux_close(c.h);
    return c.errors ? 1 : 0;
}
