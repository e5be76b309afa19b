/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the commands about one job begin with. */
#ifndef FLUXCTL_JOB_OPEN_H
#define FLUXCTL_JOB_OPEN_H

#include <jansson.h>
#include <flux/core.h>

/* Open the instance and parse a job id. NULL: has complained. */
flux_t *open_for_job(const char *id, flux_jobid_t *ret_id);

/* "active,run,..." to a mask of states. -1 after complaining about the option. */
int parse_states(const char *s, const char *option, int *ret);

/* The attributes of a job (flux-jobs(1)), as the list has them; a new reference. NULL: has
 * complained. */
json_t *fetch_job(flux_t *h, flux_jobid_t id);

/* What the KVS has of a job under these keys ("R", "guest.output"); keys is stolen. NULL: has
 * complained that it cannot read `what`. */
json_t *fetch_job_keys(flux_t *h, flux_jobid_t id, json_t *keys, const char *what);

#endif
