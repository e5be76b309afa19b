/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A jobspec that passes has a command and sizes within their bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/jobspec.h"
#include "base/jsonx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *o = jsonx_decode_object((const char *)data, size, NULL);
    struct jobspec js;
    flux_error_t error = { "" };

    if (o && jobspec_parse(o, &js, &error) == 0) {
        if (js.nslots < 1 || js.ntasks < 1 || js.ntasks > js.nslots || js.cores_per_slot < 1 ||
            json_array_size(js.command) < 1 || !(js.duration >= 0))
            abort();
        jobspec_deinit(&js);
    } else if (o && !error.text[0]) {
        abort();
    }
    json_decref(o);
    return 0;
}
