/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the arguments for flux-broker say that matters to who starts it, too. */
#ifndef SUPERVISE_BROKERARGS_H
#define SUPERVISE_BROKERARGS_H

/* The value that is set for an attribute last, in any of the ways that flux-broker understands;
 * lent. NULL: none, or no arguments (args may be NULL). */
const char *brokerargs_attr(char *const *args, const char *name);

#endif
