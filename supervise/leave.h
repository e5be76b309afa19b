/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Asking the router of an instance to shut it down in good order, before its daemons are stopped.
 */
#ifndef SUPERVISE_LEAVE_H
#define SUPERVISE_LEAVE_H

#include <flux/reactor.h>

struct leave;

/* refused: it cannot, or will not; not called if it is going to end. 0 or -errno. */
int leave_begin(flux_reactor_t *r, const char *rundir, void (*refused)(void *arg), void *arg,
                struct leave **ret);
struct leave *leave_free(struct leave *l);
/* Ask and wait until the router has gone, or cannot. */
void leave_wait(const char *rundir);

#endif
