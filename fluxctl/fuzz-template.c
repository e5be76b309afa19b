/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A word of bulksubmit, and after newlines the inputs that it is applied to. */
#include <stdlib.h>
#include <string.h>

#include "bulk-template.h"

#define WORDS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bulk_define define = { .name = "d", .name_len = 1, .code = "len(x) + 1" };
    char *text = strndup((const char *)data, size);
    char *save = NULL, *template = strtok_r(text, "\n", &save);
    const char *words[WORDS_MAX];
    struct bulk_context ctx = { .words = words, .seq = 41, .defines = &define, .ndefines = 1 };
    flux_error_t error = { "" };
    char *result = NULL;

    while (ctx.nwords < WORDS_MAX && (words[ctx.nwords] = strtok_r(NULL, "\n", &save)))
        ctx.nwords++;
    if (template && bulk_substitute(template, &ctx, &result, &error) == 0 && !result)
        abort();
    if (template && !strchr(template, '{') && (!result || strcmp(result, template) != 0))
        abort();
    free(result);
    free(text);
    return 0;
}
