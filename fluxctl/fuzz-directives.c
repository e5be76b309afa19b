/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A script with options in it: words, or a sentence that says why not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "directives.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    flux_error_t error = { .text = "" };
    char **words = NULL;
    size_t n = 0;

    if (directives_parse((const char *)data, size, &words, &n, &error) < 0) {
        if (!error.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        if (!words[i])
            abort();
    if (n > 0 && (words[n] || words[0][0] != '-'))
        abort();
    directives_free(words);
    return 0;
}
