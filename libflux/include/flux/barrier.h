/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Wait for one another: see flux_barrier(3). */
#ifndef FLUX_BARRIER_H
#define FLUX_BARRIER_H

#include <flux/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fulfilled when nprocs have entered the barrier of that name. name NULL: one of the job that this
 * process is a task of ($FLUX_JOB_ID), another for each call with this handle. */
flux_future_t *flux_barrier(flux_t *h, const char *name, int nprocs);

#ifdef __cplusplus
}
#endif

#endif
