/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Attributes that a handle knows already. */
#ifndef API_ATTR_CACHE_H
#define API_ATTR_CACHE_H

#include <stdbool.h>
#include <flux/handle.h>

/* The value of an immutable attribute if it was asked for before, else NULL. Asks nobody. */
const char *attr_cached(flux_t *h, const char *name);
/* Is this one that the content store answers for, not the router? */
bool attr_is_content(const char *name);

#endif
