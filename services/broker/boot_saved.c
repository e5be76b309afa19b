/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RUNDIR/bootstrap.json, mode 0600, with a secret key in it: what PMI told the first process. It
 * lives as long as the run-time directory. */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "base/errorx.h"
#include "broker/boot.h"

#define FILE_NAME "bootstrap.json"

static json_t *encode_neighbour(const struct boot_neighbour *n)
{
    return json_pack("{s:I s:s s:s s:s}", "rank", (json_int_t)n->rank, "host", n->host, "uri",
                     n->uri, "key", n->key);
}

static int decode_neighbour(const json_t *o, struct boot_neighbour *ret)
{
    const char *host, *uri, *key;
    json_int_t rank;

    if (json_unpack((json_t *)o, "{s:I s:s s:s s:s}", "rank", &rank, "host", &host, "uri", &uri,
                    "key", &key) < 0)
        return -EPROTO;
    ret->rank = (uint32_t)rank;
    (void)snprintf(ret->host, sizeof(ret->host), "%s", host);
    (void)snprintf(ret->uri, sizeof(ret->uri), "%s", uri);
    (void)snprintf(ret->key, sizeof(ret->key), "%s", key);
    return 0;
}

static json_t *encode(const struct boot *b, const char *uri)
{
    json_t *children = json_array();

    for (size_t i = 0; i < b->nchildren; i++)
        (void)json_array_append_new(children, encode_neighbour(&b->children[i]));
    return json_pack("{s:I s:I s:s s:s s:s s:s s:s s:s* s:o s:o}", "rank", (json_int_t)b->rank,
                     "size", (json_int_t)b->size, "topo", b->topo_spec, "host", b->host, "bind",
                     uri ? uri : "", "public", b->public_key, "secret", b->secret_key, "hostlist",
                     b->hostlist, "parent", encode_neighbour(&b->parent), "children", children);
}

static int write_file(const char *path, const char *text)
{
    CLEANUP(freep) char *tmp = NULL;
    CLEANUP(closep) int fd = -EBADF;

    if (asprintf(&tmp, "%s.new", path) < 0) {
        tmp = NULL;
        return -ENOMEM;
    }
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || rename(tmp, path) < 0)
        return -errno;
    return 0;
}

int boot_saved_store(const struct boot *b, const char *uri, const char *rundir, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = encode(b, uri);
    CLEANUP(freep) char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    CLEANUP(freep) char *path = NULL;
    int rc;

    if (!text || asprintf(&path, "%s/" FILE_NAME, rundir) < 0)
        return errorx_fail(error, ENOMEM, "out of memory");
    rc = write_file(path, text);
    sodium_memzero(text, strlen(text));
    return rc < 0 ? errorx_fail(error, -rc, "%s: %s", path, strerror(-rc)) : 0;
}

static int decode(struct boot *b, const json_t *o, flux_error_t *error)
{
    const char *topo, *host, *bind, *public_key, *secret_key, *hostlist = NULL;
    json_t *parent, *children, *value;
    json_int_t rank, size;
    size_t i;

    if (json_unpack((json_t *)o, "{s:I s:I s:s s:s s:s s:s s:s s?s s:o s:o}", "rank", &rank, "size",
                    &size, "topo", &topo, "host", &host, "bind", &bind, "public", &public_key,
                    "secret", &secret_key, "hostlist", &hostlist, "parent", &parent, "children",
                    &children) < 0 ||
        decode_neighbour(parent, &b->parent) < 0)
        return errorx_fail(error, EPROTO, FILE_NAME ": not what a router has written");
    b->rank = (uint32_t)rank;
    b->size = (uint32_t)size;
    (void)snprintf(b->host, sizeof(b->host), "%s", host);
    (void)snprintf(b->bind, sizeof(b->bind), "%s", bind);
    (void)snprintf(b->public_key, sizeof(b->public_key), "%s", public_key);
    (void)snprintf(b->secret_key, sizeof(b->secret_key), "%s", secret_key);
    b->hostlist = hostlist ? strdup(hostlist) : NULL;
    b->children = calloc(json_array_size(children) + 1, sizeof(*b->children));
    if (!b->children)
        return errorx_fail(error, ENOMEM, "out of memory");
    json_array_foreach (children, i, value)
        if (decode_neighbour(value, &b->children[b->nchildren++]) < 0)
            return errorx_fail(error, EPROTO, FILE_NAME ": not what a router has written");
    return boot_set_shape(b, topo, error);
}

int boot_saved_load(struct boot *b, const char *rundir, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *path = NULL;

    if (asprintf(&path, "%s/" FILE_NAME, rundir) < 0) {
        path = NULL;
        return errorx_fail(error, ENOMEM, "out of memory");
    }
    if (access(path, F_OK) < 0)
        return -ENOENT;
    o = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    if (!o)
        return errorx_fail(error, EPROTO, "%s: not what a router has written", path);
    b->method = "saved";
    return decode(b, o, error);
}
