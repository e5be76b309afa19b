/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whatever decodes encodes to a string that decodes to an equal set. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <flux/idset.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct idset *set = idset_ndecode((const char *)data, size);
    struct idset *again;
    char *s;

    if (!set)
        return 0;
    s = idset_encode(set, IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS);
    if (s && strlen(s) < 1u << 20) {
        again = idset_decode(s);
        if (!idset_equal(set, again))
            abort();
        idset_destroy(again);
    }
    free(s);
    idset_destroy(set);
    return 0;
}
