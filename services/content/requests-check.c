/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* content.check: reads all blobs again, some for each request; who asks says where to go on. */
#include <errno.h>
#include <string.h>
#include "content/requests.h"

#define CHECK_MAX 100000

static json_t *next_json(const struct check_work *c)
{
    const struct inspect_pos *pos = &c->pos;

    return c->done ? json_null()
                   : json_pack("{s:b s:I s:I s:I}", "journal", pos->in_journal, "row",
                               (json_int_t)pos->row, "file", (json_int_t)pos->journal.number,
                               "entry", (json_int_t)pos->journal.entry);
}

static int next_parse(const json_t *o, struct inspect_pos *pos)
{
    json_int_t row, file, entry;
    int in_journal;

    if (json_unpack((json_t *)o, "{s:b s:I s:I s:I}", "journal", &in_journal, "row", &row, "file",
                    &file, "entry", &entry) < 0 ||
        row < 0 || file < 0 || entry < 0 || entry > UINT32_MAX)
        return -EPROTO;
    *pos = (struct inspect_pos){ .in_journal = in_journal,
                                 .row = (uint64_t)row,
                                 .journal = { (uint64_t)file, (uint32_t)entry } };
    return 0;
}

static void on_checked(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;
    CLEANUP(json_decrefp) json_t *o = NULL;

    if (w->err < 0) {
        pending_fail(p);
        return;
    }
    /* Of the journal's damage was told when it was opened; who asks first hears of it again. */
    if (!p->header)
        w->check.found->damaged_records = p->manager->damaged_records;
    o = report_found(p->manager->settings.hash, w->check.found);
    (void)json_object_set_new(o, "next", next_json(&w->check));
    (void)request_respond_json(p->req, o);
}

int rpc_check(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const json_t *next = NULL;
    int remove = false;
    json_int_t limit;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = request_unpack(req, "{s:I s?b s?o}", "limit", &limit, "remove", &remove, "next",
                             &next)) < 0 ||
        (rc = pending_new(m, req, WORK_CHECK, on_checked, &p)) < 0)
        return rc;
    if (limit < 1 || limit > CHECK_MAX)
        return request_explain(req, EINVAL, "limit is a number from 1 to %d", CHECK_MAX);
    if (next && !json_is_null(next)) {
        p->header = json_incref((json_t *)next);
        if ((rc = next_parse(next, &p->work.check.pos)) < 0)
            return request_explain(req, -rc, "next is not what an answer said");
    }
    if (!(p->work.check.found = calloc(1, sizeof(*p->work.check.found))))
        return -ENOMEM;
    p->work.check.limit = (uint64_t)limit;
    p->work.check.remove = remove;
    return pending_submit(&p);
}
