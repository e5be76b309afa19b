/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One submitted job on its way: checked, then given an id, stored, told to the job manager. */
#ifndef JOB_INGEST_SUBMISSION_H
#define JOB_INGEST_SUBMISSION_H

#include <jansson.h>
#include <flux/job.h>
#include "base/cleanup.h"
#include "base/list.h"

struct request;

#define JOBSPEC_SIZE_MAX (4u << 20)

struct submission {
    struct request *req; /* a reference, or NULL */
    flux_jobid_t id;
    uint32_t userid;
    int urgency, flags;
    double t_submit;
    char *J;
    char *jobspec; /* JSON text */
    char *reduced; /* the same without its environment, for the job manager */
    json_t *after; /* ids of the jobs that it depends on; NULL: none */
    STAILQ_ENTRY(submission) link;
};
STAILQ_HEAD(submission_list, submission);

struct submission *submission_free(struct submission *s); /* not the request */
DEFINE_CLEANUP(struct submission *, submission_free)

/* Check what a client sent. 0, or -EINVAL, -EPERM, -EFBIG, -ENOMEM with a sentence that names the
 * wrong key. */
struct submit_request {
    const char *J;
    int urgency, flags;
    uint32_t userid; /* of the sender, authenticated */
    bool owner;      /* is he the instance owner? */
};
int submission_check(const struct submit_request *r, struct submission **ret, flux_error_t *error);

/* Lines of the eventlog that a submission begins with. malloc'd or NULL. */
char *submission_eventlog(const struct submission *s);

#endif
