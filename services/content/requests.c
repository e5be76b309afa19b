/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Requests for blobs, roots and checkpoints. Nothing is answered before it is in the journal, as
 * durably as content.sync says. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "content/requests.h"

static void log_corrupt(struct manager *m, const uint8_t *digest)
{
    static const char *const fields[] = { "MESSAGE_ID=" LOG_ID_CORRUPT_BLOB, NULL };
    char ref[BLOBREF_STRING_SIZE];

    blobref_format(m->settings.hash, digest, ref);
    if (log_ratelimit(&m->corrupt_limit, 1))
        log_fields(LOG_ERR, fields,
                   "blob %s in %s is damaged: what refers to it cannot be read; restore it from a "
                   "backup",
                   ref, m->path);
}

/* Answers if it failed. */
static bool load_failed(const struct work *w, struct pending *p)
{
    if (w->err == -ENOENT) {
        (void)request_fail(p->req, ENOENT, "no such blob");
    } else if (w->err == -EBADMSG) {
        log_corrupt(p->manager, w->digest);
        (void)request_fail(p->req, EIO, "the blob on disk is damaged");
    } else if (w->err < 0) {
        pending_fail(p);
    }
    return w->err < 0;
}

static void on_loaded(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (load_failed(w, p))
        return;
    cache_insert(p->manager->cache, w->digest, w->data, w->size);
    (void)request_respond_raw(p->req, w->size ? w->data : NULL, w->size);
}

static void on_validated(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (!load_failed(w, p))
        (void)request_respond(p->req, NULL);
}

/* From the file. */
static int load(struct manager *m, struct request *req, const void *digest,
                void (*done)(struct work *w, void *arg))
{
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if ((rc = pending_new(m, req, WORK_LOAD, done, &p)) < 0)
        return rc;
    memcpy(p->work.digest, digest, DIGEST_SIZE);
    return pending_submit(&p);
}

static int get_digest(struct request *req, const void **ret)
{
    size_t n;

    request_raw(req, ret, &n);
    return n == DIGEST_SIZE
               ? 0
               : request_explain(req, EPROTO, "a digest has %d bytes, not %zu", DIGEST_SIZE, n);
}

int rpc_load(struct request *req, void *arg)
{
    struct manager *m = arg;
    const void *digest, *data;
    size_t size;
    int rc;

    if ((rc = get_digest(req, &digest)) < 0)
        return rc;
    if (cache_lookup(m->cache, digest, &data, &size) == 0)
        return request_respond_raw(req, size ? data : NULL, size);
    return m->upstream ? upstream_load(m->upstream, req, digest) : load(m, req, digest, on_loaded);
}

/* What can be loaded is valid: it is read and hashed. */
int rpc_validate(struct request *req, void *arg)
{
    struct manager *m = arg;
    const void *digest;
    int rc;

    if ((rc = get_digest(req, &digest)) < 0)
        return rc;
    return m->upstream ? upstream_pass(m->upstream, req, false)
                       : load(m, req, digest, on_validated);
}

int rpc_backing_load(struct request *req, void *arg)
{
    struct manager *m = arg;
    const void *digest;
    int rc;

    if ((rc = get_digest(req, &digest)) < 0)
        return rc;
    return m->upstream ? upstream_pass(m->upstream, req, false) : load(m, req, digest, on_loaded);
}

static void on_stored(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        pending_fail_change(p);
    else
        (void)request_respond_raw(p->req, w->change.digest, DIGEST_SIZE);
}

int rpc_store(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const void *data;
    size_t size;
    int rc;

    request_raw(req, &data, &size);
    if (size > m->settings.blob_size_limit)
        return request_explain(req, EFBIG, "a blob of %zu bytes is larger than the limit of %zu",
                               size, m->settings.blob_size_limit);
    if (m->upstream)
        return upstream_pass(m->upstream, req, true);
    if ((rc = pending_new(m, req, WORK_CHANGE, on_stored, &p)) < 0)
        return rc;
    p->work.change.data = data ? data : "";
    p->work.change.data_size = size;
    p->work.change.loose = time(NULL);
    return pending_submit(&p);
}

static void on_changed(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        pending_fail_change(p);
    else
        (void)request_respond(p->req, "{}");
}

