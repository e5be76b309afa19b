/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Tree objects in memory. One allocation per node: the name and the variable part lie behind it. */
#include <errno.h>
#include <string.h>
#include "base/base64.h"
#include "kvs/dir.h"
#include "kvs/node.h"

/* The tail holds size bytes (aligned), then the name with its NUL. */
static struct node *node_new(enum node_type type, const char *name, size_t name_len, size_t size,
                             void **ret_tail)
{
    struct node *n = malloc(sizeof(*n) + size + name_len + 1);
    char *p;

    if (!n)
        return NULL;
    n->refs = 1;
    n->type = type;
    n->name_len = name_len;
    p = (char *)(n + 1) + size;
    memcpy(p, name, name_len);
    p[name_len] = '\0';
    n->name = p;
    *ret_tail = n + 1;
    return n;
}

struct node *node_new_val(const char *name, size_t name_len, const void *data, size_t size)
{
    void *tail;
    struct node *n = node_new(NODE_VAL, name, name_len, size, &tail);

    if (!n)
        return NULL;
    if (size > 0)
        memcpy(tail, data, size);
    n->val.data = tail;
    n->val.size = size;
    return n;
}

struct node *node_new_valref(const char *name, size_t name_len, const struct blob_ref *refs,
                             uint32_t count)
{
    void *tail;
    struct node *n = node_new(NODE_VALREF, name, name_len, count * sizeof(*refs), &tail);

    if (!n)
        return NULL;
    memcpy(tail, refs, count * sizeof(*refs));
    n->valref.refs = tail;
    n->valref.count = count;
    n->valref.size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (refs[i].size == BLOB_SIZE_UNKNOWN) {
            n->valref.size = BLOB_SIZE_UNKNOWN;
            break;
        }
        n->valref.size += refs[i].size;
    }
    return n;
}

struct node *node_new_dirref(const char *name, size_t name_len, const uint8_t digest[DIGEST_SIZE])
{
    void *tail;
    struct node *n = node_new(NODE_DIRREF, name, name_len, 0, &tail);

    if (n)
        memcpy(n->dirref, digest, DIGEST_SIZE);
    return n;
}

struct node *node_new_dir(const char *name, size_t name_len, struct dir *dir)
{
    void *tail;
    struct node *n = node_new(NODE_DIR, name, name_len, 0, &tail);

    if (n)
        n->dir = dir_ref(dir);
    return n;
}

struct node *node_new_symlink(const char *name, size_t name_len, const char *ns, const char *target)
{
    size_t target_size = strlen(target) + 1;
    size_t ns_size = ns ? strlen(ns) + 1 : 0;
    void *tail;
    struct node *n = node_new(NODE_SYMLINK, name, name_len, target_size + ns_size, &tail);

    if (!n)
        return NULL;
    n->symlink.target = memcpy(tail, target, target_size);
    n->symlink.ns = ns ? memcpy((char *)tail + target_size, ns, ns_size) : NULL;
    return n;
}

struct node *node_ref(struct node *n)
{
    n->refs++;
    return n;
}

struct node *node_unref(struct node *n)
{
    if (n && --n->refs == 0) {
        if (n->type == NODE_DIR)
            dir_unref(n->dir);
        free(n);
    }
    return NULL;
}

bool node_is_dir(const struct node *n)
{
    return n->type == NODE_DIR || n->type == NODE_DIRREF;
}

static int decode_val(const json_t *data, const char *name, size_t name_len, struct node **ret)
{
    CLEANUP(freep) void *bytes = NULL;
    size_t size = 0;

    if (!json_is_string(data))
        return -EPROTO;
    if (json_string_length(data) > 0 &&
        !(bytes = base64_decode(json_string_value(data), json_string_length(data), &size)))
        return -EPROTO;
    *ret = node_new_val(name, name_len, bytes, size);
    return *ret ? 0 : -ENOMEM;
}

static int decode_ref(const json_t *o, enum digest_algorithm alg, uint8_t digest[DIGEST_SIZE])
{
    enum digest_algorithm found;

    if (!json_is_string(o) || blobref_parse(json_string_value(o), &found, digest) < 0 ||
        found != alg)
        return -EPROTO;
    return 0;
}

static int decode_valref(const json_t *o, const json_t *data, const char *name, size_t name_len,
                         enum digest_algorithm alg, struct node **ret)
{
    const json_t *size = json_object_get(o, "size");
    size_t count = json_array_size(data);
    CLEANUP(freep) struct blob_ref *refs = NULL;

    if (count == 0 || count > UINT32_MAX / sizeof(*refs))
        return -EPROTO;
    if (!(refs = calloc(count, sizeof(*refs))))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        refs[i].size = BLOB_SIZE_UNKNOWN;
        if (decode_ref(json_array_get(data, i), alg, refs[i].digest) < 0)
            return -EPROTO;
    }
    if (json_is_integer(size) && json_integer_value(size) >= 0 && count == 1)
        refs[0].size = (uint64_t)json_integer_value(size);
    if (!(*ret = node_new_valref(name, name_len, refs, (uint32_t)count)))
        return -ENOMEM;
    if (json_is_integer(size) && json_integer_value(size) >= 0)
        (*ret)->valref.size = (uint64_t)json_integer_value(size);
    return 0;
}

static int decode_symlink(const json_t *data, const char *name, size_t name_len, struct node **ret)
{
    const json_t *target = json_object_get(data, "target");
    const json_t *ns = json_object_get(data, "namespace");

    if (!json_is_string(target) || json_string_length(target) == 0)
        return -EPROTO;
    if (ns && (!json_is_string(ns) || json_string_length(ns) == 0))
        return -EPROTO;
    *ret = node_new_symlink(name, name_len, json_string_value(ns), json_string_value(target));
    return *ret ? 0 : -ENOMEM;
}

