/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs.follow: a stream that begins with the root and then says nothing: while it is open the
 * commits are announced by an event, one for all followers, sent down the tree. That it ends tells
 * a follower that events may have been missed. Without followers nothing is made or sent. After a
 * restart in good order the next process begins it again, which says the root again. */
#include <errno.h>
#include "kvs/follow.h"
#include "service/log.h"

struct following {
    LIST_ENTRY(following) link;
    struct followers *followers;
    struct request *req;
};

struct followers {
    struct manager *manager;
    LIST_HEAD(, following) all;
    size_t count;
    uint64_t announced;
    struct log_ratelimit limit;
};

int followers_new(struct manager *m, struct followers **ret)
{
    struct followers *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return -ENOMEM;
    fs->manager = m;
    LIST_INIT(&fs->all);
    *ret = fs;
    return 0;
}

static void following_free(struct following *fo)
{
    struct followers *fs = fo->followers;

    LIST_REMOVE(fo, link);
    fs->count--;
    fs->manager->kvs->announcing = fs->count > 0;
    request_on_gone(fo->req, NULL, NULL);
    request_unref(fo->req);
    free(fo);
}

struct followers *followers_free(struct followers *fs)
{
    if (fs) {
        while (!LIST_EMPTY(&fs->all))
            following_free(LIST_FIRST(&fs->all));
        free(fs);
    }
    return NULL;
}

size_t followers_count(const struct followers *fs)
{
    return fs ? fs->count : 0;
}

uint64_t followers_announced(const struct followers *fs)
{
    return fs ? fs->announced : 0;
}

static void on_following_gone(struct request *req, void *arg)
{
    following_free(arg);
}

static int respond_root(struct manager *m, struct request *req)
{
    struct namespace *ns = namespace_find(m->kvs->namespaces, KVS_PRIMARY_NAMESPACE);
    char ref[BLOBREF_STRING_SIZE];

    if (!ns || !ns->exists)
        return request_explain(req, ENOTSUP, "there is no primary namespace");
    blobref_format(m->kvs->params.hash, ns->root, ref);
    return request_respond_pack(req, "{s:s s:s s:I s:I s:i}", "namespace", KVS_PRIMARY_NAMESPACE,
                                "rootref", ref, "rootseq", (json_int_t)ns->seq, "owner",
                                (json_int_t)ns->owner, "flags", ns->flags);
}

int rpc_follow(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct following *fo;
    int rc;

    if (!m->followers)
        return request_explain(req, EINVAL, "only rank 0 of several nodes can be followed");
    if ((rc = respond_root(m, req)) < 0)
        return rc;
    if (!(fo = calloc(1, sizeof(*fo))))
        return -ENOMEM;
    fo->followers = m->followers;
    fo->req = request_ref(req);
    LIST_INSERT_HEAD(&m->followers->all, fo, link);
    m->followers->count++;
    m->kvs->announcing = true;
    request_on_gone(req, on_following_gone, fo);
    return 0;
}

void followers_announce(struct manager *m, const char *update)
{
    flux_msg_t *msg = flux_event_encode(SETROOT_TOPIC, update);

    if (!msg || flux_msg_set_private(msg) < 0 || flux_send(service_flux(m->svc), msg, 0) < 0) {
        if (log_ratelimit(&m->followers->limit, 1))
            log_warning("cannot announce a root: other nodes see it with the next one");
    } else {
        m->followers->announced++;
    }
    flux_msg_destroy(msg);
}
