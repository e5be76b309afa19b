/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The skeleton's parts, wired by service.c. Daemons do not include this; the router does, because
 * it answers its own clients through the same dispatch. */
#ifndef SERVICE_STATE_H
#define SERVICE_STATE_H

#include "service/conn.h"
#include "service/dispatch.h"
#include "service/goodbye.h"
#include "service/listen.h"
#include "service/notify.h"
#include "service/peer.h"
#include "service/quota.h"
#include "service/request.h"
#include "service/service.h"
#include "service/stats.h"

struct service {
    const struct service_desc *desc;
    void *arg; /* of service_run() */
    uid_t owner;
    char *rundir;
    char *statedir;
    char *instance;
    flux_reactor_t *reactor;
    struct notify *notify;
    struct stats stats;
    uint32_t debug_flags; /* SERVICE.debug */
    struct quota *quota;
    struct request_index *requests;
    size_t nrequests;
    struct dispatch *dispatch;
    struct conn_loop *conns;
    struct peers *peers;
    struct listeners *listeners;
    uint32_t rank;
    uint32_t size;
    json_t *config;
    double start_limit; /* seconds */
    flux_t *h;
    flux_msg_handler_t *events;
    flux_watcher_t *signals[2];
    flux_watcher_t *deadline; /* of an orderly stop */
    flux_watcher_t *hold;     /* runs until service_ready(), if that was asked for */
    int refuse_errnum;        /* 0: does not refuse */
    flux_error_t refuse_why;
    bool bare; /* its parts were not made: service_run_without_kvs() */
    bool running;
    bool not_ready; /* until service_ready() */
    bool stopping;
    bool dismissed;     /* by a shutdown request: no process is to follow */
    bool router_leaves; /* it said goodbye: its end is no failure */
    int status;
};

/* SIGTERM, SIGINT and SERVICE.shutdown. */
void service_begin_stop(struct service *svc, const char *why);
/* Take over a new configuration, asking the daemon first. Steals config. */
int service_set_config(struct service *svc, json_t *config, flux_error_t *error);

#endif
