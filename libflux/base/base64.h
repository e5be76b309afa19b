/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Base64 (RFC 4648, padded). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

char *base64_encode(const void *data, size_t size, size_t *ret_len); /* malloc'd, with NUL */
void *base64_decode(const char *s, size_t len, size_t *ret_size);    /* malloc'd; NULL EINVAL */

#endif
