/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where in the instance the node is that a router has found out by PMI. */
#ifndef SUPERVISE_PLACE_H
#define SUPERVISE_PLACE_H

#include <stdbool.h>

/* Another rank than 0. */
bool place_is_follower(const char *rundir);

#endif
