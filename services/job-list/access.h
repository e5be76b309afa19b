/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* May the sender of a request see the data of a job? The owner of the instance may, and the user
 * who submitted it, as the first event in the KVS says. */
#ifndef JOB_LIST_ACCESS_H
#define JOB_LIST_ACCESS_H

#include "service/service.h"

struct access;

/* Calls done with 0, -EPERM, or what kept us from knowing (-ENOENT: no such job); for the owner at
 * once, before it returns. NULL in that case and on failure; else what access_free() cancels. */
struct access *access_check(struct request *req, flux_jobid_t id, void (*done)(int rc, void *arg),
                            void *arg);
void access_free(struct access *a);

/* Answer the request for what access_check found, or for what the KVS said of the job. */
void access_fail(struct request *req, int rc);

#endif
