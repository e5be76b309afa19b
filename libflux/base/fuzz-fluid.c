/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* An id that parses prints, in every style, what parses to the same id. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fluid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    uint64_t id, again;
    char buf[128];

    if (fluid_parse(text, &id) == 0) {
        for (int style = FLUID_DEC; style <= FLUID_F58_PLAIN; style++) {
            if (fluid_encode(buf, sizeof(buf), id, (enum fluid_style)style) < 0 ||
                fluid_parse(buf, &again) < 0 || again != id)
                abort();
        }
    }
    free(text);
    return 0;
}
