/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The code of --define, and after a newline the input that it is applied to: a value or a refusal,
 * of bounded size. */
#include <stdlib.h>
#include <string.h>

#include "expression.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    char *x = strchr(text, '\n');
    flux_error_t error = { "" };
    char *result = NULL;

    if (x)
        *x++ = '\0';
    if (expression_eval(text, x ? x : "12", &result, &error) == 0) {
        if (!result)
            abort();
    } else if (result) {
        abort();
    }
    free(result);
    free(text);
    return 0;
}
