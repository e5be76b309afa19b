/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A signed request that unwraps wraps to one that unwraps to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sign_none.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *payload, *again, *j;
    size_t n, m;
    uint32_t userid, same;

    if (sign_none_unwrap((const char *)data, size, &payload, &n, &userid, NULL) < 0)
        return 0;
    j = sign_none_wrap(payload, n, userid);
    if (sign_none_unwrap(j, strlen(j), &again, &m, &same, NULL) < 0 || m != n || same != userid ||
        memcmp(payload, again, n) != 0)
        abort();
    free(again);
    free(payload);
    free(j);
    return 0;
}
