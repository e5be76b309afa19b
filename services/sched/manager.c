/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From start to end: resource.acquire tells what there is; job-manager.sched-hello tells which jobs
 * hold what of it; job-manager.sched-ready opens for business. Each of the streams that stay open
 * (acquire, ready) is a lifeline: when one breaks, what we know may be wrong, and the process ends
 * with SERVICE_EXIT_ROUTER to begin again from scratch. Nothing is kept on disk.
 *
 * Decisions are made once per turn of the loop, after all messages of the turn were read, and at
 * most RUN_LIMIT of them; so answers travel in batches and nothing starves.
 *
 * Refuses: requests of others than the owner, except resource-status and feasibility.check, which
 * wait (a limited number) until there is something to say. */
#include <string.h>
#include <sys/random.h>

#include "base/monotime.h"
#include "sched/engine.h"
#include "sched/manager.h"
#include "service/log.h"
#include "service/waiting.h"

#define RUN_LIMIT      512
#define STATUS_SECONDS 0.25

struct manager {
    struct service *svc;
    struct engine *engine; /* NULL until resources are acquired */
    flux_future_t *acquire, *hello, *ready;
    char session[33];         /* ours with the job manager, in each of its requests */
    bool open;                /* the job manager has heard that we are ready */
    struct request *reply_to; /* the latest alloc request: the way to the job manager */
    json_t *answers;
    uint64_t nfreed, nfreed_told; /* jobs that gave back resources since we are open */
    flux_watcher_t *prepare, *idle, *status;
    bool dirty;
    struct waiting waiting;
};

DEFINE_CLEANUP(struct rset *, rset_free)
DEFINE_CLEANUP(struct idset *, idset_destroy)

static void restart(struct manager *m, const char *why)
{
    log_notice("%s: beginning again from scratch", why);
    service_exit(m->svc, SERVICE_EXIT_ROUTER);
}

static void changed(struct manager *m)
{
    m->dirty = true;
    flux_watcher_start(m->status);
}

/* --- answers */

static void on_answer(json_t *answer, void *arg)
{
    struct manager *m = arg;

    if (!answer || json_array_append_new(m->answers, answer) < 0)
        restart(m, "out of memory");
}

/* The job manager holds a commit until it knows who gets what it freed: it is told also when that
 * is nobody, if somebody waits. */
static bool must_tell_freed(const struct manager *m)
{
    return m->nfreed > m->nfreed_told && engine_pending(m->engine) > 0;
}

static void send_answers(struct manager *m)
{
    size_t n = json_array_size(m->answers);
    int rc = 0;

    if (!m->reply_to)
        return;
    if (strcmp(request_topic(m->reply_to), "sched.alloc-batch") == 0) {
        if (n == 0 && !must_tell_freed(m))
            return;
        m->nfreed_told = m->nfreed;
        rc = request_respond_pack(m->reply_to, "{s:O s:I}", "jobs", m->answers, "freed",
                                  (json_int_t)m->nfreed);
    } else
        for (size_t i = 0; i < n && rc >= 0; i++)
            rc = request_respond_json(m->reply_to, json_array_get(m->answers, i));
    if (rc < 0)
        restart(m, "answers could not be sent to the job manager");
    (void)json_array_clear(m->answers);
}

/* Before the loop sleeps: decide and answer. The idle watcher keeps it awake if there is more. */
static void on_prepare(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;

    if (!m->dirty)
        return;
    m->dirty = m->open && engine_run(m->engine, RUN_LIMIT, walltime());
    if (m->dirty)
        flux_watcher_start(m->idle);
    else
        flux_watcher_stop(m->idle);
    send_answers(m);
}

static void on_idle(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
}

static void on_status(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct manager *m = arg;
    struct pool_usage u;

    flux_timer_watcher_reset(w, STATUS_SECONDS, 0.);
    if (!m->open) {
        service_status(m->svc, "waiting for the %s",
                       m->engine ? "job manager" : "resource service");
        return;
    }
    u = pool_usage(engine_pool(m->engine));
    service_status(m->svc, "%zu jobs waiting, %zu running, %zu/%zu cores busy",
                   engine_pending(m->engine), engine_running(m->engine), u.busy_cores, u.cores);
}

/* --- the job manager's requests */

static void on_client_gone(struct request *req, void *arg)
{
    restart(arg, "who asked for resources went away"); /* and with him who would free them */
}

/* Answers travel on the latest request of the job manager, which is whoever asked first: resources
 * are not given to anybody else. */
static int set_reply_to(struct manager *m, struct request *req)
{
    if (m->reply_to && !request_same_client(m->reply_to, req))
        return request_explain(req, EBUSY, "another client, the job manager, is served");
    if (m->reply_to)
        request_on_gone(m->reply_to, NULL, NULL);
    request_unref(m->reply_to);
    m->reply_to = request_ref(req);
    request_on_gone(req, on_client_gone, m);
    return 0;
}

