/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-resource: inventory, drain state and the scheduler's subscription to both. */
#ifndef RESOURCE_MANAGER_H
#define RESOURCE_MANAGER_H

#include "service/service.h"

struct manager;

int manager_new(struct service *svc, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

extern const struct service_desc resource_desc;

#endif
