/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A duration that parses is not negative and prints exactly. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    double d, again;
    char buf[64];

    if (fsd_parse(text, &d) == 0) {
        if (!(d >= 0) || fsd_format_exact(buf, sizeof(buf), d) < 0 || fsd_parse(buf, &again) < 0 ||
            again != d)
            abort();
        (void)fsd_format(buf, sizeof(buf), d);
    }
    free(text);
    return 0;
}
