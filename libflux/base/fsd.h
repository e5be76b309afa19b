/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Flux standard duration (RFC 23): "1.5m", "30", "inf". */
#ifndef BASE_FSD_H
#define BASE_FSD_H

#include <stddef.h>

int fsd_parse(const char *s, double *ret_seconds);            /* 0 or -EINVAL */
int fsd_format(char *buf, size_t size, double seconds);       /* 0, -EINVAL, -EOVERFLOW */
int fsd_format_exact(char *buf, size_t size, double seconds); /* no rounding to 4 digits */

#endif
