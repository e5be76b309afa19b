/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Encodings of FLUIDs (RFC 19). The encoding of a string is told by its first characters, as the
 * RFC lists them. Refuses what does not fit 64 bits, trailing bytes, and (a MAY of the RFC that is
 * left out) emoji. Space around a string is ignored. */
#include "base/fluid.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fluid-words.h"
#include "base/number.h"

#define STRING_MAX  128
#define F58_PREFIX  "\xc6\x92" /* U+0192 */
#define F58_DIGITS  11         /* 58^11 > 2^64 */
#define WORD_DIGITS 3          /* words for 32 bits */

static const char base58[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

static int checked(int n, size_t size)
{
    return n < 0 || (size_t)n >= size ? -EOVERFLOW : 0;
}

static int encode_f58(char *buf, size_t size, const char *prefix, uint64_t id)
{
    char digits[F58_DIGITS + 1];
    char *p = digits + F58_DIGITS;

    *p = '\0';
    do {
        *--p = base58[id % 58];
        id /= 58;
    } while (id);
    return checked(snprintf(buf, size, "%s%s", prefix, p), size);
}

static int encode_dothex(char *buf, size_t size, uint64_t id)
{
    return checked(snprintf(buf, size, "%04x.%04x.%04x.%04x", (unsigned)(id >> 48),
                            (unsigned)(id >> 32 & 0xffff), (unsigned)(id >> 16 & 0xffff),
                            (unsigned)(id & 0xffff)),
                   size);
}

/* Each half, the lower first, as three digits of base 1626, the lowest first. */
static int encode_words(char *buf, size_t size, uint64_t id)
{
    static const char *const separators[] = { "", "-", "-", "--", "-", "-" };
    size_t used = 0;

    for (unsigned int i = 0; i < 2 * WORD_DIGITS; i++) {
        uint32_t x = (uint32_t)(id >> (i < WORD_DIGITS ? 0 : 32));
        const char *word;
        int len, n;

        for (unsigned int k = 0; k < i % WORD_DIGITS; k++)
            x /= FLUID_WORDS;
        word = fluid_word(x % FLUID_WORDS, &len);
        n = snprintf(buf + used, size - used, "%s%.*s", separators[i], len, word);
        if (checked(n, size - used) < 0)
            return -EOVERFLOW;
        used += (size_t)n;
    }
    return 0;
}

int fluid_encode(char *buf, size_t size, uint64_t id, enum fluid_style style)
{
    switch (style) {
    case FLUID_DEC:
        return checked(snprintf(buf, size, "%" PRIu64, id), size);
    case FLUID_HEX:
        return checked(snprintf(buf, size, "0x%" PRIx64, id), size);
    case FLUID_DOTHEX:
        return encode_dothex(buf, size, id);
    case FLUID_MNEMONIC:
        return encode_words(buf, size, id);
    case FLUID_F58:
        return encode_f58(buf, size, F58_PREFIX, id);
    case FLUID_F58_PLAIN:
        return encode_f58(buf, size, "f", id);
    }
    return -EINVAL;
}

static int parse_f58(const char *s, uint64_t *ret)
{
    uint64_t id = 0;

    if (!*s)
        return -EINVAL;
    for (; *s; s++) {
        const char *p = strchr(base58, *s);

        if (!p || __builtin_mul_overflow(id, 58u, &id) ||
            __builtin_add_overflow(id, (uint64_t)(p - base58), &id))
            return -EINVAL;
    }
    *ret = id;
    return 0;
}

/* At most `max` hex digits; advances *s. */
static int parse_hex(const char **s, int max, uint64_t *ret)
{
    uint64_t v = 0;
    int n = 0;

    for (; isxdigit((unsigned char)**s) && n < max; n++, (*s)++) {
        int c = tolower((unsigned char)**s);

        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (n == 0)
        return -EINVAL;
    *ret = v;
    return n;
}

static int parse_dothex(const char *s, uint64_t *ret)
{
    uint64_t id = 0;

    for (int i = 0; i < 4; i++) {
        uint64_t part;

        if ((i > 0 && *s++ != '.') || parse_hex(&s, 4, &part) != 4)
            return -EINVAL;
        id = id << 16 | part;
    }
    if (*s)
        return -EINVAL;
    *ret = id;
    return 0;
}

/* The three words of one half; advances *s. */
static int parse_half(const char **s, uint32_t *ret)
{
    uint64_t x = 0, scale = 1;

    for (int i = 0; i < WORD_DIGITS; i++, scale *= FLUID_WORDS) {
        size_t len;
        int digit;

        if (i > 0 && *(*s)++ != '-')
            return -EINVAL;
        len = strcspn(*s, "-");
        if ((digit = fluid_word_find(*s, len)) < 0)
            return -EINVAL;
        x += (uint64_t)digit * scale;
        *s += len;
    }
    if (x > UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)x;
    return 0;
}

static int parse_words(const char *s, uint64_t *ret)
{
    uint32_t lo, hi;

    if (parse_half(&s, &lo) < 0 || strncmp(s, "--", 2) != 0)
        return -EINVAL;
    s += 2;
    if (parse_half(&s, &hi) < 0 || *s)
        return -EINVAL;
    *ret = (uint64_t)hi << 32 | lo;
    return 0;
}

static int parse_trimmed(const char *s, uint64_t *ret)
{
    if (strchr(s, '.'))
        return parse_dothex(s, ret);
    if (strchr(s, '-'))
        return parse_words(s, ret);
    if (strncmp(s, F58_PREFIX, strlen(F58_PREFIX)) == 0)
        return parse_f58(s + strlen(F58_PREFIX), ret);
    if (s[0] == 'f')
        return parse_f58(s + 1, ret);
    if (strncmp(s, "0x", 2) == 0) {
        s += 2;
        return parse_hex(&s, 16, ret) < 0 || *s ? -EINVAL : 0;
    }
    return number_parse_u64(s, UINT64_MAX, ret) < 0 ? -EINVAL : 0;
}

int fluid_parse(const char *s, uint64_t *ret_id)
{
    char buf[STRING_MAX];
    size_t len;
    uint64_t id;

    if (!s)
        return -EINVAL;
    while (isspace((unsigned char)*s))
        s++;
    len = strnlen(s, sizeof(buf));
    while (len > 0 && isspace((unsigned char)s[len - 1]))
        len--;
    if (len == 0 || len >= sizeof(buf))
        return -EINVAL;
    memcpy(buf, s, len);
    buf[len] = '\0';
    if (parse_trimmed(buf, &id) < 0)
        return -EINVAL;
    *ret_id = id;
    return 0;
}
