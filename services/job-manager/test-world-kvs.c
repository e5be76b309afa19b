/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The KVS of the world, see test-world.h: operations wait in `open` for a commit, in `flying` for
 * its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/eventlog.h"
#include "base/fluid.h"
#include "test-world-parts.h"

static void ops_clear(struct kvs_ops *ops)
{
    struct kvs_op *op;

    while ((op = STAILQ_FIRST(ops))) {
        STAILQ_REMOVE_HEAD(ops, link);
        free(op->key);
        free(op->value);
        free(op);
    }
}

static int add(struct world *w, int type, const char *key, const char *value, size_t len)
{
    struct kvs_op *op = calloc(1, sizeof(*op));

    op->type = type;
    op->key = strdup(key);
    op->value = value ? strndup(value, len) : NULL;
    STAILQ_INSERT_TAIL(&w->open, op, link);
    return 0;
}

/* A key and all below it. */
static void kvs_prune(struct world *w, const char *key)
{
    struct kvs_entry *e, *tmp;
    const size_t len = strlen(key);

    HASH_ITER (hh, w->kvs, e, tmp) {
        if (strncmp(e->key, key, len) != 0 || (e->key[len] != '.' && e->key[len] != '\0'))
            continue;
        HASH_DEL(w->kvs, e);
        free(e->key);
        free(e->value);
        free(e);
    }
}

static void kvs_apply(struct world *w, const struct kvs_op *op)
{
    struct kvs_entry *e;

    if (op->type == KVS_PRUNE) {
        kvs_prune(w, op->key);
        return;
    }
    HASH_FIND_STR(w->kvs, op->key, e);
    if (op->type == KVS_UNLINK) {
        assert_non_null(e);
        HASH_DEL(w->kvs, e);
        free(e->key);
        free(e->value);
        free(e);
        return;
    }
    if (!e) {
        e = calloc(1, sizeof(*e));
        e->key = strdup(op->key);
        e->value = strdup("");
        HASH_ADD_KEYPTR(hh, w->kvs, e->key, strlen(e->key), e);
    }
    if (op->type == KVS_APPEND) {
        struct text t = { 0 };

        text_adds(&t, e->value);
        text_adds(&t, op->value);
        free(e->value);
        e->value = text_steal(&t);
    } else {
        free(e->value);
        e->value = strdup(op->value);
    }
}

void world_kvs_arrive(struct world *w)
{
    struct kvs_op *op;

    STAILQ_FOREACH(op, &w->flying, link)
    kvs_apply(w, op);
    ops_clear(&w->flying);
    w->commit_flying = false;
}

const char *world_kvs_get(struct world *w, const char *key)
{
    struct kvs_entry *e;

    HASH_FIND_STR(w->kvs, key, e);
    return e ? e->value : NULL;
}

const char *world_kvs(struct world *w, const char *prefix, flux_jobid_t id, const char *suffix)
{
    const bool flat = strcmp(prefix, "job-active") == 0;
    char s[32], key[128];

    assert_int_equal(fluid_encode(s, sizeof(s), id, flat ? FLUID_DEC : FLUID_DOTHEX), 0);
    (void)snprintf(key, sizeof(key), "%s.%s%s", prefix, s, suffix);
    return world_kvs_get(w, key);
}

char *world_events(struct world *w, flux_jobid_t id)
{
    const char *log = world_kvs(w, "job", id, ".eventlog");
    json_t *entries = eventlog_decode(log, strlen(log), NULL);
    struct text t = { 0 };
    json_t *o;
    size_t i;

    assert_non_null(entries);
    json_array_foreach (entries, i, o) {
        if (i > 0)
            text_adds(&t, " ");
        text_adds(&t, json_string_value(json_object_get(o, "name")));
    }
    json_decref(entries);
    return text_steal(&t);
}

int world_kvs_append(void *arg, const char *key, const char *data, size_t len)
{
    return add(arg, KVS_APPEND, key, data, len);
}

int world_kvs_put(void *arg, const char *key, const char *value)
{
    return add(arg, KVS_PUT, key, value, strlen(value));
}

int world_kvs_unlink(void *arg, const char *key)
{
    return add(arg, KVS_UNLINK, key, NULL, 0);
}

int world_kvs_prune(void *arg, const char *key)
{
    return add(arg, KVS_PRUNE, key, NULL, 0);
}

/* What a namespace is here: NAME OWNER at the link to it. */
int world_kvs_namespace(void *arg, const char *key, const char *ns, uint32_t owner)
{
    char value[96];
    int n = snprintf(value, sizeof(value), "%s %u", ns, (unsigned int)owner);

    return add(arg, KVS_PUT, key, value, (size_t)n);
}

int world_kvs_archive(void *arg, const char *key, const char *ns, const char *log)
{
    return add(arg, KVS_PUT, key, "archive", strlen("archive"));
}

int world_kvs_commit(void *arg)
{
    struct world *w = arg;
    struct kvs_op *op;

    assert_false(w->commit_flying);
    w->commit_flying = true;
    w->ncommits++;
    STAILQ_CONCAT(&w->flying, &w->open);
    w->nops = 0;
    STAILQ_FOREACH(op, &w->flying, link)
    w->nops++;
    return 0;
}

void world_kvs_store(struct world *w, const char *key, const char *value)
{
    kvs_apply(w, &(struct kvs_op){ .type = KVS_PUT, .key = (char *)key, .value = (char *)value });
}

void world_kvs_lose(struct world *w)
{
    ops_clear(&w->flying);
    w->commit_flying = false;
}

void world_kvs_forget(struct world *w)
{
    ops_clear(&w->open);
}

void world_kvs_free(struct world *w)
{
    struct kvs_entry *e, *tmp;

    ops_clear(&w->open);
    ops_clear(&w->flying);
    HASH_ITER (hh, w->kvs, e, tmp) {
        HASH_DEL(w->kvs, e);
        free(e->key);
        free(e->value);
        free(e);
    }
}
