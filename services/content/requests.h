/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the request handlers of the content store share: the manager's parts, and requests whose
 * work is under way. */
#ifndef CONTENT_REQUESTS_H
#define CONTENT_REQUESTS_H

#include "base/list.h"
#include "content/cache.h"
#include "content/manager.h"
#include "content/repair.h"
#include "content/report.h"
#include "content/settings.h"
#include "content/upstream.h"
#include "content/worker.h"
#include "service/log.h"

struct manager {
    struct service *svc;
    struct settings settings;
    char *path;
    struct cache *cache;
    struct worker *worker;     /* rank 0 */
    struct upstream *upstream; /* other ranks */
    flux_watcher_t *watcher;
    flux_watcher_t *purge_timer; /* started while the cache is above its limit */
    int lock_fd;
    uint64_t damaged_records; /* in the journal, when it was opened */
    /* While there is no worker: why not, for whoever asks. */
    int refusal_errnum;
    flux_error_t refusal;
    flux_watcher_t *retry_timer; /* until there is room */
    struct repair *repair;
    struct request *repair_req; /* waits for it, or for the worker to be idle */
    LIST_HEAD(, pending) pendings;
    bool misconfigured; /* everything is refused until there are better settings */
    bool stopping;
    bool failed;
    struct log_ratelimit full_limit;
    struct log_ratelimit corrupt_limit;
    struct log_ratelimit fold_limit;
};

/* settings.purge_old_entry has another value. */
void purge_age_changed(struct manager *m);

/* One request under way. */
struct pending {
    struct work work;
    LIST_ENTRY(pending) link;
    struct manager *manager;
    struct request *req;
    json_t *header; /* of content.commit; content.check: where it goes on */
    char *value;    /* of content.checkpoint-put */
};

int pending_new(struct manager *m, struct request *req, enum work_type type,
                void (*done)(struct work *w, void *arg), struct pending **ret);
/* On success the work owns *p until done is called, which may be at once. */
int pending_submit(struct pending **p);
struct pending *pending_free(struct pending *p);
DEFINE_CLEANUP(struct pending *, pending_free)
/* Answers with what went wrong. */
void pending_fail(struct pending *p);
/* And tells the administrator, because something could not be stored. */
void pending_fail_change(struct pending *p);

int rpc_load(struct request *req, void *arg);
int rpc_validate(struct request *req, void *arg);
int rpc_backing_load(struct request *req, void *arg);
int rpc_store(struct request *req, void *arg);
int rpc_commit(struct request *req, void *arg);
int rpc_roots(struct request *req, void *arg);
int rpc_checkpoint_get(struct request *req, void *arg);
int rpc_checkpoint_put(struct request *req, void *arg);
int rpc_flush(struct request *req, void *arg);
int rpc_info(struct request *req, void *arg);
int rpc_dropcache(struct request *req, void *arg);

int rpc_attr_get(struct request *req, void *arg);
int rpc_attr_set(struct request *req, void *arg);
int rpc_attr_list(struct request *req, void *arg);
int rpc_backup_begin(struct request *req, void *arg);
int rpc_backup_read(struct request *req, void *arg);
int rpc_check(struct request *req, void *arg);
int rpc_repair(struct request *req, void *arg);
int rpc_sweep_begin(struct request *req, void *arg);
int rpc_mark(struct request *req, void *arg);
int rpc_sweep_step(struct request *req, void *arg);
int rpc_sweep_end(struct request *req, void *arg);

#endif
