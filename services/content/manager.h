/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wires the parts of flux-content to the service skeleton. */
#ifndef CONTENT_MANAGER_H
#define CONTENT_MANAGER_H

#include "service/service.h"

extern const struct service_desc content_desc;

struct manager;

int manager_new(struct service *svc, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

#endif
