/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which CPUs (hardware threads, as the kernel numbers them) make up each core of this node, cores
 * numbered as R does: logically, package by package. Read once. */
#ifndef SERVICE_CPUTOPO_H
#define SERVICE_CPUTOPO_H

#include <flux/idset.h>
#include "base/cleanup.h"

struct cputopo;

/* sysfs: "/sys/devices/system/cpu", or a copy for tests. online: NULL for the CPUs that this
 * process may use. */
int cputopo_new(const char *sysfs, const struct idset *online, struct cputopo **ret);
struct cputopo *cputopo_free(struct cputopo *t);
DEFINE_CLEANUP(struct cputopo *, cputopo_free)

size_t cputopo_ncores(const struct cputopo *t);
/* NULL-terminated malloc'd array of malloc'd idsets of CPUs, one per core; NULL if one of the cores
 * is not known here (or no memory): then nothing should be bound. */
char **cputopo_of_cores(const struct cputopo *t, const struct idset *cores);

#endif
