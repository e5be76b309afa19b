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

/* The name people know a job by, as in "f2x4kM". */
#define JOB_NAME_SIZE 32
const char *job_name(flux_jobid_t id, char buf[JOB_NAME_SIZE]);

/* Answer the request for what access_check found, or for what the KVS said of the job. */
void access_fail(struct request *req, flux_jobid_t id, int rc);

#endif
