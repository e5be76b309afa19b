/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which CPUs a task is bound to. */
#ifndef SHELL_AFFINITY_H
#define SHELL_AFFINITY_H

#include <jansson.h>
#include <stdbool.h>
#include <flux/idset.h>
#include <flux/types.h>

/* Cores first..first+*ret_count-1 (places in a list of ncores) belong to task `index` of ntasks: as
 * even as it gets, in order; with more tasks than cores they share. Returns first. */
int affinity_share(int ncores, int ntasks, int index, int *ret_count);

/* The part of a "map:" option that is for task `index`: idsets separated by semicolons, the last
 * one repeated. 0 or -EINVAL with a sentence. */
int affinity_map(const char *map, int index, struct idset **ret, flux_error_t *error);

#endif
