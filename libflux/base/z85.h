/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Z85 (ZeroMQ RFC 32): four bytes as five printable characters. */
#ifndef BASE_Z85_H
#define BASE_Z85_H

#include <stddef.h>
#include <stdint.h>

#define Z85_SIZE(bytes) ((bytes) / 4 * 5 + 1) /* of the text, with its NUL */

/* size: a multiple of 4; ret has room for Z85_SIZE(size). */
void z85_encode(const uint8_t *data, size_t size, char *ret);
/* len characters to len / 5 * 4 bytes. 0, or -EINVAL: not whole groups of five, another character,
 * or a group that is more than four bytes. ret may have been written to. */
int z85_decode(const char *s, size_t len, uint8_t *ret);

#endif
