/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which processes belong to one run is known by a descriptor named "run" in the service manager's
 * store: that is kept while the unit is wanted, and gone once it was stopped. */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "base/fdwrite.h"
#include "base/jsonx.h"
#include "base/monotime.h"
#include "broker/runlog.h"
#include <config.h>
#include "service/fdstore.h"
#include "service/log.h"

#define FILE_NAME "run.json"
#define FILE_MAX  4096
#define FD_NAME   "run"
#define EVENTLOG  "admin.eventlog"

/* --- the file */

static int write_synced(const char *path, const char *text)
{
    CLEANUP(closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0)
        return -errno;
    rc = fd_write_all(fd, text, strlen(text));
    return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}

static int sync_directory(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* All of it or nothing, power cut or not. */
static int replace_file(const char *path, const char *dir, const char *text)
{
    CLEANUP(freep) char *tmp = NULL;
    int rc;

    if (asprintf(&tmp, "%s.new", path) < 0) {
        tmp = NULL;
        return -ENOMEM;
    }
    rc = write_synced(tmp, text);
    if (rc == 0 && rename(tmp, path) < 0)
        rc = -errno;
    return rc < 0 ? rc : sync_directory(dir);
}

/* stop 0: it goes on. */
static void store(const struct runlog *log, double stop, bool logged)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *text = NULL;
    int rc = -ENOMEM;

    if (!log->path)
        return;
    o = json_pack("{s:s s:f s:b}", "id", log->id, "start", log->start, "logged", logged);
    if (o && (stop == 0 || json_object_set_new(o, "stop", json_real(stop)) == 0))
        text = json_dumps(o, JSON_COMPACT);
    if (text)
        rc = replace_file(log->path, service_statedir(log->svc), text);
    if (rc < 0)
        log_warning("cannot write %s: %s", log->path, strerror(-rc));
}

static json_t *load(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    flux_error_t error = { .text = "" };
    char buf[FILE_MAX];
    ssize_t n;
    json_t *o;

    if (fd < 0)
        return NULL;
    n = read(fd, buf, sizeof(buf));
    o = n > 0 ? jsonx_decode_object(buf, (size_t)n, &error) : NULL;
    if (!o)
        log_warning("%s is malformed: %s", path, error.text);
    return o;
}

/* --- where we are */

static void remember(const struct runlog *log)
{
    CLEANUP(json_decrefp)
    json_t *o = json_pack("{s:s s:f s:b s:b}", "id", log->id, "start", log->start, "quorum",
                          log->quorum, "unclean", log->unclean);

    if (fdstore_possible() && fdstore_put_json(FD_NAME, o) < 0)
        log_warning("the service manager does not keep what run this is");
}

static bool resume(struct runlog *log)
{
    CLEANUP(json_decrefp) json_t *o = fdstore_take_json(log->svc, FD_NAME);
    const char *id;
    int quorum, unclean;

    if (!o || json_unpack(o, "{s:s s:f s:b s:b}", "id", &id, "start", &log->start, "quorum",
                          &quorum, "unclean", &unclean) < 0)
        return false;
    (void)snprintf(log->id, sizeof(log->id), "%s", id);
    log->quorum = quorum;
    log->unclean = unclean;
    log->resumed = true;
    return true;
}

static void look_back(struct runlog *log)
{
    CLEANUP(json_decrefp) json_t *o = log->path ? load(log->path) : NULL;
    int logged = 0;

    if (!o)
        return;
    (void)json_unpack(o, "{s?f s?b}", "stop", &log->stop, "logged", &logged);
    log->unclean = log->stop == 0;
    if (logged)
        log->stop = 0;
}

static void begin_new(struct runlog *log)
{
    uint8_t id[(RUN_ID_SIZE - 1) / 2];

    randombytes_buf(id, sizeof(id));
    (void)sodium_bin2hex(log->id, sizeof(log->id), id, sizeof(id));
    log->start = walltime();
}

int runlog_begin(struct runlog *log, struct service *svc)
{
    const char *dir = service_statedir(svc);

    *log = (struct runlog){ .svc = svc };
    if (sodium_init() < 0)
        return -EIO;
    if (dir && asprintf(&log->path, "%s/" FILE_NAME, dir) < 0) {
        log->path = NULL;
        return -ENOMEM;
    }
    if (!resume(log)) {
        look_back(log);
        begin_new(log);
    }
    remember(log);
    if (log->stop == 0)
        store(log, 0, false);
    return 0;
}

void runlog_deinit(struct runlog *log)
{
    free(log->path);
    log->path = NULL;
}

void runlog_set_quorum(struct runlog *log)
{
    if (log->quorum)
        return;
    log->quorum = true;
    if (fdstore_possible())
        fdstore_remove(FD_NAME);
    remember(log);
}

void runlog_stopped(struct runlog *log)
{
    if (!log->finished)
        store(log, walltime(), false);
}

void runlog_started(struct runlog *log)
{
    if (log->stop > 0) {
        log->stop = 0;
        store(log, 0, false);
    }
}

void runlog_finished(struct runlog *log)
{
    log->finished = true;
    store(log, walltime(), true);
}

/* --- the eventlog */

static int add_event(flux_kvs_txn_t *txn, double timestamp, const char *name, json_t *context)
{
    CLEANUP(json_decrefp)
    json_t *o =
        json_pack("{s:f s:s s:o}", "timestamp", timestamp, "name", name, "context", context);
    CLEANUP(freep) char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    CLEANUP(freep) char *line = NULL;

    if (!text || asprintf(&line, "%s\n", text) < 0) {
        line = NULL;
        return -ENOMEM;
    }
    return flux_kvs_txn_put(txn, FLUX_KVS_APPEND, EVENTLOG, line) < 0 ? -errno : 0;
}

flux_future_t *runlog_post_start(struct runlog *log, flux_t *h)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f = NULL;
    int rc = txn ? 0 : -ENOMEM;

    if (rc == 0 && log->stop > 0)
        rc = add_event(txn, log->stop, "finish", json_object());
    if (rc == 0)
        rc = add_event(txn, log->start, "start",
                       json_pack("{s:s s:s}", "core-version", FLUX_VERSION, "run", log->id));
    if (rc == 0)
        f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}

flux_future_t *runlog_post_finish(struct runlog *log, flux_t *h)
{
    flux_kvs_txn_t *txn = flux_kvs_txn_create();
    flux_future_t *f = NULL;

    if (txn && add_event(txn, walltime(), "finish", json_pack("{s:s}", "run", log->id)) == 0)
        f = flux_kvs_commit(h, NULL, 0, txn);
    flux_kvs_txn_destroy(txn);
    return f;
}
