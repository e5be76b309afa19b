/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* PMI by the library of whoever started us: the functions PMI2_* if it has them, else PMI_*
 * (RFC 13). Such a library keeps global state, so that it is never unloaded, and may block for as
 * long as it likes. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/errorx.h"
#include "pmi/client-backend.h"

#define PMI2_MAX_KEY   64
#define PMI2_MAX_VALUE 1024

struct library {
    void *dso;
    char name[PMI_NAME_MAX];
    struct {
        int (*init)(int *spawned);
        int (*get_rank)(int *rank);
        int (*get_size)(int *size);
        int (*get_name)(char *name, int length);
        int (*key_max)(int *length);
        int (*value_max)(int *length);
        int (*put)(const char *kvsname, const char *key, const char *value);
        int (*commit)(const char *kvsname);
        int (*barrier)(void);
        int (*get)(const char *kvsname, const char *key, char *value, int length);
        int (*finalize)(void);
    } v1;
    struct {
        int (*init)(int *spawned, int *size, int *rank, int *appnum);
        int (*get_id)(char *jobid, int size);
        int (*put)(const char *key, const char *value);
        int (*fence)(void);
        int (*get)(const char *jobid, int id, const char *key, char *value, int size, int *len);
        int (*finalize)(void);
    } v2;
};

struct symbol {
    const char *name;
    void *where; /* of the function pointer */
};

static bool look_up(void *dso, const struct symbol *symbols, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *f = dlsym(dso, symbols[i].name);

        if (!f)
            return false;
        memcpy(symbols[i].where, &f, sizeof(f));
    }
    return true;
}

static bool look_up_v1(struct library *l)
{
    const struct symbol symbols[] = {
        { "PMI_Init", &l->v1.init },
        { "PMI_Get_rank", &l->v1.get_rank },
        { "PMI_Get_size", &l->v1.get_size },
        { "PMI_KVS_Get_my_name", &l->v1.get_name },
        { "PMI_KVS_Get_key_length_max", &l->v1.key_max },
        { "PMI_KVS_Get_value_length_max", &l->v1.value_max },
        { "PMI_KVS_Put", &l->v1.put },
        { "PMI_KVS_Commit", &l->v1.commit },
        { "PMI_Barrier", &l->v1.barrier },
        { "PMI_KVS_Get", &l->v1.get },
        { "PMI_Finalize", &l->v1.finalize },
    };

    return look_up(l->dso, symbols, ARRAY_SIZE(symbols));
}

static bool look_up_v2(struct library *l)
{
    const struct symbol symbols[] = {
        { "PMI2_Init", &l->v2.init },   { "PMI2_Job_GetId", &l->v2.get_id },
        { "PMI2_KVS_Put", &l->v2.put }, { "PMI2_KVS_Fence", &l->v2.fence },
        { "PMI2_KVS_Get", &l->v2.get }, { "PMI2_Finalize", &l->v2.finalize },
    };

    return look_up(l->dso, symbols, ARRAY_SIZE(symbols));
}

static int result(int rc, const char *what, flux_error_t *error)
{
    return rc == 0 ? 0 : errorx_fail(error, EREMOTEIO, "%s failed with error %d", what, rc);
}

/* --- PMI 1 --- */

static int v1_put(void *impl, const char *key, const char *value, flux_error_t *error)
{
    struct library *l = impl;

    return result(l->v1.put(l->name, key, value), "PMI_KVS_Put", error);
}

static int v1_barrier(void *impl, flux_error_t *error)
{
    struct library *l = impl;
    int rc = result(l->v1.commit(l->name), "PMI_KVS_Commit", error);

    return rc < 0 ? rc : result(l->v1.barrier(), "PMI_Barrier", error);
}

static int v1_get(void *impl, const char *key, char *buf, size_t size, flux_error_t *error)
{
    struct library *l = impl;
    int rc = l->v1.get(l->name, key, buf, (int)size);

    return rc == 0 ? 0
                   : errorx_fail(error, ENOENT, "PMI_KVS_Get(%s) failed with error %d", key, rc);
}

