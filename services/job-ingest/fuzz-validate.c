/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Any bytes as a request J, and as the jobspec inside a well-formed one. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sign_none.h"
#include "submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *J)
{
    struct submit_request r = { .J = J, .urgency = 16, .userid = 1, .owner = true };
    CLEANUP(submission_freep) struct submission *s = NULL;
    flux_error_t error = { .text = "" };

    if (submission_check(&r, &s, &error) < 0 && error.text[0] == '\0')
        abort(); /* a refusal says why */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    CLEANUP(freep) char *J = sign_none_wrap((const char *)data, size, 1);

    if (text)
        check(text);
    if (J)
        check(J);
    return 0;
}
