/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Checked number parsing. The whole string must be the number: no leading space, no plus sign, no
 * trailing bytes. Refuses infinities, NaN and hexadecimal floats. Outputs are written on success
 * only. */
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The digits at the start of s, without checking what follows. */
static int parse_digits(const char *s, const char **ret_end, uint64_t *ret)
{
    uint64_t v = 0;

    if (!isdigit((unsigned char)*s))
        return -EINVAL;
    for (; isdigit((unsigned char)*s); s++) {
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (unsigned int)(*s - '0'), &v))
            return -ERANGE;
    }
    *ret_end = s;
    *ret = v;
    return 0;
}

/* Is all of s made of digits? Tells "too large" from "not a number" when both could be said. */
static bool all_digits(const char *s)
{
    return s[0] && s[strspn(s, "0123456789")] == '\0';
}

int number_parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
    const char *end;
    uint64_t v;

    if (!s || !all_digits(s))
        return -EINVAL;
    if (parse_digits(s, &end, &v) < 0 || v > max)
        return -ERANGE;
    *ret = v;
    return 0;
}

int number_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s && s[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t magnitude;
    int64_t v;
    int rc;

    if (!s)
        return -EINVAL;
    if ((rc = number_parse_u64(s + negative, limit, &magnitude)) < 0)
        return rc;
    v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (v < min || v > max)
        return -ERANGE;
    *ret = v;
    return 0;
}

int number_parse_u32(const char *s, uint32_t *ret)
{
    uint64_t v;
    int rc = number_parse_u64(s, UINT32_MAX, &v);

    if (rc == 0)
        *ret = (uint32_t)v;
    return rc;
}

int number_parse_int(const char *s, int min, int max, int *ret)
{
    int64_t v;
    int rc = number_parse_i64(s, min, max, &v);

    if (rc == 0)
        *ret = (int)v;
    return rc;
}

int number_parse_double(const char *s, double *ret)
{
    char *end;
    double v;

    if (!s || !s[0] || s[strspn(s, "0123456789.eE+-")] != '\0' || s[0] == '+')
        return -EINVAL;
    errno = 0;
    v = strtod(s, &end);
    if (end == s || *end)
        return -EINVAL;
    if (!isfinite(v))
        return -ERANGE;
    *ret = v;
    return 0;
}

int number_parse_size(const char *s, uint64_t *ret)
{
    static const char suffixes[] = "KMGT";
    const char *end;
    uint64_t v;
    int shift = 0;
    int rc;

    if (!s)
        return -EINVAL;
    if ((rc = parse_digits(s, &end, &v)) < 0)
        return rc;
    if (*end) {
        const char *p = strchr(suffixes, toupper((unsigned char)*end));

        if (!p || end[1])
            return -EINVAL;
        shift = 10 * (int)(p - suffixes + 1);
    }
    if (v > UINT64_MAX >> shift)
        return -ERANGE;
    *ret = v << shift;
    return 0;
}
