/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* content.attr-get, attr-set, attr-list: what flux_attr_get(3) asks for names that begin with
 * "content.". Values are text, as all attributes are. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/number.h"
#include "content/requests.h"

#define PREFIX "content."

struct attr {
    const char *name;                                      /* without the prefix */
    int (*get)(struct manager *m, char *buf, size_t size); /* -ENOENT: not on this rank */
    int (*set)(struct manager *m, const char *value);      /* NULL: cannot be set */
};

static int print_u64(char *buf, size_t size, uint64_t n)
{
    (void)snprintf(buf, size, "%" PRIu64, n);
    return 0;
}

static int get_entries(struct manager *m, char *buf, size_t size)
{
    return print_u64(buf, size, cache_stats(m->cache)->count);
}

static int get_size(struct manager *m, char *buf, size_t size)
{
    return print_u64(buf, size, cache_stats(m->cache)->size);
}

/* Of what is not answered yet. Nothing else is dirty: an answer comes after the disk, or after the
 * node above. */
static int get_dirty(struct manager *m, char *buf, size_t size)
{
    size_t n = 0;

    if (m->upstream)
        n = upstream_passes(m->upstream);
    else if (m->worker)
        n = worker_pending(m->worker);
    return print_u64(buf, size, n);
}

static int get_backing_module(struct manager *m, char *buf, size_t size)
{
    if (m->upstream)
        return -ENOENT;
    (void)snprintf(buf, size, "content-sqlite");
    return 0;
}

static int get_backing_path(struct manager *m, char *buf, size_t size)
{
    if (m->upstream)
        return -ENOENT;
    (void)snprintf(buf, size, "%s", m->path);
    return 0;
}

static int get_blob_size_limit(struct manager *m, char *buf, size_t size)
{
    return print_u64(buf, size, m->settings.blob_size_limit);
}

static int get_batch_limit(struct manager *m, char *buf, size_t size)
{
    return print_u64(buf, size, JOURNAL_FOLD_BLOBS);
}

static int get_target_size(struct manager *m, char *buf, size_t size)
{
    return print_u64(buf, size, m->settings.purge_target_size);
}

static int set_target_size(struct manager *m, const char *value)
{
    uint64_t n;

    if (number_parse_size(value, &n) < 0)
        return -EINVAL;
    m->settings.purge_target_size = n;
    cache_set_limit(m->cache, n);
    return 0;
}

static int get_old_entry(struct manager *m, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%g", m->settings.purge_old_entry);
    return 0;
}

static int set_old_entry(struct manager *m, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);

    if (end == value || *end || !(seconds >= 0 && seconds < 1e9))
        return -EINVAL;
    m->settings.purge_old_entry = seconds;
    purge_age_changed(m);
    return 0;
}

static const struct attr attrs[] = {
    { "acct-dirty", get_dirty, NULL },
    { "acct-entries", get_entries, NULL },
    { "acct-size", get_size, NULL },
    { "acct-valid", get_entries, NULL },
    { "backing-module", get_backing_module, NULL },
    { "backing-path", get_backing_path, NULL },
    { "blob-size-limit", get_blob_size_limit, NULL },
    { "flush-batch-count", get_dirty, NULL },
    { "flush-batch-limit", get_batch_limit, NULL },
    { "purge-old-entry", get_old_entry, set_old_entry },
    { "purge-target-size", get_target_size, set_target_size },
};

static const struct attr *find(const char *name)
{
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
        if (strcmp(name + strlen(PREFIX), attrs[i].name) == 0)
            return &attrs[i];
    }
    return NULL;
}

int rpc_attr_get(struct request *req, void *arg)
{
    struct manager *m = arg;
    const struct attr *attr;
    const char *name;
    char buf[4096];
    int rc = request_unpack(req, "{s:s}", "name", &name);

    if (rc < 0)
        return rc;
    if (!(attr = find(name)) || attr->get(m, buf, sizeof(buf)) < 0)
        return request_explain(req, ENOENT, "there is no attribute of that name");
    return request_respond_pack(req, "{s:s}", "value", buf);
}

int rpc_attr_set(struct request *req, void *arg)
{
    struct manager *m = arg;
    const struct attr *attr;
    const char *name, *value;
    int rc = request_unpack(req, "{s:s s:s}", "name", &name, "value", &value);

    if (rc < 0)
        return rc;
    if (!(attr = find(name)))
        return request_explain(req, ENOENT, "there is no attribute of that name");
    if (!attr->set)
        return request_explain(req, EPERM, "%s cannot be set", name);
    if ((rc = attr->set(m, value)) < 0)
        return request_explain(req, -rc, "%s: '%s' is not a number", name, value);
    return request_respond(req, "{}");
}

int rpc_attr_list(struct request *req, void *arg)
{
    CLEANUP(json_decrefp) json_t *names = json_array();
    struct manager *m = arg;
    char buf[4096];

    for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
        if (attrs[i].get(m, buf, sizeof(buf)) == 0)
            (void)json_array_append_new(names, json_sprintf(PREFIX "%s", attrs[i].name));
    }
    return request_respond_pack(req, "{s:O}", "names", names);
}