static void submit(struct manager *m, const json_t *o)
{
    struct pending job;
    flux_error_t error;

    if (engine_decode_job(o, &job, &error) < 0)
        engine_deny(m->engine, job.id, error.text);
    else if (engine_submit(m->engine, &job) < 0)
        restart(m, "out of memory");
}

/* It was asked of a scheduler that has gone: the job manager asks us again for what it still wants.
 */
static bool is_stale(const struct manager *m, const struct request *req)
{
    const char *session = json_string_value(json_object_get(request_json(req), "session"));

    if (session && strcmp(session, m->session) == 0)
        return false;
    log_debug("%s of another session is passed over", request_topic(req));
    return true;
}

/* The job manager would take an error for the end of its present session. */
static int pass_over(struct request *req)
{
    uint32_t matchtag = FLUX_MATCHTAG_NONE;

    (void)flux_msg_get_matchtag(request_msg(req), &matchtag);
    if (matchtag == FLUX_MATCHTAG_NONE)
        return 0;
    return request_explain(req, EAGAIN, "not of the session that job-manager.sched-ready began");
}

static int not_open(struct request *req)
{
    return request_explain(req, EAGAIN, "the scheduler is not ready: it has not said sched-ready");
}

static int rpc_alloc(struct request *req, void *arg)
{
    struct manager *m = arg;
    int rc;

    if (is_stale(m, req))
        return pass_over(req);
    rc = m->open ? set_reply_to(m, req) : not_open(req);
    if (rc < 0)
        return rc;
    submit(m, request_json(req));
    changed(m);
    return 0;
}

static int rpc_alloc_batch(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_t *job;
    size_t i;
    int rc;

    if (is_stale(m, req))
        return pass_over(req);
    rc = m->open ? set_reply_to(m, req) : not_open(req);
    if (rc < 0)
        return rc;
    json_array_foreach (json_object_get(request_json(req), "jobs"), i, job)
        submit(m, job);
    changed(m);
    return 0;
}

static flux_jobid_t json_id(const json_t *o)
{
    return (flux_jobid_t)json_integer_value(o);
}

static int rpc_cancel(struct request *req, void *arg)
{
    struct manager *m = arg;

    if (m->open) {
        engine_cancel(m->engine, json_id(json_object_get(request_json(req), "id")));
        changed(m);
    }
    return 0;
}

static int rpc_prioritize(struct request *req, void *arg)
{
    struct manager *m = arg;
    json_t *pair;
    size_t i;

    if (!m->open)
        return 0;
    json_array_foreach (json_object_get(request_json(req), "jobs"), i, pair) {
        json_int_t priority = json_integer_value(json_array_get(pair, 1));

        if (priority >= 0 && priority <= UINT32_MAX)
            engine_prioritize(m->engine, json_id(json_array_get(pair, 0)), (uint32_t)priority);
    }
    changed(m);
    return 0;
}

static int rpc_free(struct request *req, void *arg)
{
    struct manager *m = arg;
    const json_t *o = request_json(req);
    const json_t *encoded = json_object_get(o, "R");
    const json_t *final = json_object_get(o, "final");
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error = { .text = "" };
    flux_jobid_t id = json_id(json_object_get(o, "id"));
    int rc;

    if (!m->open || is_stale(m, req))
        return 0;
    m->nfreed++;
    rc = encoded ? rset_decode(encoded, &r, &error) : 0;
    if (rc == 0)
        rc = engine_release(m->engine, id, r, !final || json_is_true(final));
    if (rc == -ENOENT)
        log_debug("job %ju gives back resources, but it holds none", (uintmax_t)id);
    else if (rc < 0)
        log_err("job %ju cannot give back its resources: %s", (uintmax_t)id,
                error.text[0] ? error.text : "it does not hold all of them");
    changed(m);
    return 0;
}

/* --- everybody's requests */

static int wait_until_open(struct manager *m, struct request *req,
                           int (*fn)(struct request *req, void *arg))
{
    return waiting_add(&m->waiting, req, fn, "the scheduler is starting and too many wait for it");
}

static int rpc_resource_status(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(rset_freep) struct rset *allocated = NULL;
    CLEANUP(rset_freep) struct rset *down = NULL;
    const struct pool *pool;

    if (!m->open)
        return wait_until_open(m, req, rpc_resource_status);
    pool = engine_pool(m->engine);
    if (pool_allocated(pool, &allocated) < 0 || pool_down(pool, &down) < 0)
        return -ENOMEM;
    return request_respond_pack(req, "{s:o s:o s:o}", "all", rset_encode(pool_all(pool)),
                                "allocated", rset_encode(allocated), "down", rset_encode(down));
}

