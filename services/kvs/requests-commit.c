/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs.commit, kvs.fence and the namespace requests: each becomes a transaction that is submitted at
 * once and answered when it is durable. */
#include <errno.h>
#include <string.h>
#include <flux/kvs.h>
#include "base/errorx.h"
#include "kvs/commit.h"
#include "kvs/fence.h"
#include "kvs/relay.h"
#include "kvs/requests.h"
#include "wire/message.h"

/* A transaction and who asked for it. */
struct asker {
    struct manager *manager;
    struct request *req;
};

static void answer_commit(struct txn *t, const struct asker *a)
{
    char text[BLOBREF_STRING_SIZE + 64];
    char ref[BLOBREF_STRING_SIZE];

    if (t->err < 0) {
        (void)request_fail(a->req, -t->err, "%s", t->error.text);
    } else {
        blobref_format(a->manager->kvs->params.hash, t->rootref, ref);
        (void)snprintf(text, sizeof(text), "{\"rootref\":\"%s\",\"rootseq\":%lld}", ref,
                       (long long)t->rootseq);
        (void)request_respond(a->req, text);
    }
    txn_free(t);
}

/* The change is made, and stays; only whether the database has it is not known then. */
static void on_synced(int err, const char *why, void *arg)
{
    struct txn *t = arg;
    struct asker *a = t->arg;

    TAILQ_REMOVE(&a->manager->syncing, t, link);
    if (err < 0)
        t->err = errorx_fail(&t->error, -err, "committed, but not synced: %s", why);
    answer_commit(t, a);
}

static void on_txn_done(struct txn *t, void *arg)
{
    struct asker *a = arg;
    int rc;

    if (t->err < 0 || !(t->flags & FLUX_KVS_SYNC)) {
        answer_commit(t, a);
        return;
    }
    TAILQ_INSERT_TAIL(&a->manager->syncing, t, link);
    rc = remote_flush(a->manager->remote, on_synced, t);
    if (rc < 0)
        on_synced(rc, strerror(-rc), t);
}

void syncing_free(struct manager *m)
{
    struct txn *t;

    while ((t = TAILQ_FIRST(&m->syncing))) {
        TAILQ_REMOVE(&m->syncing, t, link);
        txn_free(t);
    }
}

static void on_namespace_done(struct txn *t, void *arg)
{
    struct asker *a = arg;

    if (t->err < 0)
        (void)request_fail(a->req, -t->err, "%s", t->error.text);
    else
        (void)request_respond(a->req, "{}");
    txn_free(t);
}

static void asker_release(void *arg)
{
    struct asker *a = arg;

    request_unref(a->req);
    free(a);
}

/* Ties a transaction to its request, which is let go with it. */
static int txn_attach(struct manager *m, struct txn *t, struct request *req,
                      void (*done)(struct txn *t, void *arg))
{
    struct asker *a = malloc(sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->manager = m;
    a->req = request_ref(req);
    t->done = done;
    t->arg = a;
    t->release = asker_release;
    return 0;
}

int rpc_commit(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(txn_freep) struct txn *t = NULL;
    flux_error_t error;
    const char *ns;
    json_t *ops;
    int flags;
    int rc;

    if (m->follower)
        return relay_commit(m, req);
    if ((rc = request_unpack(req, "{s:s s:i s:o}", "namespace", &ns, "flags", &flags, "ops",
                             &ops)) < 0)
        return rc;
    if ((rc = txn_new_commit(m->kvs, ns, flags, ops, &who, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_txn_done)) < 0)
        return rc;
    commit_submit(m->kvs, TAKE(t));
    return 0;
}

int rpc_fence(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct caller who = caller_of(req);
    CLEANUP(txn_freep) struct txn *t = NULL;
    struct fence_args args;
    const char *ns;
    flux_error_t error;
    struct namespace *found;
    json_t *ops;
    int flags;
    int rc;

    if (m->follower)
        return relay_commit(m, req);
    if ((rc = request_unpack(req, "{s:s s:i s:s s:i s:o}", "namespace", &ns, "flags", &flags,
                             "name", &args.name, "nprocs", &args.nprocs, "ops", &ops)) < 0)
        return rc;
    args.size_bytes = msg_payload_size(request_msg(req));
    if ((rc = kvs_access(m->kvs, ns, &who, &found)) < 0)
        return request_explain(req, -rc, "%s: %s", ns, errnum_sentence(-rc));
    if ((rc = txn_new_commit(m->kvs, ns, flags, ops, &who, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_txn_done)) < 0)
        return rc;
    if ((rc = fence_submit(m->kvs, &args, t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    (void)TAKE(t);
    return 0;
}

int rpc_namespace_create(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(txn_freep) struct txn *t = NULL;
    const char *ns, *rootref = NULL;
    flux_error_t error;
    json_int_t owner;
    int flags;
    int rc;

    if (m->follower)
        return relay_request(m, req);
    if ((rc = request_unpack(req, "{s:s s:I s:i s?s}", "namespace", &ns, "owner", &owner, "flags",
                             &flags, "rootref", &rootref)) < 0)
        return rc;
    if (owner < -1 || owner > UINT32_MAX)
        return request_explain(req, EINVAL, "owner is not a user id");
    if (owner == -1 || owner == FLUX_USERID_UNKNOWN)
        owner = service_owner(m->svc);
    if ((rc = txn_new_create(m->kvs, ns, (uint32_t)owner, flags, rootref, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_namespace_done)) < 0)
        return rc;
    commit_submit(m->kvs, TAKE(t));
    return 0;
}

int rpc_namespace_remove(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(txn_freep) struct txn *t = NULL;
    flux_error_t error;
    const char *ns;
    int rc;

    if (m->follower)
        return relay_request(m, req);
    if ((rc = request_unpack(req, "{s:s}", "namespace", &ns)) < 0)
        return rc;
    if ((rc = txn_new_remove(m->kvs, ns, &t, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    if ((rc = txn_attach(m, t, req, on_namespace_done)) < 0)
        return rc;
    commit_submit(m->kvs, TAKE(t));
    return 0;
}
