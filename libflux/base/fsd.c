/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Flux standard duration. Refuses signs, NaN, leading space, an unknown unit and what overflows a
 * double. "inf" and "infinity" take no unit. Formatting picks the largest unit that is at most the
 * duration. The numeric locale is expected to be "C". */
#include "base/fsd.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const struct unit {
    const char *suffix;
    double seconds;
} units[] = {
    { "ms", 1E-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 },
};

static int unit_parse(const char *suffix, double *ret_seconds)
{
    if (!suffix[0]) {
        *ret_seconds = 1;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcmp(suffix, units[i].suffix) == 0) {
            *ret_seconds = units[i].seconds;
            return 0;
        }
    }
    return -EINVAL;
}

int fsd_parse(const char *s, double *ret_seconds)
{
    double value, scale;
    char *end;

    if (!s)
        return -EINVAL;
    if (strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0) {
        *ret_seconds = INFINITY;
        return 0;
    }
    if (!isdigit((unsigned char)s[0]) && s[0] != '.')
        return -EINVAL;
    value = strtod(s, &end);
    if (end == s || unit_parse(end, &scale) < 0 || !isfinite(value * scale))
        return -EINVAL;
    *ret_seconds = value * scale;
    return 0;
}

/* What snprintf returned, as a result of ours. */
static int checked(int n, size_t size)
{
    return n < 0 || (size_t)n >= size ? -EOVERFLOW : 0;
}

int fsd_format(char *buf, size_t size, double seconds)
{
    size_t i = ARRAY_SIZE(units) - 1;

    if (!(seconds >= 0)) /* NaN too */
        return -EINVAL;
    if (isinf(seconds))
        return checked(snprintf(buf, size, "infinity"), size);
    if (seconds == 0)
        return checked(snprintf(buf, size, "0s"), size);
    while (i > 0 && seconds < units[i].seconds)
        i--;
    return checked(snprintf(buf, size, "%.4g%s", seconds / units[i].seconds, units[i].suffix),
                   size);
}

int fsd_format_exact(char *buf, size_t size, double seconds)
{
    char number[32];

    if (!(seconds >= 0))
        return -EINVAL;
    if (isinf(seconds))
        return checked(snprintf(buf, size, "infinity"), size);
    for (int digits = 9; digits <= 17; digits++) {
        (void)snprintf(number, sizeof(number), "%.*g", digits, seconds);
        if (strtod(number, NULL) == seconds)
            break;
    }
    return checked(snprintf(buf, size, "%ss", number), size);
}
