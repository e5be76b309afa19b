/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The methods that every service answers, for a module that does not have its own. */
#ifndef MODULE_METHODS_H
#define MODULE_METHODS_H

#include <flux/core.h>

struct methods;

/* Handlers for NAME.ping and so on. Those that the module creates later for the same topics come
 * before them. NULL with errno. */
struct methods *methods_new(flux_t *h, const char *name, void (*on_shutdown)(void *arg), void *arg);
struct methods *methods_free(struct methods *m);

#endif