static int rpc_feasibility(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct pending job = { 0 };
    flux_error_t error;

    if (!m->open)
        return wait_until_open(m, req, rpc_feasibility);
    if (engine_decode_jobspec(json_object_get(request_json(req), "jobspec"), &job, &error) < 0 ||
        engine_check(m->engine, &job.request, &error) < 0)
        return request_fail(req, EINVAL, "%s", error.text);
    return request_respond(req, "{}");
}

/* --- start: acquire, hello, ready */

static void on_ready(flux_future_t *f, void *arg)
{
    struct manager *m = arg;

    if (flux_rpc_get(f, NULL) < 0) {
        restart(m, "the job manager went away");
        return;
    }
    flux_future_reset(f);
}

static int say_ready(struct manager *m)
{
    m->ready = flux_rpc_pack(service_flux(m->svc), "job-manager.sched-ready", FLUX_NODEID_ANY,
                             FLUX_RPC_STREAMING, "{s:s s:b s:s}", "mode", "unlimited", "batch", 1,
                             "session", m->session);
    if (!m->ready || flux_future_then(m->ready, -1., on_ready, m) < 0)
        return -errno;
    m->open = true;
    waiting_serve(&m->waiting, m);
    changed(m);
    return 0;
}

static int restore(struct manager *m, flux_future_t *f)
{
    CLEANUP(rset_freep) struct rset *r = NULL;
    flux_error_t error = { .text = "" };
    json_int_t id;
    json_t *encoded;
    int rc;

    if (flux_rpc_get_unpack(f, "{s:I s:o}", "id", &id, "R", &encoded) < 0)
        return -errno;
    rc = rset_decode(encoded, &r, &error);
    if (rc == 0)
        rc = engine_restore(m->engine, (flux_jobid_t)id, r);
    if (rc != 0)
        log_err("job %ju runs, but not all of its resources could be marked: %s", (uintmax_t)id,
                rc < 0 ? error.text : "they are not configured or another job has them");
    return 0;
}

static void on_hello(flux_future_t *f, void *arg)
{
    struct manager *m = arg;
    int rc = restore(m, f);

    if (rc == 0) {
        flux_future_reset(f);
        return;
    }
    if (rc == -ENODATA)
        rc = say_ready(m);
    flux_future_destroy(m->hello);
    m->hello = NULL;
    if (rc < 0)
        restart(m, "the job manager did not tell which jobs run");
}

static int say_hello(struct manager *m)
{
    m->hello = flux_rpc(service_flux(m->svc), "job-manager.sched-hello", NULL, FLUX_NODEID_ANY,
                        FLUX_RPC_STREAMING);
    return m->hello && flux_future_then(m->hello, -1., on_hello, m) == 0 ? 0 : -errno;
}

static int set_up(struct manager *m, const char *ids, bool up)
{
    CLEANUP(idset_destroyp) struct idset *ranks = ids ? idset_decode(ids) : NULL;

    if (ids && !ranks)
        return -EPROTO;
    if (ranks)
        engine_set_up(m->engine, ranks, up);
    return 0;
}

static int take_inventory(struct manager *m, const json_t *resources, flux_error_t *error)
{
    CLEANUP(rset_freep) struct rset *all = NULL;
    int rc = rset_decode(resources, &all, error);

    if (rc < 0)
        return rc;
    if (m->engine)
        return engine_grow(m->engine, all);
    rc = engine_new(all, on_answer, m, &m->engine);
    return rc < 0 ? rc : say_hello(m);
}

static int update(struct manager *m, flux_future_t *f, flux_error_t *error)
{
    json_t *resources = NULL;
    const char *up = NULL, *down = NULL;
    int rc = 0;

    if (flux_rpc_get_unpack(f, "{s?o s?s s?s}", "resources", &resources, "up", &up, "down", &down) <
        0)
        return -errno;
    if (resources || !m->engine)
        rc = resources ? take_inventory(m, resources, error) : -EPROTO;
    if (rc == 0)
        rc = set_up(m, down, false);
    if (rc == 0)
        rc = set_up(m, up, true);
    changed(m);
    return rc;
}

static void on_acquire(flux_future_t *f, void *arg)
{
    struct manager *m = arg;
    flux_error_t error = { .text = "" };
    int rc = update(m, f, &error);
    const char *why;

    if (rc == 0) {
        flux_future_reset(f);
        return;
    }
    why = error.text[0] ? error.text : flux_future_error_string(f);
    log_err("resource.acquire: %s", why);
    /* flux-resource waits for the KVS, so do we: it would say the same again at once. */
    if (!m->engine && service_wait_for_kvs(m->svc, NULL, -rc, why) == 0) {
        waiting_refuse(&m->waiting, -rc, why);
        return;
    }
    restart(m, "no resources without the resource service");
}

