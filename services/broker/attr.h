/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Broker attributes: names and strings. */
#ifndef BROKER_ATTR_H
#define BROKER_ATTR_H

#include <jansson.h>
#include <stdbool.h>
#include "base/cleanup.h"
#include "base/hash.h"

#define ATTR_IMMUTABLE 1u /* also: a client may cache it */
#define ATTR_NAME_MAX  128
#define ATTR_VALUE_MAX 65536
#define ATTR_COUNT_MAX 4096

struct attr {
    char *name;
    char *value;
    unsigned int flags;
    UT_hash_handle hh;
};

struct attrs {
    struct attr *all;
    /* Told of changes made by attr_set(); may refuse with -errno. May be NULL. */
    int (*on_set)(const char *name, const char *value, void *arg);
    void *arg;
};

void attrs_deinit(struct attrs *a);

/* By the router itself, at start: name must be new. value NULL: nothing is added. */
int attr_add(struct attrs *a, const char *name, const char *value, unsigned int flags);
int attr_addf(struct attrs *a, const char *name, unsigned int flags, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* By users: creates or changes. 0; -EPERM: immutable; -EINVAL; -ENOSPC; -ENOMEM. */
int attr_set(struct attrs *a, const char *name, const char *value);
int attr_rm(struct attrs *a, const char *name); /* 0, -ENOENT, -EPERM */
const struct attr *attr_find(const struct attrs *a, const char *name);
json_t *attr_names(const struct attrs *a);

#endif
