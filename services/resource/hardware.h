/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What this node has, by hwloc. Ids are hwloc's logical ones, counted within what this process may
 * use, which is how a shell on this node counts them too. */
#ifndef RESOURCE_HARDWARE_H
#define RESOURCE_HARDWARE_H

#include <stdbool.h>
#include <flux/idset.h>

/* Loads cores, and devices only if the PCI bus has an accelerator at all. Blocks for less than 1
 * ms, for 2 to 10 ms with accelerators or norestrict. norestrict: count cores that this process is
 * not bound to as well. 0, -errno. */
int hardware_load(bool norestrict, struct idset **ret_cores, struct idset **ret_gpus);

/* The whole topology as XML, malloc'd. Blocks for some 10 ms. */
int hardware_xml(bool norestrict, char **ret_xml);

#endif