static int v1_finalize(void *impl, flux_error_t *error)
{
    struct library *l = impl;

    return result(l->v1.finalize(), "PMI_Finalize", error);
}

static const struct pmi_backend v1_backend = { v1_put, v1_barrier, v1_get, v1_finalize, free };

static int v1_init(struct pmi_client *c, struct library *l, flux_error_t *error)
{
    int spawned, key_max, value_max, rc;

    if ((rc = result(l->v1.init(&spawned), "PMI_Init", error)) < 0 ||
        (rc = result(l->v1.get_rank(&c->rank), "PMI_Get_rank", error)) < 0 ||
        (rc = result(l->v1.get_size(&c->size), "PMI_Get_size", error)) < 0 ||
        (rc = result(l->v1.key_max(&key_max), "PMI_KVS_Get_key_length_max", error)) < 0 ||
        (rc = result(l->v1.value_max(&value_max), "PMI_KVS_Get_value_length_max", error)) < 0 ||
        (rc = result(l->v1.get_name(l->name, sizeof(l->name)), "PMI_KVS_Get_my_name", error)) < 0)
        return rc;
    if (key_max < 1 || value_max < 1)
        return errorx_fail(error, EPROTO, "the limits of %s are of no use", c->how);
    c->key_max = key_max < PMI_KEY_MAX ? (size_t)key_max : PMI_KEY_MAX;
    c->value_max = value_max < PMI_VALUE_MAX ? (size_t)value_max : PMI_VALUE_MAX;
    return 0;
}

/* --- PMI 2 --- */

static int v2_put(void *impl, const char *key, const char *value, flux_error_t *error)
{
    struct library *l = impl;

    return result(l->v2.put(key, value), "PMI2_KVS_Put", error);
}

static int v2_barrier(void *impl, flux_error_t *error)
{
    struct library *l = impl;

    return result(l->v2.fence(), "PMI2_KVS_Fence", error);
}

static int v2_get(void *impl, const char *key, char *buf, size_t size, flux_error_t *error)
{
    struct library *l = impl;
    int len = 0;
    int rc = l->v2.get(l->name, -1, key, buf, (int)size, &len);

    if (rc != 0)
        return errorx_fail(error, ENOENT, "PMI2_KVS_Get(%s) failed with error %d", key, rc);
    return len < 0 ? errorx_fail(error, EMSGSIZE, "the value of %s is too long", key) : 0;
}

static int v2_finalize(void *impl, flux_error_t *error)
{
    struct library *l = impl;

    return result(l->v2.finalize(), "PMI2_Finalize", error);
}

static const struct pmi_backend v2_backend = { v2_put, v2_barrier, v2_get, v2_finalize, free };

static int v2_init(struct pmi_client *c, struct library *l, flux_error_t *error)
{
    int spawned, appnum;
    int rc = result(l->v2.init(&spawned, &c->size, &c->rank, &appnum), "PMI2_Init", error);

    c->key_max = PMI2_MAX_KEY;
    c->value_max = PMI2_MAX_VALUE;
    return rc < 0 ? rc : result(l->v2.get_id(l->name, sizeof(l->name)), "PMI2_Job_GetId", error);
}

int pmi_client_library_init(struct pmi_client *c, const char *path, flux_error_t *error)
{
    CLEANUP(freep) struct library *l = calloc(1, sizeof(*l));
    bool v2;
    int rc;

    if (!l)
        return errorx_fail(error, ENOMEM, "out of memory");
    l->dso = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!l->dso)
        return errorx_fail(error, ENOENT, "%s", dlerror());
    v2 = look_up_v2(l);
    if (!v2 && !look_up_v1(l))
        return errorx_fail(error, ENOENT, "%s: not a PMI library", path);
    rc = v2 ? v2_init(c, l, error) : v1_init(c, l, error);
    if (rc < 0)
        return rc;
    l->name[sizeof(l->name) - 1] = '\0';
    memcpy(c->name, l->name, sizeof(c->name));
    c->backend = v2 ? &v2_backend : &v1_backend;
    c->impl = TAKE(l);
    return 0;
}
