/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Message handlers: who gets a message, by the rules of flux_msg_handler_create(3). Requests for an
 * exact topic are found by hash; everything else is matched against the handlers, newest first.
 *
 * Handlers may create, start, stop and destroy handlers, and close the handle: a destroyed one
 * stays allocated until no call is in progress. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "rpc/dispatch.h"
#include "rpc/handle_impl.h"
#include "rpc/rpc.h"

struct flux_msg_handler {
    struct handlers *table; /* NULL once the handle is closed */
    TAILQ_ENTRY(flux_msg_handler) link;
    TAILQ_ENTRY(flux_msg_handler) topic_link;
    struct topic *topic; /* requests for exactly this; NULL for patterns */
    struct flux_match match;
    uint32_t rolemask;
    flux_msg_handler_f cb;
    void *arg;
    bool running;
    bool destroyed; /* waits in the table for the end of the calls */
    char glob[];
};

TAILQ_HEAD(handler_list, flux_msg_handler);

struct topic {
    UT_hash_handle hh;
    struct handler_list handlers; /* newest first */
    char name[];
};

struct handlers {
    struct dispatch *d;
    struct handler_list all; /* newest first */
    struct topic *topics;
    int running;
    int calls; /* in progress */
    bool sweep;
    bool closed; /* freed when calls is 0 */
};

struct handlers *handlers_new(struct dispatch *d)
{
    struct handlers *hs = calloc(1, sizeof(*hs));

    if (hs) {
        hs->d = d;
        TAILQ_INIT(&hs->all);
    }
    return hs;
}

int handlers_running(const struct handlers *hs)
{
    return hs ? hs->running : 0;
}

static bool is_exact(const char *glob)
{
    return *glob && !strpbrk(glob, "*?[\\");
}

static int topic_add(struct handlers *hs, flux_msg_handler_t *mh)
{
    size_t size = strlen(mh->glob) + 1;
    struct topic *t;

    HASH_FIND_STR(hs->topics, mh->glob, t);
    if (!t) {
        t = calloc(1, sizeof(*t) + size);
        if (!t)
            return -ENOMEM;
        TAILQ_INIT(&t->handlers);
        memcpy(t->name, mh->glob, size);
        HASH_ADD_STR(hs->topics, name, t);
        if (!t->hh.tbl) {
            free(t);
            return -ENOMEM;
        }
    }
    TAILQ_INSERT_HEAD(&t->handlers, mh, topic_link);
    mh->topic = t;
    return 0;
}

static void topic_remove(struct handlers *hs, flux_msg_handler_t *mh)
{
    struct topic *t = mh->topic;

    if (!t)
        return;
    TAILQ_REMOVE(&t->handlers, mh, topic_link);
    mh->topic = NULL;
    if (TAILQ_EMPTY(&t->handlers)) {
        HASH_DEL(hs->topics, t);
        free(t);
    }
}

static void unlink_handler(struct handlers *hs, flux_msg_handler_t *mh)
{
    TAILQ_REMOVE(&hs->all, mh, link);
    topic_remove(hs, mh);
    mh->table = NULL;
}

struct handlers *handlers_free(struct handlers *hs)
{
    flux_msg_handler_t *mh;

    if (!hs)
        return NULL;
    hs->closed = true;
    while ((mh = TAILQ_FIRST(&hs->all))) {
        unlink_handler(hs, mh);
        if (mh->destroyed)
            free(mh);
    }
    if (hs->calls == 0)
        free(hs);
    return NULL;
}

flux_msg_handler_t *flux_msg_handler_create(flux_t *h, const struct flux_match match,
                                            flux_msg_handler_f cb, void *arg)
{
    const char *glob = match.topic_glob ? match.topic_glob : "";
    CLEANUP(freep) flux_msg_handler_t *mh = NULL;
    struct dispatch *d;
    struct handlers *hs;

    if (!h || !cb) {
        errno = EINVAL;
        return NULL;
    }
    d = dispatch_get(h);
    mh = d ? calloc(1, sizeof(*mh) + strlen(glob) + 1) : NULL;
    if (!mh)
        return NULL;
    hs = dispatch_handlers(d);
    memcpy(mh->glob, glob, strlen(glob));
    mh->match = match;
    mh->match.topic_glob = mh->glob;
    mh->rolemask = FLUX_ROLE_OWNER;
    mh->cb = cb;
    mh->arg = arg;
    if (is_exact(glob) && topic_add(hs, mh) < 0) {
        errno = ENOMEM;
        return NULL;
    }
    TAILQ_INSERT_HEAD(&hs->all, mh, link);
    mh->table = hs;
    return TAKE(mh);
}

void flux_msg_handler_start(flux_msg_handler_t *mh)
{
    if (!mh || mh->running)
        return;
    mh->running = true;
    if (mh->table) {
        mh->table->running++;
        dispatch_handlers_changed(mh->table->d, true);
    }
}

void flux_msg_handler_stop(flux_msg_handler_t *mh)
{
    if (!mh || !mh->running)
        return;
    mh->running = false;
    if (mh->table) {
        mh->table->running--;
        dispatch_handlers_changed(mh->table->d, false);
    }
}

void flux_msg_handler_destroy(flux_msg_handler_t *mh)
{
    int saved_errno = errno;

    if (!mh)
        return;
    flux_msg_handler_stop(mh);
    if (mh->table && mh->table->calls > 0) {
        mh->destroyed = true;
        mh->table->sweep = true;
        return;
    }
    if (mh->table)
        unlink_handler(mh->table, mh);
    free(mh);
    errno = saved_errno;
}

