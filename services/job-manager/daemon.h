/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The daemon around the domain: its connections, watchers and start-up. */
#ifndef JOB_MANAGER_DAEMON_H
#define JOB_MANAGER_DAEMON_H

#include <flux/core.h>
#include "service/service.h"
#include "manager.h"

enum daemon_peer { WAKE_SCHED, WAKE_EXEC, WAKE_LIST, WAKE_COUNT };

struct purger;

struct daemon {
    struct service *svc;
    flux_t *h;
    struct manager m;
    /* kvs.c */
    flux_kvs_txn_t *txn;
    flux_future_t *commit;
    uint64_t commit_begun_usec;
    flux_watcher_t *retry, *late;
    /* turn.c */
    flux_watcher_t *prepare, *idle, *begin_timer, *status_timer;
    double begin_armed;
    size_t shown[JOB_STATE_COUNT + 2]; /* what STATUS says */
    bool stopping;
    bool last_commit; /* of this process: it has begun, or there is nothing to commit */
    /* peers.c */
    flux_msg_handler_t *on_alloc, *on_start;
    struct waker {
        struct daemon *d;
        const char *topic;
        flux_watcher_t *timer;
        double delay;
    } wakers[WAKE_COUNT];
    flux_watcher_t *quiesce_end; /* rpc-queue.c */
    struct purger *purger;       /* purge-run.c */
    uint64_t list_seen;          /* ninactive when job-list last listened */
};

int daemon_new(struct service *svc, struct daemon **ret);
struct daemon *daemon_free(struct daemon *d);
DEFINE_CLEANUP(struct daemon *, daemon_free)

/* kvs.c */
int kvs_append(void *arg, const char *key, const char *data, size_t len);
int kvs_put(void *arg, const char *key, const char *value);
int kvs_unlink(void *arg, const char *key);
int kvs_prune(void *arg, const char *key);
int kvs_make_namespace(void *arg, const char *key, const char *ns, uint32_t owner);
int kvs_archive(void *arg, const char *key, const char *ns, const char *log);
int kvs_send(void *arg);
void kvs_timer(void *arg, double seconds);
int kvs_open(struct daemon *d);
void kvs_close(struct daemon *d);

/* peers.c */
int peers_open(struct daemon *d);
void peers_close(struct daemon *d);
int peers_send(void *arg, const char *topic, const char *json, bool noresponse);
void peers_wake(void *arg, enum manager_peer peer);
void peers_check(struct daemon *d); /* once a turn: is somebody to be woken? */

/* ingest.c */
void ingest_announce(void *arg, struct request *req, const char *json);

/* turn.c */
int turn_open(struct daemon *d);
void turn_close(struct daemon *d);
int turn_stop(void *arg); /* SIGTERM */

/* load.c: what the KVS holds, before the first request is served. */
int load_all(struct daemon *d);
/* While serving: the ids that are not known; answers req when all are loaded. */
int load_some(struct daemon *d, const json_t *ids, struct request *req);

/* rpc-queue.c */
int rpc_queue_drain(struct request *req, void *arg);
int rpc_queue_enable(struct request *req, void *arg);
int rpc_queue_idle(struct request *req, void *arg);
int rpc_quiesce(struct request *req, void *arg);
int rpc_queue_start(struct request *req, void *arg);
int rpc_queue_status(struct request *req, void *arg);

/* rpc.c */
extern const struct service_desc daemon_desc;

#endif
