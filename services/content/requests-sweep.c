/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* content.sweep-begin, mark, sweep-step, sweep-end: the key-value store says what is needed, and
 * has the rest removed. See sweep.h. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include "content/requests.h"

#define MARK_MAX 65536
#define STEP_MAX 1000000

static void fail(struct pending *p)
{
    if (p->work.err == -ESTALE)
        (void)request_fail(p->req, ESTALE, "that sweep is not under way any more, begin anew");
    else
        pending_fail(p);
}

static void on_begun(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        fail(p);
    else
        (void)request_respond_pack(p->req, "{s:I s:O}", "generation",
                                   (json_int_t)w->sweep.generation, "refs", w->json);
}

int rpc_sweep_begin(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = pending_new(m, req, WORK_SWEEP_BEGIN, on_begun, &p)) < 0)
        return rc;
    p->work.sweep.loose_seconds = (int64_t)m->settings.loose_age;
    return pending_submit(&p);
}

static json_int_t usec_of(const struct work *w)
{
    return w->busy_nsec / 1000;
}

static void on_marked(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;
    const struct sweep_marked *marked = &w->sweep.marked;
    char ref[BLOBREF_STRING_SIZE];

    if (w->err < 0) {
        fail(p);
    } else if (marked->unknown == 0) {
        (void)request_respond_pack(p->req, "{s:i s:I}", "unknown", 0, "usec", usec_of(w));
    } else {
        blobref_format(p->manager->settings.hash, marked->first, ref);
        (void)request_respond_pack(p->req, "{s:I s:s s:I}", "unknown", (json_int_t)marked->unknown,
                                   "first", ref, "usec", usec_of(w));
    }
}

int rpc_mark(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const void *data;
    uint64_t generation;
    size_t size;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    request_raw(req, &data, &size);
    if (size < sizeof(generation) || (size - sizeof(generation)) % DIGEST_SIZE != 0 ||
        (size - sizeof(generation)) / DIGEST_SIZE > MARK_MAX)
        return request_explain(req, EPROTO, "not a generation and up to %d digests", MARK_MAX);
    memcpy(&generation, data, sizeof(generation));
    if ((rc = pending_new(m, req, WORK_SWEEP_MARK, on_marked, &p)) < 0)
        return rc;
    p->work.sweep.generation = be64toh(generation);
    p->work.sweep.digests = (const uint8_t *)data + sizeof(generation);
    p->work.sweep.ndigests = (size - sizeof(generation)) / DIGEST_SIZE;
    return pending_submit(&p);
}

static void on_stepped(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;
    const struct sweep_step *step = &w->sweep.step;

    if (w->err < 0)
        fail(p);
    else
        (void)request_respond_pack(p->req, "{s:O* s:I s:I s:I s:I s:b s:I}", "refs", w->json,
                                   "looked", (json_int_t)step->looked, "removed",
                                   (json_int_t)step->removed, "bytes", (json_int_t)step->bytes,
                                   "returned", (json_int_t)step->returned, "done", step->done,
                                   "usec", usec_of(w));
}

int rpc_sweep_step(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    json_int_t generation, limit;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = request_unpack(req, "{s:I s:I}", "generation", &generation, "limit", &limit)) < 0)
        return rc;
    if (limit < 1 || limit > STEP_MAX)
        return request_explain(req, EINVAL, "limit is a number from 1 to %d", STEP_MAX);
    if ((rc = pending_new(m, req, WORK_SWEEP_STEP, on_stepped, &p)) < 0)
        return rc;
    p->work.sweep.generation = (uint64_t)generation;
    p->work.sweep.limit = (uint64_t)limit;
    return pending_submit(&p);
}

static void on_ended(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        fail(p);
    else
        (void)request_respond(p->req, "{}");
}

int rpc_sweep_end(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    json_int_t generation;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = request_unpack(req, "{s:I}", "generation", &generation)) < 0 ||
        (rc = pending_new(m, req, WORK_SWEEP_END, on_ended, &p)) < 0)
        return rc;
    p->work.sweep.generation = (uint64_t)generation;
    return pending_submit(&p);
}
