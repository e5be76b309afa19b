/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fluxctl content backup, check, info, repair. */
#ifndef FLUXCTL_CONTENT_ADMIN_H
#define FLUXCTL_CONTENT_ADMIN_H

#include "options.h"

int content_admin_backup(const struct cmdline *c);
int content_admin_check(const struct cmdline *c);
int content_admin_info(const struct cmdline *c);
int content_admin_repair(const struct cmdline *c);

#endif
