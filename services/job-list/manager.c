/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Joins the table of active jobs and the store of past ones to the journal of the job manager. A
 * job moves from one to the other when its last event is heard.
 *
 * The journal may break and be opened again; what was missed is found in three ways: it tells again
 * what it has since the last job in the store; active jobs that it does not know are read from the
 * KVS; and when the store then still has fewer jobs than became inactive and were not purged, the
 * whole job directory is walked, once. Purges that nobody told us of are looked for first
 * (sweep.h). A store that then has more jobs belongs to another instance, and is emptied.
 *
 * Who asks meanwhile waits: answers.h. */
#include <string.h>

#include "job-list/answers.h"
#include "job-list/info.h"
#include "job-list/journal.h"
#include "job-list/manager.h"
#include "job-list/rebuild.h"
#include "job-list/store.h"
#include "job-list/sweep.h"
#include "job-list/table.h"
#include "service/log.h"

#define COMMIT_SECONDS  0.1
#define COMMIT_JOBS     1000
#define RECHECK_SECONDS 30.
#define REOPEN_SECONDS  10.

struct manager {
    struct service *svc;
    struct table table;
    struct store *store;
    struct journal *journal;
    struct rebuild *rebuild;
    struct sweep *sweep;
    struct info *info;
    struct answers *answers;
    flux_watcher_t *commit, *check;
    flux_watcher_t *reopen; /* while the store is in memory */
    char *store_path;
    uint64_t nsweep;    /* purges that are being looked for */
    bool opened;        /* the journal, and nothing was heard of it yet */
    bool synced;        /* all history of the journal was told */
    bool walked;        /* the job directory, since then */
    uint64_t ninactive; /* jobs that the journal says ever became inactive */
    uint64_t npurged;   /* of those, as the journal says */
    struct log_ratelimit store_limit;
};

static void show_status(struct manager *m)
{
    service_status(m->svc, "%u active jobs, %ju past jobs%s%s", HASH_COUNT(m->table.jobs),
                   (uintmax_t)store_count(m->store),
                   m->synced ? "" : ", waiting for the job manager",
                   rebuild_active(m->rebuild) ? ", reading jobs back from the KVS" : "");
}

/* --- into the store */

static void check_later(struct manager *m, double seconds)
{
    flux_timer_watcher_reset(m->check, seconds, 0.);
    flux_watcher_start(m->check);
}

static void store_failed(struct manager *m)
{
    if (log_ratelimit(&m->store_limit, 30.))
        log_err("the index of past jobs cannot be written: it is completed from the KVS later");
    m->walked = false;
    check_later(m, RECHECK_SECONDS);
}

static void commit(struct manager *m)
{
    flux_watcher_stop(m->commit);
    if (store_commit(m->store) < 0)
        store_failed(m);
    show_status(m);
}

static void on_commit(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    commit(arg);
}

/* The store was changed, with that result. */
static void changed(struct manager *m, int rc)
{
    if (rc < 0)
        store_failed(m);
    else if (store_uncommitted(m->store) >= COMMIT_JOBS)
        commit(m);
    else if (!flux_watcher_is_active(m->commit)) {
        flux_timer_watcher_reset(m->commit, COMMIT_SECONDS, 0.);
        flux_watcher_start(m->commit);
    }
}

static void retire(struct manager *m, const struct job *job)
{
    changed(m, store_put(m->store, job));
}

/* --- the journal */

static uint64_t on_journal_since(void *arg)
{
    struct manager *m = arg;

    table_begin_epoch(&m->table);
    m->opened = true;
    return store_last(m->store) + 1;
}

static int apply_record(struct manager *m, const json_t *record)
{
    flux_jobid_t id = (flux_jobid_t)json_integer_value(json_object_get(record, "id"));
    struct job *job = table_find(&m->table, id);
    int rc;

    if (!job && store_has(m->store, id))
        return 0;
    rc = table_apply(&m->table, record, &job);
    if (rc == TABLE_GAP)
        return -EPROTO;
    if (rc < 0)
        return rc;
    if (rc == TABLE_INACTIVE) {
        retire(m, job);
        table_remove(&m->table, job);
    }
    answers_job_heard(m->answers, id);
    return 0;
}

