/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires the domain (manager.h) to the router, the KVS and the loop. */
#include <errno.h>

#include "base/monotime.h"
#include "purge.h"

static double op_now(void *arg)
{
    (void)arg;
    return walltime();
}

static void op_respond(void *arg, struct request *req, const char *json)
{
    (void)arg;
    (void)request_respond(req, json);
}

static void op_fail(void *arg, struct request *req, int errnum, const char *sentence)
{
    (void)arg;
    (void)request_fail(req, errnum, sentence ? "%s" : NULL, sentence);
}

static struct request *op_ref(void *arg, struct request *req)
{
    (void)arg;
    return request_ref(req);
}

static void op_unref(void *arg, struct request *req)
{
    (void)arg;
    (void)request_unref(req);
}

static const struct manager_ops ops = {
    .now = op_now,
    .kvs_append = kvs_append,
    .kvs_put = kvs_put,
    .kvs_unlink = kvs_unlink,
    .kvs_prune = kvs_prune,
    .kvs_namespace = kvs_make_namespace,
    .kvs_archive = kvs_archive,
    .kvs_commit = kvs_send,
    .commit_timer = kvs_timer,
    .send = peers_send,
    .respond = op_respond,
    .fail = op_fail,
    .ref = op_ref,
    .unref = op_unref,
    .wake = peers_wake,
    .announce = ingest_announce,
};

int daemon_new(struct service *svc, struct daemon **ret)
{
    CLEANUP(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        return -ENOMEM;
    d->svc = svc;
    d->h = service_flux(svc);
    manager_init(&d->m, &ops, d, service_owner(svc));
    rc = kvs_open(d);
    if (rc == 0)
        rc = load_all(d);
    if (rc == 0)
        rc = peers_open(d);
    if (rc == 0)
        rc = turn_open(d);
    if (rc == 0)
        rc = purge_open(d, &d->purger);
    if (rc < 0)
        return rc;
    if (d->m.control.loaded)
        control_announce(&d->m);
    *ret = TAKE(d);
    return 0;
}

struct daemon *daemon_free(struct daemon *d)
{
    if (!d)
        return NULL;
    purge_close(d->purger);
    flux_watcher_destroy(d->quiesce_end);
    turn_close(d);
    peers_close(d);
    manager_deinit(&d->m);
    kvs_close(d);
    free(d);
    return NULL;
}
