/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Things that others attach to an object by name, with their destructors: flux_aux_set(3). */
#ifndef RPC_AUX_H
#define RPC_AUX_H

#include <flux/types.h>

struct aux_item;

/* Embedded; all zeros is empty. */
struct aux {
    struct aux_item *head;
};

/* The item, or NULL with errno EINVAL (no name), ENOENT. */
void *aux_get(const struct aux *aux, const char *name);
/* value NULL: forget the name. name NULL: keep the value anonymously. 0, or -1 with errno EINVAL,
 * ENOMEM; on failure destroy is not called. */
int aux_set(struct aux *aux, const char *name, void *value, flux_free_f destroy);
/* Destroys the items, the newest first. Destructors may still look at older ones. */
void aux_deinit(struct aux *aux);

#endif
