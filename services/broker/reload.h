/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A new configuration is told to the daemons of this node that run; who asked for it learns who of
 * them refused it, and why. A daemon that is about to start reads it by itself. */
#ifndef BROKER_RELOAD_H
#define BROKER_RELOAD_H

#include <flux/core.h>
#include "base/list.h"
#include "service/service.h"

#define RELOAD_SECONDS 10. /* to wait for a daemon */

struct manager;
struct reload;

struct reloads {
    struct manager *m;
    LIST_HEAD(, reload) all; /* under way */
};

void reloads_init(struct reloads *rs, struct manager *m);
void reloads_deinit(struct reloads *rs);
/* Answers req when all have answered; NULL: nobody wants to know. 0 or -errno. */
int reloads_begin(struct reloads *rs, struct request *req);

#endif
