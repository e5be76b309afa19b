/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-info.eventlog-watch: an eventlog of a job, line by line, from its beginning to its end.
 *
 *      MAIN ----------------------------> ENDED       path "eventlog": until the event "clean"
 *      MAIN --start--> GUEST --removed--> ARCHIVE --> ENDED
 *      MAIN --clean---------------------> ARCHIVE --> ENDED
 *
 * MAIN follows job.ID.eventlog. For a path below guest it only waits for the job to start or end.
 * GUEST follows the path in the namespace of the job, until that is removed. ARCHIVE reads what the
 * namespace left behind, job.ID.guest.PATH: whatever of it was not sent yet. A path that never came
 * to exist ends like one that has nothing more to say.
 *
 * When the KVS goes away, what was being read is read again from its beginning; what was sent is
 * skipped. After RETRIES_MAX times in a row the client is told. */
#include <string.h>

#include "base/eventlog.h"
#include "base/list.h"
#include "job-list/access.h"
#include "job-list/info.h"
#include "job-list/lines.h"

#define RETRIES_MAX    50
#define RETRY_SECONDS  0.1
#define WATCH_PATH_MAX 256

enum watch_phase { WATCH_MAIN, WATCH_GUEST, WATCH_ARCHIVE };

struct watch {
    struct info *info;
    struct request *req;
    struct access *access;
    flux_jobid_t id;
    char path[WATCH_PATH_MAX]; /* below guest, or "" for the job's own eventlog */
    enum watch_phase phase;
    flux_future_t *f;
    struct lines main, log;
    bool started, clean;
    unsigned int retries;
    flux_watcher_t *retry;
    TAILQ_ENTRY(watch) entry;
};

struct info {
    TAILQ_HEAD(, watch) watches;
    size_t nwatches;
};

static int follow(struct watch *w);

static void stop_following(struct watch *w)
{
    if (w->f && w->phase != WATCH_ARCHIVE)
        (void)flux_kvs_lookup_cancel(w->f);
    flux_future_destroy(w->f);
    w->f = NULL;
}

static void watch_free(struct watch *w)
{
    TAILQ_REMOVE(&w->info->watches, w, entry);
    w->info->nwatches--;
    stop_following(w);
    flux_watcher_destroy(w->retry);
    access_free(w->access);
    lines_deinit(&w->main);
    lines_deinit(&w->log);
    request_on_gone(w->req, NULL, NULL);
    request_unref(w->req);
    free(w);
}

static void on_gone(struct request *req, void *arg)
{
    watch_free(arg);
}

static void end(struct watch *w)
{
    (void)request_end(w->req);
    watch_free(w);
}

static void fail(struct watch *w, int rc)
{
    access_fail(w->req, rc);
    watch_free(w);
}

/* --- what was read */

static int send_line(const char *line, size_t len, void *arg)
{
    struct watch *w = arg;

    return request_respond_pack(w->req, "{s:s}", "event", line);
}

static void look_at_event(struct watch *w, const char *line, size_t len)
{
    CLEANUP(json_decrefp) json_t *event = eventlog_entry_decode(line, len, NULL);
    const char *name;

    if (!event || eventlog_entry_parse(event, NULL, &name, NULL) < 0)
        return;
    w->started |= strcmp(name, "start") == 0;
    w->clean |= strcmp(name, "clean") == 0;
}

static int on_main_line(const char *line, size_t len, void *arg)
{
    struct watch *w = arg;

    look_at_event(w, line, len);
    return w->path[0] ? 0 : send_line(line, len, w);
}

static int enter(struct watch *w, enum watch_phase phase)
{
    stop_following(w);
    w->phase = phase;
    lines_rewind(&w->log);
    return follow(w);
}

/* 0: stay, 1: the watch is over, -errno. */
static int after_main(struct watch *w)
{
    if (!w->path[0])
        return w->clean;
    if (w->clean)
        return enter(w, WATCH_ARCHIVE);
    return w->started ? enter(w, WATCH_GUEST) : 0;
}

static int read_value(struct watch *w, flux_future_t *f)
{
    const void *data = NULL;
    int size = 0, rc;

    if (flux_kvs_lookup_get_raw(f, &data, &size) < 0)
        return -errno;
    w->retries = 0;
    rc = w->phase == WATCH_MAIN ? lines_add(&w->main, data, (size_t)size, on_main_line, w)
                                : lines_add(&w->log, data, (size_t)size, send_line, w);
    if (rc < 0)
        return rc;
    if (w->phase == WATCH_ARCHIVE || request_gone(w->req)) /* a line that is not text ends it */
        return 1;
    flux_future_reset(f);
    return w->phase == WATCH_MAIN ? after_main(w) : 0;
}

/* --- when it goes wrong, or just ends */

static void on_retry(flux_reactor_t *r, flux_watcher_t *timer, int revents, void *arg)
{
    struct watch *w = arg;
    int rc = follow(w);

    if (rc < 0)
        fail(w, rc);
}

static int try_again(struct watch *w, int rc)
{
    if (++w->retries > RETRIES_MAX)
        return rc;
    flux_future_destroy(w->f);
    w->f = NULL;
    lines_rewind(&w->main);
    lines_rewind(&w->log);
    if (!w->retry)
        w->retry = flux_timer_watcher_create(service_reactor(request_service(w->req)),
                                             RETRY_SECONDS, 0., on_retry, w);
    if (!w->retry)
        return -ENOMEM;
    flux_timer_watcher_reset(w->retry, RETRY_SECONDS, 0.);
    flux_watcher_start(w->retry);
    return 0;
}

