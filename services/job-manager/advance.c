/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What each state calls for. Every entry action may be repeated: a restart, a scheduler or an
 * execution service that comes back, and an event that changed nothing all end here again.
 *
 * Which effects wait for the events that cause them to be durable (all commits are ordered, one in
 * flight at a time):
 *   - sched.alloc does not wait for `priority`: if that is lost, so is the allocation, and the
 *     replay asks again.
 *   - job-exec.start waits for `alloc` and R. Started processes cannot be taken back; a start that
 *     nobody remembers would be a job started twice. A simulated job has no processes: it does
 *     not wait. If its `alloc` is lost it is started anew, and what the execution service still
 *     has of it is forgotten there.
 *   - sched.free does not wait for `free`, it needs only the order: whoever gets the resources next
 *     does so by an `alloc` that is committed after this `free`, and is started after that. After
 *     a crash the scheduler forgets what it did and asks which jobs hold resources.
 *   - answers to clients, `wait`, and the journal wait for everything they tell of.
 *   - sched.cancel, job-exec.cancel, job-exec.kill do not wait: after a crash that lost the
 *     exception the client has no answer either. */
#include "manager.h"

static void enter_depend(struct manager *m, struct job *job)
{
    if (!job->dependencies_set)
        dependency_setup(m, job);
    if (job->state == JOB_STATE_DEPEND && job->ndependencies == 0)
        (void)event_post(m, job, &(struct event){ .type = EVENT_DEPEND });
}

static void enter_priority(struct manager *m, struct job *job)
{
    (void)event_post(
        m, job,
        &(struct event){ .type = EVENT_PRIORITY, .priority = urgency_priority(job->urgency) });
}

static void enter_sched(struct manager *m, struct job *job)
{
    alloc_want(m, job);
}

static void enter_run(struct manager *m, struct job *job)
{
    dependency_running(m, job);
    start_try(m, job);
}

static void enter_cleanup(struct manager *m, struct job *job)
{
    dependency_drop(job);
    if (alloc_drop(m, job))
        return;
    if (job->has_resources) {
        if (job->start_sent && !job->released) {
            start_try(m, job); /* does nothing while a start is pending */
            if (job->start_pending && !job->finished)
                start_cancel(m, job);
            return;
        }
        if (job->nepilogs > 0)
            return;
        if (event_post(m, job, &(struct event){ .type = EVENT_FREE }) == 0)
            alloc_free(m, job);
    }
    if (!job->has_resources && job->nepilogs == 0)
        (void)event_post(m, job, &(struct event){ .type = EVENT_CLEAN });
}

static void enter_inactive(struct manager *m, struct job *job)
{
    if (job->inactive_told)
        return;
    job->inactive_told = true;
    dependency_inactive(m, job);
}

static void (*const enter[JOB_STATE_COUNT])(struct manager *m, struct job *job) = {
    [JOB_STATE_DEPEND] = enter_depend,   [JOB_STATE_PRIORITY] = enter_priority,
    [JOB_STATE_SCHED] = enter_sched,     [JOB_STATE_RUN] = enter_run,
    [JOB_STATE_CLEANUP] = enter_cleanup, [JOB_STATE_INACTIVE] = enter_inactive,
};

void job_advance(struct manager *m, struct job *job)
{
    enum job_state before;

    do {
        before = job->state;
        if (enter[before])
            enter[before](m, job);
    } while (job->state != before && m->fatal == 0);
}
