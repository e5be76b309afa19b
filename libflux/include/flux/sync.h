/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Synchronize with the instance heartbeat: see flux_sync_create(3). */
#ifndef FLUX_SYNC_H
#define FLUX_SYNC_H

#include <flux/future.h>

#ifdef __cplusplus
extern "C" {
#endif

flux_future_t *flux_sync_create(flux_t *h, double minimum);

#ifdef __cplusplus
}
#endif

#endif
