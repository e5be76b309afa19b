/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Broker attributes: flux_attr_get(3), flux_get_rank(3). Values live in a table that belongs to the
 * handle; those that the router calls immutable are asked for once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <flux/attr.h>
#include <flux/rpc.h>

#include "api/attr_cache.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/number.h"

#define AUX_NAME       "flux::attr"
#define ATTR_IMMUTABLE 1

struct attr {
    UT_hash_handle hh;
    char *value; /* NULL: not known */
    bool immutable;
    char name[];
};

struct attr_table {
    struct attr *attrs;
};

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

static void table_destroy(void *arg)
{
    struct attr_table *table = arg;
    struct attr *a, *tmp;

    HASH_ITER (hh, table->attrs, a, tmp) {
        HASH_DEL(table->attrs, a);
        free(a->value);
        free(a);
    }
    free(table);
}

static struct attr_table *table_get(flux_t *h)
{
    struct attr_table *table = flux_aux_get(h, AUX_NAME);

    if (table)
        return table;
    table = calloc(1, sizeof(*table));
    if (table && flux_aux_set(h, AUX_NAME, table, table_destroy) < 0) {
        free(table);
        return NULL;
    }
    return table;
}

static struct attr *attr_get(struct attr_table *table, const char *name)
{
    size_t size = strlen(name) + 1;
    struct attr *a;

    HASH_FIND_STR(table->attrs, name, a);
    if (a)
        return a;
    a = calloc(1, sizeof(*a) + size);
    if (!a)
        return NULL;
    memcpy(a->name, name, size);
    HASH_ADD_STR(table->attrs, name, a);
    if (!a->hh.tbl) {
        free(a);
        errno = ENOMEM;
        return NULL;
    }
    return a;
}

const char *attr_cached(flux_t *h, const char *name)
{
    struct attr_table *table = flux_aux_get(h, AUX_NAME);
    struct attr *a = NULL;

    if (table)
        HASH_FIND_STR(table->attrs, name, a);
    return a && a->immutable ? a->value : NULL;
}

bool attr_is_content(const char *name)
{
    return strncmp(name, "content.", 8) == 0 && strcmp(name, "content.hash") != 0;
}

static int attr_ask(flux_t *h, const char *topic, struct attr *a)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    const char *value;
    char *copy;
    int flags = 0;

    f = flux_rpc_pack(h, topic, FLUX_NODEID_ANY, 0, "{s:s}", "name", a->name);
    if (!f || flux_rpc_get_unpack(f, "{s:s s?i}", "value", &value, "flags", &flags) < 0)
        return -1;
    copy = strdup(value);
    if (!copy)
        return -1;
    free(a->value);
    a->value = copy;
    a->immutable = flags & ATTR_IMMUTABLE;
    return 0;
}

/* Those of the content store are asked of it. Anybody may give the router one of such a name. */
static int attr_fetch(flux_t *h, struct attr *a)
{
    bool refused = false;

    if (attr_is_content(a->name)) {
        if (attr_ask(h, "content.attr-get", a) == 0)
            return 0;
        refused = errno == EPERM;
    }
    if (attr_ask(h, "attr.get", a) == 0)
        return 0;
    if (errno == ENOENT && refused)
        errno = EPERM;
    return -1;
}

const char *flux_attr_get(flux_t *h, const char *name)
{
    struct attr_table *table;
    struct attr *a;

    if (!h || !name) {
        errno = EINVAL;
        return NULL;
    }
    table = table_get(h);
    a = table ? attr_get(table, name) : NULL;
    if (!a || (!(a->value && a->immutable) && attr_fetch(h, a) < 0))
        return NULL;
    return a->value;
}

int flux_attr_set(flux_t *h, const char *name, const char *val)
{
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;

    if (!h || !name) {
        errno = EINVAL;
        return -1;
    }
    if (val)
        f = flux_rpc_pack(h, attr_is_content(name) ? "content.attr-set" : "attr.set",
                          FLUX_NODEID_ANY, 0, "{s:s s:s}", "name", name, "value", val);
    else
        f = flux_rpc_pack(h, "attr.rm", FLUX_NODEID_ANY, 0, "{s:s}", "name", name);
    return f ? flux_future_get(f, NULL) : -1;
}

static int get_number(flux_t *h, const char *name, uint32_t *ret)
{
    const char *s;
    int rc;

    if (!ret) {
        errno = EINVAL;
        return -1;
    }
    if (!(s = flux_attr_get(h, name)))
        return -1;
    rc = number_parse_u32(s, ret);
    if (rc < 0)
        errno = EPROTO;
    return rc < 0 ? -1 : 0;
}

int flux_get_rank(flux_t *h, uint32_t *rank)
{
    return get_number(h, "rank", rank);
}

int flux_get_size(flux_t *h, uint32_t *size)
{
    return get_number(h, "size", size);
}
