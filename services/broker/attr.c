/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The attribute table. What describes the node or the instance is immutable; the owner may add and
 * change others, within bounds. */
#include <stdarg.h>
#include <string.h>

#include "broker/attr.h"

static void attr_free(struct attr *attr)
{
    free(attr->name);
    free(attr->value);
    free(attr);
}

void attrs_deinit(struct attrs *a)
{
    struct attr *attr, *tmp;

    HASH_ITER (hh, a->all, attr, tmp) {
        HASH_DEL(a->all, attr);
        attr_free(attr);
    }
}

static bool is_name(const char *s)
{
    const size_t n = strlen(s);

    if (n == 0 || n > ATTR_NAME_MAX)
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

const struct attr *attr_find(const struct attrs *a, const char *name)
{
    struct attr *attr;

    HASH_FIND_STR(a->all, name, attr);
    return attr;
}

int attr_add(struct attrs *a, const char *name, const char *value, unsigned int flags)
{
    struct attr *attr;

    if (!value)
        return 0;
    if (!is_name(name) || strlen(value) > ATTR_VALUE_MAX)
        return -EINVAL;
    if (attr_find(a, name))
        return -EEXIST;
    if (HASH_COUNT(a->all) >= ATTR_COUNT_MAX)
        return -ENOSPC;
    attr = calloc(1, sizeof(*attr));
    if (!attr)
        return -ENOMEM;
    attr->name = strdup(name);
    attr->value = strdup(value);
    attr->flags = flags;
    if (attr->name && attr->value)
        HASH_ADD_KEYPTR(hh, a->all, attr->name, strlen(attr->name), attr);
    if (!attr->hh.tbl) {
        attr_free(attr);
        return -ENOMEM;
    }
    return 0;
}

int attr_addf(struct attrs *a, const char *name, unsigned int flags, const char *fmt, ...)
{
    CLEANUP(freep) char *value = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&value, fmt, ap);
    va_end(ap);
    if (n < 0) {
        value = NULL;
        return -ENOMEM;
    }
    return attr_add(a, name, value, flags);
}

int attr_set(struct attrs *a, const char *name, const char *value)
{
    struct attr *attr = (struct attr *)attr_find(a, name);
    char *copy;
    int rc;

    if (attr && (attr->flags & ATTR_IMMUTABLE))
        return -EPERM;
    if (strlen(value) > ATTR_VALUE_MAX)
        return -EINVAL;
    rc = a->on_set ? a->on_set(name, value, a->arg) : 0;
    if (rc < 0)
        return rc;
    if (!attr)
        return attr_add(a, name, value, 0);
    copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(attr->value);
    attr->value = copy;
    return 0;
}

int attr_rm(struct attrs *a, const char *name)
{
    struct attr *attr = (struct attr *)attr_find(a, name);

    if (!attr)
        return -ENOENT;
    if (attr->flags & ATTR_IMMUTABLE)
        return -EPERM;
    HASH_DEL(a->all, attr);
    attr_free(attr);
    return 0;
}

static int by_name(const struct attr *a, const struct attr *b)
{
    return strcmp(a->name, b->name);
}

json_t *attr_names(const struct attrs *a)
{
    struct attrs *sorted = (struct attrs *)a;
    json_t *o = json_array();

    HASH_SORT(sorted->all, by_name);
    for (const struct attr *attr = sorted->all; attr; attr = attr->hh.next)
        (void)json_array_append_new(o, json_string(attr->name));
    return o;
}
