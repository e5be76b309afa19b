/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading shell options. They come from a user's jobspec: each value is checked, and a refusal
 * names the option. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/errorx.h"
#include "base/fsd.h"
#include "base/number.h"
#include "option.h"

static int wrong(flux_error_t *error, const char *path, const char *what)
{
    return errorx_fail(error, EINVAL, "-o %s: must be %s", path, what);
}

int option_flag(const struct shell_info *info, const char *path, bool *ret, flux_error_t *error)
{
    json_t *o = shell_info_option(info, path);

    if (!o)
        return 0;
    if (json_is_boolean(o))
        *ret = json_is_true(o);
    else if (json_is_integer(o) && (json_integer_value(o) == 0 || json_integer_value(o) == 1))
        *ret = json_integer_value(o) == 1;
    else
        return wrong(error, path, "0 or 1");
    return 1;
}

int option_int(const struct shell_info *info, const char *path, int min, int max, int *ret,
               flux_error_t *error)
{
    json_t *o = shell_info_option(info, path);
    char what[64];

    if (!o)
        return 0;
    if (json_is_boolean(o) && min <= 0 && max >= 1) {
        *ret = json_is_true(o);
    } else if (json_is_integer(o) && json_integer_value(o) >= min && json_integer_value(o) <= max) {
        *ret = (int)json_integer_value(o);
    } else {
        (void)snprintf(what, sizeof(what), "a number from %d to %d", min, max);
        return wrong(error, path, what);
    }
    return 1;
}

int option_duration(const struct shell_info *info, const char *path, bool none_ok, double *ret,
                    flux_error_t *error)
{
    json_t *o = shell_info_option(info, path);
    double t;

    if (!o)
        return 0;
    if (none_ok && json_is_string(o) && strcmp(json_string_value(o), "none") == 0)
        t = -1;
    else if (json_is_number(o) && json_number_value(o) >= 0)
        t = json_number_value(o);
    else if (!json_is_string(o) || fsd_parse(json_string_value(o), &t) < 0)
        return wrong(error, path,
                     none_ok ? "a duration such as 30s, or none" : "a duration such as 30s");
    *ret = t;
    return 1;
}

int option_parse_size(const char *s, uint64_t *ret)
{
    static const char suffixes[] = "kKMG";
    static const double units[] = { 1e3, 1e3, 1e6, 1e9 };
    const size_t len = strlen(s);
    const char *suffix = len > 1 ? strchr(suffixes, s[len - 1]) : NULL;
    char number[32];
    double n;

    if (len >= sizeof(number))
        return -EINVAL;
    memcpy(number, s, len + 1);
    if (suffix)
        number[len - 1] = '\0';
    if (number_parse_double(number, &n) < 0 || n < 0)
        return -EINVAL;
    if (suffix)
        n *= units[suffix - suffixes];
    if (n > 1e15)
        return -EINVAL;
    *ret = (uint64_t)n;
    return 0;
}

int option_size(const struct shell_info *info, const char *path, uint64_t max, uint64_t *ret,
                flux_error_t *error)
{
    json_t *o = shell_info_option(info, path);
    uint64_t n;

    if (!o)
        return 0;
    if (json_is_integer(o) && json_integer_value(o) >= 0)
        n = (uint64_t)json_integer_value(o);
    else if (!json_is_string(o) || option_parse_size(json_string_value(o), &n) < 0)
        return wrong(error, path, "a number of bytes such as 10M");
    if (n > max)
        return errorx_fail(error, EINVAL, "-o %s: must be at most %" PRIu64 " bytes", path, max);
    *ret = n;
    return 1;
}

int option_parse_signal(const char *s, int *ret)
{
    if (isdigit((unsigned char)s[0]))
        return number_parse_int(s, 1, NSIG - 1, ret) < 0 ? -EINVAL : 0;
    if (strncasecmp(s, "SIG", 3) == 0)
        s += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *name = sigabbrev_np(i);

        if (name && strcasecmp(name, s) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}