/* Active jobs of which the journal no longer speaks have ended unheard. */
static void read_stale_jobs(struct manager *m)
{
    struct job *job;

    while ((job = table_find_stale(&m->table))) {
        flux_jobid_t id = job->id;

        table_remove(&m->table, job);
        if (rebuild_job(m->rebuild, id) < 0)
            break;
    }
}

static void complete_store(struct manager *m);

static void on_swept(uint64_t nfound, int rc, void *arg)
{
    struct manager *m = arg;

    if (rc < 0) {
        log_warning("jobs that were purged cannot be looked for: %s; trying again in %.0f s",
                    strerror(-rc), RECHECK_SECONDS);
        check_later(m, RECHECK_SECONDS);
        return;
    }
    if (nfound > 0)
        log_notice("%ju jobs were purged meanwhile", (uintmax_t)nfound);
    changed(m, store_add_purged(m->store, m->nsweep));
    check_later(m, 0.);
}

/* Jobs that are not ours, or that nobody can account for. */
static void empty_store(struct manager *m)
{
    log_notice("the index of past jobs has jobs of another instance: emptying it");
    if (store_clear(m->store) < 0)
        store_failed(m);
    else
        changed(m, store_add_purged(m->store, m->npurged));
}

static void walk(struct manager *m)
{
    log_notice("%ju jobs ended, %ju of them were purged, but %ju are in the index of past jobs: "
               "reading them back from the KVS",
               (uintmax_t)m->ninactive, (uintmax_t)m->npurged, (uintmax_t)store_count(m->store));
    m->walked = true;
    if (rebuild_walk(m->rebuild) < 0)
        check_later(m, RECHECK_SECONDS);
    show_status(m);
}

/* Between two responses of the journal the store has all jobs that it says are inactive. */
static void complete_store(struct manager *m)
{
    const uint64_t expected = m->ninactive - m->npurged;

    if (!m->synced || rebuild_active(m->rebuild) || sweep_active(m->sweep))
        return;
    if (m->npurged > store_purged(m->store)) {
        m->nsweep = m->npurged - store_purged(m->store);
        (void)sweep_start(m->sweep, m->nsweep);
        return;
    }
    if (store_count(m->store) > expected && !m->walked)
        empty_store(m);
    if (store_count(m->store) < expected && !m->walked) {
        walk(m);
        return;
    }
    if (store_count(m->store) < expected)
        log_warning("%ju jobs that ended are not in the KVS any more",
                    (uintmax_t)(expected - store_count(m->store)));
    answers_complete(m->answers);
}

static void on_check(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    complete_store(arg);
}

static void end_of_history(struct manager *m)
{
    m->synced = true;
    m->walked = false;
    if (store_purged(m->store) > m->npurged)
        empty_store(m);
    read_stale_jobs(m);
    complete_store(m);
    show_status(m);
}

static void apply_purged(struct manager *m, const struct journal_page *page)
{
    json_t *id;
    size_t i;

    json_array_foreach ((json_t *)page->purged, i, id)
        changed(m, store_remove(m->store, (flux_jobid_t)json_integer_value(id)));
    /* What was purged before this journal was opened is to be found yet. */
    if (!m->opened && page->npurged > m->npurged)
        changed(m, store_add_purged(m->store, page->npurged - m->npurged));
    m->npurged = page->npurged;
    m->opened = false;
}