/* --- construction */

static int watch(struct manager *m)
{
    flux_reactor_t *r = service_reactor(m->svc);

    m->prepare = flux_prepare_watcher_create(r, on_prepare, m);
    m->idle = flux_idle_watcher_create(r, on_idle, m);
    m->status = flux_timer_watcher_create(r, STATUS_SECONDS, 0., on_status, m);
    if (!m->prepare || !m->idle || !m->status)
        return -ENOMEM;
    flux_watcher_start(m->prepare);
    return 0;
}

static int name_session(struct manager *m)
{
    uint8_t random[(sizeof(m->session) - 1) / 2];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    for (size_t i = 0; i < sizeof(random); i++)
        (void)snprintf(m->session + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int manager_new(struct service *svc, struct manager **ret)
{
    CLEANUP(manager_freep) struct manager *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return -ENOMEM;
    m->svc = svc;
    waiting_init(&m->waiting);
    if (!(m->answers = json_array()) || (rc = watch(m)) < 0 || (rc = name_session(m)) < 0)
        return -ENOMEM;
    m->acquire =
        flux_rpc(service_flux(svc), "resource.acquire", NULL, FLUX_NODEID_ANY, FLUX_RPC_STREAMING);
    if (!m->acquire || flux_future_then(m->acquire, -1., on_acquire, m) < 0)
        return -errno;
    changed(m);
    *ret = TAKE(m);
    return 0;
}

struct manager *manager_free(struct manager *m)
{
    if (!m)
        return NULL;
    waiting_deinit(&m->waiting);
    flux_watcher_destroy(m->status);
    flux_watcher_destroy(m->idle);
    flux_watcher_destroy(m->prepare);
    json_decref(m->answers);
    if (m->reply_to)
        request_on_gone(m->reply_to, NULL, NULL);
    request_unref(m->reply_to);
    flux_future_destroy(m->ready);
    flux_future_destroy(m->hello);
    flux_future_destroy(m->acquire);
    engine_free(m->engine);
    free(m);
    return NULL;
}

/* --- methods */

static void on_stats(json_t *stats, void *arg)
{
    struct manager *m = arg;
    const struct engine_counts *c;

    if (!m || !m->engine)
        return;
    c = engine_counts(m->engine);
    (void)json_object_set_new(
        stats, "sched",
        json_pack("{s:I s:I s:I s:I s:I s:I s:I}", "pending", (json_int_t)engine_pending(m->engine),
                  "running", (json_int_t)engine_running(m->engine), "allocated",
                  (json_int_t)c->allocated, "denied", (json_int_t)c->denied, "canceled",
                  (json_int_t)c->canceled, "freed", (json_int_t)c->freed, "bad_frees",
                  (json_int_t)c->bad_frees));
}

static void on_stats_clear(void *arg)
{
    struct manager *m = arg;

    if (m && m->engine)
        engine_counts_clear(m->engine);
}

static const struct rpc_method methods[] = {
    { .topic = "sched.alloc",
      .roles = ROLE_OWNER,
      .in = "id:I",
      .flags = RPC_METHOD_SESSION,
      .fn = rpc_alloc },
    { .topic = "sched.alloc-batch",
      .roles = ROLE_OWNER,
      .in = "jobs:a",
      .flags = RPC_METHOD_SESSION,
      .fn = rpc_alloc_batch },
    { .topic = "sched.cancel",
      .roles = ROLE_OWNER,
      .in = "id:I",
      .flags = RPC_METHOD_NORESPONSE | RPC_METHOD_SESSION,
      .fn = rpc_cancel },
    { .topic = "sched.free",
      .roles = ROLE_OWNER,
      .in = "id:I R?:o final?:b",
      .flags = RPC_METHOD_NORESPONSE | RPC_METHOD_SESSION,
      .fn = rpc_free },
    { .topic = "sched.prioritize",
      .roles = ROLE_OWNER,
      .in = "jobs:a",
      .flags = RPC_METHOD_NORESPONSE | RPC_METHOD_SESSION,
      .fn = rpc_prioritize },
    { .topic = "sched.resource-status",
      .roles = ROLE_USER,
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_resource_status },
    { .topic = "feasibility.check",
      .roles = ROLE_USER,
      .in = "jobspec:o",
      .flags = RPC_METHOD_RESUME,
      .fn = rpc_feasibility },
};

const struct service_desc sched_desc = {
    .name = "sched",
    .methods = methods,
    .nmethods = ARRAY_SIZE(methods),
    .on_stats = on_stats,
    .on_stats_clear = on_stats_clear,
};
