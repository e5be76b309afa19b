/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whatever is taken for a date is a number, and not before the epoch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datetime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    flux_error_t error = { "" };
    double t;

    (void)setenv("TZ", "Europe/Paris", 1);
    tzset();
    if (datetime_parse(text, 1.7e9, &t, &error) == 0) {
        if (!isfinite(t) || t < -86400)
            abort();
    } else if (!error.text[0]) {
        abort();
    }
    free(text);
    return 0;
}
