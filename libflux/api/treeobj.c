/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 11 tree objects as JSON: made by transactions, taken apart by lookups.
 *
 * Refuses objects of another version or type, blobrefs that are none, names that are empty or
 * contain a period, values that are not base64, directories nested deeper than TREEOBJ_DEPTH_MAX.
 * hdir is a storage format and no part of the client protocol: it is refused here.
 */
#include <errno.h>
#include <string.h>
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/jsonx.h"
#include "base/digest.h"
#include "api/treeobj.h"

static json_t *treeobj_create(const char *type, json_t *data)
{
    json_t *o;

    if (!data || !(o = json_pack("{s:i s:s s:o}", "ver", 1, "type", type, "data", data))) {
        errno = ENOMEM;
        return NULL;
    }
    return o;
}

json_t *treeobj_create_val(const void *data, size_t size)
{
    CLEANUP(freep) char *text = NULL;
    size_t len;

    if (size > 0 && !data) {
        errno = EINVAL;
        return NULL;
    }
    if (!(text = base64_encode(data ? data : "", size, &len))) {
        errno = ENOMEM;
        return NULL;
    }
    return treeobj_create("val", json_stringn_nocheck(text, len));
}

json_t *treeobj_create_dir(void)
{
    return treeobj_create("dir", json_object());
}

json_t *treeobj_create_symlink(const char *ns, const char *target)
{
    json_t *data;

    if (!target || !*target || (ns && !*ns)) {
        errno = EINVAL;
        return NULL;
    }
    errno = 0;
    if (!(data = json_pack("{s:s}", "target", target)) ||
        (ns && json_object_set_new(data, "namespace", json_string(ns)) < 0)) {
        json_decref(data);
        errno = jsonx_errno(EINVAL); /* not UTF-8 */
        return NULL;
    }
    return treeobj_create("symlink", data);
}

json_t *treeobj_create_dirref(const char *blobref)
{
    if (!blobref || !blobref_valid(blobref)) {
        errno = EINVAL;
        return NULL;
    }
    return treeobj_create("dirref", json_pack("[s]", blobref));
}

static int check_refs(const json_t *data, size_t max)
{
    size_t n = json_array_size(data);
    const json_t *ref;
    size_t i;

    if (!json_is_array(data) || n == 0 || n > max)
        return -EINVAL;
    json_array_foreach (data, i, ref) {
        if (!json_is_string(ref) || !blobref_valid(json_string_value(ref)))
            return -EINVAL;
    }
    return 0;
}

static int check_symlink(const json_t *data)
{
    const json_t *target = json_object_get(data, "target");
    const json_t *ns = json_object_get(data, "namespace");

    if (!json_is_string(target) || json_string_length(target) == 0)
        return -EINVAL;
    if (ns && (!json_is_string(ns) || json_string_length(ns) == 0))
        return -EINVAL;
    return 0;
}

static int check_val(const json_t *data)
{
    CLEANUP(freep) void *bytes = NULL;
    size_t size;

    if (!json_is_string(data))
        return -EINVAL;
    if (json_string_length(data) == 0)
        return 0;
    bytes = base64_decode(json_string_value(data), json_string_length(data), &size);
    return bytes ? 0 : -errno;
}

static int validate(const json_t *o, int depth);

static int check_dir(const json_t *data, int depth)
{
    const char *name;
    json_t *entry;
    int rc;

    if (!json_is_object(data) || depth >= TREEOBJ_DEPTH_MAX)
        return -EINVAL;
    json_object_foreach ((json_t *)data, name, entry) {
        if (!*name || strchr(name, '.'))
            return -EINVAL;
        if ((rc = validate(entry, depth + 1)) < 0)
            return rc;
    }
    return 0;
}

static int validate(const json_t *o, int depth)
{
    const json_t *ver = json_object_get(o, "ver");
    const json_t *data = json_object_get(o, "data");
    const json_t *size = json_object_get(o, "size");

    if (!json_is_integer(ver) || json_integer_value(ver) != 1 || !data)
        return -EINVAL;
    if (size && (!json_is_integer(size) || json_integer_value(size) < 0))
        return -EINVAL;
    if (treeobj_is_type(o, "val"))
        return check_val(data);
    if (treeobj_is_type(o, "valref"))
        return check_refs(data, SIZE_MAX);
    if (treeobj_is_type(o, "dirref"))
        return check_refs(data, 1);
    if (treeobj_is_type(o, "symlink"))
        return check_symlink(data);
    if (treeobj_is_type(o, "dir"))
        return check_dir(data, depth);
    return -EINVAL;
}

int treeobj_validate(const json_t *o)
{
    return validate(o, 0);
}

json_t *treeobj_decode(const char *text, size_t len)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    int rc;

    errno = 0;
    if (!text || !(o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL))) {
        errno = jsonx_errno(EINVAL);
        return NULL;
    }
    if ((rc = treeobj_validate(o)) < 0) {
        errno = -rc;
        return NULL;
    }
    return TAKE(o);
}

char *treeobj_encode(const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);

    if (!text)
        errno = ENOMEM;
    return text;
}

bool treeobj_is_type(const json_t *o, const char *type)
{
    const char *s = json_string_value(json_object_get(o, "type"));

    return s && strcmp(s, type) == 0;
}

const json_t *treeobj_data(const json_t *o)
{
    return json_object_get(o, "data");
}

int treeobj_decode_val(const json_t *o, char **ret_data, size_t *ret_size)
{
    const json_t *data = treeobj_data(o);
    CLEANUP(freep) void *bytes = NULL;
    size_t size = 0;
    char *copy;

    if (!treeobj_is_type(o, "val") || !json_is_string(data))
        return -EINVAL;
    if (json_string_length(data) > 0 &&
        !(bytes = base64_decode(json_string_value(data), json_string_length(data), &size)))
        return -errno;
    if (!(copy = malloc(size + 1)))
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    *ret_data = copy;
    *ret_size = size;
    return 0;
}
