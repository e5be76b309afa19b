/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires the store to the service skeleton: kvs and kvs-watch. */
#ifndef KVS_MANAGER_H
#define KVS_MANAGER_H

#include "service/service.h"

extern const struct service_desc kvs_desc;

struct manager;

int manager_new(struct service *svc, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

#endif
