/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Attributes of the content store that were given when the instance was started (flux start -S). */
#ifndef CONTENT_STARTATTR_H
#define CONTENT_STARTATTR_H

#include <flux/handle.h>
#include "content/settings.h"

/* Waits for the answer. NULL: there is none; malloc'd. */
char *startattr_get(flux_t *h, const char *name);
/* They win over the configuration, until that is read again. 0, or -EINVAL with a sentence. */
int startattr_take(flux_t *h, struct settings *settings, flux_error_t *error);

#endif
