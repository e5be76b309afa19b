/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux-job-list: the services job-list and job-info. */
#ifndef JOB_LIST_MANAGER_H
#define JOB_LIST_MANAGER_H

#include "service/service.h"

struct manager;

int manager_new(struct service *svc, struct manager **ret);
struct manager *manager_free(struct manager *m);
DEFINE_CLEANUP(struct manager *, manager_free)

extern const struct service_desc job_list_desc;

#endif
