/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* JSON that decodes encodes to JSON that decodes to an equal object; shapes never crash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *o = jsonx_decode_object((const char *)data, size, NULL);
    json_t *again;
    size_t n;
    char *s;

    if (!o)
        return 0;
    (void)jsonx_check_shape(o, "a:s b?:i c?:I d?:u e?:b f?:n g?:o h?:a i?:*", NULL);
    s = jsonx_encode(o, &n);
    again = s ? jsonx_decode_object(s, n - 1, NULL) : NULL;
    if (!json_equal(o, again))
        abort();
    json_decref(again);
    json_decref(o);
    free(s);
    return 0;
}
