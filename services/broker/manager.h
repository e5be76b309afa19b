/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The router as a daemon: its parts, wired. */
#ifndef BROKER_MANAGER_H
#define BROKER_MANAGER_H

#include "broker/attr.h"
#include "broker/barrier.h"
#include "broker/boot.h"
#include "broker/config.h"
#include "broker/groups.h"
#include "broker/heartbeat.h"
#include "broker/options.h"
#include "broker/reload.h"
#include "broker/router.h"
#include "broker/runlog.h"
#include "broker/shutdown.h"
#include "broker/state.h"
#include "service/service.h"

struct manager {
    struct service *svc;
    struct broker_config config;
    struct broker_options options;
    struct attrs attrs;
    struct tbonconf tbon; /* its strings are good until the configuration is read again */
    struct boot boot;
    struct router router;
    struct heartbeat heartbeat;
    struct groups groups;
    struct barriers barriers;
    json_t *before;         /* what the process before left, until all of it is taken up; or NULL */
    flux_watcher_t *hangup; /* SIGHUP: reload */
    flux_watcher_t *power;  /* SIGPWR: stop, no process follows */
    bool for_good;          /* it came */
    flux_watcher_t *start;  /* first pass of the loop */
    struct state state;
    struct runlog runlog; /* rank 0 */
    struct shutdown shutdown;
    struct reloads reloads;
    flux_t *self;           /* as a client of ourselves; NULL: not yet */
    uint32_t quorum;        /* nodes that make the instance run (rank 0) */
    double quorum_warn;     /* seconds; 0: never */
    flux_watcher_t *slow;   /* QUORUM: warn */
    double orphan_limit;    /* seconds; 0: none */
    flux_watcher_t *orphan; /* JOIN: leave */
    flux_watcher_t *drain;  /* while stopping */
    double stop_time;
};

extern const struct service_desc broker_desc; /* methods.c */

int manager_new(struct service *svc, int argc, char **argv, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

/* Read the configuration again, apply it, tell the services (reload.h: req). 0 or -errno with a
 * sentence; the old one stays then. Logs either way. */
int manager_reload(struct manager *m, struct request *req, flux_error_t *error);
/* A connection to this router, lent. 0 or -errno. */
int manager_self(struct manager *m, flux_t **ret);
int manager_stop(struct manager *m);
/* GOODBYE: this node leaves the instance. */
void manager_leave(struct manager *m);
void manager_exit(struct manager *m);

/* life.c */
int life_init(struct manager *m); /* once the place of this node is known */
void life_begin(struct manager *m);
/* After an end without order. */
bool life_wants_safe_mode(const struct manager *m);
void life_on_tree(const struct idset *online, void *arg);
void life_on_parent(bool connected, void *arg);
void life_on_state(int parent, void *arg);
void manager_set_state(struct manager *m, enum broker_state state, const char *why);
void manager_show_status(struct manager *m);

/* instance.c: the attributes of this node and instance. */
int instance_attrs(struct manager *m);
/* log_append.c */
int log_append(struct client *c, const void *data, size_t size);

#endif
