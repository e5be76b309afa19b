/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The environment of a job: a copy of ours, changed by the rules of --env, --env-remove and
 * --env-file in the order given (flux-submit(1), ENVIRONMENT). */
#ifndef FLUXCTL_ENV_RULES_H
#define FLUXCTL_ENV_RULES_H

#include <jansson.h>
#include <flux/types.h>

/* A copy of the process environment, without what belongs to this process or job only. */
json_t *env_create(void);
/* Apply one rule. 0 or -errno with a sentence. */
int env_apply(json_t *env, const char *rule, flux_error_t *error);
int env_apply_file(json_t *env, const char *path, flux_error_t *error);
int env_remove(json_t *env, const char *pattern, flux_error_t *error);

#endif
