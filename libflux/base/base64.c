/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Base64 over libsodium. Decoding is strict: padded, no line breaks, no other alphabet, and the
 * unused bits of the last character are zero. */
#include "base/base64.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define VARIANT sodium_base64_VARIANT_ORIGINAL

char *base64_encode(const void *data, size_t size, size_t *ret_len)
{
    size_t len;
    char *s;

    if (size > SIZE_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    len = sodium_base64_ENCODED_LEN(size, VARIANT);
    if (!(s = malloc(len)))
        return NULL;
    sodium_bin2base64(s, len, data, size, VARIANT);
    if (ret_len)
        *ret_len = len - 1;
    return s;
}

void *base64_decode(const char *s, size_t len, size_t *ret_size)
{
    CLEANUP(freep) char *data = NULL;
    size_t max = len / 4 * 3;
    const char *end;
    size_t size;

    if (!(data = malloc(max + 1)))
        return NULL;
    if (sodium_base642bin((unsigned char *)data, max, s, len, NULL, &size, &end, VARIANT) < 0 ||
        end != s + len) {
        errno = EINVAL;
        return NULL;
    }
    data[size] = '\0';
    *ret_size = size;
    return TAKE(data);
}
