/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Numbers as Python prints them: with an exponent if that is below -4 or above 15, else with a
 * point. */
#include "real-text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void real_text(char buf[static REAL_TEXT_SIZE], double x)
{
    int decimals = -1, exponent;
    char *e;

    if (!isfinite(x)) {
        snprintf(buf, REAL_TEXT_SIZE, "%f", x); /* inf, -inf, nan */
        return;
    }
    do
        snprintf(buf, REAL_TEXT_SIZE, "%.*e", ++decimals, x);
    while (decimals < 16 && strtod(buf, NULL) != x);
    e = strchr(buf, 'e');
    exponent = e ? (int)strtol(e + 1, NULL, 10) : 0;
    if (exponent < -4 || exponent > 15)
        return;
    decimals -= exponent;
    snprintf(buf, REAL_TEXT_SIZE, "%.*f", decimals > 1 ? decimals : 1, x);
}
