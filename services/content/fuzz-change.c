/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The payload of content.commit. */
#include "content/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *header = NULL;
    flux_error_t error;
    struct change ch;

    if (change_decode(data, size, 1 << 20, &ch, &header, &error) == 0) {
        size_t sum = 0;
        size_t i;
        json_t *n;

        json_array_foreach (ch.sizes, i, n)
            sum += (size_t)json_integer_value(n);
        if (sum != ch.data_size || (const uint8_t *)ch.data + ch.data_size != data + size)
            abort();
    }
    json_decref(header);
    return 0;
}
