/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The resources of the instance as its configuration tells them. */
#ifndef RESOURCE_INVENTORY_H
#define RESOURCE_INVENTORY_H

#include "base/rset.h"

enum { INVENTORY_CONFIGURED = 0, INVENTORY_NONE = 1 };

/* From [resource] path (a file with R) or [[resource.config]] (hosts, cores, gpus). Ranks are the
 * places of the hosts in [bootstrap] hosts, or, without that, in the order of the entries.
 * INVENTORY_CONFIGURED; INVENTORY_NONE: nothing is configured, use what the hardware has; -errno
 * with a sentence that names the key. */
int inventory_from_config(const json_t *config, struct rset **ret, flux_error_t *error);

/* Ranks that a string names: an idset of ranks, or a hostlist. -EINVAL with a sentence if one is
 * not in all. */
int inventory_targets(const struct rset *all, const char *targets, struct idset **ret,
                      flux_error_t *error);
/* The same, but what is not in all is left out. */
int inventory_known_targets(const struct rset *all, const char *targets, struct idset **ret,
                            flux_error_t *error);

#endif
