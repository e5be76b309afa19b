/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A resource set that decodes encodes to one that contains it and is contained in it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/rset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *o = jsonx_decode_object((const char *)data, size, NULL);
    struct rset *r, *again;
    char *s;

    if (o && rset_decode(o, &r, NULL) == 0) {
        s = rset_encode_string(r);
        if (!s || rset_decode_string(s, &again, NULL) < 0)
            abort();
        if (!rset_contains(r, again) || !rset_contains(again, r))
            abort();
        free(s);
        free(rset_describe(r));
        (void)rset_subtract(again, r);
        rset_free(again);
        rset_free(r);
    }
    json_decref(o);
    return 0;
}
