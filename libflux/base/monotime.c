/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Clocks. Neither call can fail on Linux, so neither reports failure. */
#include "base/monotime.h"

#include <time.h>

uint64_t monotime_usec(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

double walltime(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (double)ts.tv_sec + (double)(ts.tv_nsec / 1000) * 1E-6;
}
