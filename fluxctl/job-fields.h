/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The fields of `fluxctl jobs`, derived from what the job-list service says of a job. */
#ifndef FLUXCTL_JOB_FIELDS_H
#define FLUXCTL_JOB_FIELDS_H

#include <sys/types.h>

#include <jansson.h>
#include "format.h"

struct job_fields {
    const json_t *job; /* a job of job-list.list */
    double now;        /* wall time, for the run time of running jobs */
    char username[64]; /* of the user asked for last; empty: none yet */
    uid_t username_of;
    char text[256]; /* scratch of the value asked for last */
    char *owned;    /* likewise */
};

/* For struct format_source; arg is a struct job_fields. */
struct value job_field_get(const char *field, void *arg);
const char *job_field_heading(const char *field);

void job_fields_deinit(struct job_fields *f);

/* "PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELED", "TIMEOUT". */
const char *job_status(const json_t *job);

/* The object that --json prints: the service's, with names for numbers and the derived fields. */
json_t *job_fields_json(struct job_fields *f);

#endif
