/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The attributes of a job that queries can ask for. */
#ifndef JOB_LIST_ATTRS_H
#define JOB_LIST_ATTRS_H

#include "job-list/job.h"

#define ATTRS_ALL UINT64_MAX

/* Array of names, or ["all"]. 0, -EINVAL with a sentence that names the stranger. */
int attrs_parse(const json_t *names, uint64_t *ret_attrs, flux_error_t *error);
/* "id" and what is asked for and known. NULL: ENOMEM. */
json_t *attrs_encode(const struct job *job, uint64_t attrs);
/* The same from an object with all of them. */
json_t *attrs_select(const json_t *all, uint64_t attrs);

#endif
