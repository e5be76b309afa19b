/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* content.backup-begin, content.backup-read: see backup.h. */
#include <errno.h>
#include "content/requests.h"

static void fail(struct pending *p)
{
    if (p->work.err == -ESTALE)
        (void)request_fail(p->req, ESTALE, "that backup is not under way any more, begin anew");
    else
        pending_fail(p);
}

static void on_begun(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0) {
        fail(p);
        return;
    }
    (void)json_object_set_new(w->json, "hash",
                              json_string(digest_algorithm_name(p->manager->settings.hash)));
    (void)request_respond_json(p->req, w->json);
}

int rpc_backup_begin(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    rc = pending_new(m, req, WORK_BACKUP_BEGIN, on_begun, &p);
    return rc < 0 ? rc : pending_submit(&p);
}

static void on_read(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        fail(p);
    else
        (void)request_respond_raw(p->req, w->data, w->size);
}

int rpc_backup_read(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    json_int_t id, row;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = request_unpack(req, "{s:I s:I}", "id", &id, "row", &row)) < 0)
        return rc;
    if (row < 0)
        return request_explain(req, EINVAL, "row is not negative");
    if ((rc = pending_new(m, req, WORK_BACKUP_READ, on_read, &p)) < 0)
        return rc;
    p->work.backup_id = (uint64_t)id;
    p->work.backup_row = (uint64_t)row;
    return pending_submit(&p);
}
