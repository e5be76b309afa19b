/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Base64 by tables: every value in the KVS goes through here several times, and what is encoded is
 * no secret, so time may depend on it. Decoding is strict: padded, no line breaks, no other
 * alphabet, and the unused bits of the last character are zero. */
#include "base/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define BAD 0x80
#define x   BAD

/* Value of each byte, or BAD. */
static const uint8_t values[256] = {
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  /* 0x00 */
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  /* 0x10 */
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  62, x,  x,  x,  63, /* + / */
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, x,  x,  x,  x,  x,  x,  /* 0-9 */
    x,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, /* A-O */
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, x,  x,  x,  x,  x,  /* P-Z */
    x,  26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, /* a-o */
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, x,  x,  x,  x,  x,  /* p-z */
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  /* 0x80 */
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x, x, x, x, x, x, x,
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x, x, x, x, x, x, x,
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x, x, x, x, x, x, x,
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x, x, x, x, x, x, x,
    x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x,  x, x, x, x,
};
#undef x

char *base64_encode(const void *data, size_t size, size_t *ret_len)
{
    const uint8_t *s = data;
    size_t len;
    char *buf, *p;

    if (size > SIZE_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    len = (size + 2) / 3 * 4;
    if (!(p = buf = malloc(len + 1)))
        return NULL;
    for (; size >= 3; size -= 3, s += 3) {
        *p++ = digits[s[0] >> 2];
        *p++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
        *p++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
        *p++ = digits[s[2] & 63];
    }
    if (size > 0) {
        *p++ = digits[s[0] >> 2];
        *p++ = digits[(s[0] & 3) << 4 | (size == 2 ? s[1] >> 4 : 0)];
        *p++ = size == 2 ? digits[(s[1] & 15) << 2] : '=';
        *p++ = '=';
    }
    *p = '\0';
    if (ret_len)
        *ret_len = len;
    return buf;
}

/* Four characters to three bytes. False: one is not of the alphabet. */
static bool decode_group(const uint8_t *s, uint8_t *out)
{
    const uint8_t a = values[s[0]], b = values[s[1]], c = values[s[2]], d = values[s[3]];

    out[0] = (uint8_t)(a << 2 | b >> 4);
    out[1] = (uint8_t)(b << 4 | c >> 2);
    out[2] = (uint8_t)(c << 6 | d);
    return !((a | b | c | d) & BAD);
}

/* The last group; sets the number of its bytes. */
static bool decode_last(const uint8_t *s, uint8_t *out, size_t *ret_size)
{
    uint8_t group[4] = { s[0], s[1], s[2], s[3] };
    size_t size = 3;

    if (s[3] == '=') {
        size = s[2] == '=' ? 1 : 2;
        group[3] = 'A';
        if (size == 1)
            group[2] = 'A';
    }
    *ret_size = size;
    return decode_group(group, out) && (size > 1 || out[1] == 0) && (size > 2 || out[2] == 0);
}

void *base64_decode(const char *s, size_t len, size_t *ret_size)
{
    CLEANUP(freep) uint8_t *data = malloc(len / 4 * 3 + 1);
    const uint8_t *in = (const uint8_t *)s;
    uint8_t *out = data;
    size_t last = 0;
    bool ok = len % 4 == 0;

    if (!data)
        return NULL;
    for (size_t groups = len / 4; ok && groups > 1; groups--, in += 4, out += 3)
        ok = decode_group(in, out);
    if (ok && len > 0)
        ok = decode_last(in, out, &last);
    if (!ok) {
        errno = EINVAL;
        return NULL;
    }
    out[last] = '\0';
    *ret_size = (size_t)(out - data) + last;
    return TAKE(data);
}
