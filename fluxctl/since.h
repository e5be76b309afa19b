/* SPDX-License-Identifier: LGPL-3.0-or-later */
#ifndef FLUXCTL_SINCE_H
#define FLUXCTL_SINCE_H

/* "-2h": so long ago; seconds since the epoch; or what datetime_parse() knows. Never the future. To
 * seconds since the epoch; -1 after complaining. */
int parse_since(const char *s, double *ret);

#endif
