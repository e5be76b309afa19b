/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Time: monotonic microseconds for measuring and waiting, wall-clock seconds for events and people.
 */
#ifndef BASE_MONOTIME_H
#define BASE_MONOTIME_H

#include <stdint.h>

uint64_t monotime_usec(void); /* CLOCK_MONOTONIC */
double walltime(void);        /* CLOCK_REALTIME, seconds since 1970 with microseconds */

#endif
