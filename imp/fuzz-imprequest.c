/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* No input may crash the parser; what it accepts is within its limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imp_request req;
    const char *why;

    if (imp_request_parse((const char *)data, size, &req, &why) < 0)
        return 0;
    if (req.verb != IMP_LIST && req.jobid == 0)
        abort();
    if (req.verb == IMP_KILL && (req.signum < 1 || req.signum > 64))
        abort();
    if (req.verb == IMP_START &&
        (strnlen(req.uri, IMP_URI_MAX) == IMP_URI_MAX || strncmp(req.uri, "local:///", 9) != 0))
        abort();
    return 0;
}
