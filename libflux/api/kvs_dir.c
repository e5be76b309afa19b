/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Directories as results of lookups, and iterators over their names. A directory is an immutable
 * copy: what is committed afterwards does not show. */
#include <errno.h>
#include <string.h>
#include "api/kvs_internal.h"
#include "api/treeobj.h"
#include "base/cleanup.h"

struct flux_kvsdir {
    char *rootref;
    char *key;
    json_t *treeobj;
    int refcount;
};

struct flux_kvsitr {
    json_t *data; /* name -> object */
    void *it;
    bool started;
};

void flux_kvsdir_destroy(flux_kvsdir_t *dir)
{
    int saved_errno = errno;

    if (dir && --dir->refcount == 0) {
        free(dir->rootref);
        free(dir->key);
        json_decref(dir->treeobj);
        free(dir);
    }
    errno = saved_errno;
}
DEFINE_CLEANUP(flux_kvsdir_t *, flux_kvsdir_destroy)

flux_kvsdir_t *flux_kvsdir_create(flux_t *h, const char *rootref, const char *key,
                                  const char *json_str)
{
    CLEANUP(flux_kvsdir_destroyp) flux_kvsdir_t *dir = NULL;

    if (!key || !json_str) {
        errno = EINVAL;
        return NULL;
    }
    if (!(dir = calloc(1, sizeof(*dir))))
        return NULL;
    dir->refcount = 1;
    if (!(dir->key = strdup(key)) || (rootref && !(dir->rootref = strdup(rootref))))
        return NULL;
    if (!(dir->treeobj = treeobj_decode(json_str, strlen(json_str))))
        return NULL;
    if (!treeobj_is_type(dir->treeobj, "dir")) {
        errno = ENOTDIR;
        return NULL;
    }
    return TAKE(dir);
}

flux_kvsdir_t *flux_kvsdir_copy(const flux_kvsdir_t *dir)
{
    flux_kvsdir_t *copy = (flux_kvsdir_t *)dir;

    if (!copy) {
        errno = EINVAL;
        return NULL;
    }
    copy->refcount++; /* immutable: a copy is a reference */
    return copy;
}

int flux_kvsdir_get_size(const flux_kvsdir_t *dir)
{
    return dir ? (int)json_object_size(treeobj_data(dir->treeobj)) : 0;
}

static const json_t *dir_entry(const flux_kvsdir_t *dir, const char *name)
{
    return dir && name ? json_object_get(treeobj_data(dir->treeobj), name) : NULL;
}

bool flux_kvsdir_exists(const flux_kvsdir_t *dir, const char *name)
{
    return dir_entry(dir, name) != NULL;
}

bool flux_kvsdir_isdir(const flux_kvsdir_t *dir, const char *name)
{
    const json_t *o = dir_entry(dir, name);

    return o && (treeobj_is_type(o, "dir") || treeobj_is_type(o, "dirref"));
}

bool flux_kvsdir_issymlink(const flux_kvsdir_t *dir, const char *name)
{
    const json_t *o = dir_entry(dir, name);

    return o && treeobj_is_type(o, "symlink");
}

const char *flux_kvsdir_key(const flux_kvsdir_t *dir)
{
    return dir ? dir->key : NULL;
}

const char *flux_kvsdir_rootref(const flux_kvsdir_t *dir)
{
    return dir ? dir->rootref : NULL;
}

char *flux_kvsdir_key_at(const flux_kvsdir_t *dir, const char *name)
{
    char *key = NULL;

    if (!dir || !name) {
        errno = EINVAL;
        return NULL;
    }
    if (dir->key[strspn(dir->key, ".")] == '\0')
        return strdup(name);
    if (asprintf(&key, "%s.%s", dir->key, name) < 0) {
        errno = ENOMEM;
        return NULL;
    }
    return key;
}

flux_kvsitr_t *flux_kvsitr_create(const flux_kvsdir_t *dir)
{
    flux_kvsitr_t *itr;

    if (!dir) {
        errno = EINVAL;
        return NULL;
    }
    if (!(itr = calloc(1, sizeof(*itr))))
        return NULL;
    itr->data = json_incref((json_t *)treeobj_data(dir->treeobj));
    return itr;
}

const char *flux_kvsitr_next(flux_kvsitr_t *itr)
{
    if (!itr)
        return NULL;
    if (!itr->started)
        itr->it = json_object_iter(itr->data);
    else if (itr->it)
        itr->it = json_object_iter_next(itr->data, itr->it);
    itr->started = true;
    return itr->it ? json_object_iter_key(itr->it) : NULL;
}

void flux_kvsitr_rewind(flux_kvsitr_t *itr)
{
    if (itr)
        itr->started = false;
}

void flux_kvsitr_destroy(flux_kvsitr_t *itr)
{
    int saved_errno = errno;

    if (itr) {
        json_decref(itr->data);
        free(itr);
    }
    errno = saved_errno;
}