int rpc_commit(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    flux_error_t error;
    const void *data;
    size_t size;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    request_raw(req, &data, &size);
    if ((rc = pending_new(m, req, WORK_CHANGE, on_changed, &p)) < 0)
        return rc;
    /* Not the limit that is configured: this is the key-value store's, which keeps what is long in
     * pieces. A piece that is refused would take the commits of others with it. */
    if ((rc = change_decode(data, size, CONTENT_BLOB_MAX, &p->work.change, &p->header, &error)) < 0)
        return request_explain(req, -rc, "%s", error.text);
    return pending_submit(&p);
}

static void on_roots(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        (void)request_fail(p->req, EIO, "%s", w->error.text);
    else
        (void)request_respond_pack(p->req, "{s:O}", "roots", w->json);
}

int rpc_roots(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    rc = pending_new(m, req, WORK_ROOTS, on_roots, &p);
    return rc < 0 ? rc : pending_submit(&p);
}

static void on_checkpoint(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;
    CLEANUP(json_decrefp) json_t *value = NULL;

    if (w->err == -ENOENT)
        (void)request_fail(p->req, ENOENT, "no such checkpoint");
    else if (w->err < 0)
        pending_fail(p);
    else if (!(value = json_loads(w->value, JSON_DECODE_ANY, NULL)))
        (void)request_fail(p->req, EIO, "the checkpoint on disk is damaged");
    else
        (void)request_respond_pack(p->req, "{s:O}", "value", value);
}

int rpc_checkpoint_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = pending_new(m, req, WORK_CHECKPOINT_GET, on_checkpoint, &p)) < 0 ||
        (rc = request_unpack(req, "{s:s}", "key", &p->work.key)) < 0)
        return rc;
    return pending_submit(&p);
}

/* Answered when a sweep that is under way knows of it. */
static void on_named(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0)
        pending_fail(p);
    else
        (void)request_respond(p->req, "{}");
}

static void on_checkpoint_put(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;

    if (w->err < 0) {
        pending_fail_change(p);
        return;
    }
    p->work.type = WORK_SWEEP_NAME;
    p->work.done = on_named;
    /* It is kept in any case: no sweep outlives a worker that takes nothing more. */
    if (pending_submit(&p) < 0)
        (void)request_respond(p->req, "{}");
}

int rpc_checkpoint_put(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    const char *key;
    json_t *value;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    if ((rc = request_unpack(req, "{s:s s:o}", "key", &key, "value", &value)) < 0 ||
        (rc = pending_new(m, req, WORK_CHANGE, on_checkpoint_put, &p)) < 0)
        return rc;
    if (!(p->value = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY)))
        return -ENOMEM;
    p->work.change.checkpoint_key = key;
    p->work.change.checkpoint_value = p->value;
    return pending_submit(&p);
}

int rpc_flush(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    rc = pending_new(m, req, WORK_FLUSH, on_changed, &p);
    return rc < 0 ? rc : pending_submit(&p);
}

static void on_info(struct work *w, void *arg)
{
    CLEANUP(pending_freep) struct pending *p = arg;
    struct journal_stats js;

    if (w->err < 0) {
        pending_fail(p);
        return;
    }
    js = journal_stats(worker_journal(p->manager->worker));
    (void)request_respond_pack(p->req, "{s:s s:I s:I s:b s:I s:I}", "path", p->manager->path,
                               "bytes", (json_int_t)w->space.bytes, "free-bytes",
                               (json_int_t)w->space.free_bytes, "shrinks", w->space.shrinks,
                               "journal-files", (json_int_t)js.segments, "journal-bytes",
                               (json_int_t)js.file_bytes);
}

int rpc_info(struct request *req, void *arg)
{
    struct manager *m = arg;
    CLEANUP(pending_freep) struct pending *p = NULL;
    int rc;

    if (m->upstream)
        return upstream_pass(m->upstream, req, false);
    rc = pending_new(m, req, WORK_INFO, on_info, &p);
    return rc < 0 ? rc : pending_submit(&p);
}

int rpc_dropcache(struct request *req, void *arg)
{
    struct manager *m = arg;

    cache_drop(m->cache);
    return request_respond(req, "{}");
}
