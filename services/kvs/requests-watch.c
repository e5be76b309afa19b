/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs-watch: requests that are told of commits of others, and end with their client. */
#include <errno.h>
#include <string.h>
#include "base/base64.h"
#include "base/hash.h"
#include "kvs/collect.h"
#include "kvs/follower.h"
#include "kvs/relay.h"

/* A watch and who asked for it. */
struct watcher {
    struct manager *manager;
    struct request *req;
    struct watch *watch;
    uint64_t key; /* client and matchtag */
    UT_hash_handle hh;
};

uint32_t matchtag_of(const struct request *req)
{
    uint32_t matchtag = FLUX_MATCHTAG_NONE;

    (void)flux_msg_get_matchtag(request_msg(req), &matchtag);
    return matchtag;
}

static int watcher_new(struct manager *m, struct request *req, struct watcher **ret)
{
    struct watcher *wr = calloc(1, sizeof(*wr));

    if (!wr)
        return -ENOMEM;
    wr->manager = m;
    wr->key = request_client_hash(req, matchtag_of(req));
    HASH_ADD(hh, m->watchers, key, sizeof(wr->key), wr);
    if (!wr->hh.tbl) {
        free(wr);
        return -ENOMEM;
    }
    wr->req = request_ref(req);
    *ret = wr;
    return 0;
}

/* That of the client of req with this matchtag. */
static struct watcher *watcher_find(struct manager *m, const struct request *req, uint32_t matchtag)
{
    const uint64_t key = request_client_hash(req, matchtag);
    struct watcher *wr;

    HASH_FIND(hh, m->watchers, &key, sizeof(key), wr);
    return wr && matchtag_of(wr->req) == matchtag && request_same_client(wr->req, req) ? wr : NULL;
}

static void watcher_free(struct watcher *wr)
{
    HASH_DEL(wr->manager->watchers, wr);
    request_on_gone(wr->req, NULL, NULL);
    request_unref(wr->req);
    free(wr);
}

static void on_watch_deliver(struct watch *w, const char *text, void *arg)
{
    struct watcher *wr = arg;

    (void)request_respond(wr->req, text);
}

static void on_watch_end(struct watch *w, int errnum, void *arg)
{
    struct watcher *wr = arg;
    CLEANUP(request_unrefp) struct request *req = request_ref(wr->req);
    struct manager *m = wr->manager;
    struct watch_progress progress;

    watch_get_progress(w, &progress);
    watcher_free(wr);
    if (errnum == EINVAL && progress.delivered)
        (void)request_fail(req, errnum,
                           "the value is shorter now than what was told of it: it was overwritten, "
                           "not appended to");
    else if (!rank_0_knows_better(errnum) || !m->follower || relay_watch(m, req, &progress) < 0)
        fail_lookup(req, errnum);
}

static void on_watcher_gone(struct request *req, void *arg)
{
    struct watcher *wr = arg;

    watch_cancel(wr->watch);
    watcher_free(wr);
}

/* --- a watch goes on in the next process */

json_t *watcher_progress(struct request *req, struct manager *m)
{
    CLEANUP(freep) char *last = NULL;
    struct watch_progress p;
    struct watcher *wr;
    size_t len;

    if (!(wr = watcher_find(m, req, matchtag_of(req))) || wr->req != req)
        return NULL;
    watch_get_progress(wr->watch, &p);
    last = base64_encode(p.last, sizeof(p.last), &len);
    return p.delivered && last
               ? json_pack("{s:I s:s}", "offset", (json_int_t)p.offset, "last", last)
               : NULL;
}

static const struct watch_progress *read_progress(const struct request *req,
                                                  struct watch_progress *ret)
{
    CLEANUP(freep) void *digest = NULL;
    const json_t *resume = request_resume(req);
    json_int_t offset;
    const char *last;
    size_t size;

    if (!resume) /* what a follower says of a watch that it passes on */
        resume = json_object_get(request_json(req), "resume");
    if (!resume || json_unpack((json_t *)resume, "{s:I s:s}", "offset", &offset, "last", &last) < 0)
        return NULL;
    digest = base64_decode(last, strlen(last), &size);
    if (!digest || size != sizeof(ret->last))
        return NULL;
    memcpy(ret->last, digest, size);
    ret->offset = (uint64_t)offset;
    ret->delivered = true;
    return ret;
}

int rpc_watch(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct watch_args args = {
        .ns = KVS_PRIMARY_NAMESPACE,
        .who = caller_of(req),
        .deliver = on_watch_deliver,
        .end = on_watch_end,
    };
    struct watch_progress progress;
    struct watcher *wr;
    int rc;

    args.progress = read_progress(req, &progress);
    if ((rc = request_unpack(req, "{s:s s:i s?s}", "key", &args.key, "flags", &args.flags,
                             "namespace", &args.ns)) < 0)
        return rc;
    if (m->follower && strcmp(args.ns, KVS_PRIMARY_NAMESPACE) != 0)
        return relay_watch(m, req, args.progress);
    if (m->follower && follower_hold(m->follower, req, rpc_watch))
        return 0;
    if ((rc = watcher_new(m, req, &wr)) < 0)
        return rc;
    request_on_gone(req, on_watcher_gone, wr);
    args.arg = wr;
    if ((rc = watch_new(m->kvs, &args, &wr->watch)) < 0) {
        watcher_free(wr);
        return errnum_sentence(-rc) ? request_explain(req, -rc, "%s", errnum_sentence(-rc)) : rc;
    }
    return 0;
}

int rpc_watch_cancel(struct request *req, void *arg)
{
    struct manager *m = arg;
    struct watcher *wr;
    json_int_t matchtag;
    int rc;

    if ((rc = request_unpack(req, "{s:I}", "matchtag", &matchtag)) < 0)
        return rc;
    if ((wr = watcher_find(m, req, (uint32_t)matchtag))) {
        watch_cancel(wr->watch);
        (void)request_end(wr->req);
        watcher_free(wr);
    } else if (!collector_cancel(m, req, (uint32_t)matchtag) && m->follower)
        (void)relay_watch_cancel(m, req, (uint32_t)matchtag);
    return 0;
}

void watchers_free(struct manager *m)
{
    while (m->watchers)
        watcher_free(m->watchers);
}
