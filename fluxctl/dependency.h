/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef FLUXCTL_DEPENDENCY_H
#define FLUXCTL_DEPENDENCY_H

#include <jansson.h>
#include <flux/types.h>

/* Append a dependency given as SCHEME:VALUE[?key=val[&key=val...]] (RFC 26) to a jobspec. */
int dependency_add(json_t *jobspec, const char *uri, flux_error_t *error);

#endif
