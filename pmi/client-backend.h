/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the ways to speak PMI provide to client.c, which checks keys and values before. */
#ifndef PMI_CLIENT_BACKEND_H
#define PMI_CLIENT_BACKEND_H

#include "pmi/client.h"
#include "pmi/wire.h"

struct pmi_backend {
    int (*put)(void *impl, const char *key, const char *value, flux_error_t *error);
    int (*barrier)(void *impl, flux_error_t *error);
    int (*get)(void *impl, const char *key, char *buf, size_t size, flux_error_t *error);
    int (*finalize)(void *impl, flux_error_t *error);
    void (*free)(void *impl);
};

struct pmi_client {
    const struct pmi_backend *backend;
    void *impl;
    int rank, size;
    size_t key_max, value_max;
    char how[256];
    char name[PMI_NAME_MAX];
};

/* Fill in all but how; impl is set as soon as there is something to free. */
int pmi_client_wire_init(struct pmi_client *c, const char *fd, flux_error_t *error);
/* -ENOENT with a sentence: there is no such library. */
int pmi_client_library_init(struct pmi_client *c, const char *path, flux_error_t *error);

#endif