static int node_decode_nested(const json_t *o, const char *name, size_t name_len,
                              enum digest_algorithm alg, int nesting, struct node **ret);

/* The directory's entries, into a directory of nobody's. */
static int decode_entries(const json_t *data, enum digest_algorithm alg, int nesting,
                          struct dir **ret)
{
    CLEANUP(dir_unrefp) struct dir *d = dir_new(0, 0);
    const char *name;
    json_t *o;
    int rc;

    if (!d)
        return -ENOMEM;
    json_object_foreach ((json_t *)data, name, o) {
        CLEANUP(node_unrefp) struct node *n = NULL;

        if (!*name || strchr(name, '.'))
            return -EPROTO;
        if ((rc = node_decode_nested(o, name, strlen(name), alg, nesting + 1, &n)) < 0 ||
            (rc = dir_put_plain(d, n)) < 0)
            return rc;
    }
    *ret = TAKE(d);
    return 0;
}

int dir_decode_json(const json_t *o, enum digest_algorithm alg, int nesting, struct dir **ret)
{
    const json_t *data = json_object_get(o, "data");

    if (!json_is_object(data) || nesting >= DIR_NESTING_MAX)
        return -EPROTO;
    return decode_entries(data, alg, nesting, ret);
}

static int node_decode_nested(const json_t *o, const char *name, size_t name_len,
                              enum digest_algorithm alg, int nesting, struct node **ret)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *ver = json_object_get(o, "ver");
    const json_t *data = json_object_get(o, "data");
    uint8_t digest[DIGEST_SIZE];

    if (!json_is_integer(ver) || json_integer_value(ver) != 1 || !type || !data)
        return -EPROTO;
    if (strcmp(type, "val") == 0)
        return decode_val(data, name, name_len, ret);
    if (strcmp(type, "valref") == 0)
        return decode_valref(o, data, name, name_len, alg, ret);
    if (strcmp(type, "symlink") == 0)
        return decode_symlink(data, name, name_len, ret);
    if (strcmp(type, "dirref") == 0) {
        if (json_array_size(data) != 1 || decode_ref(json_array_get(data, 0), alg, digest) < 0)
            return -EPROTO;
        *ret = node_new_dirref(name, name_len, digest);
        return *ret ? 0 : -ENOMEM;
    }
    if (strcmp(type, "dir") == 0) {
        CLEANUP(dir_unrefp) struct dir *d = NULL;
        int rc = dir_decode_json(o, alg, nesting, &d);

        if (rc < 0)
            return rc;
        *ret = node_new_dir(name, name_len, d);
        return *ret ? 0 : -ENOMEM;
    }
    return -EPROTO;
}

int node_decode(const json_t *o, const char *name, size_t name_len, enum digest_algorithm alg,
                struct node **ret)
{
    return node_decode_nested(o, name, name_len, alg, 0, ret);
}

static void encode_ref(const uint8_t digest[DIGEST_SIZE], enum digest_algorithm alg,
                       struct strbuf *sb)
{
    strbuf_puts(sb, alg == DIGEST_SHA256 ? "\"sha256-" : "\"blake2b-");
    strbuf_hex(sb, digest, DIGEST_SIZE);
    strbuf_puts(sb, "\"");
}

static void encode_valref(const struct node *n, enum digest_algorithm alg, struct strbuf *sb)
{
    strbuf_puts(sb, "{\"ver\":1,\"type\":\"valref\",\"data\":[");
    for (uint32_t i = 0; i < n->valref.count; i++) {
        if (i > 0)
            strbuf_puts(sb, ",");
        encode_ref(n->valref.refs[i].digest, alg, sb);
    }
    strbuf_puts(sb, "]");
    if (n->valref.size != BLOB_SIZE_UNKNOWN) {
        strbuf_puts(sb, ",\"size\":");
        strbuf_number(sb, n->valref.size);
    }
    strbuf_puts(sb, "}");
}

void node_encode_val(const void *data, size_t size, struct strbuf *sb)
{
    strbuf_puts(sb, "{\"ver\":1,\"type\":\"val\",\"data\":\"");
    strbuf_base64(sb, data, size);
    strbuf_puts(sb, "\"}");
}

void node_encode(const struct node *n, enum digest_algorithm alg, struct strbuf *sb)
{
    switch (n->type) {
    case NODE_VAL:
        node_encode_val(n->val.data, n->val.size, sb);
        break;
    case NODE_VALREF:
        encode_valref(n, alg, sb);
        break;
    case NODE_DIRREF:
        strbuf_puts(sb, "{\"ver\":1,\"type\":\"dirref\",\"data\":[");
        encode_ref(n->dirref, alg, sb);
        strbuf_puts(sb, "]}");
        break;
    case NODE_DIR:
        dir_encode(n->dir, alg, sb);
        break;
    case NODE_SYMLINK:
        strbuf_puts(sb, "{\"ver\":1,\"type\":\"symlink\",\"data\":{");
        if (n->symlink.ns) {
            strbuf_puts(sb, "\"namespace\":");
            strbuf_json_string(sb, n->symlink.ns);
            strbuf_puts(sb, ",");
        }
        strbuf_puts(sb, "\"target\":");
        strbuf_json_string(sb, n->symlink.target);
        strbuf_puts(sb, "}}");
        break;
    }
}
