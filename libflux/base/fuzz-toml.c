/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TOML either becomes a JSON object or an error with a text; nothing is thrown. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flux_error_t error = { "" };
    json_t *o = toml_parse_string((const char *)data, size, &error);

    if (o ? !json_is_object(o) : !error.text[0])
        abort();
    json_decref(o);
    return 0;
}
