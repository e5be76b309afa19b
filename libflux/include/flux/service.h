/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Offering a service by name at run time: requests for "NAME.*" sent through this node's router are
 * then delivered to the handle. A guest may only register names that begin with his userid and "-".
 * The future is fulfilled empty, or fails: EEXIST, EPERM, EINVAL (name). */
#ifndef FLUX_SERVICE_H
#define FLUX_SERVICE_H

#include <flux/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

flux_future_t *flux_service_register(flux_t *h, const char *name);
flux_future_t *flux_service_unregister(flux_t *h, const char *name);

#ifdef __cplusplus
}
#endif

#endif
