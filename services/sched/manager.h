/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-sched: the engine joined to the resource service and the job manager. */
#ifndef SCHED_MANAGER_H
#define SCHED_MANAGER_H

#include "service/service.h"

struct manager;

/* Begins with acquiring resources; everything else follows from that. */
int manager_new(struct service *svc, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

extern const struct service_desc sched_desc;

#endif
