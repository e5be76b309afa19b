/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Telling the enclosing instance how to reach this one: a memo of its job, {"uri": URI}. */
#ifndef SUPERVISE_ANNOUNCE_H
#define SUPERVISE_ANNOUNCE_H

#include <flux/reactor.h>

struct announce;

/* Sent from here, answered in the loop; a refusal is logged and changes nothing. 0: it is under
 * way, or there is no enclosing instance (*ret is NULL then); -errno. */
int announce_begin(flux_reactor_t *r, const char *rundir, struct announce **ret);
struct announce *announce_free(struct announce *a);

#endif
