/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What --since means. */
#include "since.h"

#include "base/monotime.h"
#include "base/number.h"
#include "client.h"
#include "datetime.h"

int parse_since(const char *s, double *ret)
{
    flux_error_t error = { "" };
    double now = walltime(), ago;

    if (s[0] == '-') {
        if (parse_duration(s + 1, "what follows the '-' of --since", &ago) < 0)
            return -1;
        *ret = now - ago;
    } else if (number_parse_double(s, ret) < 0 && datetime_parse(s, now, ret, &error) < 0) {
        complain("--since: %s%s", error.text,
                 strstr(error.text, "not understood") ? ", or -2h" : "");
        return -1;
    }
    if (*ret <= now)
        return 0;
    complain("--since: '%s' is in the future; -2h is two hours ago", s);
    return -1;
}
