/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* URIs of instances that are jobs. */
#ifndef FLUXCTL_JOB_URI_H
#define FLUXCTL_JOB_URI_H

#include <jansson.h>
#include <flux/core.h>

/* What the instance has told the one around it, from the annotations of job-list; NULL: nothing. */
const char *job_uri(const json_t *job);
/* ssh://HOST/PATH as local://PATH; malloc'd. Any other URI as it is. */
char *uri_local(const char *uri);
/* The URI by which this host reaches it: as uri_local() if HOST is this one. malloc'd. */
char *uri_from_here(const char *uri);

/* The URI of the instance that job `id` of h is; malloc'd. wait: until it has one. NULL: has
 * complained. */
char *job_uri_find(flux_t *h, flux_jobid_t id, bool wait);
/* What a path of jobs leads to, from h on: "ƒABC", "ƒABC/ƒDEF", ".." (the instance around), "/"
 * (the outermost), and combinations. malloc'd, NULL: has complained. */
char *job_uri_resolve(const char *path, bool wait);
/* What people write: such a path, also after "jobid:", slurm:JOB, or a URI. The same. */
char *job_uri_parse(const char *target, bool wait);

#endif
