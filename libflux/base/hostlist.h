/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the parts of the host list share; the interface is <flux/hostlist.h>. */
#ifndef BASE_HOSTLIST_H
#define BASE_HOSTLIST_H

#include <flux/hostlist.h>

#define HOSTNAME_SIZE 256 /* longest name with its NUL */

/* Names that may still be appended. */
size_t hostlist_room(const struct hostlist *hl);
/* Append one name that is known to be valid. 0, -EINVAL (list is full), -ENOMEM. */
int hostlist_add_name(struct hostlist *hl, const char *name);
/* Append what a string (RFC 29) stands for; on failure part of it has been appended. 0, -EINVAL,
 * -ENOMEM. */
int hostlist_parse(struct hostlist *hl, const char *s);

#endif
