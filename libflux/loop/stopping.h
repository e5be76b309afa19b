/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For those who do many things in one callback: whether they were asked to return from the loop. */
#ifndef LOOP_STOPPING_H
#define LOOP_STOPPING_H

#include <flux/reactor.h>

/* Was flux_reactor_stop() or _stop_error() called in the present flux_reactor_run()? */
bool reactor_is_stopping(const flux_reactor_t *r);

#endif
