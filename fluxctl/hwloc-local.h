/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The topology of this node, as this process sees it. */
#ifndef FLUXCTL_HWLOC_LOCAL_H
#define FLUXCTL_HWLOC_LOCAL_H

/* As XML, malloc'd. NULL: has complained. */
char *hwloc_local_xml(void);

#endif