/* As after_main(). */
static int on_error(struct watch *w, int rc)
{
    if (rc == -ECONNRESET)
        return try_again(w, rc);
    if (w->phase == WATCH_GUEST && (rc == -ENOTSUP || rc == -ENODATA || rc == -ENOENT))
        return enter(w, WATCH_ARCHIVE);
    if (w->phase == WATCH_ARCHIVE && (rc == -ENOENT || rc == -ENOTSUP))
        return 1;
    return rc;
}

static void on_value(flux_future_t *f, void *arg)
{
    struct watch *w = arg;
    int rc = read_value(w, f);

    if (rc < 0 && !request_gone(w->req))
        rc = on_error(w, rc);
    if (rc > 0)
        end(w);
    else if (rc < 0)
        fail(w, rc);
}

/* --- following */

static int follow(struct watch *w)
{
    flux_t *h = service_flux(request_service(w->req));
    int watching = FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND;
    char key[WATCH_PATH_MAX + 64], ns[64];

    switch (w->phase) {
    case WATCH_MAIN:
        (void)flux_job_kvs_key(key, sizeof(key), w->id, "eventlog");
        w->f = flux_kvs_lookup(h, KVS_PRIMARY_NAMESPACE, watching, key);
        break;
    case WATCH_GUEST:
        (void)flux_job_kvs_namespace(ns, sizeof(ns), w->id);
        w->f = flux_kvs_lookup(h, ns, watching | FLUX_KVS_WAITCREATE, w->path);
        break;
    case WATCH_ARCHIVE:
        (void)flux_job_kvs_key(key, sizeof(key), w->id, "guest.");
        (void)strcat(key, w->path);
        w->f = flux_kvs_lookup(h, KVS_PRIMARY_NAMESPACE, 0, key);
        break;
    }
    return w->f && flux_future_then(w->f, -1., on_value, w) == 0 ? 0 : -errno;
}

static void on_access(int rc, void *arg)
{
    struct watch *w = arg;

    w->access = NULL;
    if (rc == 0)
        rc = follow(w);
    if (rc < 0)
        fail(w, rc);
}

static int read_path(struct request *req, char ret[WATCH_PATH_MAX])
{
    const char *path = json_string_value(json_object_get(request_json(req), "path"));

    if (strcmp(path, "eventlog") == 0) {
        ret[0] = '\0';
        return 0;
    }
    if (strncmp(path, "guest.", 6) != 0 || !path[6] || strlen(path) >= WATCH_PATH_MAX)
        return request_explain(req, EINVAL, "path: must be \"eventlog\" or begin with \"guest.\"");
    (void)strcpy(ret, path + 6);
    return 0;
}

/* --- a watch goes on in the next process */

json_t *info_progress(const struct info *info, const struct request *req)
{
    const struct watch *w;

    TAILQ_FOREACH (w, &info->watches, entry)
        if (w->req == req)
            return json_pack("{s:i s:b s:b s:I s:I}", "phase", (int)w->phase, "started", w->started,
                             "clean", w->clean, "main", (json_int_t)lines_told(&w->main), "log",
                             (json_int_t)lines_told(&w->log));
    return NULL;
}

static void read_progress(struct watch *w, const json_t *o)
{
    json_int_t main_told, log_told;
    int phase, started, clean;

    if (!o || json_unpack((json_t *)o, "{s:i s:b s:b s:I s:I}", "phase", &phase, "started",
                          &started, "clean", &clean, "main", &main_told, "log", &log_told) < 0)
        return;
    w->phase = (enum watch_phase)phase;
    w->started = started;
    w->clean = clean;
    lines_skip(&w->main, (size_t)main_told);
    lines_skip(&w->log, (size_t)log_told);
}

int info_watch(struct info *info, struct request *req)
{
    CLEANUP(freep) struct watch *w = calloc(1, sizeof(*w));
    struct watch *started;
    struct access *access;
    int rc;

    if (!w)
        return -ENOMEM;
    if ((rc = read_path(req, w->path)) < 0)
        return rc;
    w->id = (flux_jobid_t)json_integer_value(json_object_get(request_json(req), "id"));
    read_progress(w, request_resume(req));
    started = TAKE(w);
    started->req = request_ref(req);
    started->info = info;
    TAILQ_INSERT_TAIL(&info->watches, started, entry);
    info->nwatches++;
    request_on_gone(req, on_gone, started);
    access = access_check(req, started->id, on_access, started);
    if (access) /* else it is over already, and so may be the watch */
        started->access = access;
    return 0;
}

void info_watch_cancel(struct info *info, struct request *req)
{
    json_int_t matchtag = json_integer_value(json_object_get(request_json(req), "matchtag"));
    struct watch *w, *tmp;

    TAILQ_FOREACH_SAFE (w, &info->watches, entry, tmp) {
        uint32_t tag;

        if (flux_msg_get_matchtag(request_msg(w->req), &tag) == 0 && tag == matchtag &&
            request_same_client(w->req, req))
            end(w);
    }
}

int info_new(struct info **ret)
{
    struct info *info = calloc(1, sizeof(*info));

    if (!info)
        return -ENOMEM;
    TAILQ_INIT(&info->watches);
    *ret = info;
    return 0;
}

struct info *info_free(struct info *info)
{
    while (info && !TAILQ_EMPTY(&info->watches))
        watch_free(TAILQ_FIRST(&info->watches));
    free(info);
    return NULL;
}

size_t info_nwatches(const struct info *info)
{
    return info->nwatches;
}
