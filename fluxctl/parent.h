/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef FLUXCTL_PARENT_H
#define FLUXCTL_PARENT_H

/* Point FLUX_URI at the parent of the instance it points at. Exit status; complains. */
int parent_enter(void);
/* At the outermost one, which may be the same. */
int parent_enter_root(void);

#endif