static int on_journal_page(const struct journal_page *page, void *arg)
{
    struct manager *m = arg;
    json_t *record;
    size_t i;
    int rc;

    m->ninactive = page->ninactive;
    json_array_foreach ((json_t *)page->jobs, i, record)
        if ((rc = apply_record(m, record)) < 0) {
            log_err("the journal of the job manager makes no sense for job %lld",
                    (long long)json_integer_value(json_object_get(record, "id")));
            return rc;
        }
    apply_purged(m, page);
    answers_journal_heard(m->answers, page->serial, page->npurged);
    if (json_array_size(page->jobs) == 0 && !page->purged)
        end_of_history(m);
    return 0;
}

static void on_journal_lost(void *arg)
{
    struct manager *m = arg;

    m->synced = false;
    answers_journal_lost(m->answers);
    flux_watcher_stop(m->check);
    show_status(m);
}

static const struct journal_ops journal_ops = {
    .since = on_journal_since,
    .page = on_journal_page,
    .lost = on_journal_lost,
};

/* --- completing the store */

static bool on_rebuild_known(flux_jobid_t id, void *arg)
{
    struct manager *m = arg;

    return table_find(&m->table, id) || store_has(m->store, id);
}

static void on_rebuild_found(struct job *job, void *arg)
{
    struct manager *m = arg;

    /* An active job is the journal's to tell. */
    if (job->state == FLUX_JOB_STATE_INACTIVE && !table_find(&m->table, job->id))
        retire(m, job);
    job_free(job);
}

static void on_rebuild_done(size_t nfound, int rc, void *arg)
{
    struct manager *m = arg;

    if (rc < 0) {
        log_warning("jobs cannot be read back from the KVS: %s; trying again in %.0f s",
                    strerror(-rc), RECHECK_SECONDS);
        m->walked = false;
        check_later(m, RECHECK_SECONDS);
    } else {
        log_info("read %zu jobs back from the KVS", nfound);
        check_later(m, 0.);
    }
    show_status(m);
}

static const struct rebuild_ops rebuild_ops = {
    .known = on_rebuild_known,
    .found = on_rebuild_found,
    .done = on_rebuild_done,
};

/* --- job-list */

static int rpc_list(struct request *req, void *arg)
{
    struct manager *m = arg;

    return answers_list(m->answers, req);
}

static int rpc_list_id(struct request *req, void *arg)
{
    struct manager *m = arg;

    return answers_list_id(m->answers, req);
}

static int rpc_job_stats(struct request *req, void *arg)
{
    struct manager *m = arg;

    return answers_job_stats(m->answers, req);
}

static int rpc_oldest(struct request *req, void *arg)
{
    struct manager *m = arg;

    return answers_oldest(m->answers, req);
}

/* --- job-info */

static int rpc_lookup(struct request *req, void *arg)
{
    return info_lookup(req);
}

static int rpc_watch(struct request *req, void *arg)
{
    struct manager *m = arg;

    return info_watch(m->info, req);
}

static int rpc_watch_cancel(struct request *req, void *arg)
{
    struct manager *m = arg;

    info_watch_cancel(m->info, req);
    return 0;
}

/* --- construction */

/* The disk has room again: the next process builds the index there. */
static void on_reopen(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    if (!store_could_open(m->store_path))
        return;
    log_notice("%s can be written now: beginning again with it", m->store_path);
    service_exit(m->svc, SERVICE_EXIT_ROUTER);
}

static int open_store(struct manager *m)
{
    const char *dir = service_statedir(m->svc);
    flux_error_t error = { .text = "" };
    int rc;

    if (asprintf(&m->store_path, "%s/job-list.sqlite", dir ? dir : service_rundir(m->svc)) < 0) {
        m->store_path = NULL;
        return -ENOMEM;
    }
    rc = store_open(m->store_path, &m->store, &error);
    if (rc < 0)
        log_err("the index of past jobs: %s", error.text);
    if (rc < 0 || !store_in_memory(m->store))
        return rc;
    log_warning("%s cannot be opened or created (is the disk full?): the index of past jobs is in "
                "memory until it can",
                m->store_path);
    m->reopen = flux_timer_watcher_create(service_reactor(m->svc), REOPEN_SECONDS, REOPEN_SECONDS,
                                          on_reopen, m);
    if (!m->reopen)
        return -ENOMEM;
    flux_watcher_start(m->reopen);
    return 0;
}

