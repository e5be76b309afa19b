/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The daemon's one object, for the files that its requests are spread over: acquire.c, requests.c,
 * requests-drain.c. */
#ifndef RESOURCE_INTERNAL_H
#define RESOURCE_INTERNAL_H

#include "resource/census.h"
#include "resource/manager.h"
#include "resource/stock.h"
#include "service/waiting.h"

#define EVENTLOG_KEY "resource.eventlog"

struct manager {
    struct service *svc;
    bool norestrict;
    char *hostname; /* of this node, as the instance calls it */
    bool leader;    /* the rest up to xml is of rank 0 only */
    struct stock stock;
    flux_future_t *replay;       /* of the eventlog; NULL: done */
    struct keep *keep;           /* from then on; NULL: resources are configured */
    struct enclosing *enclosing; /* from then on */
    struct online *online;       /* from then on */
    struct census *census;
    flux_watcher_t *discovery; /* NULL: nothing is to be discovered */
    bool loaded;               /* the inventory can be told */
    struct request *acquire;   /* the scheduler, or NULL */
    struct idset *told;        /* what it was told to be up; NULL: nothing yet */
    struct idset *known;       /* the ranks that it was told of */
    bool grown;                /* there are ranks that it does not know */
    flux_watcher_t *news;      /* runs while there is something to tell it soon */
    char *xml;                 /* this node's topology, once somebody asked */
    struct waiting waiting;
};

DEFINE_CLEANUP(struct idset *, idset_destroy)

/* It is not known any more what is stored: the process ends, and the next one reads it. */
void manager_begin_again(struct manager *m, const char *why);
/* Keep a request until the inventory can be told; fn: its handler. For "return
 * manager_wait_loaded(...)". */
int manager_wait_loaded(struct manager *m, struct request *req,
                        int (*fn)(struct request *req, void *arg));

/* acquire.c: the scheduler is told what has changed, at once or together with what follows. */
int acquire_init(struct manager *m);
void acquire_tell(struct manager *m);
void acquire_tell_soon(struct manager *m);

/* requests-drain.c: stores an event of the drain state, then applies it and answers. Steals event
 * (NULL: out of memory). req NULL: of our own, about rank. 0 or -errno. */
int change_commit(struct manager *m, struct request *req, uint32_t rank, json_t *event);

/* Handlers; arg: the manager. */
int rpc_acquire(struct request *req, void *arg);
int rpc_status(struct request *req, void *arg);
int rpc_topo_summary(struct request *req, void *arg);
int rpc_topo_get(struct request *req, void *arg);
int rpc_drain(struct request *req, void *arg);
int rpc_undrain(struct request *req, void *arg);

#endif
