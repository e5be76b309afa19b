/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* salvage() in a thread, for content.repair. */
#ifndef CONTENT_REPAIR_H
#define CONTENT_REPAIR_H

#include <flux/core.h>
#include "content/salvage.h"

struct repair;

/* done: in the loop, with the result of salvage(); the repair is then freed by whoever holds it. */
int repair_new(flux_reactor_t *r, const struct store_params *params,
               void (*done)(int rc, const struct salvage_report *report, const char *error,
                            void *arg),
               void *arg, struct repair **ret);
/* One that is under way is given up. */
struct repair *repair_free(struct repair *rp);

#endif