static int create_watchers(struct manager *m)
{
    flux_reactor_t *r = service_reactor(m->svc);

    m->commit = flux_timer_watcher_create(r, COMMIT_SECONDS, 0., on_commit, m);
    m->check = flux_timer_watcher_create(r, RECHECK_SECONDS, 0., on_check, m);
    return m->commit && m->check ? 0 : -ENOMEM;
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    flux_t *h = service_flux(svc);
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    table_init(&m->table);
    if ((rc = open_store(m)) < 0 || (rc = create_watchers(m)) < 0 ||
        (rc = rebuild_new(h, &rebuild_ops, m, &m->rebuild)) < 0 ||
        (rc = sweep_new(h, m->store, on_swept, m, &m->sweep)) < 0 ||
        (rc = info_new(&m->info)) < 0 ||
        (rc = answers_new(h, &m->table, m->store, &m->answers)) < 0 ||
        (rc = journal_new(h, &journal_ops, m, &m->journal)) < 0) {
        log_err("cannot start: %s", strerror(-rc));
        return rc;
    }
    show_status(m);
    *ret = TAKE(m);
    return 0;
}

struct manager *manager_free(struct manager *m)
{
    if (!m)
        return NULL;
    journal_free(m->journal);
    answers_free(m->answers);
    info_free(m->info);
    sweep_free(m->sweep);
    rebuild_free(m->rebuild);
    flux_watcher_destroy(m->check);
    flux_watcher_destroy(m->commit);
    flux_watcher_destroy(m->reopen);
    store_close(m->store);
    free(m->store_path);
    table_deinit(&m->table);
    free(m);
    return NULL;
}

/* --- methods */

static json_t *on_handover(struct request *req, void *arg)
{
    const struct manager *m = arg;

    return info_progress(m->info, req);
}

static void on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;

    if (m)
        (void)json_object_set_new(
            stats, "job-list",
            json_pack("{s:i s:I s:I s:I s:b s:b s:b s:b s:I s:I}", "active",
                      (int)HASH_COUNT(m->table.jobs), "past", (json_int_t)store_count(m->store),
                      "purged", (json_int_t)m->npurged, "uncommitted",
                      (json_int_t)store_uncommitted(m->store), "synced", m->synced, "complete",
                      answers_are_complete(m->answers), "in_memory", store_in_memory(m->store),
                      "rebuilding", rebuild_active(m->rebuild), "waiting",
                      (json_int_t)answers_waiting(m->answers), "watches",
                      (json_int_t)info_nwatches(m->info)));
}

static const struct rpc_method methods[] = {
    { .topic = "job-list.list",
      .roles = ROLE_USER,
      .in = "",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_list },
    { .topic = "job-list.list-id",
      .roles = ROLE_USER,
      .in = "id:I attrs?:a",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_list_id },
    { .topic = "job-list.job-stats",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_job_stats },
    { .topic = "job-list.oldest",
      .roles = ROLE_OWNER,
      .in = "max_entries?:i after?:a ids?:a",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_oldest },
    { .topic = "job-info.lookup",
      .roles = ROLE_USER,
      .in = "id:I keys:a flags?:i",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_lookup },
    { .topic = "job-info.eventlog-watch",
      .roles = ROLE_USER,
      .in = "id:I path:s flags?:i",
      .flags = RPC_METHOD_STREAMING | RPC_METHOD_RESUME,
      .fn = rpc_watch },
    { .topic = "job-info.eventlog-watch-cancel",
      .roles = ROLE_USER,
      .in = "matchtag:I",
      .flags = RPC_METHOD_NORESPONSE,
      .fn = rpc_watch_cancel },
};

const struct service_desc job_list_desc = {
    .name = "job-list",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_handover = on_handover,
};
