/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signed requests J (RFC 15) with mechanism "none": for the instance owner, who needs no signature
 * because SO_PEERCRED vouches for him. HEADER.PAYLOAD.none, both parts base64; the header is a list
 * of "key NUL type value NUL" with version i1, mechanism snone, userid iUID. */
#ifndef BASE_SIGN_NONE_H
#define BASE_SIGN_NONE_H

#include <stddef.h>
#include <stdint.h>
#include <flux/types.h>

char *sign_none_wrap(const char *payload, size_t size, uint32_t userid); /* malloc'd */
/* *ret_payload is malloc'd and NUL-terminated. 0, -EINVAL; refuses other mechanisms, trailing
 * bytes. */
int sign_none_unwrap(const char *j, size_t len, char **ret_payload, size_t *ret_size,
                     uint32_t *ret_userid, flux_error_t *error);

#endif
