/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Groups are big-endian numbers in base 85, the most significant digit first. */
#include <errno.h>
#include <string.h>

#include "base/z85.h"

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             ".-:+=^!/*?&<>()[]{}@%$#";

void z85_encode(const uint8_t *data, size_t size, char *ret)
{
    for (; size >= 4; size -= 4, data += 4, ret += 5) {
        uint32_t v =
            (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];

        for (size_t i = 5; i-- > 0; v /= 85)
            ret[i] = digits[v % 85];
    }
    *ret = '\0';
}

static int decode_group(const char *s, uint32_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 5; i++) {
        const char *digit = s[i] ? strchr(digits, s[i]) : NULL;

        if (!digit)
            return -EINVAL;
        v = v * 85 + (uint64_t)(digit - digits);
    }
    if (v > UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)v;
    return 0;
}

int z85_decode(const char *s, size_t len, uint8_t *ret)
{
    if (len % 5 != 0)
        return -EINVAL;
    for (; len > 0; len -= 5, s += 5) {
        uint32_t v;

        if (decode_group(s, &v) < 0)
            return -EINVAL;
        for (size_t i = 0; i < 4; i++)
            *ret++ = (uint8_t)(v >> (24 - 8 * i));
    }
    return 0;
}
