/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Words, one a line, as the command line of submit: every word ends as an option, an argument or in
 * a refusal, and no option misses its argument. */
#include <stdlib.h>
#include <string.h>

#include "families.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cmdline *c, int words)
{
    for (size_t i = 0; i < c->nvalues; i++) {
        const struct option *o = c->values[i].option;

        if (o->arg && !c->values[i].arg && !(o->flags & OPTION_OPTIONAL_ARG))
            abort();
        if (!o->arg && c->values[i].arg)
            abort();
    }
    if (c->argc > words || c->argv[c->argc] || (!c->help && c->argc < c->command->min_args))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    char *words[WORDS_MAX + 1] = { NULL };
    flux_error_t error = { "" };
    char *save = NULL;
    struct cmdline c;
    int n = 0;

    while (n < WORDS_MAX && (words[n] = strtok_r(n ? NULL : text, "\n", &save)))
        n++;
    if (cmdline_parse(&cmd_submit[0], n, words, &c, &error) == 0) {
        check(&c, n);
        cmdline_deinit(&c);
    } else if (!error.text[0]) {
        abort();
    }
    free(text);
    return 0;
}
