/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A resource set that decodes encodes to one that contains it and is contained in it. Of a very
 * large one it is only asked that it decodes, or is refused, in bounded time and memory: a few
 * bytes of input name up to a million ranks, and half a dozen walks over all of them show nothing
 * that the first RANKS_MAX do not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/jsonx.h"
#include "base/rset.h"

#define RANKS_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct rset *r)
{
    CLEANUP(freep) char *s = rset_encode_string(r);
    struct rset *again;

    if (!s || rset_decode_string(s, &again, NULL) < 0)
        abort();
    if (!rset_contains(r, again) || !rset_contains(again, r))
        abort();
    free(rset_describe(r));
    (void)rset_subtract(again, r);
    rset_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *o = jsonx_decode_object((const char *)data, size, NULL);
    struct rset *r;

    if (o && rset_decode(o, &r, NULL) == 0) {
        if (rset_nnodes(r) <= RANKS_MAX)
            round_trip(r);
        rset_free(r);
    }
    json_decref(o);
    return 0;
}
