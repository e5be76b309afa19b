/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests whose work is under way. A request is held (request_ref) meanwhile; its payload is what
 * the work lends. */
#include <errno.h>
#include "content/requests.h"

struct pending *pending_free(struct pending *p)
{
    if (p) {
        LIST_REMOVE(p, link);
        request_unref(p->req);
        json_decref(p->header);
        json_decref(p->work.json);
        free(p->value);
        free(p->work.value);
        free(p->work.data);
        free(p->work.check.found);
        free(p);
    }
    return NULL;
}

int pending_new(struct manager *m, struct request *req, enum work_type type,
                void (*done)(struct work *w, void *arg), struct pending **ret)
{
    struct pending *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->manager = m;
    p->req = request_ref(req);
    p->work.type = type;
    p->work.done = done;
    p->work.arg = p;
    LIST_INSERT_HEAD(&m->pendings, p, link);
    *ret = p;
    return 0;
}

int pending_submit(struct pending **p)
{
    struct work *w = &(*p)->work;
    int rc;

    const struct manager *m = (*p)->manager;

    if (m->failed)
        return -EIO;
    if (!m->worker || m->repair_req)
        return request_explain((*p)->req, m->refusal_errnum, "%s", m->refusal.text);
    if ((rc = worker_submit(m->worker, w)) < 0)
        return request_explain((*p)->req, -rc, "too much is waiting to be stored, try again");
    (void)TAKE(*p);
    if (rc == WORKER_DONE)
        w->done(w, w->arg);
    return 0;
}

static void log_failure(struct manager *m, const struct work *w)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_STORE_FAILED, NULL };

    if (!log_ratelimit(&m->full_limit, 5))
        return;
    if (w->err == -ENOSPC)
        log_fields(LOG_ERR, fields,
                   "cannot store: the disk of %s is full; nothing was acknowledged, make room",
                   m->path);
    else
        log_fields(LOG_ERR, fields, "cannot store in %s: %s", m->path, w->error.text);
}

void pending_fail(struct pending *p)
{
    struct work *w = &p->work;

    if (w->err == -ENOSPC)
        (void)request_fail(p->req, ENOSPC, "the disk of the content store is full");
    else
        (void)request_fail(p->req, -w->err, "%s", w->error.text);
}

void pending_fail_change(struct pending *p)
{
    log_failure(p->manager, &p->work);
    pending_fail(p);
}