void flux_msg_handler_allow_rolemask(flux_msg_handler_t *mh, uint32_t rolemask)
{
    if (mh)
        mh->rolemask |= rolemask;
}

void flux_msg_handler_deny_rolemask(flux_msg_handler_t *mh, uint32_t rolemask)
{
    if (mh) /* the instance owner cannot be shut out */
        mh->rolemask = (mh->rolemask & ~rolemask) | FLUX_ROLE_OWNER;
}

static bool matches(const flux_msg_handler_t *mh, const flux_msg_t *msg)
{
    return mh->running && flux_msg_cmp(msg, mh->match);
}

static flux_msg_handler_t *find_exact(struct handlers *hs, const flux_msg_t *msg)
{
    flux_msg_handler_t *mh;
    const char *name;
    struct topic *t;

    if (flux_msg_get_topic(msg, &name) < 0)
        return NULL;
    HASH_FIND_STR(hs->topics, name, t);
    if (!t)
        return NULL;
    TAILQ_FOREACH (mh, &t->handlers, topic_link) {
        if (matches(mh, msg))
            return mh;
    }
    return NULL;
}

static flux_msg_handler_t *find_newest(struct handlers *hs, const flux_msg_t *msg, bool with_tag)
{
    flux_msg_handler_t *mh;

    TAILQ_FOREACH (mh, &hs->all, link) {
        if ((!with_tag || mh->match.matchtag != FLUX_MATCHTAG_NONE) && matches(mh, msg))
            return mh;
    }
    return NULL;
}

static flux_msg_handler_t *find(struct handlers *hs, const flux_msg_t *msg, int type)
{
    flux_msg_handler_t *mh = NULL;

    if (type == FLUX_MSGTYPE_REQUEST)
        mh = find_exact(hs, msg);
    if (type == FLUX_MSGTYPE_RESPONSE)
        mh = find_newest(hs, msg, true);
    return mh ? mh : find_newest(hs, msg, false);
}

bool handlers_match(struct handlers *hs, const flux_msg_t *msg)
{
    int type;

    return hs->running > 0 && flux_msg_get_type(msg, &type) == 0 && find(hs, msg, type);
}

static void calls_end(struct handlers *hs)
{
    flux_msg_handler_t *mh, *tmp;

    if (--hs->calls > 0)
        return;
    if (hs->closed) {
        free(hs);
        return;
    }
    if (!hs->sweep)
        return;
    hs->sweep = false;
    TAILQ_FOREACH_SAFE (mh, &hs->all, link, tmp) {
        if (mh->destroyed) {
            unlink_handler(hs, mh);
            free(mh);
        }
    }
}

static void call_all(struct handlers *hs, flux_t *h, const flux_msg_t *msg)
{
    flux_msg_handler_t *mh = TAILQ_FIRST(&hs->all);

    /* Nothing is unlinked while calls > 0, unless the handle is closed. */
    while (mh && !hs->closed) {
        flux_msg_handler_t *next;

        if (matches(mh, msg))
            mh->cb(h, mh, msg, mh->arg);
        if (hs->closed)
            return;
        next = TAILQ_NEXT(mh, link);
        mh = next;
    }
}

static bool call_one(flux_msg_handler_t *mh, flux_t *h, const flux_msg_t *msg, int type)
{
    uint32_t rolemask;

    if (!mh)
        return false;
    if (type == FLUX_MSGTYPE_REQUEST && flux_msg_get_rolemask(msg, &rolemask) == 0 &&
        !(rolemask & mh->rolemask)) {
        (void)rpc_respond_denied(h, msg);
        return true;
    }
    mh->cb(h, mh, msg, mh->arg);
    return true;
}

bool handlers_call(struct handlers *hs, flux_t *h, const flux_msg_t *msg)
{
    bool taken = true;
    int type;

    if (flux_msg_get_type(msg, &type) < 0)
        return true;
    hs->calls++;
    if (type == FLUX_MSGTYPE_EVENT)
        call_all(hs, h, msg);
    else
        taken = call_one(find(hs, msg, type), h, msg, type);
    calls_end(hs);
    return taken;
}

int flux_msg_handler_addvec(flux_t *h, const struct flux_msg_handler_spec tab[], void *arg,
                            flux_msg_handler_t **handlers[])
{
    flux_msg_handler_t **mhs;
    size_t n = 0;

    if (!h || !tab || !handlers) {
        errno = EINVAL;
        return -1;
    }
    while (tab[n].typemask || tab[n].topic_glob || tab[n].cb)
        n++;
    mhs = calloc(n + 1, sizeof(*mhs));
    if (!mhs)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct flux_match match = { tab[i].typemask, FLUX_MATCHTAG_NONE, tab[i].topic_glob };

        mhs[i] = flux_msg_handler_create(h, match, tab[i].cb, arg);
        if (!mhs[i]) {
            flux_msg_handler_delvec(mhs);
            return -1;
        }
        flux_msg_handler_allow_rolemask(mhs[i], tab[i].rolemask);
        flux_msg_handler_start(mhs[i]);
    }
    *handlers = mhs;
    return 0;
}

void flux_msg_handler_delvec(flux_msg_handler_t *handlers[])
{
    int saved_errno = errno;

    if (!handlers)
        return;
    for (size_t i = 0; handlers[i]; i++)
        flux_msg_handler_destroy(handlers[i]);
    free(handlers);
    errno = saved_errno;
}
