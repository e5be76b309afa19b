/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the files of requests (requests-*.c) share; private to the manager. Every handler decodes,
 * makes a transaction, lookup or watch, and keeps the request until that answers. */
#ifndef KVS_REQUESTS_H
#define KVS_REQUESTS_H

#include "base/list.h"
#include "kvs/kvs.h"
#include "kvs/remote.h"
#include "service/service.h"

struct lookup;
struct txn;
struct watcher;
struct version_group;
struct followers;
struct follower;
struct relays;
struct collector;

struct manager {
    struct service *svc;
    struct remote *remote;
    struct kvs *kvs;
    flux_watcher_t *prepare;
    flux_watcher_t *probe_timer; /* while everything is refused */
    LIST_HEAD(, lookup) lookups;
    TAILQ_HEAD(, txn) syncing;      /* commits that wait for the database */
    struct watcher *watchers;       /* table by client and matchtag */
    struct version_group *versions; /* table by namespace: who waits for a version */
    TAILQ_HEAD(, version_group) versions_due;
    struct followers *followers; /* rank 0 of an instance of several nodes */
    struct follower *follower;   /* other ranks */
    struct relays *relays;       /* other ranks */
    struct collector *collector; /* rank 0 */
    uint64_t nlookups;
    bool misconfigured; /* everything is refused until content.hash can be understood */
    bool stopping;
};

static inline struct caller caller_of(const struct request *req)
{
    return (struct caller){ .userid = request_userid(req), .is_owner = request_is_owner(req) };
}

/* requests-lookup.c */
const char *errnum_sentence(int errnum); /* NULL: strerror(3) says it all */
bool rank_0_knows_better(int errnum);    /* than a follower */
void fail_lookup(struct request *req, int errnum);
int rpc_lookup(struct request *req, void *arg);
void lookups_free(struct manager *m);
int rpc_getroot(struct request *req, void *arg);
int rpc_namespace_list(struct request *req, void *arg);

/* requests-commit.c */
int rpc_commit(struct request *req, void *arg);
int rpc_fence(struct request *req, void *arg);
void syncing_free(struct manager *m);
int rpc_namespace_create(struct request *req, void *arg);
int rpc_namespace_remove(struct request *req, void *arg);

/* requests-version.c */
int rpc_wait_version(struct request *req, void *arg);
/* For namespaces_on_settled(). */
void versions_settled(const struct namespace *ns, bool replaced, void *arg);
void versions_check(struct manager *m); /* after that, when who commits was answered */
void versions_free(struct manager *m);

/* requests-watch.c */
int rpc_watch(struct request *req, void *arg);
int rpc_watch_cancel(struct request *req, void *arg);
/* How far the watch of this request got, as request_resume() takes it; NULL: it has just begun. */
json_t *watcher_progress(struct request *req, struct manager *m);
uint32_t matchtag_of(const struct request *req);
void watchers_free(struct manager *m);

#endif
