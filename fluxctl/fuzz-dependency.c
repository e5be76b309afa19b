/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A dependency URI that is taken becomes one object with a scheme and a value. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "dependency.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *jobspec = json_pack("{s:{s:{}}}", "attributes", "system");
    char *text = strndup((const char *)data, size);
    flux_error_t error = { "" };

    if (dependency_add(jobspec, text, &error) == 0) {
        const char *scheme, *value;

        if (json_unpack(jobspec, "{s:{s:{s:[{s:s s:s}]}}}", "attributes", "system", "dependencies",
                        "scheme", &scheme, "value", &value) < 0 ||
            !scheme[0] || !value[0])
            abort();
    } else if (!error.text[0]) {
        abort();
    }
    free(text);
    return 0;
}
