/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Broker attributes: see flux_attr_get(3), flux_get_rank(3). */
#ifndef FLUX_ATTR_H
#define FLUX_ATTR_H

#include <flux/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The string belongs to the handle: valid until the same attribute is asked for again or h is
 * closed. */
const char *flux_attr_get(flux_t *h, const char *name);
int flux_attr_set(flux_t *h, const char *name, const char *val);
int flux_get_rank(flux_t *h, uint32_t *rank);
int flux_get_size(flux_t *h, uint32_t *size);

#ifdef __cplusplus
}
#endif

#endif
